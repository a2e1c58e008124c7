//! Pending output: a pipeline may be written whole before its replies are read, and clients that
//! never read hold bounded memory.
//!
//! The sizes are those of client libraries that write a whole pipeline first: redis-py, redis-rb,
//! phpredis, redigo, the redis crate.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use respool_testing::process::Respool;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, eventually, request};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Bytes of pending output that every client may have, whatever the total is.
const RESERVE_BYTES: usize = 64 * KIB;

/// Bytes by which a bound may be exceeded: the replies of one turn are appended as a whole.
const TURN_BYTES: usize = 512 * KIB;

/// Starts the program with two workers and these settings.
fn respool(flags: &[&str]) -> Respool {
    let mut command = Command::new(program());
    command.args(["--loglevel", "debug", "--workers", "2"]);
    Respool::run_beside_others(command.args(flags))
}

/// Returns the server's resident memory.
fn resident_bytes(control: &mut Peer) -> usize {
    control.count("used_memory_rss") as usize
}

/// Returns a field of CLIENT LIST for a client, or `None` if the client is gone.
fn listed(control: &mut Peer, id: u64, name: &str) -> Option<usize> {
    let list = control.answer(&format!("CLIENT LIST ID {id}"));
    let field = list
        .split_whitespace()
        .find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
    Some(field.parse().expect("a number"))
}

/// Returns `count` ECHO requests and their replies. Each message starts with its number, which
/// shows a lost or repeated reply.
fn echoes(count: usize, length: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for number in 0..count {
        let message = format!("{number:0>8}{}", "x".repeat(length - 8));
        requests.extend(request(&[b"ECHO", message.as_bytes()]));
        replies.extend(format!("${length}\r\n{message}\r\n").into_bytes());
    }
    (requests, replies)
}

/// Reads `expected`. If the bytes differ, names the first one instead of printing megabytes.
#[track_caller]
fn expect_replies(peer: &mut Peer, expected: &[u8]) {
    let mut bytes = vec![0; 64 * KIB];
    let mut count = 0;
    while count < expected.len() {
        let room = bytes.len().min(expected.len() - count);
        let more = match peer.socket.read(&mut bytes[..room]) {
            Ok(0) => panic!("closed after {count} of {} bytes", expected.len()),
            Ok(more) => more,
            Err(error) => panic!("{error} after {count} of {} bytes", expected.len()),
        };
        let wanted = &expected[count..count + more];
        if bytes[..more] != *wanted {
            let differs = |at: &usize| bytes[*at] != wanted[*at];
            let at = (0..more).find(differs).expect("some byte differs");
            let near = |bytes: &[u8]| bytes[at..more.min(at + 40)].escape_ascii().to_string();
            let (got, wanted) = (near(&bytes), near(wanted));
            panic!("byte {}: got {got:?}, wanted {wanted:?}", count + at);
        }
        count += more;
    }
}

/// Writes `requests` whole, then reads `replies`.
#[track_caller]
fn write_whole_then_read(peer: &mut Peer, requests: &[u8], replies: &[u8]) {
    // Shorter than usual: fails soon if the server has stopped reading.
    let patience = Some(Duration::from_secs(10));
    peer.socket
        .set_write_timeout(patience)
        .expect("a TCP socket");
    let mut written = 0;
    while written < requests.len() {
        match peer.socket.write(&requests[written..]) {
            Ok(count) => written += count,
            Err(error) => panic!("{error} after {written} of {} bytes", requests.len()),
        }
    }
    expect_replies(peer, replies);
    peer.ping();
}

/// Repeats `request` without reading until the socket has had no room for `patience`, or `enough`
/// bytes are written. Returns how many bytes were written.
fn write_until_stuck(peer: &mut Peer, request: &[u8], enough: usize, patience: Duration) -> usize {
    peer.socket.set_nonblocking(true).expect("a TCP socket");
    let (mut written, mut progress) = (0, Instant::now());
    while progress.elapsed() < patience && written < enough {
        match peer.socket.write(&request[written % request.len()..]) {
            Ok(count) => (written, progress) = (written + count, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::park_timeout(Duration::from_millis(5));
            }
            Err(error) => panic!("{error} after {written} bytes"),
        }
    }
    peer.socket.set_nonblocking(false).expect("a TCP socket");
    written
}

const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Waits until the pending output of client `id` has not changed for a second. Returns its bytes.
#[track_caller]
fn settled_output(control: &mut Peer, id: u64) -> usize {
    let mut last = (usize::MAX, Instant::now());
    eventually("the pending output stays the same", || {
        let bytes = listed(control, id, "omem").expect("the client is connected");
        if bytes != last.0 {
            last = (bytes, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    });
    last.0
}

// A pipeline that is written whole before its replies are read.

fn pipeline_is_answered(count: usize, length: usize) {
    let server = respool(&[]);
    let (requests, replies) = echoes(count, length);
    write_whole_then_read(&mut server.connect(), &requests, &replies);
}

#[test]
fn pipeline_of_5000_times_10000_bytes_is_answered() {
    pipeline_is_answered(5_000, 10_000);
}

#[test]
fn pipeline_of_100000_times_100_bytes_is_answered() {
    pipeline_is_answered(100_000, 100);
}

#[test]
fn pipeline_of_10000_times_1000_bytes_is_answered() {
    pipeline_is_answered(10_000, 1_000);
}

#[test]
fn pipeline_of_800_times_10000_bytes_is_answered() {
    pipeline_is_answered(800, 10_000);
}

#[test]
fn pipeline_of_few_huge_requests_is_answered() {
    pipeline_is_answered(5, 10 * MIB);
}

#[test]
fn pipelines_of_several_clients_are_answered_at_once() {
    let server = respool(&[]);
    let (requests, replies) = echoes(2_000, 10_000);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| write_whole_then_read(&mut server.connect(), &requests, &replies));
        }
    });
}

/// Small requests with large replies: the requests alone never fill a socket.
#[test]
fn pipeline_with_replies_larger_than_requests_is_answered() {
    let server = respool(&[]);
    let mut peer = server.connect();
    let one = {
        peer.send("COMMAND DOCS\r\nPING\r\n");
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"+PONG\r\n") {
            bytes.extend(peer.bytes(1));
        }
        bytes.truncate(bytes.len() - b"+PONG\r\n".len());
        bytes
    };
    write_whole_then_read(
        &mut peer,
        &b"COMMAND DOCS\r\n".repeat(500),
        &one.repeat(500),
    );
}

#[test]
fn half_close_after_a_pipeline_ends_after_all_replies() {
    let server = respool(&[]);
    let (requests, replies) = echoes(2_000, 10_000);
    let mut peer = server.connect();
    peer.send(&requests);
    peer.end_sending();
    expect_replies(&mut peer, &replies);
    peer.expect_end();
}

#[test]
fn quit_after_a_pipeline_is_answered_last() {
    let server = respool(&[]);
    let (mut requests, mut replies) = echoes(2_000, 10_000);
    let mut peer = server.connect();
    requests.extend_from_slice(b"QUIT\r\n");
    replies.extend_from_slice(b"+OK\r\n");
    peer.send(&requests);
    expect_replies(&mut peer, &replies);
    peer.expect_end();
}

#[test]
fn errors_and_skipped_replies_keep_their_place_in_a_pipeline() {
    let server = respool(&[]);
    let (echo, reply) = echoes(20, 10_000);
    let requests = [&echo[..], b"NONE\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO\r\n"].concat();
    let error = "-ERR unknown command 'NONE', with args beginning with: \r\n\
                 -ERR wrong number of arguments for 'echo' command\r\n";
    let replies = [&reply[..], error.as_bytes()].concat();
    let mut peer = server.connect();
    write_whole_then_read(&mut peer, &requests.repeat(200), &replies.repeat(200));
}

#[test]
fn messages_keep_their_order_after_pending_output() {
    const MESSAGES: usize = 1_000;
    let server = respool(&[]);
    let mut peer = server.connect();
    peer.speak_resp3();
    peer.ask(
        "SUBSCRIBE news\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    let (requests, replies) = echoes(1_000, 10_000);
    peer.send(&requests);
    let mut publisher = server.connect();
    let mut messages = String::new();
    for number in 0..MESSAGES {
        publisher.ask(format!("PUBLISH news {number:0>5}\r\n"), ":1\r\n");
        let message = format!(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\n{number:0>5}\r\n");
        messages.push_str(&message);
    }
    // Either order is fine, and so is a message between two replies. None may be lost.
    let mut bytes = vec![0; replies.len() + messages.len()];
    peer.socket.read_exact(&mut bytes).expect("all of it comes");
    let text = String::from_utf8(bytes).expect("ASCII");
    for (begin, digits) in [("news\r\n$5\r\n", 5), ("$10000\r\n", 8)] {
        let parts = text.split(begin).skip(1);
        let numbers = parts.map(|part| part[..digits].parse::<usize>().expect("digits"));
        assert!(numbers.eq(0..MESSAGES), "lost or out of order: {begin:?}");
    }
}

// Bounds.

#[test]
fn pending_output_of_one_client_reaches_its_bound_and_stays() {
    const BOUND: usize = 8 * MIB;
    let server = respool(&["--pending-output-per-client", "8mb"]);
    let mut control = server.connect();
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let id = peer.id();
    let (requests, replies) = echoes(1, 10_000);
    let written = write_until_stuck(&mut peer, &requests, 10 * BOUND, STUCK_AFTER);
    let pending = settled_output(&mut control, id);
    assert!(written < 10 * BOUND, "the server takes {written} bytes");
    assert!(pending >= BOUND / 2, "reading pauses at {pending} bytes");
    assert!(pending <= BOUND + TURN_BYTES, "{pending} bytes are pending");

    // Every reply is right. The last request may be incomplete.
    peer.end_sending();
    expect_replies(&mut peer, &replies.repeat(written / requests.len()));
    peer.expect_end();
}

#[test]
fn pipeline_beyond_the_bound_is_answered_when_replies_are_read() {
    let server = respool(&["--pending-output-per-client", "256kb"]);
    let (requests, replies) = echoes(5_000, 10_000);
    let mut peer = server.connect();
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&requests).expect("the server reads"));
        expect_replies(&mut peer, &replies);
    });
    peer.ping();
}

/// Writes until the server stops reading, calls `make_room`, and expects that the server reads on
/// although no reply was read.
#[track_caller]
fn pipeline_goes_on_after(server: &Respool, make_room: impl FnOnce()) {
    const ENOUGH: usize = 64 * MIB;
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let (requests, replies) = echoes(1, 10_000);
    let written = write_until_stuck(&mut peer, &requests, ENOUGH, STUCK_AFTER);
    assert!(written < ENOUGH, "the server takes {written} bytes");
    make_room();
    // The rest of the incomplete request, and more than the socket buffers hold.
    let rest = &requests[written % requests.len()..];
    let more = [rest, &requests.repeat(2_000)].concat();
    let patience = Some(Duration::from_secs(10));
    peer.socket
        .set_write_timeout(patience)
        .expect("a TCP socket");
    peer.socket.write_all(&more).expect("reading goes on");
    let count = (written + more.len()) / requests.len();
    expect_replies(&mut peer, &replies.repeat(count));
}

#[test]
fn blocked_pipeline_continues_when_others_leave() {
    let server = respool(&["--pending-output-total", "64mb"]);
    let mut hog = Peer::connect_with_small_buffer(server.addr);
    let (requests, _) = echoes(1, 10_000);
    write_until_stuck(&mut hog, &requests, 256 * MIB, STUCK_AFTER);
    pipeline_goes_on_after(&server, || drop(hog));
}

#[test]
fn blocked_pipeline_continues_when_its_bound_is_raised() {
    let server = respool(&["--pending-output-per-client", "1mb"]);
    let mut control = server.connect();
    pipeline_goes_on_after(&server, || {
        control.ask("CONFIG SET pending-output-per-client 256mb\r\n", "+OK\r\n");
    });
}

#[test]
fn memory_returns_to_the_system_after_output_is_read() {
    const CLIENTS: usize = 10;
    let server = respool(&["--pending-output-total", "1gb"]);
    let mut control = server.connect();
    let (requests, replies) = echoes(2_000, 10_000);
    // First, so that the buffers of the workers have their usual sizes.
    let (few, replies_to_few) = echoes(20, 10_000);
    write_whole_then_read(&mut server.connect(), &few, &replies_to_few);
    let before = resident_bytes(&mut control);
    let mut peers: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(&requests);
    }
    let most = resident_bytes(&mut control);
    for peer in &mut peers {
        expect_replies(peer, &replies);
        peer.ping();
    }
    let pending = CLIENTS * replies.len();
    assert!(
        most > before + pending / 4,
        "little was pending: {most} after {before} bytes"
    );
    eventually("all but a fifth is given back", || {
        resident_bytes(&mut control) < before + pending / 5
    });
}

#[test]
fn clients_that_never_read_stay_within_the_total() {
    const TOTAL: usize = 32 * MIB;
    const CLIENTS: usize = 1_000;
    let server = respool(&["--pending-output-total", "32mb"]);
    let mut control = server.connect();
    let before = resident_bytes(&mut control);
    let (requests, _) = echoes(1, 10_000);
    let mut peers: Vec<_> = (0..CLIENTS)
        .map(|_| Peer::connect_with_small_buffer(server.addr))
        .collect();
    // Each client asks for 1 MiB: 1,000 MiB together.
    for peer in &mut peers {
        write_until_stuck(peer, &requests, MIB, Duration::from_millis(2));
    }
    for peer in &mut peers {
        write_until_stuck(peer, &requests, MIB, Duration::from_millis(1));
    }
    control.ping();
    let grown = resident_bytes(&mut control).saturating_sub(before);
    // Per client: its share of a request, and the output of a turn beyond its bound.
    let each = 2 * RESERVE_BYTES + 32 * KIB;
    assert!(grown < 2 * TOTAL + CLIENTS * each, "{} MiB", grown / MIB);
}

#[test]
fn reserve_is_left_when_others_use_the_total() {
    let server = respool(&["--pending-output-total", "4mb"]);
    let mut control = server.connect();
    let (requests, _) = echoes(1, 10_000);
    let mut hog = Peer::connect_with_small_buffer(server.addr);
    let hog_id = hog.id();
    write_until_stuck(&mut hog, &requests, 64 * MIB, STUCK_AFTER);
    let hogged = settled_output(&mut control, hog_id);
    assert!(hogged > 2 * MIB, "the hog has only {hogged} bytes");
    let mut late = Peer::connect_with_small_buffer(server.addr);
    let late_id = late.id();
    let written = write_until_stuck(&mut late, &requests, 64 * MIB, STUCK_AFTER);
    let pending = settled_output(&mut control, late_id);
    assert!(pending >= RESERVE_BYTES / 2, "{pending} bytes of a reserve");
    // Meanwhile the kernel may have taken bytes of the hog.
    let hogged = settled_output(&mut control, hog_id);
    assert!(
        pending + hogged <= 4 * MIB + 2 * (RESERVE_BYTES + TURN_BYTES),
        "{pending} bytes, and the hog has {hogged}"
    );
    assert!(written < 64 * MIB, "the server takes {written} bytes");

    // A client that reads its replies is not slowed down.
    let (requests, replies) = echoes(5, 10_000);
    let mut reader = server.connect();
    for _ in 0..100 {
        reader.ask(&requests, &replies);
    }

    // The bytes of the hog are free again after it has left.
    drop(hog);
    let mut next = Peer::connect_with_small_buffer(server.addr);
    let next_id = next.id();
    eventually("the next client may have as much", || {
        write_until_stuck(&mut next, &requests, 64 * MIB, Duration::from_millis(100));
        listed(&mut control, next_id, "omem").is_some_and(|bytes| bytes > MIB)
    });
}

#[test]
fn unauthenticated_client_has_only_the_reserve() {
    let server = respool(&["--requirepass", "secret"]);
    let mut control = server.connect();
    control.ask("AUTH secret\r\n", "+OK\r\n");
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let addr = peer.local_addr();
    let pings = b"PING\r\n".repeat(10_000);
    let written = write_until_stuck(&mut peer, &pings, 64 * MIB, STUCK_AFTER);
    assert!(written < 64 * MIB, "the server takes {written} bytes");
    let list = control.answer("CLIENT LIST");
    let line = list
        .lines()
        .find(|line| line.contains(&format!("addr={addr} ")));
    let id = line.and_then(|line| line.strip_prefix("id=")?.split(' ').next()?.parse().ok());
    let pending = settled_output(&mut control, id.expect("it is listed"));
    assert!(pending <= RESERVE_BYTES + TURN_BYTES, "{pending} bytes");

    // All replies of the hog arrive.
    peer.end_sending();
    let error = "-NOAUTH Authentication required.\r\n";
    expect_replies(&mut peer, &error.repeat(written / 6).into_bytes());
    peer.expect_end();
}

// Time.

#[test]
fn client_below_the_bounds_has_more_time_than_write_timeout() {
    let server = respool(&["--write-timeout", "1"]);
    let (requests, replies) = echoes(2_000, 10_000);
    let mut peer = server.connect();
    peer.send(&requests);
    thread::sleep(Duration::from_secs(4));
    expect_replies(&mut peer, &replies);
    peer.ping();
}

/// Waits for the log line about the close of `peer`, and returns it.
fn line_of_close(server: &Respool, peer: &Peer) -> String {
    let addr = peer.local_addr();
    let begins = format!("({addr}) closed after ");
    let mut line = None;
    eventually("the close is logged", || {
        let log = server.log();
        line = log
            .lines()
            .find(|line| line.contains(&begins))
            .map(str::to_owned);
        line.is_some()
    });
    line.unwrap_or_default()
}

/// What the kernel takes a moment after the socket was full is not progress: the close came after
/// twice the timeout.
#[test]
fn write_blocked_client_is_closed_after_write_timeout() {
    let flags = [
        "--write-timeout",
        "10",
        "--pending-output-per-client",
        "1mb",
    ];
    let server = respool(&flags);
    let mut peer = server.connect();
    let start = Instant::now();
    peer.send("COMMAND DOCS\r\n".repeat(1000));
    let line = line_of_close(&server, &peer);
    assert!(line.contains("`write-timeout`"), "{line}");
    let time = start.elapsed();
    assert!(
        time > Duration::from_secs(10) && time < Duration::from_secs(20),
        "{time:?}"
    );
}

#[test]
fn silent_reader_is_closed_after_pending_output_timeout() {
    let server = respool(&["--pending-output-timeout", "1"]);
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let (requests, _) = echoes(2_000, 10_000);
    // On a slow machine, it is closed before it has sent them all.
    let _ = peer.socket.write_all(&requests);
    let line = line_of_close(&server, &peer);
    assert!(line.contains("`pending-output-timeout`"), "{line}");
}

/// A few bytes a second are progress, whether reading is paused or not.
#[test]
fn slow_reader_is_not_closed_while_it_makes_progress() {
    let flags = ["--write-timeout", "6", "--pending-output-timeout", "6"];
    let server = respool(&[&flags[..], &["--pending-output-per-client", "1mb"]].concat());
    let (requests, replies) = echoes(400, 10_000);
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let mut writer = peer.socket.try_clone().expect("a descriptor is left");
    thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&requests).expect("the server reads"));
        let start = Instant::now();
        let mut read = 0;
        while start.elapsed() < Duration::from_secs(12) {
            // Enough to open the window of the socket again.
            expect_replies(&mut peer, &replies[read..read + 16 * KIB]);
            read += 16 * KIB;
            thread::sleep(Duration::from_millis(500));
        }
        expect_replies(&mut peer, &replies[read..]);
    });
    peer.ping();
}

/// Redis closes a client whose replies exceed this limit; it does not pause reading.
#[test]
fn client_output_buffer_limit_closes_a_client_with_more_pending() {
    let server = respool(&["--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut peer = Peer::connect_with_small_buffer(server.addr);
    let (requests, _) = echoes(5_000, 10_000);
    // The close may come before the last request.
    peer.socket
        .set_write_timeout(Some(PATIENCE))
        .expect("a TCP socket");
    let _ = peer.socket.write_all(&requests);
    let line = line_of_close(&server, &peer);
    assert!(line.contains("`client-output-buffer-limit`"), "{line}");
    let _ = peer.socket.shutdown(Shutdown::Both);
}
