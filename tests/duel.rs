//! The parts of the bench `duel` that have tests, which stand beside them.

#![allow(dead_code, reason = "the bench uses all of it")]

#[path = "../benches/duel/src/bare.rs"]
mod bare;
#[path = "../benches/duel/src/cores.rs"]
mod cores;
#[path = "../benches/duel/src/crowd.rs"]
mod crowd;
#[path = "../benches/duel/src/descriptors.rs"]
mod descriptors;
#[path = "../benches/duel/src/histogram.rs"]
mod histogram;
#[path = "../benches/duel/src/loads.rs"]
mod loads;
#[path = "../benches/duel/src/marks.rs"]
mod marks;
#[path = "../benches/duel/src/options.rs"]
mod options;
#[path = "../benches/duel/src/pings.rs"]
mod pings;
#[path = "../benches/duel/src/plot.rs"]
mod plot;
#[path = "../benches/duel/src/products.rs"]
mod products;
#[path = "process/reaper.rs"]
mod reaper;
#[path = "../benches/duel/src/report.rs"]
mod report;
#[path = "../benches/duel/src/results.rs"]
mod results;
#[path = "../benches/duel/src/server.rs"]
mod server;
#[path = "../benches/duel/src/usage.rs"]
mod usage;
