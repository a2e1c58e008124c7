//! The model of the pool: `cargo run --release -p respool-cores -- --help`.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    respool_cores::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("cores: Linux is needed");
    ExitCode::from(2)
}
