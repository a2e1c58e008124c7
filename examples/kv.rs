//! A key-value store with Redis's SET, GET, DEL, EXISTS, INCR, EXPIRE, TTL, DBSIZE and MULTI.
//!
//! ```console
//! $ cargo run --release --example kv [PORT [WORKERS]]
//! $ redis-benchmark -p 6380 -t set,get,incr -P 16
//! ```
//!
//! The keys are spread over shards with a lock each, so workers rarely wait for each other, and
//! only for a short time. So handlers of a single key are declared to never block. EXEC holds the
//! shards of all its keys, so transactions are atomic. Commands do not find an expired key; a
//! thread of the store frees its memory.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{env, mem, thread};

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use respool::{
    Arguments, Arity, Commands, Config, ErrorReply, Exec, Replied, Reply, Request, Server, Session,
};

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
    commands
        .register("GET", Arity::Exactly(2), on(&store, get))
        .describe("Returns the value of a key")
        .keys(1, 1, 1)
        .category("string")
        .reads()
        .never_blocks()
        .register("SET", Arity::AtLeast(3), on(&store, set))
        .describe("Sets the value of a key")
        .keys(1, 1, 1)
        .category("string")
        .writes()
        .never_blocks()
        .register("INCR", Arity::Exactly(2), on(&store, incr))
        .describe("Adds 1 to an integer")
        .keys(1, 1, 1)
        .category("string")
        .writes()
        .never_blocks()
        .register("EXPIRE", Arity::Exactly(3), on(&store, expire))
        .describe("Sets the seconds after which a key expires")
        .keys(1, 1, 1)
        .category("keyspace")
        .writes()
        .never_blocks()
        .register("TTL", Arity::Exactly(2), on(&store, ttl))
        .describe("Returns the seconds until a key expires")
        .keys(1, 1, 1)
        .category("keyspace")
        .reads()
        .never_blocks()
        // With thousands of keys, these take a while, so they do not declare that they never block.
        .register("DEL", Arity::AtLeast(2), on(&store, del))
        .describe("Deletes keys")
        .keys(1, -1, 1)
        .category("keyspace")
        .writes()
        .register("EXISTS", Arity::AtLeast(2), on(&store, exists))
        .describe("Counts the keys that exist")
        .keys(1, -1, 1)
        .category("keyspace")
        .reads();
    let counted = Arc::clone(&store);
    commands.keyspace(move || [counted.count()]);
    commands.transactions(move |session, exec| {
        let _locked = store.lock_for(&exec);
        exec.run(session)
    });
    commands
}

/// Returns a handler that calls `run` with the store.
fn on<R>(
    store: &Arc<Store>,
    run: fn(&Store, &Request<'_>, Reply<'_>) -> R,
) -> impl Fn(&mut Session, &Request<'_>, Reply<'_>) -> R + use<R> {
    let store = Arc::clone(store);
    move |_, request, reply| run(&store, request, reply)
}

/// `GET key`
fn get(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Result<Replied, ErrorReply> {
    let key = request.bytes(0)?;
    let shard = store.shard(key);
    let shard = shard.borrow();
    Ok(reply.value(shard.get(key).map(|entry| &entry.value)))
}

/// `SET key value [NX|XX] [EX seconds|PX milliseconds]`
fn set(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Result<Replied, ErrorReply> {
    let mut arguments = request.arguments();
    let (key, value) = (arguments.next_bytes()?, arguments.next_bytes()?);
    let options = SetOptions::of(arguments)?;
    let shard = store.shard(key);
    let mut shard = shard.borrow_mut();
    if options
        .if_exists
        .is_some_and(|wanted| wanted != shard.get(key).is_some())
    {
        return Ok(reply.null());
    }
    shard.set(key, value, options.expires);
    Ok(reply.simple("OK"))
}

/// `DEL key [key …]`: replies how many keys existed.
fn del(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let deleted = request
        .arguments()
        .filter(|key| store.shard(key).borrow_mut().remove(key));
    reply.value(deleted.count())
}

/// `EXISTS key [key …]`: replies how many of the keys exist; a key that is named twice counts
/// twice.
fn exists(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Replied {
    let existing = request
        .arguments()
        .filter(|key| store.shard(key).borrow().get(key).is_some());
    reply.value(existing.count())
}

/// `INCR key`: replies the new value; a missing key counts as 0.
fn incr(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Result<Replied, ErrorReply> {
    let key = request.bytes(0)?;
    let shard = store.shard(key);
    let mut shard = shard.borrow_mut();
    let Some(entry) = shard.get_mut(key) else {
        shard.set(key, b"1", None);
        return Ok(reply.integer(1));
    };
    // As with Redis, `+1` and `01` are no integers.
    let digits = entry.value.strip_prefix(b"-").unwrap_or(&entry.value);
    if *entry.value != *b"0" && !matches!(digits, [b'1'..=b'9', ..]) {
        return Err(ErrorReply::NOT_AN_INTEGER);
    }
    let text = std::str::from_utf8(&entry.value).unwrap_or_default();
    let before: i64 = text.parse().map_err(|_| ErrorReply::NOT_AN_INTEGER)?;
    let after = before.checked_add(1).ok_or(ErrorReply::OVERFLOW)?;
    entry.value = after.to_string().into_bytes().into();
    Ok(reply.integer(after))
}

/// `EXPIRE key seconds`: replies whether the key exists. A time in the past deletes it.
fn expire(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Result<Replied, ErrorReply> {
    let (key, seconds) = (request.bytes(0)?, request.integer(1)?);
    let shard = store.shard(key);
    let mut shard = shard.borrow_mut();
    if shard.get(key).is_none() {
        return Ok(reply.integer(0));
    }
    if seconds <= 0 {
        shard.remove(key);
    } else {
        let at = after(seconds, MS_PER_S).ok_or_else(|| invalid_expire_time("expire"))?;
        shard.expire(key, Some(at));
    }
    Ok(reply.integer(1))
}

/// `TTL key`: replies the seconds until the key expires, -1 if it never does, -2 if there is no
/// key.
fn ttl(store: &Store, request: &Request<'_>, reply: Reply<'_>) -> Result<Replied, ErrorReply> {
    let key = request.bytes(0)?;
    Ok(reply.integer(match store.shard(key).borrow().get(key) {
        None => -2,
        Some(Entry { expires: None, .. }) => -1,
        // Rounded, as Redis does.
        Some(Entry {
            expires: Some(at), ..
        }) => {
            let left = at.saturating_duration_since(Instant::now());
            (left + Duration::from_millis(500)).as_secs() as i64
        }
    }))
}

/// The options of SET, after the value.
#[derive(Default)]
struct SetOptions {
    /// `Some(false)` for NX and `Some(true)` for XX.
    if_exists: Option<bool>,
    expires: Option<Instant>,
}

impl SetOptions {
    fn of(mut arguments: Arguments<'_>) -> Result<Self, ErrorReply> {
        let mut options = Self::default();
        while let Some(option) = arguments.next_keyword() {
            match option.as_str() {
                "NX" if options.if_exists.is_none() => options.if_exists = Some(false),
                "XX" if options.if_exists.is_none() => options.if_exists = Some(true),
                unit @ ("EX" | "PX") if options.expires.is_none() => {
                    let unit_ms = if unit == "EX" { MS_PER_S } else { 1 };
                    let at = after(arguments.next_integer()?, unit_ms);
                    options.expires = Some(at.ok_or_else(|| invalid_expire_time("set"))?);
                }
                _ => return Err(ErrorReply::SYNTAX),
            }
        }
        Ok(options)
    }
}

fn invalid_expire_time(command: &str) -> ErrorReply {
    ErrorReply::err(format!("invalid expire time in '{command}' command"))
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
    shards: [Lock; SHARDS],
}

/// Reentrant, because a handler in a transaction locks what EXEC has locked, on the same thread.
type Lock = ReentrantMutex<RefCell<Shard>>;

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
            shards: std::array::from_fn(|_| Lock::default()),
        }
    }
}

impl Store {
    /// Returns database 0, its keys and how many of them expire, including those that have expired
    /// and are not freed yet.
    fn count(&self) -> (u8, u64, u64) {
        let (mut keys, mut expiring) = (0, 0);
        for shard in &self.shards {
            let shard = shard.lock();
            let shard = shard.borrow();
            keys += shard.entries.len() as u64;
            expiring += shard.expiring.len() as u64;
        }
        (0, keys, expiring)
    }

    #[inline]
    fn shard(&self, key: &[u8]) -> ReentrantMutexGuard<'_, RefCell<Shard>> {
        self.shards[shard_of(key)].lock()
    }

    /// Locks the shards that a transaction uses, in ascending order, so that two transactions never
    /// wait for each other. Other handlers hold one shard at a time.
    fn lock_for(&self, exec: &Exec<'_>) -> Vec<ReentrantMutexGuard<'_, RefCell<Shard>>> {
        let mut used: BTreeSet<_> = exec.keys().map(shard_of).collect();
        if exec.names().any(|name| matches!(name, "dbsize" | "info")) {
            used.extend(0..SHARDS);
        }
        used.iter()
            .map(|&shard| self.shards[shard].lock())
            .collect()
    }
}

fn shard_of(key: &[u8]) -> usize {
    // Most keys differ in their last bytes. A client that fills one shard on purpose only makes
    // its lock more contended: the map inside uses a hash with a random key.
    let last = match key.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => key.iter().fold(0, |all, &byte| all << 8 | u64::from(byte)),
    };
    (last.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize % SHARDS
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
        let Some(entry) = self.entries.get_mut(key) else {
            let value = value.into();
            self.entries.insert(key.into(), Entry { value, expires });
            return self.follow(key, None, expires);
        };
        if entry.value.len() == value.len() {
            entry.value.copy_from_slice(value);
        } else {
            entry.value = value.into();
        }
        let before = mem::replace(&mut entry.expires, expires);
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
        if before.is_none() && expires.is_none() {
            return;
        }
        let mut key = key.into();
        if let Some(before) = before {
            let removed = (before, key);
            self.expiring.remove(&removed);
            (_, key) = removed;
        }
        if let Some(at) = expires {
            self.expiring.insert((at, key));
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
            shard.lock().borrow_mut().free_until(now);
        }
        drop(store);
        thread::sleep(SWEEP_PERIOD);
    }
}

const SWEEP_PERIOD: Duration = Duration::from_millis(100);
