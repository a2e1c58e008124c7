//! Tests of the steps of the pool, one step at a time.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use super::*;
use crate::client::session::Session;

/// Returns a client with a slot in `pool`, and its peer.
fn client(pool: &Pool) -> (Box<Client>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (socket, addr) = listener.accept().expect("the peer has connected");
    socket.set_nonblocking(true).expect("a TCP socket");
    let slot = pool.assign().expect("a slot is free");
    (
        Box::new(Client::new(
            socket.into(),
            Session::for_test(slot, addr),
            None,
        )),
        peer,
    )
}

fn pool() -> Pool {
    Pool::new(4, 2).expect("the system lets us poll")
}

/// Parks `client`, whose socket must not be ready.
fn park(pool: &Pool, client: Box<Client>) {
    assert!(matches!(pool.park(client, |_| true), Parked::Resting));
}

/// Returns the slot of the client that `next` returns.
fn next(pool: &Pool, local: &mut WorkerLocal) -> usize {
    pool.next(local).expect("no worker is retired").slot()
}

#[test]
fn rule_1_busy_queue_does_not_hide_parked_clients() {
    let pool = pool();
    let (one, _peer) = client(&pool);
    let (other, _peer) = client(&pool);
    let (parked, mut peer) = client(&pool);
    let wanted = parked.slot();
    park(&pool, parked);
    peer.write_all(b"PING\r\n").expect("a connected socket");
    pool.submit(one);
    pool.submit(other);

    let mut local = pool.join();
    // The two clients that are in the queue already come before the polled one.
    for _ in 0..TURNS_BETWEEN_POLLS + 2 {
        let client = pool.next(&mut local).expect("no worker is retired");
        if client.slot() == wanted {
            return;
        }
        pool.submit(client);
    }
    panic!("the parked client was not polled");
}

#[test]
fn rule_1_spent_client_comes_after_ready_clients() {
    let pool = pool();
    let (spent, _peer) = client(&pool);
    let (parked, mut peer) = client(&pool);
    let (spent_slot, ready_slot) = (spent.slot(), parked.slot());
    park(&pool, parked);
    peer.write_all(b"PING\r\n").expect("a connected socket");

    pool.resubmit(spent, Instant::now());
    let mut local = pool.join();
    assert_eq!(next(&pool, &mut local), ready_slot);
    assert_eq!(next(&pool, &mut local), spent_slot);
}

#[test]
fn rule_4_bytes_before_the_first_park_cause_an_event() {
    let pool = Arc::new(pool());
    let (client, mut peer) = client(&pool);
    let wanted = client.slot();
    peer.write_all(b"PING\r\n").expect("a connected socket");
    park(&pool, client);
    assert_eq!(promptly(&pool, |pool| next(pool, &mut pool.join())), wanted);
}

#[test]
fn event_while_the_client_is_away_is_not_lost() {
    let pool = pool();
    let (client, mut peer) = client(&pool);
    park(&pool, client);
    peer.write_all(b"PING\r\n").expect("a connected socket");
    let client = pool.next(&mut pool.join()).expect("no worker is retired");
    peer.write_all(b"PING\r\n").expect("a connected socket");
    pool.poll_ready(pool.queue_wait.at(Instant::now()));
    assert!(matches!(pool.park(client, |_| true), Parked::Ready(_)));
}

#[test]
fn drain_takes_parked_clients_out_and_parks_no_more() {
    let pool = pool();
    let (resting, _peer) = client(&pool);
    let (away, _peer) = client(&pool);
    let slot = resting.slot();
    park(&pool, resting);
    pool.begin_drain();
    assert_eq!(next(&pool, &mut pool.join()), slot);
    assert!(matches!(pool.park(away, |_| true), Parked::Ready(_)));
}

#[test]
fn as_many_workers_end_as_are_retired() {
    let pool = pool();
    pool.retire(3);
    assert_eq!(pool.unretire(1), 1);
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(pool.next(&mut pool.join()).is_none());
    assert_eq!(pool.unretire(1), 0);
    // The third worker is not retired any more: it serves on.
    let (client, _peer) = client(&pool);
    let slot = client.slot();
    pool.submit(client);
    assert_eq!(next(&pool, &mut pool.join()), slot);
}

#[test]
fn slots_are_assigned_once_until_they_are_freed() {
    let pool = pool();
    let slots: Vec<_> = (0..4)
        .map(|_| pool.assign().expect("a slot is free"))
        .collect();
    assert_eq!(slots, [0, 1, 2, 3]);
    assert_eq!(pool.assign(), None);
    pool.free(2);
    assert_eq!(pool.assign(), Some(2));
}

/// Runs `step` on another thread. It must not wait.
fn promptly<T: Send + 'static>(
    pool: &Arc<Pool>,
    step: impl FnOnce(&Pool) -> T + Send + 'static,
) -> T {
    let (sender, receiver) = channel();
    let pool = Arc::clone(pool);
    thread::spawn(move || sender.send(step(&pool)));
    receiver
        .recv_timeout(Duration::from_secs(10))
        .expect("it does not wait")
}

#[test]
fn rule_3_leader_sees_a_client_submitted_just_before() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // No worker waits yet, so none is woken.
    pool.submit(client);
    let led = promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("no other worker leads");
        pool.lead(&mut watch, &mut pool.join()).is_some()
    });
    assert!(!led, "there was no event");
    assert_eq!(
        pool.next(&mut pool.join()).map(|client| client.slot()),
        Some(0)
    );
}

#[test]
fn rule_3_submit_wakes_the_leader_without_followers() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // The state just before the leader waits.
    pool.leader_waits.store(true, Ordering::Relaxed);
    pool.submit(client);
    promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("no other worker leads");
        pool.parking.wait(&mut watch, None);
    });
}

#[test]
fn rule_2_worker_does_not_follow_without_a_leader() {
    let pool = Arc::new(pool());
    assert!(promptly(&pool, |pool| pool.follow().is_none()));
}

#[test]
fn rule_2_hand_over_wakes_one_follower_once() {
    let pool = Arc::new(pool());
    pool.hand_over();
    assert!(pool.queue.is_empty(), "there is no follower");
    pool.followers.store(2, Ordering::Relaxed);
    pool.hand_over();
    pool.hand_over();
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    assert!(pool.queue.is_empty());
}

#[test]
fn rule_2_hand_over_wakes_the_leader_for_queued_clients() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // When the client is submitted, the worker that hands over later still counts as a follower.
    pool.followers.store(1, Ordering::Relaxed);
    pool.leader_waits.store(true, Ordering::Relaxed);
    pool.submit(client);
    pool.followers.store(0, Ordering::Relaxed);
    promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("no other worker leads");
        pool.hand_over();
        pool.parking.wait(&mut watch, None);
    });
}

/// Whether a worker follows may change between two reads, so the hand-over must not depend on it.
#[test]
fn rule_2_hand_over_sends_a_recheck_for_spent_clients() {
    let pool = pool();
    let (client, _peer) = client(&pool);
    pool.resubmit(client, Instant::now());
    pool.hand_over();
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
}

#[test]
fn repeated_resizing_never_fills_the_queue() {
    let pool = pool();
    for _ in 0..100 {
        pool.retire(3);
        assert_eq!(pool.unretire(3), 3);
    }
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    assert!(pool.queue.is_empty());
}

#[test]
fn ending_worker_wakes_the_next_retired_worker() {
    let pool = pool();
    pool.retire(2);
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    pool.recheck_sent.store(false, Ordering::Relaxed);
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
}

#[test]
fn empty_takes_clients_out_wherever_they_are() {
    let pool = pool();
    let (resting, _peer) = client(&pool);
    let (waiting, _peer) = client(&pool);
    let (first, mut first_peer) = client(&pool);
    let (second, mut second_peer) = client(&pool);
    for client in [resting, first, second] {
        park(&pool, client);
    }
    for peer in [&mut first_peer, &mut second_peer] {
        peer.write_all(b"PING\r\n").expect("a connected socket");
    }
    // One worker serves one of them, and leaves the other in `woken`.
    let served = next(&pool, &mut pool.join());
    pool.submit(waiting);
    let mut slots = vec![served];
    pool.empty(|client| slots.push(client.slot()));
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2, 3]);
}

/// Lets one of two workers take `turns` turns without a wait. Returns whether it woke the other.
fn wakes_helper_within(turns: u32, processors: usize) -> bool {
    let pool = Pool::new(4, processors).expect("the system lets us poll");
    let mut local = pool.join();
    let _follower = pool.join();
    pool.followers.store(1, Ordering::Relaxed);
    let (mut waiting, _peer) = client(&pool);
    for _ in 0..turns {
        pool.submit(waiting);
        waiting = pool.next(&mut local).expect("no worker is retired");
    }
    pool.queue.is_helper_called()
}

#[test]
fn busy_worker_wakes_a_helper_if_a_processor_is_free() {
    assert!(wakes_helper_within(TURNS_BEFORE_HELPER, 2));
    assert!(!wakes_helper_within(TURNS_BEFORE_HELPER - 1, 2));
    assert!(!wakes_helper_within(TURNS_BEFORE_HELPER, 1));
}

/// A busy worker once took the `Recheck` for its helper itself, and the helper slept on.
#[test]
fn helper_of_a_busy_worker_wakes() {
    let clients = TURNS_BEFORE_HELPER as usize;
    let pool = Arc::new(Pool::new(clients, 2).expect("the system lets us poll"));
    let mut local = pool.join();
    let _follower = pool.join();
    let _peers: Vec<_> = (0..clients).map(|_| park_with_bytes(&pool)).collect();
    pool.followers.store(1, Ordering::Relaxed);
    let (sender, woken) = channel();
    let following = Arc::clone(&pool);
    thread::spawn(move || {
        following.queue.take();
        sender.send(())
    });
    for _ in 0..clients {
        next(&pool, &mut local);
    }
    woken
        .recv_timeout(Duration::from_secs(10))
        .expect("the follower does not sleep on");
}

/// A worker once woke no helper, because its 64th turn was also that of a poll and a spent client.
#[test]
fn worker_busy_with_spent_clients_wakes_a_helper() {
    let pool = pool();
    let mut local = pool.join();
    let _follower = pool.join();
    pool.followers.store(1, Ordering::Relaxed);
    let (mut spent, _peer) = client(&pool);
    for _ in 0..TURNS_BEFORE_HELPER {
        pool.resubmit(spent, Instant::now());
        spent = pool.next(&mut local).expect("no worker is retired");
    }
    assert!(pool.queue.is_helper_called());
}

/// A worker once took the mean of its short turns for a turn that used up its budget, so that the
/// clients after it had hardly waited.
#[test]
fn clients_wait_for_turns_that_use_up_their_budgets() {
    let pool = pool();
    let mut local = pool.join();
    let clients = [(); 3].map(|()| client(&pool));
    let mut peers = Vec::new();
    for (client, peer) in clients {
        pool.resubmit(client, Instant::now());
        peers.push(peer);
    }
    let turn = Duration::from_millis(20);
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let client = pool.next(&mut local).expect("no worker is retired");
        let wait_us = local.take_wait_us().unwrap_or_default();
        longest = longest.max(Duration::from_micros(wait_us.into()));
        thread::sleep(turn);
        let now = Instant::now();
        pool.resubmit(client, now);
        pool.end_timed_turn(&mut local, now, false);
    }
    assert!(longest >= 2 * turn, "{longest:?}");
}

/// Clients that a poll had woken once went through the queue, because there were so many that the
/// poll was long ago.
#[test]
fn woken_clients_are_not_queued_after_a_timed_turn() {
    let pool = pool();
    let mut local = pool.join();
    let _peers = [(); 2].map(|()| park_with_bytes(&pool));
    let _first = next(&pool, &mut local);
    poll_was_long_ago(&pool);
    pool.end_timed_turn(&mut local, Instant::now(), false);
    assert!(pool.queue.is_empty());
}

#[test]
fn clients_of_a_poll_long_ago_have_a_helper() {
    let wakes_helper = |clients: usize| {
        let pool = pool();
        let mut local = pool.join();
        let _follower = pool.join();
        pool.followers.store(1, Ordering::Relaxed);
        let _peers: Vec<_> = (0..clients).map(|_| park_with_bytes(&pool)).collect();
        let _first = next(&pool, &mut local);
        poll_was_long_ago(&pool);
        pool.end_timed_turn(&mut local, Instant::now(), false);
        pool.queue.is_helper_called()
    };
    assert!(wakes_helper(2));
    assert!(!wakes_helper(1), "no client waits");
}

#[test]
fn timed_turn_polls_if_the_queue_is_not_empty() {
    let pool = pool();
    let mut local = pool.join();
    let (queued, _peer) = client(&pool);
    pool.submit(queued);
    let _peer = park_with_bytes(&pool);
    poll_was_long_ago(&pool);
    pool.end_timed_turn(&mut local, Instant::now(), false);
    assert_eq!(pool.queue.len(), 2);
}

/// Such clients publish, too. Once the subscribers of each message were served before the next one.
#[test]
fn woken_clients_are_queued_before_several_subscribers() {
    let pool = pool();
    let mut local = pool.join();
    let _peers = [(); 3].map(|()| park_with_bytes(&pool));
    let _first = next(&pool, &mut local);
    poll_was_long_ago(&pool);
    pool.end_timed_turn(&mut local, Instant::now(), true);
    assert_eq!(pool.queue.len(), 2);
}

#[test]
fn wait_during_a_long_turn_is_measured_on_one_processor() {
    let pool = Pool::new(4, 1).expect("the system lets us poll");
    let mut local = pool.join();
    let _peer = park_with_bytes(&pool);
    let _first = next(&pool, &mut local);
    pool.note_time(Instant::now());
    let _peer = park_with_bytes(&pool);
    let turn = Duration::from_millis(100);
    thread::sleep(turn);
    pool.end_timed_turn(&mut local, Instant::now(), false);
    let _second = next(&pool, &mut local);
    let waited = Duration::from_micros(local.take_wait_us().unwrap_or_default().into());
    // The kernel counts in steps of up to 10 ms.
    assert!(waited >= turn / 2, "{waited:?}");
}

/// Parks a client whose socket has bytes to read. Returns its peer.
fn park_with_bytes(pool: &Pool) -> TcpStream {
    let (client, mut peer) = client(pool);
    peer.write_all(b"PING\r\n").expect("a connected socket");
    park(pool, client);
    peer
}

fn poll_was_long_ago(pool: &Pool) {
    pool.note_time(Instant::now());
    thread::sleep(Duration::from_millis(2));
}

/// Workers once fell asleep while the leader polled, so that it served most of its clients alone.
#[test]
fn worker_spins_as_long_as_the_leader_polls() {
    let pool = pool();
    let mut local = pool.join();
    let _watch = pool.parking.try_lead();
    for _ in 0..3 * SPINS {
        assert!(matches!(pool.find_work(&mut local), Step::Spin));
    }
}

#[test]
fn worker_follows_a_leader_that_sleeps() {
    let pool = Arc::new(pool());
    let leading = Arc::clone(&pool);
    let leader = thread::spawn(move || leading.next(&mut leading.join()).is_none());
    let deadline = Instant::now() + Duration::from_secs(10);
    while pool.parking.is_polled() || !pool.parking.has_leader() {
        assert!(Instant::now() < deadline, "no worker sleeps in the poll");
        thread::yield_now();
    }
    let step = pool.find_work(&mut pool.join());
    assert!(matches!(step, Step::Follow));
    pool.retire(1);
    assert!(
        leader.join().expect("it does not panic"),
        "there is no client"
    );
}

#[test]
fn worker_on_one_processor_does_not_spin() {
    let pool = Pool::new(4, 1).expect("the system lets us poll");
    let _watch = pool.parking.try_lead();
    let step = pool.find_work(&mut pool.join());
    assert!(matches!(step, Step::Follow));
}

#[test]
fn empty_leaves_the_recheck_for_retired_workers() {
    let pool = pool();
    pool.retire(2);
    pool.empty(|_| panic!("there is no client"));
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
}
