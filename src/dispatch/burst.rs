//! Answers a burst by one call: a request, and those that follow it and differ only in the last
//! argument. The command has a handler for that.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::batch::{Batch, ServerContext};
use crate::command::entry::Command;
use crate::resp::{LastArguments, Parser, Request};

impl<C: ServerContext, S> Batch<'_, C, S> {
    /// Whether nothing is to happen between two requests.
    fn may_answer_burst(&self, command: &Command) -> bool {
        debug_assert!(command.hands_over, "nobody hands over before it");
        // A client that is subscribed gets the message of each request before its reply.
        self.session.restrictions.is_empty()
            && !self.session.has_reply_flags()
            && self.session.subscriptions().is_none()
            && !self.state.observes_every_call()
            && self.pause_level(command).is_none()
    }

    /// Answers the request in the first `length` of `bytes`, and the requests that the handler
    /// takes of those that follow. All have the same reply. Returns their bytes; `None`, and
    /// answers none, if something is to happen between two of them.
    // Cold and out of line, for the sake of PING.
    #[cold]
    pub(super) fn answer_burst(
        &mut self,
        command: &Command,
        request: &Request<'_>,
        length: usize,
        bytes: &[u8],
    ) -> Option<usize> {
        let handler = command.burst_handler?;
        if bytes.len() == length || !self.may_answer_burst(command) {
            return None;
        }
        self.note_last_command(command);
        let active_at_s = &self.session.info().active_at_s;
        active_at_s.store(self.state.now_s(), Ordering::Relaxed);
        let start = Instant::now();
        self.context.note_time(start);
        let count_max = self.output.room_for(REPLY_BYTES_MAX);
        let count_max = count_max.min(self.budget.requests);
        let mut following = LastArguments::new(request, &bytes[length..], count_max);
        let reply = self.output.reply(self.session.protocol());
        let replied = handler(self.session, request, &mut following, reply);
        let (taken, length) = (following.taken(), length + following.taken_bytes());
        self.budget.requests -= taken;
        // The requests of a turn fit in 32 bits.
        let took = self.end_calls(command, start, 1 + taken as u32);
        self.note_each(command, &bytes[..length], took);
        let counts = self.counts_of(command);
        self.count(counts, &replied);
        counts.calls.add(taken as u64);
        debug_assert!(taken == 0 || self.output.reply_bytes() <= REPLY_BYTES_MAX);
        self.output.repeat(taken);
        Some(length)
    }

    /// Notes the requests in `bytes`, each of which took so long.
    fn note_each(&self, command: &Command, mut bytes: &[u8], took: Duration) {
        if !self.state.notes(took) {
            return;
        }
        let limits = self.context.limits(false);
        let mut parser = Parser::default();
        while let Ok(Some(length)) = parser.parse(bytes, limits) {
            if let Some(request) = parser.request(bytes) {
                self.note(command, &request, took);
            }
            bytes = &bytes[length..];
        }
    }
}

/// Maximum bytes of a reply that is copied: of an integer.
const REPLY_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Session;
    use crate::command::{Arity, Commands};
    use crate::config::Config;
    use crate::resp::{Replied, Reply};
    use crate::testing::Offline;

    /// Takes all requests, and answers their number. Each takes longer than a millisecond.
    fn slow<'a>(
        _: &mut Session,
        _: &Request<'a>,
        following: &mut LastArguments<'a>,
        reply: Reply<'_>,
    ) -> Replied {
        let start = Instant::now();
        let count = 1 + following.by_ref().count();
        while start.elapsed() < Duration::from_millis(2 * count as u64) {}
        reply.integer(count as i64)
    }

    #[test]
    fn each_slow_request_is_in_the_slow_log() {
        let mut commands = Commands::builtin();
        commands.register("SLOW", Arity::Exactly(2), |_, _, reply| {
            reply.simple("alone")
        });
        let command = commands.get_mut("SLOW").expect("it was registered");
        command.burst_handler = Some(slow);
        command.hands_over = true;
        let config = Config {
            slowlog_log_slower_than_us: 1000,
            maxclients: 1,
            ..Config::default()
        };
        let server = Offline::with(config, commands).expect("a poll instance");
        let mut client = server.connect(false);
        let requests =
            ["one", "two", "six"].map(|word| format!("*2\r\n$4\r\nSLOW\r\n$3\r\n{word}\r\n"));
        let mut serve = |requests: &str| {
            let end = client.serve_turn(requests.as_bytes());
            assert!(end.is_ok(), "{end:?}");
            String::from_utf8(std::mem::take(&mut client.sink.sent)).expect("it is text")
        };
        assert_eq!(serve(&requests.concat()), ":3\r\n".repeat(3));
        let log = serve("SLOWLOG GET\r\n");
        let words = log.split("$4\r\nSLOW\r\n$3\r\n").skip(1);
        let words: Vec<_> = words.map(|entry| &entry[..3]).collect();
        assert_eq!(words, ["six", "two", "one"]);
    }
}
