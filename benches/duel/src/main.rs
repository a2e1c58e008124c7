//! respool against its rivals: `cargo bench --bench duel`. benches/README.md says how it is measured
//! and what each figure means; `-- --help` lists the options.

mod bare;
mod cores;
mod crowd;
mod descriptors;
mod document;
mod field;
mod histogram;
mod loads;
mod machine;
mod marks;
mod options;
mod output;
mod pings;
mod plot;
mod products;
mod race;
#[path = "../../../tests/process/reaper.rs"]
mod reaper;
mod report;
mod results;
mod server;
mod usage;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use cores::{Cores, LEASH_ARGUMENT};
use field::Field;
use loads::Load;
use marks::{Judged, MARKS, Verdict};
use options::Options;
use output::Bench;
use pings::Ping;
use products::{BARE_ARGUMENT, RESPOOL, Rival};
use results::Measured;
use server::Recipe;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let first = arguments.first().and_then(|argument| argument.to_str());
    let result = match first {
        Some(LEASH_ARGUMENT) => Err(cores::become_program(&arguments[1..])),
        Some(BARE_ARGUMENT) => serve_bare(&arguments[1..]).map(|()| ExitCode::SUCCESS),
        _ => run(&Options::parse()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("duel: {error}");
        ExitCode::from(2)
    })
}

/// The arguments are the port, and the PING that it will be asked.
fn serve_bare(arguments: &[OsString]) -> io::Result<()> {
    let words: Option<Vec<_>> = arguments.iter().map(|word| word.to_str()).collect();
    let parsed = match words.as_deref() {
        Some([port, ping]) => port.parse().ok().zip(Ping::from_word(ping)),
        _ => None,
    };
    let (port, ping) = parsed.ok_or_else(|| io::Error::other("a port and a PING are needed"))?;
    bare::serve(port, ping)
}

fn run(options: &Options) -> io::Result<ExitCode> {
    let cores = Cores::apart(options.cpus)?;
    cores.move_to_load()?;
    if options.scaling {
        return scale(options, &cores.with_all_for_servers()?);
    }
    let (recipes, versions) = everybody()?;
    let names: Vec<_> = recipes.iter().map(|recipe| recipe.name.clone()).collect();
    let pairs: Vec<_> = names[1..]
        .iter()
        .map(|rival| (RESPOOL, rival.as_str()))
        .collect();
    let bench = Bench {
        versions,
        cores,
        pace: options.pace(),
        out: options.out(),
    };
    let tables = Tables {
        subject: RESPOOL,
        pairs: &pairs,
    };
    let all = measure_all(&recipes, &bench, &options.only, loads::all(), tables)?;
    let judged = MARKS.map(|mark| mark.judge(&all));
    print!("{}", report::marks(&judged));
    print!("{}", report::disturbance(&all).unwrap_or_default());
    bench.write("duel", &all, &pairs, &judged)?;
    bench.draw(&all)?;
    Ok(exit_code(options, &judged))
}

/// respool with different numbers of workers, each against one.
fn scale(options: &Options, cores: &Cores) -> io::Result<ExitCode> {
    const WORKERS: [usize; 5] = [1, 2, 4, 8, 64];
    let names =
        WORKERS.map(|workers| format!("{workers} workers").replace("1 workers", "1 worker"));
    let respool = found(Rival::Respool)?;
    let recipe = |(workers, name): (usize, &String)| Recipe {
        name: name.clone(),
        more_arguments: vec!["--workers".to_owned(), workers.to_string()],
        ..respool.clone()
    };
    let recipes: Vec<_> = WORKERS.into_iter().zip(&names).map(recipe).collect();
    let pairs: Vec<_> = names[1..]
        .iter()
        .map(|name| (name.as_str(), names[0].as_str()))
        .collect();
    let bench = Bench {
        versions: BTreeMap::from([(RESPOOL.to_owned(), respool.version.clone())]),
        cores: cores.clone(),
        pace: options.pace(),
        out: options.out(),
    };
    let tables = Tables {
        subject: &names[0],
        pairs: &pairs,
    };
    let all = measure_all(
        &recipes,
        &bench,
        &options.only,
        loads::for_scaling(),
        tables,
    )?;
    bench.write("scaling", &all, &pairs, &[])?;
    Ok(ExitCode::SUCCESS)
}

fn exit_code(options: &Options, judged: &[Judged]) -> ExitCode {
    let misses = judged.iter().any(|mark| mark.verdict == Verdict::Misses);
    let nothing = judged
        .iter()
        .all(|mark| mark.verdict == Verdict::NotMeasured);
    ExitCode::from(u8::from(options.check && (misses || nothing)))
}

/// Everybody who is installed, and the versions.
fn everybody() -> io::Result<(Vec<Recipe>, BTreeMap<String, String>)> {
    let (mut recipes, mut versions) = (Vec::new(), BTreeMap::new());
    for rival in Rival::ALL {
        match found(rival) {
            Ok(recipe) => {
                eprintln!("{} {}", recipe.name, recipe.version);
                versions.insert(recipe.name.clone(), recipe.version.clone());
                recipes.push(recipe);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => eprintln!("{error}"),
            Err(error) => return Err(error),
        }
    }
    Ok((recipes, versions))
}

fn found(rival: Rival) -> io::Result<Recipe> {
    let name = rival.name().to_owned();
    let Some((program, version)) = rival.find()? else {
        let text = format!("{name} is not installed and is left out");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    };
    Ok(Recipe {
        name,
        rival,
        program,
        version,
        more_arguments: Vec::new(),
    })
}

/// Whom the tables compare.
#[derive(Clone, Copy)]
struct Tables<'a> {
    subject: &'a str,
    pairs: &'a [(&'a str, &'a str)],
}

/// Goes through the loads again and again, so that what the machine does for a minute touches a pass
/// of each and not all of one; with fresh servers, so that how one start turned out does not decide.
/// Prints the table of a load behind its last pass.
fn measure_all(
    recipes: &[Recipe],
    bench: &Bench,
    only: &str,
    loads: Vec<Load>,
    tables: Tables<'_>,
) -> io::Result<Vec<Measured>> {
    let chosen: Vec<_> = loads
        .into_iter()
        .filter(|load| load.name.contains(only))
        .collect();
    if chosen.is_empty() {
        let text = format!("no load's name contains {only:?}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let passes = bench.pace.passes;
    let mut all: Vec<Measured> = Vec::new();
    for pass in 1..=passes {
        let field = Field::start(recipes, &bench.cores, bench.pace)?;
        for (index, load) in chosen.iter().enumerate() {
            let (number, count) = (index + 1, chosen.len());
            eprintln!("[pass {pass}/{passes}, {number}/{count}] {}", load.name);
            let outcome = field
                .measure(load)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", load.name)))?;
            if let Some(remark) = outcome.remark {
                eprintln!("{}: {remark}", load.name);
            }
            if let Some(measured) = all.get_mut(index) {
                measured.extend(outcome.measured);
            } else {
                all.push(outcome.measured);
            }
            if pass == passes {
                print!(
                    "{}",
                    report::table(&all[index], tables.subject, tables.pairs)
                );
            }
        }
    }
    Ok(all)
}
