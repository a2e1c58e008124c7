//! Measures respool against other servers: `cargo run --release -p respool-duel`.
//!
//! benches/README.md explains the method and each figure.

#![cfg(target_os = "linux")]

mod audience;
mod bare;
mod bare_pair;
mod clients;
mod connection;
mod cores;
mod descriptors;
mod idle;
mod latencies;
mod loads;
mod marks;
mod measurement;
mod options;
mod output;
mod pings;
mod place;
mod plot;
mod products;
mod report;
mod results;
mod rounds;
mod scraper;
mod server;
mod setup;
mod slice;
mod tls;
mod usage;
mod visits;
mod wire;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cores::Cores;
use loads::Load;
use marks::{Judged, MARKS, Verdict};
use measurement::measure;
use options::Options;

use products::{Product, target_dir};
use report::Ratios;
use results::Measured;
use server::ServerSpec;
use setup::Setup;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let result = match options.bare_port {
        Some(port) => {
            let serve = if options.bare_pair {
                bare_pair::serve
            } else {
                bare::serve
            };
            let path = options.unixsocket.as_deref();
            serve(port, path, options.bare_ping).map(|()| ExitCode::SUCCESS)
        }
        None if options.scaling => scale(&options),
        None => duel(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("duel: {error}");
        ExitCode::from(2)
    })
}

/// Measures all servers that are installed.
fn duel(options: &Options) -> io::Result<ExitCode> {
    let (mut specs, mut not_installed) = (Vec::new(), Vec::new());
    for product in Product::ALL {
        match ServerSpec::find(product)? {
            Some(spec) => specs.push(ServerSpec {
                is_scraped: options.scraped && product == Product::Respool,
                ..spec
            }),
            None => not_installed.push(product.name()),
        }
    }
    let cores = Cores::divide(options.cpus)?;
    let setup = Setup {
        not_installed,
        ..setup(options, cores, specs)?
    };
    let all = measure_all(&setup, &options.only, loads::all(), Ratios::OfFirst)?;
    let judged = MARKS.map(|mark| mark.judge(&all));
    print!("{}", report::marks(&judged));
    print!(
        "{}",
        report::not_run(&setup.not_installed).unwrap_or_default()
    );
    print!("{}", report::disturbance(&all).unwrap_or_default());
    setup.write("duel.json", &all, &judged)?;
    setup.draw(&all)?;
    Ok(exit_code(options, &judged))
}

/// Measures respool with different numbers of workers.
fn scale(options: &Options) -> io::Result<ExitCode> {
    let respool = ServerSpec::find(Product::Respool)?;
    let respool = respool.ok_or_else(|| io::Error::other("respool was not built"))?;
    let specs = [1, 2, 4, 8, 64].map(|workers| ServerSpec {
        name: format!("{workers} workers").replace("1 workers", "1 worker"),
        more_arguments: vec!["--workers".to_owned(), workers.to_string()],
        ..respool.clone()
    });
    let setup = setup(options, Cores::share(options.cpus)?, specs.into())?;
    let loads = loads::for_scaling();
    let all = measure_all(&setup, &options.only, loads, Ratios::ToFirst)?;
    setup.write("scaling.json", &all, &[])?;
    Ok(ExitCode::SUCCESS)
}

fn setup(options: &Options, cores: Cores, specs: Vec<ServerSpec>) -> io::Result<Setup> {
    for spec in &specs {
        eprintln!("{} {}", spec.name, spec.version);
    }
    Ok(Setup {
        specs,
        not_installed: Vec::new(),
        cores,
        pace: options.pace(),
        out: match &options.out {
            Some(out) => out.clone(),
            None => target_dir()?.join("duel"),
        },
    })
}

/// Runs all loads in every pass, and prints the table of each load in the last pass.
///
/// Each pass has fresh servers, so that no single start decides. A disturbance that lasts a minute
/// affects one pass of several loads, and not all passes of one load.
fn measure_all(
    setup: &Setup,
    only: &str,
    mut loads: Vec<Load>,
    ratios: Ratios,
) -> io::Result<Vec<Measured>> {
    loads.retain(|load| load.name.contains(only));
    if loads.is_empty() {
        return Err(io::Error::other("no load has such a name"));
    }
    let mut all: Vec<_> = loads.iter().map(|load| Measured::of(&load.name)).collect();
    let (passes, count) = (setup.pace.passes, loads.len());
    for pass in 1..=passes {
        for (index, (load, measured)) in loads.iter().zip(&mut all).enumerate() {
            let name = &load.name;
            eprintln!("[pass {pass}/{passes}, {}/{count}] {name}", index + 1);
            measured.extend(measure(load, setup).map_err(context(name))?);
            if pass == passes {
                print!("{}", report::table(measured, ratios));
            }
        }
    }
    Ok(all)
}

/// Returns a function that puts `what` before the text of an error.
fn context(what: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn exit_code(options: &Options, judged: &[Judged]) -> ExitCode {
    let is = |verdict| move |mark: &Judged| mark.verdict == verdict;
    let fails =
        judged.iter().any(is(Verdict::Misses)) || judged.iter().all(is(Verdict::NotMeasured));
    ExitCode::from(u8::from(options.check && fails))
}
