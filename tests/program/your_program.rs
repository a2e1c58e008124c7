//! The program as `your_program.sh` builds and runs it.
//!
//! `cargo test --test your_program` runs it; plain `cargo test` does not, because it makes a
//! release build.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use respool_testing::PATIENCE;
use respool_testing::process::{Ended, Process, Respool};

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

#[test]
fn old_cargo_is_told_what_is_needed() {
    for (version, is_too_old) in [
        ("cargo 1.70.0 (ec8a8a0ca 2023-04-25)", true),
        ("cargo 1.9.0", true),
        ("cargo 0.99.0", true),
        ("cargo 1.87.1-nightly (abc 2025-01-01)", true),
        ("cargo 1.88.0 (873a06493 2025-05-10)", false),
        ("cargo 1.100.0", false),
        ("cargo 2.0.0-beta.1", false),
        ("another program", false),
        ("", false),
    ] {
        let ended = with_cargo(
            "old-cargo",
            &format!("[ \"$1\" = --version ] || exit 7; echo '{version}'"),
        );
        if is_too_old {
            assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
            let number = version.strip_prefix("cargo ").unwrap();
            let text = format!("needs cargo, Rust 1.88 or newer, and this is cargo {number};");
            assert!(ended.stderr.contains(&text), "{}", ended.stderr);
            assert!(ended.stderr.contains("rustup update"), "{}", ended.stderr);
        } else {
            // The build began, and nothing was printed before.
            assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(7), ""));
        }
    }
}

#[test]
fn cargo_that_cannot_say_its_version_says_why() {
    let ended = with_cargo("silent-cargo", "echo 'no toolchain' >&2; exit 7");
    assert_eq!(
        (ended.status.code(), ended.stderr.as_str()),
        (Some(7), "no toolchain\n")
    );
}

#[test]
fn build_is_announced_once_and_shows_its_lines() {
    let ended = with_cargo(
        "building-cargo",
        r#"[ "$1" = build ] || exit
        echo '   Compiling libc v0.2.191
   Compiling respool v0.1.0
    Finished `release` profile [optimized] target(s) in 9.00s' >&2
        exit 7"#,
    );
    let lines = "respool: building, which takes about a minute the first time\n   \
                 Compiling libc v0.2.191\n   Compiling respool v0.1.0\n";
    assert_eq!(
        (ended.status.code(), ended.stderr.as_str()),
        (Some(7), lines)
    );
}

#[test]
fn build_error_is_shown_and_ends_the_script() {
    let ended = with_cargo(
        "failing-cargo",
        r#"[ "$1" = build ] || exit
        printf 'error: a\\b\n  --> src/lib.rs:1:1\n' >&2
        exit 101"#,
    );
    assert_eq!(
        (ended.status.code(), ended.stderr.as_str()),
        (Some(101), "error: a\\b\n  --> src/lib.rs:1:1\n")
    );
}

#[test]
fn nothing_to_build_says_nothing() {
    let first = Process::start(Command::new(script()).arg("--version")).ended(BUILD_PATIENCE);
    assert_eq!(first.status.code(), Some(0), "{}", first.stderr);
    let second = Process::start(Command::new(script()).arg("--version")).ended(PATIENCE);
    // The script of another test may be building at this moment.
    let waits = |line: &&str| {
        line.trim_start()
            .starts_with("Blocking waiting for file lock")
    };
    let said: Vec<_> = second.stderr.lines().filter(|line| !waits(line)).collect();
    assert_eq!((second.stdout, said), (first.stdout, Vec::new()));
}

/// Runs the script with a cargo that does this.
fn with_cargo(name: &str, script_of_cargo: &str) -> Ended {
    let tools = folder(name);
    for tool in ["dirname", "readlink", "sed"] {
        let link = tools.join(tool);
        remove(&link);
        symlink(installed(tool), &link).expect("a link can be made");
    }
    // Run by the shell as a file, because a program may still be open for writing in the child of
    // another thread, and then cannot be run.
    let cargo = tools.join("cargo.sh");
    fs::write(&cargo, script_of_cargo).expect("the target folder is writable");
    let mut command = Command::new("/bin/sh");
    let define = format!(
        "cargo() {{ /bin/sh '{}' \"$@\"; }}; . \"$0\"",
        cargo.display()
    );
    Process::start(
        command
            .args(["-c", &define])
            .arg(script())
            .env("PATH", tools),
    )
    .ended(PATIENCE)
}

/// Cargo writes to standard error too, so only the exit code shows success.
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
