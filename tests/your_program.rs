//! The program as `your_program.sh` builds and runs it.
//!
//! `cargo test --test your_program` runs it; plain `cargo test` does not, because it makes a
//! release build.

mod common;
mod process;

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::PATIENCE;
use process::{Process, Respool};

#[test]
fn it_runs_from_any_directory_and_ends_in_order() {
    let elsewhere = folder("elsewhere");
    let server = Respool::run(
        Command::new(script()).current_dir(elsewhere),
        BUILD_PATIENCE,
    );
    ping_and_stop(server);
}

#[test]
fn it_runs_through_a_symbolic_link() {
    let link = folder("links").join("respool");
    remove(&link);
    symlink(script(), &link).expect("a link can be made");
    let server = Respool::run(&mut Command::new(link), BUILD_PATIENCE);
    ping_and_stop(server);
}

#[test]
fn without_cargo_it_says_what_to_install() {
    let tools = folder("tools-without-cargo");
    for tool in ["dirname", "readlink", "sed"] {
        let link = tools.join(tool);
        remove(&link);
        symlink(installed(tool), &link).expect("a link can be made");
    }
    let mut command = Command::new("/bin/sh");
    let ended = Process::start(command.arg(script()).env("PATH", tools)).ended(PATIENCE);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""));
    assert!(
        ended.stderr.contains("https://rustup.rs"),
        "{}",
        ended.stderr
    );
}

/// Cargo speaks on standard error too, so only the exit code says that all was in order.
fn ping_and_stop(server: Respool) {
    server.connect().ping();
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("your_program.sh")
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Where the PATH has a program.
fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").expect("there is a PATH");
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed"))
}

/// Removes what an earlier run has left.
fn remove(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// A first release build on a slow machine, dependencies and all.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
