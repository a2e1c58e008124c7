//! What one scrape shows.

use super::durations::{CommandDurations, Shown};
use crate::state::ServerState;
use crate::state::stats::Counts;

pub(super) struct Scrape<'a> {
    pub(super) state: &'a ServerState,
    /// The sums over all workers.
    pub(super) totals: &'a Counts,
    pub(super) settings: Settings,
    pub(super) durations: &'a CommandDurations,
    pub(super) queue_wait: &'a Shown,
    pub(super) started_s: u64,
}

/// Values of the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    pub(super) maxclients: usize,
    pub(super) workers: usize,
}
