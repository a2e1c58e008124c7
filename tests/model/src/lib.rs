//! Checks respool's pool over many interleavings, and checks that the check can fail.
//!
//! It checks the text of `src/pool`, not a copy that could drift. `build.rs` takes that text and
//! replaces the primitives by the stand-ins of this crate, so the pool itself needs no hooks. Each of
//! the [`bugs`] is seeded into its own copy of the pool, and the check must find them all.
//!
//! | file | content |
//! |---|---|
//! | `explore.rs` | the scheduler: threads, the order in which they run, deadlocks |
//! | `memory.rs` | atomics and fences whose loads may return old values |
//! | `parking_lot.rs`, `crossbeam_channel.rs`, `mio.rs`, `logging.rs` | stand-ins for the crates and for our log lines |
//! | `cpu_contention.rs`, `queue_wait.rs` | stand-ins for the parts of the pool that read a clock |
//! | `client.rs`, `world.rs` | small versions of everything around the pool: clients, peers, workers |
//! | `scenarios.rs` | the scenarios |
//! | `bugs.rs`, `pools.rs` | the seeded bugs, and the pools with and without them |
//! | `tests/pool.rs` | runs the scenarios |
//! | `tests/memory.rs` | tests what the memory may and may not do |
//!
//! The check cannot find:
//!
//! - errors in the real primitives, or promises of the stand-ins that the real ones do not make;
//! - errors that need a load to return a *later* store (no step of the pool stores a value that depends
//!   on such a load), or two stores to one atomic in another order than that of the run;
//! - differences between the real worker, worker threads and client and those of the model;
//! - errors that only larger scenarios show.

#![expect(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "only its own tests call this crate, and a panic reports an error of the pool"
)]

pub mod bugs;
pub mod client;
pub mod cpu_contention;
pub mod crossbeam_channel;
pub mod explore;
mod logging;
pub mod memory;
pub mod mio;
pub mod net;
pub mod parking_lot;
pub mod pools;
pub mod queue_wait;
pub mod scenarios;
pub mod world;
