//! The deadlines of a client, by the state that it is in.

use std::sync::atomic::Ordering;

use super::Client;
use super::stage::{Opening, Stage};
use crate::state::clients::{ClientFlags, NO_COMMAND};
use crate::state::close_reason::Deadline;
use crate::state::coarse_clock::Now;

/// The configured timeouts, in seconds; 0 means no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the unit stands last")]
pub(crate) struct Timeouts {
    /// For another byte.
    pub(crate) idle_s: u32,
    /// For the PROXY header.
    pub(crate) proxy_header_s: u32,
    /// For the TLS handshake.
    #[cfg(feature = "tls")]
    pub(crate) handshake_s: u32,
    /// For the first byte.
    pub(crate) first_byte_s: u32,
    /// For the rest of a request.
    pub(crate) request_s: u32,
    /// For progress on the pending output of a write-blocked client.
    pub(crate) write_s: u32,
    /// For progress on the pending output of any other client.
    pub(crate) pending_output_s: u32,
}

/// The state of a client, by the event that it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The PROXY header is missing.
    ProxyHeader,
    /// The TLS handshake has not ended.
    #[cfg(feature = "tls")]
    Handshake {
        since_s: u32,
    },
    /// FIN was sent; the peer's FIN is missing.
    HalfClosed {
        since_s: u32,
    },
    /// The last output is sent before FIN.
    Lingering,
    /// Too much output is pending; requests are not read.
    WriteBlocked,
    /// The reply to its last request is deferred, or is being sent.
    Deferred,
    /// CLIENT PAUSE holds its requests up.
    Paused,
    /// The rest of a request is missing.
    MidRequest,
    /// The rest of a record of TLS is missing.
    MidRecord,
    /// The client only receives messages.
    Subscribed,
    /// The client has not sent a byte.
    New,
    Idle,
}

impl Client {
    fn state(&self) -> State {
        match &self.stage {
            Stage::Opening(Opening::ProxyHeader { .. }) => State::ProxyHeader,
            #[cfg(feature = "tls")]
            Stage::Opening(Opening::Handshake(handshake)) => State::Handshake {
                since_s: handshake.since_s,
            },
            Stage::Deferred | Stage::Sending if !self.is_write_blocked() => State::Deferred,
            Stage::Open | Stage::Deferred | Stage::Sending => self.open_state(),
            Stage::Closing(closing) => match closing.awaits_fin_since_s {
                Some(since_s) => State::HalfClosed { since_s },
                None => State::Lingering,
            },
        }
    }

    fn open_state(&self) -> State {
        let info = self.session.info();
        #[cfg(feature = "tls")]
        let is_mid_record = self.connection.is_mid_record();
        #[cfg(not(feature = "tls"))]
        let is_mid_record = false;
        if self.is_write_blocked() {
            State::WriteBlocked
        } else if info.has(ClientFlags::PAUSED) {
            State::Paused
        } else if self.pending_input.is_some() {
            State::MidRequest
        } else if is_mid_record {
            State::MidRecord
        } else if self.session.listens() {
            State::Subscribed
        } else if info.command.load(Ordering::Relaxed) == NO_COMMAND && !self.connection.has_read {
            State::New
        } else {
            State::Idle
        }
    }

    /// Returns the deadline that the client has missed. As in Redis, paused and subscribed clients
    /// have no idle timeout, and neither have those that wait for a deferred reply.
    pub(crate) fn missed_deadline(&self, now: Now, timeouts: Timeouts) -> Option<Deadline> {
        let info = self.session.info();
        let late = |deadline, since_s, limit_s| {
            (limit_s > 0 && now.elapsed_s(since_s) > limit_s).then_some(deadline)
        };
        let output = |deadline, limit_s| {
            let pending = self.connection.pending()?;
            late(deadline, pending.progress_s(), limit_s)
        };
        let flowing = || output(Deadline::PendingOutput, timeouts.pending_output_s);
        let active_at_s = info.active_at_s.load(Ordering::Relaxed);
        let idle = || late(Deadline::Idle, active_at_s, timeouts.idle_s);
        // A record is short, so that each byte may take this long.
        let record = || late(Deadline::Request, active_at_s, timeouts.request_s);
        let came_at_s = info.came_at_s;
        let proxy_header = || late(Deadline::ProxyHeader, came_at_s, timeouts.proxy_header_s);
        // Of a new client: the end of what came before its first request, if anything did.
        let first_byte = || late(Deadline::FirstByte, active_at_s, timeouts.first_byte_s);
        let request = || {
            let input = self.pending_input.as_ref()?;
            let is_late = input.is_late(now, timeouts.request_s);
            is_late.then_some(Deadline::Request)
        };
        match self.state() {
            State::ProxyHeader => proxy_header(),
            #[cfg(feature = "tls")]
            State::Handshake { since_s } => {
                late(Deadline::Handshake, since_s, timeouts.handshake_s)
            }
            State::HalfClosed { since_s } => {
                late(Deadline::LingeringClose, since_s, FIN_WAIT_S_MAX)
            }
            State::Lingering => output(Deadline::LingeringClose, LAST_OUTPUT_S_MAX),
            State::WriteBlocked => output(Deadline::Write, timeouts.write_s),
            State::Deferred | State::Paused | State::Subscribed => flowing(),
            State::MidRequest => flowing().or_else(request).or_else(idle),
            State::MidRecord => flowing().or_else(record).or_else(idle),
            State::New => flowing().or_else(first_byte).or_else(idle),
            State::Idle => flowing().or_else(idle),
        }
    }
}

/// Maximum seconds from our FIN to the peer's. An attentive peer takes a round trip. The coarse
/// clock may add one.
const FIN_WAIT_S_MAX: u32 = 2;

/// Maximum seconds without progress on the last output before FIN.
const LAST_OUTPUT_S_MAX: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::pending_input::PendingInput;
    use crate::config::OutputLimits;
    use crate::net::pending_output::PendingOutput;
    use crate::resp::Parser;
    use crate::state::close_reason::CloseReason;

    fn at(s: u32) -> Now {
        Now { s, resumed_s: 0 }
    }

    fn only(timeouts: Timeouts) -> impl Fn(&Client, u32) -> Option<Deadline> {
        move |client, now_s| client.missed_deadline(at(now_s), timeouts)
    }

    #[test]
    fn deadlines_begin_again_when_a_stopped_process_goes_on() {
        let client = Client::for_test();
        client.publish(100);
        let late = |s, resumed_s| {
            let timeouts = Timeouts {
                idle_s: 10,
                ..Timeouts::default()
            };
            client.missed_deadline(Now { s, resumed_s }, timeouts)
        };
        assert_eq!(late(160, 90), Some(Deadline::Idle));
        assert_eq!(late(160, 150), None);
        assert_eq!(late(161, 150), Some(Deadline::Idle));
    }

    #[test]
    fn timeout_counts_from_the_last_turn_and_0_means_no_limit() {
        let client = Client::for_test();
        client.publish(100);
        let late = only(Timeouts {
            idle_s: 10,
            ..Timeouts::default()
        });
        assert_eq!(late(&client, 110), None);
        assert_eq!(late(&client, 111), Some(Deadline::Idle));
        assert_eq!(
            client.missed_deadline(at(u32::MAX), Timeouts::default()),
            None
        );
    }

    #[test]
    fn first_byte_has_a_timeout_of_its_own() {
        let client = Client::for_test();
        client.publish(100);
        let late = only(Timeouts {
            first_byte_s: 10,
            ..Timeouts::default()
        });
        // Not from accept, which was at 0: the handshake of TLS has a timeout of its own.
        assert_eq!(late(&client, 110), None);
        assert_eq!(late(&client, 111), Some(Deadline::FirstByte));
        client.session.info().command.store(0, Ordering::Relaxed);
        assert_eq!(late(&client, u32::MAX), None);
    }

    #[test]
    fn request_is_late_without_progress() {
        let mut client = Client::for_test();
        let late = only(Timeouts {
            request_s: 30,
            ..Timeouts::default()
        });
        client.pending_input = Some(Box::new(PendingInput::new(b"PI", Parser::default(), 100)));
        client.publish(125);
        assert_eq!(late(&client, 130), None);
        assert_eq!(late(&client, 131), Some(Deadline::Request));
        // The request is whole, and the next has begun.
        let pending_input = client.pending_input.take().expect("it was put there");
        client.pending_input = pending_input.without(1, 131);
        assert_eq!(late(&client, 161), None);
        assert_eq!(late(&client, 162), Some(Deadline::Request));
        client.session.info().set(ClientFlags::PAUSED, true);
        assert_eq!(late(&client, u32::MAX), None);
    }

    #[test]
    fn pending_output_is_late_from_its_last_progress() {
        let mut client = Client::for_test();
        client.connection.append(b"+PONG\r\n".to_vec());
        let none = OutputLimits::default().normal;
        let pending = client.connection.pending_mut().expect("it was appended");
        pending.update_timers(100, none);
        // The client is active, and yet takes nothing.
        client.publish(159);
        pending_of(&mut client).update_timers(159, none);
        let late = only(Timeouts {
            write_s: 60,
            pending_output_s: 600,
            ..Timeouts::default()
        });
        assert_eq!(late(&client, 700), None);
        assert_eq!(late(&client, 701), Some(Deadline::PendingOutput));
        pending_of(&mut client).block_until_sent();
        assert_eq!(late(&client, 160), None);
        assert_eq!(late(&client, 161), Some(Deadline::Write));
    }

    fn pending_of(client: &mut Client) -> &mut PendingOutput {
        let pending = client.connection.pending_mut();
        pending.expect("output is pending")
    }

    #[test]
    fn last_output_has_more_time_than_the_fin_of_the_peer() {
        let mut client = Client::for_test();
        client.connection.append(b"+OK\r\n".to_vec());
        client.begin_close(CloseReason::Quit);
        pending_of(&mut client).update_timers(100, OutputLimits::default().normal);
        let late = only(Timeouts::default());
        assert_eq!(late(&client, 100 + LAST_OUTPUT_S_MAX), None);
        assert_eq!(
            late(&client, 101 + LAST_OUTPUT_S_MAX),
            Some(Deadline::LingeringClose)
        );
        if let Stage::Closing(closing) = &mut client.stage {
            closing.awaits_fin_since_s = Some(200);
        }
        assert_eq!(late(&client, 200 + FIN_WAIT_S_MAX), None);
        assert_eq!(
            late(&client, 201 + FIN_WAIT_S_MAX),
            Some(Deadline::LingeringClose)
        );
    }
}
