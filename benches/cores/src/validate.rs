//! Whether the model predicts what two cores show.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use crate::costs::Costs;
use crate::cpu::Pair;
use crate::run::{Handler, Measured, Run};
use crate::sim::params::{Design, Load, Model, Outcome, Params};
use crate::sim::simulate;

/// A run, what was measured, and what the model predicts.
#[derive(Debug)]
pub(crate) struct Compared {
    run: Run,
    measured: Measured,
    predicted: Outcome,
}

/// How far a prediction of the throughput may be off.
const TOLERANCE: f64 = 0.15;
const SIMULATED_NS: u64 = 300_000_000;

/// Measures costs and runs in turns, because the machine changes from minute to minute. Takes the
/// best pass of both: disturbances only slow down.
pub(crate) fn compare(
    pair: Pair,
    passes: usize,
    slice: Duration,
) -> io::Result<(Costs, Vec<Compared>)> {
    let runs = runs(pair);
    let mut all_costs = Vec::new();
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); runs.len()];
    for pass in 1..=passes {
        eprintln!("[pass {pass}/{passes}]");
        all_costs.push(Costs::measure(pair)?);
        for (run, measured) in runs.iter().zip(&mut all) {
            measured.push(run.measure(slice)?);
        }
    }
    let costs = Costs::least(all_costs);
    let compared = runs.into_iter().zip(all).map(|(run, measured)| {
        let best = |better: fn(f64, f64) -> f64, value: fn(&Measured) -> f64| {
            measured
                .iter()
                .map(value)
                .reduce(better)
                .unwrap_or(f64::NAN)
        };
        Compared {
            measured: Measured {
                turns_per_s: best(f64::max, |measured| measured.turns_per_s),
                p99_us: best(f64::min, |measured| measured.p99_us),
            },
            predicted: simulate(&run.params(&costs)),
            run,
        }
    });
    let compared = compared.collect();
    Ok((costs, compared))
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
    for clients in [50, 500] {
        for workers in [1, 2] {
            add(Handler::Burn(100), 1, clients, workers, &pair);
        }
    }
    runs
}

impl Run {
    fn params(&self, costs: &Costs) -> Params {
        let sockets = costs.sockets(self.pipeline, self.clients);
        let handler = match self.handler {
            Handler::Ping => 0,
            Handler::Burn(micros) => 1000 * micros,
        };
        Params {
            model: Model {
                handler,
                ..Model::new(sockets, costs, self.pipeline)
            },
            design: Design::POOL,
            workers: self.workers,
            clients: self.clients,
            load: Load::Thread(self.load),
            cores: self.cores.clone(),
            ns: SIMULATED_NS,
        }
    }
}

impl Compared {
    fn ratio(&self) -> f64 {
        self.predicted.turns_per_s / self.measured.turns_per_s
    }

    pub(crate) fn is_near(&self) -> bool {
        (self.ratio() - 1.0).abs() <= TOLERANCE
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            run,
            measured,
            predicted,
        } = self;
        let (ratio, p99_ratio) = (self.ratio(), predicted.p99_us / measured.p99_us);
        write!(
            out,
            "| {run} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {:.0} | {p99_ratio:.2} |",
            predicted.turns_per_s, measured.turns_per_s, predicted.p99_us, measured.p99_us,
        )
    }
}

/// Returns the table of all runs.
pub(crate) fn table(all: &[Compared]) -> String {
    let mut text =
        "\n| run | turns/s: model | measured | ratio | p99 µs: model | measured | ratio |\n\
                    |---|---|---|---|---|---|---|\n"
            .to_owned();
    for compared in all {
        let _ = writeln!(text, "{compared}");
    }
    text
}
