//! Checks the pool of respool over many interleavings, and that the check can fail.
//!
//! What is checked is the text of `src/pool`, not a copy that could drift: `build.rs` takes it from
//! there and lets it use what stands in for its primitives here. So the pool itself knows nothing of
//! this, and costs nothing for it. With each of the [`bugs`] in it, it is taken once more; the check
//! must find them all.
//!
//! | file | what it is |
//! |---|---|
//! | `explore.rs` | the scheduler: threads, the order in which they run, what waits for ever |
//! | `memory.rs` | atomics and fences, with loads that see old values |
//! | `parking_lot.rs`, `crossbeam_channel.rs`, `mio.rs`, `log.rs` | what stands in for the crates |
//! | `cpu_contention.rs` | what stands in for the pool's one part that knows the time |
//! | `client.rs`, `world.rs` | clients and peers, workers, crew: all around the pool, made small |
//! | `scenarios.rs` | what is played |
//! | `bugs.rs`, `pools.rs` | the seeded bugs, and the pools with and without them |
//! | `tests/pool.rs` | plays the scenarios |
//! | `tests/memory.rs` | says what the memory may and may not do |
//!
//! What it cannot find: an error in the real primitives, or where they promise less than their
//! stand-ins; loads that see a *later* store (no step of the pool stores what depends on a load that
//! could), and errors of weak memory that need two stores to one atomic in another order than they
//! were run in; what differs between the real worker, crew and client and those here; anything that
//! only larger scenarios show.

#![expect(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "nobody else calls this, and to panic is how it finds what it looks for"
)]

pub mod bugs;
pub mod client;
pub mod cpu_contention;
pub mod crossbeam_channel;
pub mod explore;
mod log;
pub mod memory;
pub mod mio;
pub mod net;
pub mod parking_lot;
pub mod pools;
pub mod scenarios;
pub mod world;
