//! The steps of the pool one at a time, on one thread.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use super::*;
use crate::client::session::Session;

/// A client that has a place in `pool`, and its peer.
fn client(pool: &Pool) -> (Box<Client>, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let peer = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (socket, addr) = listener.accept().expect("the peer has connected");
    socket.set_nonblocking(true).expect("a TCP socket");
    let slot = pool.assign().expect("there is a place");
    let socket = mio::net::TcpStream::from_std(socket);
    (
        Box::new(Client::new(socket, Session::for_test(slot, addr))),
        peer,
    )
}

fn pool() -> Pool {
    Pool::new(4, 2).expect("the system lets us poll")
}

/// Parks `client`, which must rest.
fn park(pool: &Pool, client: Box<Client>) {
    assert!(matches!(pool.park(client, |_| true), Parked::Resting));
}

/// The place of the client that `next` gives.
fn next(pool: &Pool, local: &mut WorkerLocal) -> usize {
    pool.next(local)
        .expect("there is no worker too many")
        .slot()
}

#[test]
fn rule_1_a_queue_that_never_runs_empty_does_not_hide_the_parked_clients() {
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
    // Behind the glance, the two that are in the queue already come first.
    for _ in 0..TURNS_BETWEEN_POLLS + 2 {
        let client = pool.next(&mut local).expect("there is no worker too many");
        if client.slot() == wanted {
            return;
        }
        pool.submit(client);
    }
    panic!("the parked client was not noticed");
}

#[test]
fn rule_1_who_has_used_up_its_turn_queues_behind_those_who_are_ready() {
    let pool = pool();
    let (hog, _peer) = client(&pool);
    let (parked, mut peer) = client(&pool);
    let (hogs_place, wanted) = (hog.slot(), parked.slot());
    park(&pool, parked);
    peer.write_all(b"PING\r\n").expect("a connected socket");

    pool.resubmit(hog);
    let mut local = pool.join();
    assert_eq!(next(&pool, &mut local), wanted);
    assert_eq!(next(&pool, &mut local), hogs_place);
}

#[test]
fn rule_4_what_came_before_the_first_park_brings_an_event() {
    let pool = Arc::new(pool());
    let (client, mut peer) = client(&pool);
    let wanted = client.slot();
    peer.write_all(b"PING\r\n").expect("a connected socket");
    park(&pool, client);
    assert_eq!(promptly(&pool, |pool| next(pool, &mut pool.join())), wanted);
}

#[test]
fn an_event_that_comes_while_the_client_is_away_is_not_lost() {
    let pool = pool();
    let (client, mut peer) = client(&pool);
    park(&pool, client);
    peer.write_all(b"PING\r\n").expect("a connected socket");
    let client = pool
        .next(&mut pool.join())
        .expect("there is no worker too many");
    peer.write_all(b"PING\r\n").expect("a connected socket");
    pool.poll_ready();
    assert!(matches!(pool.park(client, |_| true), Parked::Ready(_)));
}

#[test]
fn a_drain_brings_everybody_back_and_lets_nobody_rest() {
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
fn so_many_workers_end_as_are_told_to() {
    let pool = pool();
    pool.retire(3);
    assert_eq!(pool.unretire(1), 1);
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(pool.next(&mut pool.join()).is_none());
    assert_eq!(pool.unretire(1), 0);
    // The third is not told any more: it goes on to serve.
    let (client, _peer) = client(&pool);
    let slot = client.slot();
    pool.submit(client);
    assert_eq!(next(&pool, &mut pool.join()), slot);
}

#[test]
fn places_are_given_once_and_again_when_they_are_free() {
    let pool = pool();
    let slots: Vec<_> = (0..4)
        .map(|_| pool.assign().expect("there is a place"))
        .collect();
    assert_eq!(slots, [0, 1, 2, 3]);
    assert_eq!(pool.assign(), None);
    pool.free(2);
    assert_eq!(pool.assign(), Some(2));
}

/// Runs `step`, which must not wait.
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
fn rule_3_who_is_about_to_lead_sees_what_was_submitted_just_before() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // Nobody waits yet, so nobody is woken.
    pool.submit(client);
    let led = promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("nobody else leads");
        pool.lead(&mut watch, &mut pool.join()).is_some()
    });
    assert!(!led, "there was no event");
    assert_eq!(
        pool.next(&mut pool.join()).map(|client| client.slot()),
        Some(0)
    );
}

#[test]
fn rule_3_who_submits_wakes_the_leader_if_nobody_follows() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // As the leader leaves it just before it waits.
    pool.leader_waits.store(true, Ordering::Relaxed);
    pool.submit(client);
    promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("nobody else leads");
        pool.parking.watch(&mut watch, None);
    });
}

#[test]
fn rule_2_who_is_about_to_follow_leads_if_the_leader_has_just_left() {
    let pool = Arc::new(pool());
    assert!(promptly(&pool, |pool| pool.follow().is_none()));
}

#[test]
fn rule_2_a_hand_over_calls_one_follower_once() {
    let pool = Arc::new(pool());
    pool.hand_over();
    assert!(pool.queue.is_empty(), "nobody is there to be called");
    pool.followers.store(2, Ordering::Relaxed);
    pool.hand_over();
    pool.hand_over();
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    assert!(pool.queue.is_empty());
}

#[test]
fn rule_2_a_hand_over_wakes_the_leader_for_what_waits_in_the_queue() {
    let pool = Arc::new(pool());
    let (client, _peer) = client(&pool);
    // The worker that hands over was counted on as a follower when this was submitted.
    pool.followers.store(1, Ordering::Relaxed);
    pool.leader_waits.store(true, Ordering::Relaxed);
    pool.submit(client);
    pool.followers.store(0, Ordering::Relaxed);
    promptly(&pool, |pool| {
        let mut watch = pool.parking.try_lead().expect("nobody else leads");
        pool.hand_over();
        pool.parking.watch(&mut watch, None);
    });
}

#[test]
fn resizing_over_and_over_never_fills_the_queue() {
    let pool = pool();
    for _ in 0..100 {
        pool.retire(3);
        assert_eq!(pool.unretire(3), 3);
    }
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    assert!(pool.queue.is_empty());
}

#[test]
fn a_worker_that_ends_calls_the_next_that_is_to_end() {
    let pool = pool();
    pool.retire(2);
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
    pool.recheck_sent.store(false, Ordering::Relaxed);
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
}

#[test]
fn everybody_is_taken_out_wherever_they_are() {
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
    // One worker has one of them in hand, and leaves the other to whoever comes.
    let in_hand = next(&pool, &mut pool.join());
    pool.submit(waiting);
    let mut slots = vec![in_hand];
    pool.empty(|client| slots.push(client.slot()));
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2, 3]);
}

/// Has a worker of two take so many turns without a pause while the other follows. Gives whether it
/// has called it.
fn calls_within(turns: u32, processors: usize) -> bool {
    let pool = Pool::new(4, processors).expect("the system lets us poll");
    let mut local = pool.join();
    let _follower = pool.join();
    pool.followers.store(1, Ordering::Relaxed);
    let (mut waiting, _peer) = client(&pool);
    for _ in 0..turns {
        pool.submit(waiting);
        waiting = pool.next(&mut local).expect("there is no worker too many");
    }
    pool.recheck_sent.load(Ordering::Relaxed)
}

#[test]
fn who_does_not_pause_calls_a_follower_if_there_is_a_processor_for_it() {
    assert!(calls_within(TURNS_BEFORE_HELPER, 2));
    assert!(!calls_within(TURNS_BEFORE_HELPER - 1, 2));
    assert!(!calls_within(TURNS_BEFORE_HELPER, 1));
}

#[test]
fn who_takes_everybody_out_leaves_the_call_for_those_who_are_to_end() {
    let pool = pool();
    pool.retire(2);
    pool.empty(|_| panic!("there is no client"));
    assert!(pool.next(&mut pool.join()).is_none());
    assert!(matches!(pool.queue.try_take(), Some(Work::Recheck)));
}
