//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, value_parser};

use crate::pings::Ping;

/// Measures respool against other servers, which it starts and stops. benches/README.md explains
/// each figure.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo run --release -p respool-duel --", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Options {
    /// Measure for less than a minute, and roughly
    #[arg(long)]
    quick: bool,
    /// Run only the loads whose name contains TEXT
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) only: String,
    /// Number of times that all loads are run, with fresh servers [default: 5, quick: 1]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1000))]
    passes: Option<u16>,
    /// Slices of each server for each load in a pass [default: 9, quick: 5]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=10_000))]
    rounds: Option<u16>,
    /// Length of a slice in milliseconds [default: 100, quick: 40]
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(10..=60_000))]
    slice: Option<u64>,
    /// CPU of the servers and CPU of the load [default: the first two]
    #[arg(long, value_name = "A,B", value_parser = two_cpus)]
    pub(crate) cpus: Option<(usize, usize)>,
    /// Directory of the JSON and the plot [default: duel in the target directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Exit with code 1 if a mark is missed or none was measured
    #[arg(long, conflicts_with = "scaling")]
    pub(crate) check: bool,
    /// Scrape respool's /metrics ten times a second meanwhile
    #[arg(long, conflicts_with = "scaling")]
    pub(crate) scraped: bool,
    /// Measure respool alone, with 1 to 64 workers on all CPUs
    #[arg(long)]
    pub(crate) scaling: bool,
    /// Run as the bare server on this port.
    #[arg(long, hide = true)]
    pub(crate) bare_port: Option<u16>,
    /// Listen on this Unix socket as the bare server, not on the port.
    #[arg(long, hide = true, requires = "bare_port")]
    pub(crate) unixsocket: Option<PathBuf>,
    /// Accept in a thread of its own, as the bare pair.
    #[arg(long, hide = true, requires = "bare_port")]
    pub(crate) bare_pair: bool,
    /// The PING that the bare server will be asked.
    #[arg(long, hide = true, default_value_t = Ping::Array)]
    pub(crate) bare_ping: Ping,
}

/// How often and how long each server is measured under each load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) passes: usize,
    /// Slices in each pass.
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
}

impl Options {
    pub(crate) fn pace(&self) -> Pace {
        let (passes, rounds, slice_ms) = if self.quick { (1, 5, 40) } else { (5, 9, 100) };
        Pace {
            passes: self.passes.unwrap_or(passes).into(),
            rounds: self.rounds.unwrap_or(rounds).into(),
            slice: Duration::from_millis(self.slice.unwrap_or(slice_ms)),
        }
    }
}

/// Parses two different CPUs that a set of CPUs can hold.
fn two_cpus(text: &str) -> Result<(usize, usize), String> {
    const CPU_MAX: usize = 1023;
    let cpu = |word: &str| word.parse().ok().filter(|&cpu: &usize| cpu <= CPU_MAX);
    let pair = text.split_once(',');
    let cpus = pair.and_then(|(server, load)| Some((cpu(server)?, cpu(load)?)));
    cpus.filter(|(server, load)| server != load)
        .ok_or_else(|| "two different CPUs are needed, such as 0,1".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Options, String> {
        let words = [&["duel"], words].concat();
        Options::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_are_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn explicit_values_override_quick() {
        let options = parse(&["--quick", "--rounds", "7"]).expect("it is valid");
        let pace = options.pace();
        assert_eq!((pace.passes, pace.rounds), (1, 7));
        assert_eq!(pace.slice, Duration::from_millis(40));
    }

    #[test]
    fn invalid_flags_are_reported() {
        for (words, text) in [
            (["--rounds", "0"], "0 is not in 1..=10000"),
            (["--passes", "1001"], "1001 is not in 1..=1000"),
            (["--slice", "soon"], "invalid digit"),
            (["--cpus", "1,1"], "two different CPUs"),
            (["--cpus", "1"], "two different CPUs"),
            (["--fast", ""], "unexpected argument '--fast'"),
        ] {
            let error = parse(&words).expect_err("it is invalid");
            assert!(error.contains(text), "{error}");
        }
    }
}
