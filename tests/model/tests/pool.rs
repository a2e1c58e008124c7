//! Runs every scenario in many orders, and for every seeded bug the scenario that must find it.
//!
//! `cargo test --profile model -p respool-model`. An argument selects the scenarios and bugs whose
//! names contain it. `MODEL_FACTOR=10` runs ten times as many random orders.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, panic, thread};

use respool_model::bugs::{BUGS, Bug};
use respool_model::explore::{Failure, Orders, explore};
use respool_model::pools::{Make, POOLS};
use respool_model::scenarios::{SCENARIOS, Scenario};

/// A scenario to run.
enum Task {
    Sound(&'static Scenario),
    Buggy(&'static Bug),
}

impl Task {
    fn name(&self) -> &'static str {
        match self {
            Self::Sound(scenario) => scenario.name,
            Self::Buggy(bug) => bug.name,
        }
    }

    /// Returns a report: an error if the pool failed, or a bug was not found.
    fn run(&self, factor: usize) -> Result<String, String> {
        match self {
            Self::Sound(scenario) => run_sound(scenario, factor),
            Self::Buggy(bug) => run_buggy(bug, factor),
        }
    }
}

fn run_sound(scenario: &Scenario, factor: usize) -> Result<String, String> {
    let make = pool("sound");
    let deviating = run(scenario, make, Orders::Deviating(DEVIATIONS_MAX));
    let deviating = deviating.map_err(report)?;
    let random = Orders::Random {
        seed: 0,
        count: RANDOM_ORDERS * factor,
    };
    let random = run(scenario, make, random).map_err(report)?;
    Ok(format!(
        "{deviating} orders with at most {DEVIATIONS_MAX} deviations, {random} random orders"
    ))
}

fn run_buggy(bug: &Bug, factor: usize) -> Result<String, String> {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.name == bug.shown_by)
        .expect("a bug names a scenario");
    let orders = Orders::Random {
        seed: 0,
        count: BUG_ORDERS_MAX * factor,
    };
    match run(scenario, pool(bug.name), orders) {
        Ok(runs) => Err(format!("not found in {runs} orders of {}", scenario.name)),
        Err(Failure { reason, runs, .. }) => {
            let reason = reason.lines().next().unwrap_or_default();
            Ok(format!(
                "found in order {runs} of {}: {reason}",
                scenario.name
            ))
        }
    }
}

fn run(scenario: &Scenario, make: Make, orders: Orders) -> Result<usize, Failure> {
    let run = scenario.run;
    explore(orders, move || run(make))
}

fn pool(name: &str) -> Make {
    let pool = POOLS.iter().find(|(other, _)| *other == name);
    pool.expect("build.rs makes one for each bug").1
}

fn report(failure: Failure) -> String {
    let Failure {
        reason,
        runs,
        trace,
    } = failure;
    format!("order {runs}: {reason}\n\n{trace}")
}

fn main() -> ExitCode {
    // A panic in a scenario is a finding, and is reported by its task.
    panic::set_hook(Box::new(|_| {}));
    let wanted = env::args().skip(1).find(|word| !word.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    let factor = env::var("MODEL_FACTOR").ok();
    let factor = factor.map_or(1, |text| text.parse().expect("MODEL_FACTOR is a number"));
    let sound = SCENARIOS.iter().map(Task::Sound);
    let tasks: Vec<_> = sound
        .chain(BUGS.iter().map(Task::Buggy))
        .filter(|task| task.name().contains(&wanted))
        .collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let report = Mutex::new(());
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            let outcome = task.run(factor);
            failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            let (word, text) = match outcome {
                Ok(text) => ("ok", text),
                Err(text) => ("FAILED", text),
            };
            let took_s = start.elapsed().as_secs_f32();
            let _report = report.lock();
            println!("{word} {} ({took_s:.1} s): {text}", task.name());
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if failed.into_inner() || tasks.is_empty() {
        println!("failed: the pool or the check has an error");
        return ExitCode::FAILURE;
    }
    println!("passed: no error in the pool, and every seeded bug was found");
    ExitCode::SUCCESS
}

/// Random orders for each scenario.
const RANDOM_ORDERS: usize = 20_000;

/// Maximum random orders until a bug is found. Most are found in the first hundred, the rarest
/// after some 60,000.
const BUG_ORDERS_MAX: usize = 200_000;

/// All orders with up to this many deviations are run. One more would take a hundred times as long.
const DEVIATIONS_MAX: usize = 2;
