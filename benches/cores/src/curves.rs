//! The pool and other designs on 1 to 128 cores.

use std::fmt::Write;

use crate::costs::{Costs, FEW};
use crate::sim::params::{Design, Load, Model, Outcome, Params};
use crate::sim::simulate;

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) pipeline: usize,
    handler_ns: u64,
}

pub(crate) const WORKS: [Work; 3] = [
    Work {
        name: "P=1",
        pipeline: 1,
        handler_ns: 0,
    },
    Work {
        name: "P=16",
        pipeline: 16,
        handler_ns: 0,
    },
    Work {
        name: "a command of 100 µs",
        pipeline: 1,
        handler_ns: 100_000,
    },
];

pub(crate) const CORES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Clients for each core.
const CLIENTS: usize = FEW;
/// From a reply to the next request of its client, on average.
const NETWORK_NS: u64 = 20_000;

/// A design on all numbers of cores.
#[derive(Debug)]
pub(crate) struct Curve {
    pub(crate) design: &'static str,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Returns the designs, for this number of cores.
fn designs(cores: usize) -> [(&'static str, Design); 6] {
    let groups_of = |workers: usize| Design {
        groups: (cores / workers).max(1),
        ..Design::POOL
    };
    [
        ("the pool as it is", Design::POOL),
        (
            "20 spins, also during a poll",
            Design {
                spins_on: false,
                ..Design::POOL
            },
        ),
        (
            "batches of 8, polls of 32",
            Design {
                batch: 8,
                events: 32,
                ..Design::POOL
            },
        ),
        ("a poll for 4 workers", groups_of(4)),
        ("a poll for 2 workers", groups_of(2)),
        ("a poll for each worker", groups_of(1)),
    ]
}

/// Simulates all designs on each of these numbers of cores, each for `ns` of simulated time.
pub(crate) fn curves(
    costs: &Costs,
    work: Work,
    transfer: u64,
    (all_cores, ns): (&[usize], u64),
) -> Vec<Curve> {
    let model = Model::new(costs.sockets(work.pipeline, CLIENTS), costs, work.pipeline);
    let model = Model {
        handler: work.handler_ns,
        ..model.with_transfer(transfer)
    };
    let outcome = |index: usize, cores| {
        let (_, design) = designs(cores)[index];
        simulate(&Params {
            model: model.clone(),
            design,
            workers: cores,
            clients: CLIENTS * cores,
            load: Load::Far(NETWORK_NS),
            cores: (0..cores).collect(),
            // Slow commands need longer for as many turns.
            ns: ns + 10 * work.handler_ns * CLIENTS as u64,
        })
    };
    let curve = |(index, (design, _))| Curve {
        design,
        outcomes: all_cores
            .iter()
            .map(|&cores| outcome(index, cores))
            .collect(),
    };
    designs(1).into_iter().enumerate().map(curve).collect()
}

/// Returns the throughput of a curve relative to the pool on one core.
pub(crate) fn relative(curves: &[Curve], curve: &Curve) -> Vec<f64> {
    let one = curves[0].outcomes[0].turns_per_s;
    let outcomes = curve.outcomes.iter();
    outcomes.map(|outcome| outcome.turns_per_s / one).collect()
}

/// Returns the table of all curves.
pub(crate) fn table(curves: &[Curve], work: Work, transfer: u64) -> String {
    let pool = &curves[0].outcomes;
    let cores = CORES[..pool.len()]
        .iter()
        .map(|cores| format!(" {cores} |"));
    let mut text = format!(
        "\n{}, {transfer} ns for a line; 1.0 is {:.0} turns/s; p99 in µs in brackets\n\n\
         | cores |{}\n|---|{}\n",
        work.name,
        pool[0].turns_per_s,
        cores.collect::<String>(),
        "---|".repeat(pool.len())
    );
    for curve in curves {
        let _ = write!(text, "| {} |", curve.design);
        for (ratio, outcome) in relative(curves, curve).iter().zip(&curve.outcomes) {
            let _ = write!(text, " {ratio:.1} ({:.0}) |", outcome.p99_us);
        }
        text.push('\n');
    }
    let mut shares = |name, share: fn(&Outcome) -> f64| {
        let _ = write!(text, "| {name} |");
        for outcome in pool {
            let _ = write!(text, " {:.0} |", 100.0 * share(outcome));
        }
        text.push('\n');
    };
    shares("the watch is held, %", |outcome| outcome.watch_held);
    shares("workers sleep, %", |outcome| outcome.asleep);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::tests::costs;

    /// What benches/README.md and docs/several-processes.md advise.
    #[test]
    fn one_pool_is_as_good_as_processes_up_to_some_cores() {
        let shares = |work, all_cores: &[usize]| {
            let curves = curves(&costs(), work, 50, (all_cores, 5_000_000));
            let of = |design| {
                let named = |curve: &&Curve| curve.design == design;
                let curve = curves.iter().find(named).expect("it is a design");
                relative(&curves, curve)
            };
            let (pool, processes) = (of("the pool as it is"), of("a poll for each worker"));
            let share = |(pool, processes)| pool / processes;
            pool.into_iter()
                .zip(processes)
                .map(share)
                .collect::<Vec<f64>>()
        };
        let [ping, _, slow] = WORKS;
        let near = |value: f64, expected: f64| (value - expected).abs() < 0.06;
        let [_, four, eight, sixteen] = shares(ping, &[1, 4, 8, 16])[..] else {
            unreachable!("as many as cores")
        };
        assert!(near(four, 0.78), "{four}");
        assert!(near(eight, 0.63), "{eight}");
        assert!(near(sixteen, 0.45), "{sixteen}");
        let [_, many] = shares(slow, &[1, 32])[..] else {
            unreachable!("as many as cores")
        };
        assert!(near(many, 0.91), "{many}");
    }
}
