//! Timeouts: the first byte, the rest of a request, reading replies, and idling.

use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use respool::{Commands, Config};
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually};

use respool_testing::echo;

use crate::Watched;

#[test]
fn silent_client_times_out_with_an_error() {
    let mut watched = Watched::start(Config {
        first_byte_timeout_s: 1,
        ..config(2)
    });
    let (mut silent, mut talks) = (watched.connect(), watched.connect());
    talks.ping();
    // One byte is enough, and so is an empty line.
    let (mut begins, mut empty) = (watched.connect(), watched.connect());
    begins.send("P");
    empty.send("\r\n");
    let why = "it sent nothing within `first-byte-timeout`";
    let begun = Instant::now();
    watched.closes_after_words(&mut silent, "first_byte_timeout", why);
    assert!(begun.elapsed() > Duration::from_millis(900));
    silent.expect("-ERR no request came in time\r\n");
    silent.expect_end();
    watched.pass(3);
    begins.ask("ING\r\n", "+PONG\r\n");
    empty.ping();
    talks.ping();
    watched.counts("closed_first_byte_timeout", 1);
}

impl Watched {
    /// As [`Self::closes`] for the first close with its reason. The peer closes after it has seen
    /// FIN.
    #[track_caller]
    fn closes_after_words(&mut self, peer: &mut Peer, field: &str, why: &str) {
        eventually("the peer gets the error", || {
            self.control.ping();
            let mut byte = [0];
            let waited = Some(Duration::from_millis(10));
            peer.socket.set_read_timeout(waited).expect("a socket");
            peer.socket.peek(&mut byte).is_ok()
        });
        peer.socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket");
        peer.end_sending();
        self.closes(peer.local_addr(), field, 1, why);
    }
}

const REST_TOO_LATE: &str = "-ERR the rest of the request did not come in time\r\n";
const NOT_WHOLE: &str = "a request was incomplete after `request-timeout`";

#[test]
fn incomplete_request_times_out_with_an_error() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 1,
        ..config(2)
    });
    let (mut half, mut idle) = (watched.connect(), watched.connect());
    idle.ping();
    half.send("PING\r\n*1\r\n$4\r\nPI");
    half.expect("+PONG\r\n");
    watched.closes_after_words(&mut half, "request_timeout", NOT_WHOLE);
    half.expect(REST_TOO_LATE);
    half.expect_end();
    // A client that has not started a request has no deadline.
    watched.pass(2);
    idle.ping();
}

#[test]
fn too_slow_request_times_out_with_an_error() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 3,
        timeout_s: 3600,
        ..config(2)
    });
    let mut slow = watched.connect();
    slow.send("PI");
    let mut byte = [0];
    // Less than a byte a second, but never three seconds without one.
    let wait = Some(Duration::from_secs(2));
    slow.socket.set_read_timeout(wait).expect("a TCP socket");
    eventually("the peer gets the error", || {
        let _ = slow.socket.write(b"x");
        slow.socket.peek(&mut byte).is_ok()
    });
    slow.socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a socket");
    slow.expect(REST_TOO_LATE);
    slow.end_sending();
    slow.expect_end();
    watched.closes(slow.local_addr(), "request_timeout", 1, NOT_WHOLE);
}

#[test]
fn request_of_two_bytes_a_second_is_answered() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 3,
        ..config(2)
    });
    let mut slow = watched.connect();
    for piece in b"PING abcd\r\n".chunks(1) {
        slow.send(piece);
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(500) {
            watched.control.ping();
        }
    }
    slow.expect("$4\r\nabcd\r\n");
}

#[test]
fn request_timeout_starts_anew_with_each_request() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 2,
        ..config(2)
    });
    let mut slow = watched.connect();
    slow.send("PI");
    // There is always an incomplete request, but none takes long.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        slow.ask("NG\r\nPI", "+PONG\r\n");
        watched.control.ping();
    }
    slow.ask("NG\r\n", "+PONG\r\n");
    watched.counts("closed_request_timeout", 0);
}

#[test]
fn request_timeout_stands_still_during_a_pause() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 1,
        ..config(2)
    });
    let mut paused = watched.connect();
    paused.ping();
    watched.control.ask("CLIENT PAUSE 4000\r\n", "+OK\r\n");
    paused.send("PING\r\nPI");
    watched.pass(3);
    watched.counts("blocked_clients", 1);
    watched.counts("closed_request_timeout", 0);
    paused.expect("+PONG\r\n");
    paused.ask("NG\r\n", "+PONG\r\n");
}

/// The time included that in which the server did not read because the client was write-blocked. A
/// client that resumed reading could be closed before it could send the rest.
#[test]
fn request_timeout_stands_still_while_write_blocked() {
    let mut watched = Watched::start(Config {
        request_timeout_s: 4,
        pending_output_per_client: 0,
        ..config(2)
    });
    let (request, reply) = echo(&"x".repeat(50_000));
    let mut blocked = watched.connect();
    blocked.send("PI");
    // The last one leaves more than the reserve pending, and the start of a request.
    let mut count = 0;
    eventually("it is write-blocked", || {
        blocked.send(format!("NG\r\n{request}PI"));
        count += 1;
        eventually("it was served", || {
            let served = watched
                .control
                .info("commandstats", "cmdstat_echo", "calls=");
            served == Some(count)
        });
        watched.control.count("client_recent_max_output_buffer") > 64 * 1024
    });
    watched.pass(6);
    for _ in 0..count {
        blocked.expect("+PONG\r\n");
        blocked.expect(&reply);
    }
    watched.pass(1);
    blocked.ask("NG\r\n", "+PONG\r\n");
    watched.counts("closed_request_timeout", 0);
}

#[test]
fn write_blocked_client_without_progress_is_closed() {
    let config = Config {
        write_timeout_s: 1,
        pending_output_per_client: 0,
        request_timeout_s: 1,
        ..config(2)
    };
    let why = "it was write-blocked and read none of its pending output within `write-timeout`";
    only_a_client_without_progress_is_closed(config, "write_timeout", why);
}

#[test]
fn pending_output_without_progress_closes_a_client() {
    let config = Config {
        write_timeout_s: 3600,
        pending_output_timeout_s: 1,
        request_timeout_s: 1,
        ..config(2)
    };
    let why = "it read none of its pending output within `pending-output-timeout`";
    only_a_client_without_progress_is_closed(config, "pending_output_timeout", why);
}

#[track_caller]
fn only_a_client_without_progress_is_closed(config: Config, field: &str, why: &str) {
    let mut watched = Watched::start(config);
    let (request, reply) = echo(&"x".repeat(4 << 20));
    let mut slow = Peer::connect_with_small_buffer(watched.server.addr);
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    let mut idle = watched.connect();
    idle.ping();
    deaf.send(&request);
    slow.send(&request);
    // Each piece is large enough for the server to send more, and the whole takes a while.
    let start = Instant::now();
    for piece in reply.as_bytes().chunks(100_000) {
        slow.expect(piece);
        let pause = start.elapsed() + Duration::from_millis(100);
        while start.elapsed() < pause {
            watched.control.ping();
        }
    }
    slow.ping();
    idle.ping();
    watched.closes(deaf.local_addr(), field, 1, why);
    let mut received = Vec::new();
    let _ = deaf.socket.read_to_end(&mut received);
    assert!(!received.is_empty() && reply.as_bytes().starts_with(&received));
    assert!(received.len() < reply.len());
}

#[test]
fn timeout_spares_subscribers_and_paused_clients() {
    let mut watched = Watched::start(Config {
        timeout_s: 1,
        ..config(2)
    });
    let mut idle = watched.connect();
    idle.ping();
    let mut subscriber = watched.connect();
    subscriber.send("SUBSCRIBE b\r\n");
    subscriber.expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:1\r\n");
    let addr = idle.local_addr();
    let idler = thread::spawn(move || {
        idle.expect_end();
    });
    let why = "it was idle for longer than `timeout`";
    watched.closes(addr, "timeout", 1, why);
    idler.join().expect("it reads the end and nothing else");
    let mut paused = watched.connect();
    paused.ping();
    watched.control.ask("CLIENT PAUSE 4000\r\n", "+OK\r\n");
    paused.send("PING\r\n");
    watched.pass(3);
    paused.expect("+PONG\r\n");
    watched.counts("closed_timeout", 1);
    watched.control.send("PUBLISH b x\r\n");
    subscriber.expect("*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$1\r\nx\r\n");
}

#[test]
fn timeout_closes_an_idle_client_and_spares_a_busy_one() {
    let server = TestServer::with(
        Config {
            timeout_s: 3,
            ..config(1)
        },
        Commands::builtin(),
    );
    let (mut idle, mut busy) = (server.connect(), server.connect());
    idle.ping();
    let mut end = [0];
    idle.socket
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("a TCP socket");
    eventually("the idle client is closed", || {
        busy.ping();
        idle.socket.read(&mut end).is_ok_and(|count| count == 0)
    });
    busy.ping();
}
