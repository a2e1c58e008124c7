//! A model of the pool on many cores: `cargo run --release -p respool-cores`.
//!
//! benches/README.md explains the model and its limits.

#![cfg(target_os = "linux")]

mod client;
mod costs;
mod cpu;
mod curves;
mod lines;
mod options;
mod plot;
mod report;
mod run;
mod sim;
mod sockets;
mod validate;
mod wakes;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use costs::Costs;
use curves::{CORES, WORKS, curves};
use options::Options;
use validate::Compared;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let result = if options.validate {
        validate_model(&options)
    } else {
        draw_curves(&options)
    };
    result.unwrap_or_else(|error| {
        eprintln!("cores: {error}");
        ExitCode::from(2)
    })
}

fn validate_model(options: &Options) -> io::Result<ExitCode> {
    let (passes, slice) = (options.passes(), Duration::from_millis(60));
    let (costs, compared) = validate::compare(cpu::pair()?, passes, slice)?;
    print!("{costs}{}", validate::table(&compared));
    let is_judged = |compared: &&Compared| compared.is_judged(passes);
    let judged = compared.iter().filter(is_judged).count();
    let near = compared
        .iter()
        .filter(|compared| compared.is_near())
        .count();
    let all = compared.len();
    if judged < all {
        println!(
            "\nNo verdict: the machine was too busy for {} of {all} runs.",
            all - judged
        );
        return Ok(ExitCode::from(3));
    }
    println!("\n{near} of {all} runs are within 15 %.");
    Ok(ExitCode::from(u8::from(near < all)))
}

fn draw_curves(options: &Options) -> io::Result<ExitCode> {
    let pair = cpu::pair()?;
    let out = match &options.out {
        Some(out) => out.clone(),
        None => target_dir()?.join("cores"),
    };
    // Before the measurements, which take minutes.
    let in_out = |error| io::Error::other(format!("cannot write to {}: {error}", out.display()));
    fs::create_dir_all(&out).map_err(in_out)?;
    let measured = (0..options.passes()).map(|_| Costs::measure(pair));
    let costs = Costs::least(measured.collect::<io::Result<_>>()?);
    cpu::pin(&pair)?;
    print!("{costs}");
    let extent: (&[usize], u64) = if options.quick {
        (&CORES[..3], 5_000_000)
    } else {
        (&CORES, 50_000_000)
    };
    let mut all = Vec::new();
    for work in WORKS {
        let curves = curves(&costs, work, options.transfer, extent);
        print!("{}", curves::table(&curves, work, options.transfer));
        all.push((work.name, curves));
    }
    let caption = format!(
        "50 clients for each core; {} ns for a cache line from core to core; other costs as \
         measured on two cores.",
        options.transfer
    );
    let path = out.join("cores.svg");
    fs::write(&path, plot::plot(&all, &caption)).map_err(in_out)?;
    eprintln!("written: {}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Returns the directory `target` of `target/release/respool-cores`.
fn target_dir() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2);
    Ok(target.unwrap_or(Path::new("target")).to_owned())
}
