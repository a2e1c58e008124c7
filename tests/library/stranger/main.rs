//! A crate that depends on this one, with the same versions of all dependencies and without the
//! network.
//!
//! `cargo test --test stranger` runs it; plain `cargo test` does not, because it builds all
//! dependencies anew and needs redis-cli. Without redis-cli it fails.

mod blocked;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use respool_testing::PATIENCE;
use respool_testing::process::Process;

/// The README's program builds without a warning, and the command that it prints is answered.
#[test]
fn readme_example_serves_its_command() {
    let stranger = Stranger::new("example");
    let program = on_any_port(&example_of(&repository_file("README.md")));
    stranger.write("src/main.rs", &program);
    let built = Process::start(&mut stranger.cargo("build")).ended(BUILD_PATIENCE);
    assert!(built.status.success(), "{}", built.stderr);
    assert_eq!(diagnoses(&built.stderr), [""; 0], "{}", built.stderr);

    // Cargo execs the program, so the program ends with this test.
    let mut server = Process::start(stranger.cargo("run").arg("--quiet"));
    // Cargo waits while the other test builds.
    server.prints("\n", Instant::now() + BUILD_PATIENCE);
    let line = server.expect("\n");
    let words: Vec<_> = line.split(' ').collect();
    assert!(
        matches!(words[..], ["redis-cli", "-p", _, "HELLO-WORLD"]),
        "{line}"
    );
    let client = Process::start(Command::new(words[0]).args(&words[1..]));
    assert_eq!(client.ended(PATIENCE).without_complaint(), "hello, world\n");
}

/// Each file in `tests/library/stranger/wrong` has one error, marked as in rustc's own tests: `//~
/// E0382` on the line of the error, or `//~^ E0382` on the line below. The mark may have the first
/// words of the message, which are our own or name our types.
#[test]
fn misused_api_does_not_compile() {
    let stranger = Stranger::new("mistakes");
    let good = repository_file("tests/library/stranger/good.rs");
    stranger.write("src/bin/good.rs", &good);
    let mut expected = Vec::new();
    for name in mistakes() {
        assert!(
            good.contains(&format!("// {name}\n")),
            "good.rs lacks {name}"
        );
        let code = repository_file(&format!("tests/library/stranger/wrong/{name}.rs"));
        let file = format!("src/bin/{name}.rs");
        stranger.write(&file, &code);
        let marks = marks(&file, &code);
        assert_eq!(marks.len(), 1, "{name} needs exactly one mark: {marks:?}");
        expected.extend(marks);
    }

    let mut command = stranger.cargo("build");
    let built = Process::start(command.args(["--bin", "good"])).ended(BUILD_PATIENCE);
    assert!(built.status.success(), "{}", built.stderr);
    let mut command = stranger.cargo("build");
    let built = Process::start(command.args(["--bins", "--keep-going"])).ended(BUILD_PATIENCE);
    // A warning about correct code would be among the diagnoses, too.
    let mut found = diagnoses(&built.stderr);
    found.sort();
    expected.sort();
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            found.starts_with(expected),
            "{found:?}, and not {expected:?}, in\n{}",
            built.stderr
        );
    }
    assert_eq!(found.len(), expected.len(), "{}", built.stderr);
}

/// A crate in the target folder.
struct Stranger {
    folder: PathBuf,
}

impl Stranger {
    /// Makes a crate of this name without sources.
    fn new(name: &str) -> Self {
        let folder = strangers().join(name);
        if folder.exists() {
            // An earlier run may have left other files.
            fs::remove_dir_all(&folder).expect("what an earlier run has left");
        }
        let stranger = Self { folder };
        let root = env!("CARGO_MANIFEST_DIR");
        let manifest = format!(
            "[package]\n\
             name = {name:?}\n\
             edition = \"2024\"\n\
             \n\
             [dependencies]\n\
             respool = {{ path = {root:?}, default-features = false }}\n\
             \n\
             # It is no member of the workspace that its folder lies in.\n\
             [workspace]\n"
        );
        stranger.write("Cargo.toml", &manifest);
        // Cargo keeps these versions and drops those that are not needed.
        stranger.write("Cargo.lock", &repository_file("Cargo.lock"));
        stranger
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.folder.join(file);
        let folder = file.parent().expect("it lies in a folder");
        fs::create_dir_all(folder).expect("the target folder is writable");
        fs::write(file, text).expect("the target folder is writable");
    }

    /// Returns cargo for this crate. All strangers share one target folder.
    fn cargo(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command
            .args([subcommand, "--offline", "--color", "never"])
            .args(["--message-format", "short", "--target-dir"])
            .arg(strangers().join("target"))
            .current_dir(&self.folder);
        command
    }
}

fn strangers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("stranger")
}

/// Returns the program in the README's section about the library.
fn example_of(readme: &str) -> String {
    let (_, section) = readme
        .split_once("\n## As a library\n")
        .expect("README.md says how to use the library");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (_, block) = section
        .split_once("\n```rust")
        .expect("the section has a program");
    let (_, program) = block.split_once('\n').expect("a line of its own");
    let (program, _) = program.split_once("\n```").expect("the block ends");
    format!("{program}\n")
}

/// Returns the same program on port 0.
fn on_any_port(program: &str) -> String {
    let port = "port: 6380";
    assert_eq!(program.matches(port).count(), 1, "{port:?} in:\n{program}");
    program.replace(port, "port: 0")
}

/// Returns the names of the files in `tests/library/stranger/wrong`.
fn mistakes() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library/stranger/wrong");
    let entries = fs::read_dir(folder).expect("a folder");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let names: Vec<_> = files
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert!(!names.is_empty());
    names
}

/// Returns the errors that `code` is marked with, in the form of [`diagnoses`].
fn marks(file: &str, code: &str) -> Vec<String> {
    let mut marks = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let Some((_, mark)) = line.split_once("//~") else {
            continue;
        };
        let (number, error) = match mark.strip_prefix('^') {
            Some(error) => (index, error),
            None => (index + 1, mark),
        };
        let (code, message) = error.trim().split_once(' ').unwrap_or((error.trim(), ""));
        marks.push(format!("{file}:{number}: error[{code}]: {message}"));
    }
    marks
}

/// Returns all diagnoses without their columns.
fn diagnoses(stderr: &str) -> Vec<String> {
    stderr.lines().filter_map(diagnosis).collect()
}

/// Returns the diagnosis in a line such as `src/main.rs:7:9: error[E0382]: use of moved value`,
/// without the column.
fn diagnosis(line: &str) -> Option<String> {
    let mut parts = line.splitn(4, ':');
    let file = parts.next()?;
    let number: usize = parts.next()?.parse().ok()?;
    let _column: usize = parts.next()?.parse().ok()?;
    let message = parts.next()?;
    Some(format!("{file}:{number}:{message}"))
}

fn repository_file(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Allows for a first build on a slow machine, with all dependencies.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
