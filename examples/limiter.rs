//! A rate limiter: `LIMIT` counts the calls of a key in a window of time, for other programs. And
//! the server itself limits the requests of each address.
//!
//! ```console
//! $ cargo run --release --example limiter
//! ```
//!
//! Bob may try to log in twice an hour. `LIMIT` replies how many tries are left, or -1 if this is
//! one too many:
//!
//! ```console
//! $ redis-cli -p 6380 LIMIT login:bob 2 3600
//! (integer) 1
//! $ redis-cli -p 6380 LIMIT login:bob 2 3600
//! (integer) 0
//! $ redis-cli -p 6380 LIMIT login:bob 2 3600
//! (integer) -1
//! $ redis-cli -p 6380 LIMIT login:bob two 3600
//! (error) ERR value is not an integer or out of range
//! ```
//!
//! - `LIMIT` is a command: a closure that captures its state. `?` replies with Redis's errors.
//! - The limit on each address is a middleware. It sees every request, also a `PING`, and may
//!   refuse it. In the session, the window would begin anew with each connection.
//! - The window of a key begins with its first call. Old ones are forgotten, so the memory is
//!   bounded by the keys that are called within the longest window.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::{Arity, Call, Commands, Config, ErrorReply, Middleware, Server, Session, StartError};

fn main() -> Result<(), StartError> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    Server::bind(config, commands(1000))?.serve()?;
    Ok(())
}

/// Returns the built-in commands and `LIMIT key max seconds`. Each address may send
/// `max_per_second` requests.
pub(crate) fn commands(max_per_second: i64) -> Commands {
    let limiter = Limiter::default();
    let mut commands = Commands::builtin();
    commands.set_middleware(AddressLimit {
        limiter: Limiter::default(),
        max_per_second,
    });
    commands
        .register("LIMIT", Arity::Exactly(4), move |_, request, reply| {
            let max = request.integer_in(1, 1..=1_000_000_000)?;
            let seconds = request.integer_in(2, 1..=86_400)?;
            let window = Duration::from_secs(seconds as u64);
            Ok(reply.integer(limiter.count(request.bytes(0)?, max, window)))
        })
        .describe("Counts a call, and returns how many are left in the window")
        .keys(1, 1, 1)
        .writes()
        .never_blocks();
    commands
}

/// The windows of all keys.
#[derive(Default)]
struct Limiter(Mutex<HashMap<Vec<u8>, Window>>);

struct Window {
    calls: i64,
    ends: Instant,
}

impl Limiter {
    /// Counts a call of `key`. Returns how many are left in its window; -1 if this is one too many.
    fn count(&self, key: &[u8], max: i64, length: Duration) -> i64 {
        let now = Instant::now();
        let mut windows = self.0.lock();
        // Forgets old windows whenever as many new ones have come as were kept.
        if windows.len() == windows.capacity() {
            windows.retain(|_, window| window.ends > now);
            let kept = windows.len();
            windows.reserve(kept + 1);
        }
        let new = || Window {
            calls: 0,
            ends: now + length,
        };
        let window = windows.entry(key.to_vec()).or_insert_with(new);
        if window.ends <= now {
            *window = new();
        }
        window.calls += 1;
        (max - window.calls).max(-1)
    }
}

/// Limits the requests of each address.
struct AddressLimit {
    limiter: Limiter,
    max_per_second: i64,
}

impl Middleware for AddressLimit {
    fn before(&self, session: &mut Session, _call: &Call<'_>) -> Result<(), ErrorReply> {
        let address = format!("{:?}", session.peer().ip());
        let window = Duration::from_secs(1);
        match self
            .limiter
            .count(address.as_bytes(), self.max_per_second, window)
        {
            -1 => Err(ErrorReply::constant(
                "LIMITED",
                "too many requests; wait a second",
            )),
            _ => Ok(()),
        }
    }
}
