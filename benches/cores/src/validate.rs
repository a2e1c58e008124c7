//! Whether the model predicts what two cores show.

use std::fmt::{self, Write};
use std::io;
use std::time::{Duration, Instant};

use crate::costs::Costs;
use crate::cpu::{CpuUsage, Pair, median};
use crate::run::{Handler, Measured, Run};
use crate::sim::params::{Design, Load, Model, Params};
use crate::sim::simulate;
use crate::sockets::SocketCosts;

/// A run and its steady passes.
#[derive(Debug)]
pub(crate) struct Compared {
    run: Run,
    passes: Vec<Pass>,
    /// Passes that do not count, because the machine's speed changed meanwhile.
    unsteady: usize,
}

/// What was measured, and what the model predicts from the costs before and after.
#[derive(Debug, Clone, Copy)]
struct Pass {
    measured: Measured,
    predicted: Measured,
}

/// How far a prediction of the throughput may be off.
const TOLERANCE: f64 = 0.15;
/// How far the costs before and after a run may differ, and the share of the two cores that other
/// processes may take meanwhile.
const DISTURBANCE: f64 = 0.08;
/// As long as a run with its warm-up: contention lasts for longer once it is noted.
const SIMULATED_NS: u64 = 80_000_000;
/// No further round begins after this time: on a machine that is too busy, each takes long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Measures each run `passes` times, and repeats passes in which the machine's speed changed, up to
/// half as often again. Returns the least costs and all runs.
///
/// A virtual machine's speed changes within seconds. So each pass measures the costs of its run
/// directly before and after it, and is predicted from these.
pub(crate) fn compare(
    pair: Pair,
    passes: usize,
    slice: Duration,
) -> io::Result<(Costs, Vec<Compared>)> {
    let mut all: Vec<_> = runs(pair).into_iter().map(Compared::new).collect();
    let mut all_costs = Vec::new();
    let begin = Instant::now();
    for round in 1..=passes + passes.div_ceil(2) {
        let missing = |compared: &&mut Compared| compared.passes.len() < passes;
        let mut missing: Vec<_> = all.iter_mut().filter(missing).collect();
        if missing.is_empty() || begin.elapsed() > PATIENCE {
            break;
        }
        eprintln!("[round {round}: {} runs]", missing.len());
        let costs = Costs::measure(pair)?;
        for compared in &mut missing {
            compared.measure(pair, &costs, slice)?;
        }
        all_costs.push(costs);
    }
    Ok((Costs::least(all_costs), all))
}

/// Returns the runs. The first two cores are the server's and the load's.
fn runs(pair: Pair) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut add = |handler, pipeline, clients, workers, cores: &[usize]| {
        runs.push(Run {
            workers,
            cores: cores.to_vec(),
            load: pair[1],
            clients,
            pipeline,
            handler,
        });
    };
    for pipeline in [1, 16] {
        for clients in [50, 500] {
            add(Handler::Ping, pipeline, clients, 1, &pair[..1]);
            add(Handler::Ping, pipeline, clients, 2, &pair[..1]);
            add(Handler::Ping, pipeline, clients, 2, &pair);
        }
    }
    for micros in [20, 100] {
        for clients in [50, 500] {
            for workers in [1, 2] {
                add(Handler::Burn(micros), 1, clients, workers, &pair);
            }
        }
    }
    runs
}

impl Run {
    fn params(&self, costs: &Costs, sockets: &SocketCosts) -> Params {
        let handler = match self.handler {
            Handler::Ping => 0,
            Handler::Burn(micros) => 1000 * micros,
        };
        // The simulated pair is 0 and 1, whatever the numbers of the cores.
        let simulated = |core: usize| usize::from(core == self.load);
        Params {
            model: Model {
                handler,
                ..Model::new(sockets, costs, self.pipeline)
            },
            design: Design::POOL,
            workers: self.workers,
            clients: self.clients,
            load: Load::Thread(simulated(self.load)),
            cores: self.cores.iter().map(|&core| simulated(core)).collect(),
            ns: SIMULATED_NS,
        }
    }
}

impl Compared {
    fn new(run: Run) -> Self {
        Self {
            run,
            passes: Vec::new(),
            unsteady: 0,
        }
    }

    /// Adds a pass, if the machine is steady meanwhile.
    fn measure(&mut self, pair: Pair, costs: &Costs, slice: Duration) -> io::Result<()> {
        let Run {
            pipeline, clients, ..
        } = self.run;
        let sockets = costs.sockets(pipeline, clients);
        let usage = CpuUsage::now(pair)?;
        let before = sockets.measure_steady(pair, pipeline, clients)?;
        let measured = self.run.measure(slice)?;
        let after = sockets.measure_steady(pair, pipeline, clients)?;
        let change = (after.exchange_ns() / before.exchange_ns() - 1.0).abs();
        let others = usage.share_of_others(pair)?;
        if change.max(others) > DISTURBANCE {
            self.unsteady += 1;
            return Ok(());
        }
        let outcome = simulate(&self.run.params(costs, &before.mean(after)));
        self.passes.push(Pass {
            measured,
            predicted: Measured {
                turns_per_s: outcome.turns_per_s,
                p99_us: outcome.p99_us,
            },
        });
        Ok(())
    }

    fn median(&self, value: impl Fn(&Pass) -> f64) -> f64 {
        median(self.passes.iter().map(value).collect())
    }

    fn ratio(&self) -> f64 {
        self.median(Pass::ratio)
    }

    /// Whether most of the passes that were wanted are steady.
    pub(crate) fn is_judged(&self, passes: usize) -> bool {
        2 * self.passes.len() > passes
    }

    pub(crate) fn is_near(&self) -> bool {
        (self.ratio() - 1.0).abs() <= TOLERANCE
    }
}

impl Pass {
    fn ratio(&self) -> f64 {
        self.predicted.turns_per_s / self.measured.turns_per_s
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passes.is_empty() {
            return write!(
                out,
                "| {} | – | – | – | – | – | {} |",
                self.run, self.unsteady
            );
        }
        let ratios = || self.passes.iter().map(Pass::ratio);
        write!(
            out,
            "| {} | {:.0} | {:.0} | {:.2} | {:.2} to {:.2} | {:.2} | {} |",
            self.run,
            self.median(|pass| pass.predicted.turns_per_s),
            self.median(|pass| pass.measured.turns_per_s),
            self.ratio(),
            ratios().fold(f64::NAN, f64::min),
            ratios().fold(f64::NAN, f64::max),
            self.median(|pass| pass.predicted.p99_us / pass.measured.p99_us),
            self.unsteady,
        )
    }
}

/// Returns the table of all runs.
pub(crate) fn table(all: &[Compared]) -> String {
    let mut text = "\n| run | turns/s: model | measured | model / measured | all passes \
                    | p99: model / measured | repeated |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for compared in all {
        let _ = writeln!(text, "{compared}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run with passes of these ratios of the model to what was measured.
    fn compared(ratios: &[f64]) -> Compared {
        let measured = |turns_per_s| Measured {
            turns_per_s,
            p99_us: 1.0,
        };
        let pass = |&ratio: &f64| Pass {
            measured: measured(1.0),
            predicted: measured(ratio),
        };
        Compared {
            passes: ratios.iter().map(pass).collect(),
            ..Compared::new(runs([0, 1]).remove(0))
        }
    }

    #[test]
    fn median_pass_decides() {
        assert!(compared(&[0.5, 1.14, 9.0]).is_near());
        assert!(!compared(&[1.0, 1.16, 9.0]).is_near());
        assert!(!compared(&[0.84]).is_near());
    }

    #[test]
    fn numbers_of_the_cores_do_not_matter() {
        let costs = crate::costs::tests::costs();
        let cores = |pair| {
            let of_run = |run: Run| {
                let params = run.params(&costs, costs.sockets(1, 50));
                (params.cores, params.load)
            };
            runs(pair).into_iter().map(of_run).collect::<Vec<_>>()
        };
        assert_eq!(cores([200, 205]), cores([0, 1]));
    }

    #[test]
    fn run_without_a_steady_pass_has_no_numbers() {
        let row = compared(&[]).to_string();
        assert!(!row.contains("NaN"), "{row}");
        assert_eq!(row.matches('|').count(), 8, "{row}");
    }

    #[test]
    fn run_with_few_steady_passes_is_not_judged() {
        assert!(!compared(&[1.0; 4]).is_judged(9));
        assert!(compared(&[1.0; 5]).is_judged(9));
    }
}
