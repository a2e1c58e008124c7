//! Plays every scenario in many orders, and with every seeded bug the one that shows it.
//!
//! `cargo test --profile model -p respool-model`. An argument plays only the scenarios and bugs whose
//! names contain it. `MODEL_FACTOR=10` draws ten times as many orders.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use std::{env, panic, thread};

use respool_model::bugs::{BUGS, Bug};
use respool_model::explore::{Failure, Orders, explore};
use respool_model::pools::{Make, POOLS};
use respool_model::scenarios::{SCENARIOS, Scenario};

/// Something to play.
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

    /// Gives what to report: an error if the pool is wrong, or a bug was not found.
    fn play(&self, factor: usize) -> Result<String, String> {
        match self {
            Self::Sound(scenario) => play_sound(scenario, factor),
            Self::Buggy(bug) => play_buggy(bug, factor),
        }
    }
}

fn play_sound(scenario: &Scenario, factor: usize) -> Result<String, String> {
    let make = pool("sound");
    let deviating = play(scenario, make, Orders::Deviating(DEVIATIONS_MAX));
    let deviating = deviating.map_err(tell)?;
    let drawn = Orders::Drawn {
        seed: 0,
        count: DRAWN * factor,
    };
    let drawn = play(scenario, make, drawn).map_err(tell)?;
    Ok(format!(
        "{deviating} orders that deviate at most {DEVIATIONS_MAX} times, {drawn} drawn"
    ))
}

fn play_buggy(bug: &Bug, factor: usize) -> Result<String, String> {
    let scenario = SCENARIOS
        .iter()
        .find(|scenario| scenario.name == bug.shown_by)
        .expect("a bug names a scenario");
    let orders = Orders::Drawn {
        seed: 0,
        count: DRAWN * factor,
    };
    match play(scenario, pool(bug.name), orders) {
        Ok(runs) => Err(format!("not found in {runs} orders of {}", scenario.name)),
        Err(Failure { why, runs, .. }) => {
            let why = why.lines().next().unwrap_or_default();
            Ok(format!("found in order {runs} of {}: {why}", scenario.name))
        }
    }
}

fn play(scenario: &Scenario, make: Make, orders: Orders) -> Result<usize, Failure> {
    let play = scenario.play;
    explore(orders, move || play(make))
}

fn pool(name: &str) -> Make {
    let pool = POOLS.iter().find(|(other, _)| *other == name);
    pool.expect("build.rs makes one for each bug").1
}

fn tell(failure: Failure) -> String {
    let Failure { why, runs, trace } = failure;
    format!("order {runs}: {why}\n\n{trace}")
}

fn main() -> ExitCode {
    // A panic in a scenario is what is looked for, and is reported in its place.
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
            let outcome = task.play(factor);
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
        println!("the pool is wrong, or the check is");
        return ExitCode::FAILURE;
    }
    println!("the pool holds, and every seeded bug was found");
    ExitCode::SUCCESS
}

/// Orders drawn for each scenario, and at most for each bug.
const DRAWN: usize = 20_000;

/// All orders that deviate this often are tried: one more, and it takes a hundred times as long.
const DEVIATIONS_MAX: usize = 2;
