//! A cache in front of something slow: `GET key` replies from memory, or asks an async backend.
//!
//! ```console
//! $ cargo run --release --example cache
//! ```
//!
//! The first reply takes a second, and the next one no time:
//!
//! ```console
//! $ redis-cli -p 6380 GET page
//! "the content of page"
//! $ redis-cli -p 6380 GET page
//! "the content of page"
//! $ redis-cli -p 6380 INFO cache
//! # Cache
//! cached_keys:1
//! ```
//!
//! - The backend is async, and handlers are not. A deferred reply is the bridge: a task of tokio
//!   gets its token, and replies by it. Meanwhile the client takes no thread.
//! - However many clients want a key, the backend is asked once, and all of them get its answer.
//! - If the backend fails, panics, or does not answer in time, these clients get an error, and the
//!   next one asks again.
//! - `hold_drain` lets a drain wait for the backend, up to `drain-timeout-ms`. Without it, a drain
//!   ends the waits at once.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use respool::{Arity, Commands, Config, DeferredReply, ErrorReply, Server};
use tokio::runtime::{Handle, Runtime};
use tokio::time::{sleep, timeout};

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config {
        port: 6380,
        ..Config::default()
    };
    // Dropped after the server has ended, which needs its tasks.
    let runtime = Runtime::new()?;
    let commands = commands(runtime.handle().clone(), slow_backend);
    Server::bind(config, commands)?.serve()?;
    Ok(())
}

/// Stands for a database or another server.
async fn slow_backend(key: String) -> Answer {
    sleep(Duration::from_secs(1)).await;
    Ok(format!("the content of {key}"))
}

type Answer = Result<String, ErrorReply>;

/// Returns the built-in commands and `GET key`.
pub(crate) fn commands<F>(runtime: Handle, backend: fn(String) -> F) -> Commands
where
    F: Future<Output = Answer> + Send + 'static,
{
    let entries = Arc::new(Mutex::new(HashMap::new()));
    let shown = Arc::clone(&entries);
    let mut commands = Commands::builtin();
    commands.info_section("Cache", move || [("cached_keys", shown.lock().len())]);
    commands
        .register("GET", Arity::Exactly(2), move |session, request, reply| {
            let key = request.text(0)?;
            let mut cached = entries.lock();
            if let Some(Entry::Value(value)) = cached.get(key) {
                return Ok(reply.bulk(value));
            }
            Ok(session.defer(reply).hold_drain().start(|token| {
                if let Some(Entry::Awaited(tokens)) = cached.get_mut(key) {
                    return tokens.push(token);
                }
                cached.insert(key.to_owned(), Entry::Awaited(vec![token]));
                let answer = runtime.spawn(backend(key.to_owned()));
                let (entries, key) = (Arc::clone(&entries), key.to_owned());
                runtime.spawn(async move {
                    // The first error is that of the timeout, the second one that of a panic.
                    let answer = timeout(BACKEND_TIMEOUT, answer).await;
                    let answer = answer.ok().and_then(Result::ok).unwrap_or(Err(NO_ANSWER));
                    if deliver(&entries, &key, &answer) {
                        sleep(FRESH_FOR).await;
                        entries.lock().remove(&key);
                    }
                });
            }))
        })
        .keys(1, 1, 1)
        .reads();
    commands
}

const BACKEND_TIMEOUT: Duration = Duration::from_secs(5);
const FRESH_FOR: Duration = Duration::from_secs(60);
const NO_ANSWER: ErrorReply = ErrorReply::constant("ERR", "the backend does not answer");

enum Entry {
    Value(String),
    /// The clients that wait for the value.
    Awaited(Vec<DeferredReply>),
}

/// Replies to the clients that wait. Returns whether the answer is kept.
fn deliver(entries: &Mutex<HashMap<String, Entry>>, key: &str, answer: &Answer) -> bool {
    let waiting = match answer {
        Ok(value) => entries
            .lock()
            .insert(key.to_owned(), Entry::Value(value.clone())),
        Err(_) => entries.lock().remove(key),
    };
    if let Some(Entry::Awaited(tokens)) = waiting {
        for token in tokens {
            token.reply(|reply| reply.value(answer));
        }
    }
    answer.is_ok()
}
