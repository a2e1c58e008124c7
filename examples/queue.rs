//! A job queue: clients wait for jobs by `BLPOP`, as at a Redis.
//!
//! ```console
//! $ cargo run --release --example queue &
//! $ redis-cli -p 6380 RPUSH mail welcome invoice
//! (integer) 2
//! $ redis-cli -p 6380 BLPOP mail 0
//! 1) "mail"
//! 2) "welcome"
//! $ redis-cli -p 6380 BLPOP bills 0.1
//! (nil)
//! $ (sleep 1; redis-cli -p 6380 RPUSH bills monthly >/dev/null) & redis-cli -p 6380 BLPOP bills 0
//! 1) "bills"
//! 2) "monthly"
//! ```
//!
//! - `BLPOP` blocks no thread: it defers its reply, so 10,000 clients may wait on two workers.
//! - The client that has waited longest gets the next job. If it has left, `reply` returns false,
//!   and the next one gets it. As with Redis, a client may still leave before the reply arrives.
//! - Timeouts, `CLIENT UNBLOCK`, `CLIENT KILL`, drains and `blocked_clients` need no code.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use respool::{Arity, Commands, Config, DeferredReply, Server, StartError};

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    Server::bind(config, commands())?.serve()?;
    Ok(())
}

/// Returns the built-in commands, `RPUSH key job [job …]` and `BLPOP key seconds`.
pub(crate) fn commands() -> Commands {
    let popped = Arc::new(Mutex::new(Queues::default()));
    let pushed = Arc::clone(&popped);
    let mut commands = Commands::builtin();
    commands
        .register("RPUSH", Arity::AtLeast(3), move |_, request, reply| {
            let (key, jobs) = (request.bytes(0)?, request.arguments().skip(1));
            let push = |queue: &mut Queue| queue.push(key, jobs.map(Vec::from));
            Ok(reply.value(pushed.lock().with(key, push)))
        })
        .keys(1, 1, 1)
        .writes()
        .register(
            "BLPOP",
            Arity::Exactly(3),
            move |session, request, reply| {
                let (key, time) = (request.bytes(0)?, request.timeout(1)?);
                let mut queues = popped.lock();
                if let Some(job) = queues.with(key, |queue| queue.jobs.pop_front()) {
                    return Ok(reply.array_of([key, &job]));
                }
                queues.last_ticket += 1;
                let ticket = queues.last_ticket;
                let (all, name) = (Arc::clone(&popped), key.to_vec());
                let leave = move |queue: &mut Queue| drop(queue.waiting.remove(&ticket));
                let wait = |queue: &mut Queue, token| drop(queue.waiting.insert(ticket, token));
                Ok(session
                    .defer(reply)
                    .timeout(time, |reply| reply.null_array())
                    .on_cancel(move || all.lock().with(&name, leave))
                    .start(|token| queues.with(key, |queue| wait(queue, token))))
            },
        )
        .keys(1, 1, 1)
        .writes()
        .defers();
    commands
}

#[derive(Default)]
struct Queues {
    by_key: HashMap<Vec<u8>, Queue>,
    last_ticket: u64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Vec<u8>>,
    /// The clients that wait, by their tickets: in the order in which they came.
    waiting: BTreeMap<u64, DeferredReply>,
}

impl Queues {
    /// Calls `change` with a queue, which is kept only if something is in it.
    fn with<T>(&mut self, key: &[u8], change: impl FnOnce(&mut Queue) -> T) -> T {
        let queue = self.by_key.entry(key.to_vec()).or_default();
        let result = change(queue);
        if queue.jobs.is_empty() && queue.waiting.is_empty() {
            self.by_key.remove(key);
        }
        result
    }
}

impl Queue {
    /// Hands jobs to the clients that wait, and keeps the rest. Returns the number of jobs.
    fn push(&mut self, key: &[u8], jobs: impl Iterator<Item = Vec<u8>>) -> usize {
        self.jobs.extend(jobs);
        let count = self.jobs.len();
        while let Some(job) = self.jobs.front()
            && let Some((_, client)) = self.waiting.pop_first()
        {
            if client.reply(|reply| reply.array_of([key, job])) {
                self.jobs.pop_front();
            }
        }
        count
    }
}
