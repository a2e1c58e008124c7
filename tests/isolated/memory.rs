//! The seventh rule of the pool: memory is held only for clients with something in flight. And how
//! much it is for large replies.
//!
//! A process of its own, because it counts all allocations.

use std::alloc::System;
use std::io::{Cursor, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use respool::{Arity, Commands, DeferredReply, ErrorReply};
use respool_testing::{Peer, TestServer, builtin_and, config, eventually};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A mark to keep, in bytes of user memory. Redis holds about 2,450.
const BYTES_PER_IDLE_CONNECTION: usize = 400;

/// A mark to keep for a client that waits for a deferred reply, with the program's token, in bytes
/// of user memory.
const BYTES_PER_BLOCKED_CONNECTION: usize = 700;

const CONNECTIONS: usize = 100;

/// More than the buffers of both sockets hold.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

const HOUR: Duration = Duration::from_secs(3600);

/// Locked by each test, because another would be counted, too.
static ALONE: Mutex<()> = Mutex::new(());

/// Returns the bytes allocated since `region` was created.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change
        .bytes_allocated
        .saturating_sub(change.bytes_deallocated)
}

#[test]
fn rule_7_quiet_client_keeps_no_buffers() {
    let _alone = ALONE.lock();
    // One worker allocates its own buffers once.
    let server = TestServer::start(1);
    let message = vec![b'x'; MESSAGE_BYTES];
    let header = format!("${MESSAGE_BYTES}\r\n");
    let reply = [header.as_bytes(), &message, b"\r\n"].concat();
    let request = [b"*2\r\n$4\r\nECHO\r\n", reply.as_slice()].concat();
    let use_all_buffers = |peer: &mut Peer| {
        // A request in pieces, a pending reply, then idle.
        peer.ask(&request, &reply);
        peer.ping();
    };
    // The buffers of the workers are allocated before the first count.
    for _ in 0..4 {
        use_all_buffers(&mut server.connect());
    }

    let region = Region::new(ALLOCATOR);
    let mut peers = Vec::with_capacity(CONNECTIONS);
    let before = held(&region);
    for _ in 0..CONNECTIONS {
        let mut peer = server.connect();
        use_all_buffers(&mut peer);
        peers.push(peer);
    }
    let mut per_connection = usize::MAX;
    eventually("the last clients are parked", || {
        per_connection = held(&region).saturating_sub(before) / CONNECTIONS;
        per_connection <= BYTES_PER_IDLE_CONNECTION
    });

    drop(peers);
    // Except a block of the queue, which may be a new one.
    let left = CONNECTIONS * 10;
    eventually("everything is given back", || held(&region) < before + left);
}

/// Returns the built-in commands and `WAIT`, which keeps its token.
fn commands_that_wait() -> (Commands, Arc<Mutex<Vec<DeferredReply>>>) {
    let tokens = Arc::new(Mutex::new(Vec::with_capacity(CONNECTIONS)));
    let kept = Arc::clone(&tokens);
    let mut commands = Commands::builtin();
    commands.register("WAIT", Arity::Exactly(1), move |session, _, reply| {
        let on_cancel = Arc::clone(&kept);
        session
            .defer(reply)
            .timeout(Some(HOUR), |reply| reply.bulk("too late"))
            .on_cancel(move || drop(on_cancel))
            .start(|token| kept.lock().push(token))
    });
    (commands, tokens)
}

fn connect(server: &TestServer) -> Vec<Peer> {
    let connect = |_| {
        let mut peer = server.connect();
        peer.ping();
        peer
    };
    (0..CONNECTIONS).map(connect).collect()
}

fn wait(peers: &mut [Peer], tokens: &Mutex<Vec<DeferredReply>>) {
    for peer in &mut *peers {
        peer.send("WAIT\r\n");
    }
    eventually("all wait", || tokens.lock().len() == peers.len());
}

fn reply_to_all(peers: &mut [Peer], tokens: &Mutex<Vec<DeferredReply>>) {
    for token in tokens.lock().drain(..) {
        assert!(token.reply(|reply| reply.bulk("done")));
    }
    for peer in peers {
        peer.expect("$4\r\ndone\r\n");
    }
}

/// The reply, or the end of the client, frees what the wait took.
#[test]
fn rule_7_wait_for_a_reply_leaves_nothing() {
    let _alone = ALONE.lock();
    let (commands, tokens) = commands_that_wait();
    let server = TestServer::with(config(1), commands);
    // Tables grow before the first count.
    let mut peers = connect(&server);
    wait(&mut peers, &tokens);
    reply_to_all(&mut peers, &tokens);
    drop(peers);
    eventually("all have left", || {
        server.connect().count("connected_clients") == 1
    });

    let region = Region::new(ALLOCATOR);
    let mut peers = connect(&server);
    let idle = held(&region);
    wait(&mut peers, &tokens);
    let blocked = held(&region) / CONNECTIONS;
    assert!(blocked <= BYTES_PER_BLOCKED_CONNECTION, "{blocked}");
    reply_to_all(&mut peers, &tokens);
    let spare = CONNECTIONS * 10;
    eventually("the waits are forgotten", || held(&region) <= idle + spare);
    wait(&mut peers, &tokens);
    drop(peers);
    let are_wanted = || tokens.lock().iter().any(DeferredReply::is_wanted);
    eventually("no token is wanted", || !are_wanted());
    tokens.lock().clear();
    eventually("everything is given back", || held(&region) <= spare);
}

const LARGE_BYTES: usize = 100 * 1024 * 1024;

/// A mark to keep, in bytes of user memory besides the value: a chunk, and what the threads allocate.
const BESIDES: usize = 1024 * 1024;

#[test]
fn large_value_is_not_copied_twice() {
    let _alone = ALONE.lock();
    let value: Arc<[u8]> = vec![b'x'; LARGE_BYTES].into();
    let commands = builtin_and(|commands| {
        commands.register(
            "LARGE",
            Arity::Exactly(2),
            move |session, request, reply| match request.text(0)? {
                "bulk" => Ok(reply.bulk(&value)),
                "with" => Ok(reply.bulk_with(value.len(), |bulk| {
                    bulk.write_all(&value).expect("there is room");
                })),
                "from" => {
                    let reader = Cursor::new(Arc::clone(&value));
                    Ok(session.bulk_from(reply, value.len() as u64, reader))
                }
                _ => Err(ErrorReply::SYNTAX),
            },
        );
    });
    let server = TestServer::with(config(1), commands);
    server.connect().ping();
    for (way, copies) in [("bulk", 1), ("with", 1), ("from", 0)] {
        let peak = peak(&server, &format!("LARGE {way}\r\n"));
        let most = copies * LARGE_BYTES + BESIDES;
        assert!(peak <= most, "{way}: {peak} bytes, not {most}");
    }
}

/// Returns the most memory that was allocated at a time while the reply to `request` was sent.
fn peak(server: &TestServer, request: &str) -> usize {
    let mut peer = server.connect();
    peer.ping();
    let mut bytes = vec![0; 64 * 1024];
    let region = Region::new(ALLOCATOR);
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !has_ended.load(Ordering::Relaxed) {
                peak = peak.max(held(&region));
            }
            peak
        });
        peer.send(request);
        let mut missing = format!("${LARGE_BYTES}\r\n").len() + LARGE_BYTES + 2;
        while missing > 0 {
            let count = peer.socket.read(&mut bytes).expect("it is sent");
            assert!(count > 0, "{missing} bytes are missing");
            missing -= count;
        }
        has_ended.store(true, Ordering::Relaxed);
        peak.join().expect("no panic")
    })
}
