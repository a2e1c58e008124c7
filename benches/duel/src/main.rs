//! The benchmark `duel`: `cargo run --release -p respool-duel -- --help`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    respool_duel::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("duel: Linux is needed");
    ExitCode::from(2)
}
