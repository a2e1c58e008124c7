//! The command line.

use std::path::PathBuf;

use clap::{Parser, value_parser};

/// Measures what the pool's shared points cost on two cores, and simulates the pool on many.
///
/// Prints tables of the costs and of the throughput on 1 to 128 cores, and draws a plot.
#[derive(Debug, Parser)]
#[command(name = "cores", version)]
pub(crate) struct Options {
    /// Compare the model with runs of the server on two cores; the exit code is 1 if the throughput
    /// of any is more than 15 % off, and 3 if the machine was too busy to judge
    #[arg(long, conflicts_with_all = ["transfer", "out"])]
    pub(crate) validate: bool,

    /// Take some seconds: rough costs, few cores and a short simulated time
    #[arg(long)]
    pub(crate) quick: bool,

    /// Nanoseconds in which a cache line moves from core to core, up to a million
    #[arg(long, value_name = "NS", default_value_t = 50)]
    #[arg(value_parser = value_parser!(u64).range(..=1_000_000))]
    pub(crate) transfer: u64,

    /// Folder for the plot; target/cores by default
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
}

impl Options {
    /// How often the costs, and the runs, are measured; validation repeats some.
    pub(crate) fn passes(&self) -> usize {
        if self.quick { 1 } else { 9 }
    }
}
