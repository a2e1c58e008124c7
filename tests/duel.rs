//! The parts of the bench `duel` that have tests, which stand beside them.

#![allow(dead_code, reason = "the bench uses all of it")]

#[path = "../benches/duel/accounting.rs"]
mod accounting;
#[path = "../benches/duel/bare.rs"]
mod bare;
#[path = "../benches/duel/crowd.rs"]
mod crowd;
#[path = "../benches/duel/descriptors.rs"]
mod descriptors;
#[path = "../benches/duel/histogram.rs"]
mod histogram;
#[path = "../benches/duel/loads.rs"]
mod loads;
#[path = "../benches/duel/marks.rs"]
mod marks;
#[path = "../benches/duel/options.rs"]
mod options;
#[path = "../benches/duel/pings.rs"]
mod pings;
#[path = "../benches/duel/place.rs"]
mod place;
#[path = "../benches/duel/plot.rs"]
mod plot;
#[path = "process/reaper.rs"]
mod reaper;
#[path = "../benches/duel/report.rs"]
mod report;
#[path = "../benches/duel/results.rs"]
mod results;
#[path = "../benches/duel/rivals.rs"]
mod rivals;
#[path = "../benches/duel/server.rs"]
mod server;
