//! A key-value store with Redis's SET, GET, DEL, EXISTS, INCR, EXPIRE, TTL and DBSIZE.
//!
//! ```console
//! $ cargo run --release --example kv [PORT [WORKERS]]
//! $ redis-benchmark -p 6380 -t set,get,incr -P 16
//! ```
//!
//! The keys are spread over shards with a lock each, so workers rarely wait for each other, and
//! only for a short time. So handlers of a single key are declared to never block. Commands do not
//! find an expired key; a thread of the store frees its memory.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use parking_lot::{Mutex, MutexGuard};
use respool::{Arity, Commands, Config, Replied, Reply, Request, Server, Session};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = env::args().skip(1).map(|number| number.parse());
    let config = Config {
        port: numbers.next().unwrap_or(Ok(6380))?,
        // 0 means one per CPU.
        workers: numbers.next().unwrap_or(Ok(0))?.into(),
        ..Config::default()
    };
    let server = Server::bind(config, commands())?;
    let port = server.local_addrs()[0].port();
    println!("redis-cli -p {port} SET key value");
    server.serve()?;
    Ok(())
}

/// Returns the built-in commands and those of a new store.
pub(crate) fn commands() -> Commands {
    let store = Arc::new(Store::default());
    let swept = Arc::downgrade(&store);
    thread::spawn(move || sweep(&swept));

    let mut commands = Commands::builtin();
    let on_store = |run: Run| {
        let store = Arc::clone(&store);
        move |_: &mut Session, request: &Request<'_>, reply: Reply<'_>| run(&store, request, reply)
    };
    commands
        .register("GET", Arity::Exactly(2), on_store(get))
        .describe("Returns the value of a key")
        .never_blocks();
    commands
        .register("SET", Arity::AtLeast(3), on_store(set))
        .describe("Sets the value of a key")
        .writes()
        .never_blocks();
    commands
        .register("INCR", Arity::Exactly(2), on_store(incr))
        .describe("Adds 1 to an integer")
        .writes()
        .never_blocks();
    commands
        .register("EXPIRE", Arity::Exactly(3), on_store(expire))
        .describe("Sets the seconds after which a key expires")
        .writes()
        .never_blocks();
    commands
        .register("TTL", Arity::Exactly(2), on_store(ttl))
        .describe("Returns the seconds until a key expires")
        .never_blocks();
    // With thousands of keys, these may take a while, so they do not declare that they never block.
    commands
        .register("DEL", Arity::AtLeast(2), on_store(del))
        .describe("Deletes keys")
        .writes();
    commands
        .register("EXISTS", Arity::AtLeast(2), on_store(exists))
        .describe("Counts the keys that exist");
    commands
        .register("DBSIZE", Arity::Exactly(1), on_store(dbsize))
        .describe("Counts all keys");
    commands
}

/// The function that handles a command.
type Run = fn(&Store, &Request<'_>, Reply<'_>) -> Replied;

/// `GET key`
fn get(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let key = key(request);
    match store.shard(key).get(key) {
        Some(entry) => reply.bulk(&entry.value),
        None => reply.null(),
    }
}

/// `SET key value [NX|XX] [EX seconds|PX milliseconds]`
fn set(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let options = match SetOptions::of(request) {
        Ok(options) => options,
        Err(error) => return reply.error(error),
    };
    let (key, value) = (key(request), request.argument(1).unwrap_or_default());
    let mut shard = store.shard(key);
    if options
        .if_exists
        .is_some_and(|wanted| wanted != shard.get(key).is_some())
    {
        return reply.null();
    }
    shard.set(key, value, options.expires);
    reply.simple("OK")
}

/// `DEL key [key …]`: replies how many keys existed.
fn del(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let deleted = request
        .arguments()
        .filter(|key| store.shard(key).remove(key));
    reply.integer(deleted.count() as i64)
}

/// `EXISTS key [key …]`: replies how many of the keys exist; a key that is named twice counts
/// twice.
fn exists(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let existing = request
        .arguments()
        .filter(|key| store.shard(key).get(key).is_some());
    reply.integer(existing.count() as i64)
}

/// `INCR key`: replies the new value; a missing key counts as 0.
fn incr(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let key = key(request);
    let mut shard = store.shard(key);
    let Some(entry) = shard.get_mut(key) else {
        shard.set(key, b"1", None);
        return reply.integer(1);
    };
    let text = std::str::from_utf8(&entry.value).unwrap_or_default();
    let Ok(before) = text.parse::<i64>() else {
        return reply.error("ERR value is not an integer or out of range");
    };
    let Some(after) = before.checked_add(1) else {
        return reply.error("ERR increment or decrement would overflow");
    };
    entry.value = after.to_string().into_bytes().into();
    reply.integer(after)
}

/// `DBSIZE`: replies the number of keys, including expired ones that are not freed yet.
fn dbsize(store: &Store, _: &Request<'_>, reply: Reply<'_>) -> Replied {
    let counts = store.shards.iter().map(|shard| shard.lock().entries.len());
    reply.integer(counts.sum::<usize>() as i64)
}

/// `EXPIRE key seconds`: replies whether the key exists. A time in the past deletes it.
fn expire(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let seconds = match request.integer(1) {
        Ok(seconds) => seconds,
        Err(error) => return reply.error(error.to_string()),
    };
    let key = key(request);
    let mut shard = store.shard(key);
    if shard.get(key).is_none() {
        return reply.integer(0);
    }
    if seconds <= 0 {
        shard.remove(key);
    } else if let Some(at) = after(seconds, MS_PER_S) {
        shard.expire(key, Some(at));
    } else {
        return reply.error("ERR invalid expire time in 'expire' command");
    }
    reply.integer(1)
}

/// `TTL key`: replies the seconds until the key expires, -1 if it never does, -2 if there is no
/// key.
fn ttl(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let key = key(request);
    reply.integer(match store.shard(key).get(key) {
        None => -2,
        Some(Entry { expires: None, .. }) => -1,
        // Rounded, as Redis does.
        Some(Entry {
            expires: Some(at), ..
        }) => {
            let left = at.saturating_duration_since(Instant::now());
            (left + Duration::from_millis(500)).as_secs() as i64
        }
    })
}

/// Returns the first argument. The arity guarantees that there is one.
fn key<'a>(request: &Request<'a>) -> &'a [u8] {
    request.argument(0).unwrap_or_default()
}

/// The options of SET, after the value.
#[derive(Default)]
struct SetOptions {
    /// `Some(false)` for NX and `Some(true)` for XX.
    if_exists: Option<bool>,
    expires: Option<Instant>,
}

impl SetOptions {
    fn of(request: &Request<'_>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut index = 2;
        while let Some(word) = request.argument(index) {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if (is("NX") || is("XX")) && options.if_exists.is_none() {
                options.if_exists = Some(is("XX"));
            } else if (is("EX") || is("PX")) && options.expires.is_none() {
                index += 1;
                let unit_ms = if is("EX") { MS_PER_S } else { 1 };
                let time = request.integer(index).map_err(|error| error.to_string())?;
                let at = after(time, unit_ms);
                options.expires = Some(at.ok_or("ERR invalid expire time in 'set' command")?);
            } else {
                return Err("ERR syntax error".into());
            }
            index += 1;
        }
        Ok(options)
    }
}

const MS_PER_S: u64 = 1000;

/// Returns the instant in `count` units; `None` if that is not in the future or too far for the
/// clock.
fn after(count: i64, unit_ms: u64) -> Option<Instant> {
    let count = u64::try_from(count).ok().filter(|&count| count > 0)?;
    Instant::now().checked_add(Duration::from_millis(count.checked_mul(unit_ms)?))
}

/// The keys; the bytes of a key determine its shard.
struct Store {
    shards: [Mutex<Shard>; SHARDS],
}

/// Many more than a machine has workers, so that two workers rarely need the same shard.
const SHARDS: usize = 256;

#[derive(Default)]
struct Shard {
    entries: HashMap<Box<[u8]>, Entry>,
    /// The keys that expire, ordered by time.
    expiring: BTreeSet<(Instant, Box<[u8]>)>,
}

struct Entry {
    value: Box<[u8]>,
    expires: Option<Instant>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Store {
    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        // Most keys differ in their last bytes. A client that fills one shard on purpose only makes
        // its lock more contended: the map inside uses a hash with a random key.
        let mut last = [0; 8];
        let count = key.len().min(last.len());
        last[..count].copy_from_slice(&key[key.len() - count..]);
        let spread = u64::from_le_bytes(last).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.shards[(spread >> 32) as usize % SHARDS].lock()
    }
}

impl Shard {
    fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| !entry.has_expired())
    }

    fn get_mut(&mut self, key: &[u8]) -> Option<&mut Entry> {
        self.entries
            .get_mut(key)
            .filter(|entry| !entry.has_expired())
    }

    fn set(&mut self, key: &[u8], value: &[u8], expires: Option<Instant>) {
        let value = value.into();
        let before = if let Some(entry) = self.entries.get_mut(key) {
            mem::replace(entry, Entry { value, expires }).expires
        } else {
            self.entries.insert(key.into(), Entry { value, expires });
            None
        };
        self.follow(key, before, expires);
    }

    /// Sets when a key expires; `None` means never.
    fn expire(&mut self, key: &[u8], expires: Option<Instant>) {
        if let Some(entry) = self.entries.get_mut(key) {
            let before = mem::replace(&mut entry.expires, expires);
            self.follow(key, before, expires);
        }
    }

    /// Updates `expiring` after the expiry of a key has changed.
    fn follow(&mut self, key: &[u8], before: Option<Instant>, expires: Option<Instant>) {
        if let Some(before) = before {
            self.expiring.remove(&(before, key.into()));
        }
        if let Some(at) = expires {
            self.expiring.insert((at, key.into()));
        }
    }

    /// Removes a key; returns whether it existed.
    fn remove(&mut self, key: &[u8]) -> bool {
        let was_there = self.get(key).is_some();
        self.expire(key, None);
        self.entries.remove(key);
        was_there
    }

    /// Frees the keys that have expired at `now`.
    fn free_until(&mut self, now: Instant) {
        while let Some((at, _)) = self.expiring.first()
            && *at <= now
            && let Some((_, key)) = self.expiring.pop_first()
        {
            self.entries.remove(&key);
        }
    }
}

impl Entry {
    fn has_expired(&self) -> bool {
        self.expires.is_some_and(|at| at <= Instant::now())
    }
}

/// Frees expired keys ten times a second, until the store is dropped.
fn sweep(store: &Weak<Store>) {
    while let Some(store) = store.upgrade() {
        let now = Instant::now();
        for shard in &store.shards {
            shard.lock().free_until(now);
        }
        drop(store);
        thread::sleep(SWEEP_PERIOD);
    }
}

const SWEEP_PERIOD: Duration = Duration::from_millis(100);
