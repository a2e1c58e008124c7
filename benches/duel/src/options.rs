//! The command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, value_parser};

/// Measures respool against other servers, which it starts and stops itself. benches/README.md says
/// what each figure means.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "flags are just that")]
#[command(name = "duel", bin_name = "cargo bench --bench duel --", version)]
pub(crate) struct Options {
    /// Few and short slices: all within a minute
    #[arg(long)]
    quick: bool,
    /// Only the loads whose name contains TEXT
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) only: String,
    /// How often all loads are gone through, with fresh servers (5; with --quick 1)
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1000))]
    passes: Option<u64>,
    /// Slices of each server for each load in a pass (9; with --quick 5)
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=10_000))]
    rounds: Option<u64>,
    /// Milliseconds that a slice takes (100; with --quick 40)
    #[arg(long, value_name = "MS", value_parser = value_parser!(u64).range(10..=60_000))]
    slice: Option<u64>,
    /// The CPU of the servers and that of the load (the first two)
    #[arg(long, value_name = "A,B", value_parser = two_cpus)]
    pub(crate) cpus: Option<(usize, usize)>,
    /// Where the JSON and the plot go (duel in the build directory)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail if a mark is missed, or none could be looked at
    #[arg(long, conflicts_with = "scaling")]
    pub(crate) check: bool,
    /// respool alone instead, with 1 to 64 workers on all CPUs
    #[arg(long)]
    pub(crate) scaling: bool,
    /// cargo says this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) passes: usize,
    /// In each pass.
    pub(crate) rounds: usize,
    pub(crate) slice: Duration,
}

impl Options {
    pub(crate) fn pace(&self) -> Pace {
        let (passes, rounds, slice_ms) = if self.quick { (1, 5, 40) } else { (5, 9, 100) };
        Pace {
            // At most 1,000 and 10,000, so they fit.
            passes: self.passes.unwrap_or(passes) as usize,
            rounds: self.rounds.unwrap_or(rounds) as usize,
            slice: Duration::from_millis(self.slice.unwrap_or(slice_ms)),
        }
    }

    pub(crate) fn out(&self) -> PathBuf {
        let program = Path::new(env!("CARGO_BIN_EXE_respool"));
        let target = program.ancestors().nth(2).unwrap_or(Path::new("target"));
        self.out.clone().unwrap_or_else(|| target.join("duel"))
    }
}

/// Two different ones that a set of CPUs can hold.
fn two_cpus(text: &str) -> Result<(usize, usize), String> {
    const CPU_MAX: usize = 1023;
    let cpu = |word: &str| word.parse().ok().filter(|&cpu: &usize| cpu <= CPU_MAX);
    let pair = text.split_once(',');
    let cpus = pair.and_then(|(server, load)| Some((cpu(server)?, cpu(load)?)));
    match cpus {
        Some((server, load)) if server != load => Ok((server, load)),
        _ => Err("two different numbers of CPUs are needed, such as 0,1".to_owned()),
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, String> {
        let words = [&["duel"], words].concat();
        Options::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn the_flags_are_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn what_is_said_outweighs_quick() {
        let options = parsed(&["--bench", "--quick", "--rounds", "7"]).expect("it is right");
        let pace = options.pace();
        assert_eq!((pace.passes, pace.rounds), (1, 7));
        assert_eq!(pace.slice, Duration::from_millis(40));
    }

    #[test]
    fn a_mistake_is_told() {
        for (words, told) in [
            (["--rounds", "0"], "0 is not in 1..=10000"),
            (["--passes", "1001"], "1001 is not in 1..=1000"),
            (["--slice", "soon"], "invalid digit"),
            (["--cpus", "1,1"], "two different numbers"),
            (["--cpus", "1"], "two different numbers"),
            (["--fast", ""], "unexpected argument '--fast'"),
        ] {
            let error = parsed(&words).expect_err("it is wrong");
            assert!(error.contains(told), "{error}");
        }
    }
}
