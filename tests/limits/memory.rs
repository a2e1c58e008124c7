//! `maxmemory-clients`: which clients are evicted, and what counts.

use respool_testing::{Peer, config, eventually};

use respool_testing::echo;

use crate::{WORD_BYTES, Watched, deaf};

/// Connects a client that sends this many bytes of a request.
fn holding(watched: &mut Watched, bytes: usize) -> Peer {
    let mut peer = watched.connect();
    peer.ping();
    let request = echo(&"x".repeat(1 << 20)).0;
    peer.send(&request.as_bytes()[..bytes]);
    eventually("it is held", || {
        let list = watched.control.answer("CLIENT LIST");
        let port = peer.local_addr().port();
        let begins = format!(" addr=127.0.0.1:{port} ");
        let held = format!(" qbuf={bytes} ");
        list.lines()
            .any(|line| line.contains(&begins) && line.contains(&held))
    });
    peer
}

/// Returns the memory held for all clients: their `tot-mem` in CLIENT LIST without that of the
/// control client, for which nothing is held.
fn held_for_all(watched: &mut Watched) -> u64 {
    let own = memory_of(&watched.control.answer("CLIENT INFO"))[0];
    let all = memory_of(&watched.control.answer("CLIENT LIST"));
    all.iter().map(|bytes| bytes - own).sum()
}

/// Returns the `tot-mem` of each line of CLIENT LIST.
fn memory_of(list: &str) -> Vec<u64> {
    let field = |line: &str| {
        line.split(' ')
            .find_map(|word| word.strip_prefix("tot-mem=")?.parse().ok())
    };
    list.lines().map(|line| field(line).expect(line)).collect()
}

const EVICTED: &str = "`maxmemory-clients` was reached";

#[test]
fn largest_client_is_evicted_unless_it_set_no_evict() {
    let mut watched = Watched::start(config(2));
    // A buffer may have twice the size of its content.
    let small = holding(&mut watched, 100_000);
    let large = holding(&mut watched, 300_000);
    let mut spared = watched.connect();
    spared.ask("CLIENT NO-EVICT ON\r\n", "+OK\r\n");
    let (request, reply) = echo(&"x".repeat(1 << 20));
    let (front, rest) = request.split_at(400_000);
    spared.send(front);
    eventually("all hold what they sent", || {
        watched.control.count("client_recent_max_input_buffer") == 400_000
    });

    let held = held_for_all(&mut watched);
    assert!((800_000..2_000_000).contains(&held), "{held}");
    watched.set("maxmemory-clients", &held.to_string());
    watched.pass(3);
    watched.counts("evicted_clients", 0);
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(large.local_addr(), "evicted", 1, EVICTED);
    watched.pass(2);
    watched.counts("evicted_clients", 1);
    watched.set("maxmemory-clients", "400000");
    watched.closes(small.local_addr(), "evicted", 2, EVICTED);
    watched.set("maxmemory-clients", "1");
    watched.pass(2);
    watched.counts("evicted_clients", 2);
    spared.ask(rest, reply);
    watched.counts("connected_clients", 2);
}

#[test]
fn pending_output_counts_for_maxmemory_clients() {
    let mut watched = Watched::start(config(2));
    let holding = holding(&mut watched, 1000);
    let (deaf, _) = deaf(&mut watched);
    let held = held_for_all(&mut watched);
    watched.set("maxmemory-clients", &held.to_string());
    watched.pass(3);
    watched.counts("evicted_clients", 0);
    watched.pending_bytes();
    let held = held_for_all(&mut watched);
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(deaf.local_addr(), "evicted", 1, EVICTED);
    watched.counts("connected_clients", 2);
    drop(holding);
}

/// Expects that a client's `tot-mem` exceeds that of an idle client by this much.
#[track_caller]
fn memory_grows(watched: &mut Watched, peer: &mut Peer, bytes: std::ops::Range<u64>) {
    let idle = memory_of(&watched.control.answer("CLIENT INFO"))[0];
    let id = peer.id();
    let own = memory_of(&watched.control.answer(&format!("CLIENT LIST ID {id}")))[0];
    assert!(bytes.contains(&(own - idle)), "{own} and {idle}");
}

#[test]
fn memory_kept_for_a_client_shows_in_its_tot_mem() {
    let mut watched = Watched::start(config(2));
    let mut named = watched.connect();
    named.ask(
        format!("CLIENT SETNAME {}\r\n", "n".repeat(1000)),
        "+OK\r\n",
    );
    memory_grows(&mut watched, &mut named, 1000..1200);
    let mut library = watched.connect();
    let set = format!("CLIENT SETINFO LIB-NAME {}\r\n", "n".repeat(1000));
    library.ask(set, "+OK\r\n");
    memory_grows(&mut watched, &mut library, 1000..1200);
    let mut tracking = watched.connect();
    let prefix = "p".repeat(1000);
    tracking.ask(
        format!("CLIENT TRACKING ON BCAST PREFIX {prefix}\r\n"),
        "+OK\r\n",
    );
    memory_grows(&mut watched, &mut tracking, 1000..1300);
    tracking.ask("CLIENT TRACKING OFF\r\n", "+OK\r\n");
    memory_grows(&mut watched, &mut tracking, 0..200);
    let mut subscriber = watched.connect();
    subscriber.speak_resp3();
    for kind in ["SUBSCRIBE", "PSUBSCRIBE"] {
        let name = "c".repeat(200);
        subscriber.answers(&format!("{kind} {name}"));
    }
    memory_grows(&mut watched, &mut subscriber, 500..1500);
    subscriber.answers("UNSUBSCRIBE");
    subscriber.answers("PUNSUBSCRIBE");
    memory_grows(&mut watched, &mut subscriber, 0..1);
}

#[test]
fn subscriptions_count_for_maxmemory_clients() {
    const CHANNELS: usize = 10_000;
    let mut watched = Watched::start(config(2));
    let mut subscriber = watched.connect();
    let names: Vec<_> = (0..CHANNELS).map(|number| number.to_string()).collect();
    let mut words = vec![&b"SUBSCRIBE"[..]];
    words.extend(names.iter().map(String::as_bytes));
    subscriber.send(respool_testing::request(&words));
    for _ in 0..CHANNELS {
        subscriber.leaves();
    }
    let held = held_for_all(&mut watched);
    assert!(held as usize > CHANNELS * 100, "{held}");
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(subscriber.local_addr(), "evicted", 1, EVICTED);
    watched.counts("pubsub_channels", 0);
    watched.counts("connected_clients", 1);
}

#[test]
fn table_of_arguments_counts_before_the_request_is_whole() {
    const WORDS: usize = 100_000;
    let mut watched = Watched::start(config(2));
    let mut peer = watched.connect();
    let words = "$0\r\n\r\n".repeat(WORDS);
    peer.send(format!("*{}\r\n$4\r\nPING\r\n{words}", WORDS + 2));
    eventually("the table is shown", || {
        let list = watched.control.answer("CLIENT LIST");
        let tables = list
            .split(' ')
            .filter_map(|word| word.strip_prefix("argv-mem="));
        tables
            .filter_map(|bytes| bytes.parse().ok())
            .any(|bytes: usize| bytes >= WORDS * WORD_BYTES)
    });
    let held = held_for_all(&mut watched) as usize;
    assert!(held >= WORDS * (WORD_BYTES + "$0\r\n\r\n".len()), "{held}");
    watched.set("maxmemory-clients", &(held - 1).to_string());
    watched.closes(peer.local_addr(), "evicted", 1, EVICTED);
}
