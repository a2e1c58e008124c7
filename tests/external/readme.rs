//! The commands in README.md run, and print what it shows. So do those in
//! docs/several-processes.md, which show no output.
//!
//! `cargo test --test readme` runs this; plain `cargo test` does not, because it needs redis-cli
//! and makes a release build.
//!
//! In a `console` block, `$ ` precedes each command, and its output follows; output that is not
//! shown is not compared. Each command runs in a shell, in a copy of the repository: there,
//! `./your_program.sh` listens on a free port, and `redis-cli` connects to that port. Another free
//! port replaces 6380.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use respool_testing::process::{Process, Respool};
use respool_testing::target::program;
use respool_testing::{PATIENCE, Scratch, eventually, free_port};

#[test]
fn readme_commands_print_what_it_shows() {
    let readme = repository_file("README.md");
    let mut reader = Reader::new();
    for step in steps(&readme).filter(|step| !is_exempt(&step.command)) {
        if step.starts_server() {
            reader.start_server(&step);
        } else {
            reader.run(&step);
        }
    }
    let commands = reader.output("redis-cli COMMAND LIST");
    for name in commands.lines().filter(|name| !name.contains('|')) {
        let name = format!("`{}`", name.to_uppercase());
        assert!(readme.contains(&name), "the table of commands lacks {name}");
    }
}

#[test]
fn several_processes_start_as_documented() {
    let document = repository_file(SEVERAL_PROCESSES);
    let port = free_port().to_string();
    let start = |step: Step| {
        let words = step.command.replace("6379", &port);
        let words = words.trim_end_matches(" &").split(' ');
        let mut command = Command::new(program());
        command.args(words.skip(1).map(|word| match word {
            // Of the operations listener.
            "9121" | "9122" => free_port().to_string(),
            word => word.to_owned(),
        }));
        Respool::run_beside_others(&mut command)
    };
    let shown = steps(&document).filter(|step| step.command.starts_with("respool "));
    let servers: Vec<_> = shown.map(start).collect();
    assert_eq!(servers.len(), 2);
    let mut missing: BTreeSet<_> = servers
        .iter()
        .map(|server| u64::from(server.id()))
        .collect();
    eventually("both have had a client", || {
        missing.remove(&servers[0].connect().count("process_id"));
        missing.is_empty()
    });
    for server in servers {
        server.stop();
    }
}

#[test]
fn file_of_one_of_several_processes_is_valid() {
    let document = repository_file(SEVERAL_PROCESSES);
    let (_, file) = document.split_once("```toml\n").expect("it has a file");
    let (file, _) = file.split_once("```").expect("the block ends");
    // systemd makes this folder for the service.
    assert!(file.contains("\"/run/respool/1/"), "{file}");
    let folder = Scratch::for_sockets();
    let file = Scratch::file(&file.replace("/run/respool/1", folder.arg()));
    let mut check = Command::new(program());
    check.args([file.arg(), "--check-config"]);
    Process::start(&mut check)
        .ended(PATIENCE)
        .without_complaint();
}

#[test]
fn other_commands_of_the_documents_are_exempt() {
    for name in DOCUMENTS {
        let text = repository_file(name);
        let is_readme = *name == "README.md";
        let blocks = steps(&text).filter(|_| !is_readme);
        let shown = blocks
            .map(|step| step.command)
            .chain(inline_commands(&text));
        for command in shown {
            assert!(is_exempt(&command), "{name}: no test runs {command:?}");
        }
    }
}

#[test]
fn links_of_the_documents_lead_to_files() {
    for name in DOCUMENTS {
        let document = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let folder = document.parent().expect("a file is in a folder");
        let text = repository_file(name);
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(folder.join(file).exists(), "{name}: {link}");
        }
    }
}

const SEVERAL_PROCESSES: &str = "docs/several-processes.md";

const DOCUMENTS: &[&str] = &[
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benches/README.md",
    "dist/README.md",
    "docs/envoy.md",
    "docs/haproxy.md",
    "docs/nginx.md",
    SEVERAL_PROCESSES,
    "fuzz/README.md",
    "src/README.md",
    "tests/README.md",
];

/// Commands that run elsewhere, or take too long; a longer command may begin with one of them.
const EXEMPT: &[&str] = &[
    // They run this test.
    "tests/run.sh",
    ".ci/run",
    "cargo test",
    // Benchmarks take minutes; these two have tests of their own.
    "cargo run --release -p respool-duel",
    "cargo run --release -p respool-cores",
    "cargo bench",
    // `several_processes_start_as_documented` runs these.
    "respool --port 6379 --reuse-port yes",
    // The program's script runs it.
    "cargo build --release",
    // The tests `dist` and `package` check what these use; they change the machine, or need another.
    "sed -e 's|respool\\.toml|%i.toml|'",
    "cargo install --locked cargo-deb",
    "cargo deb --locked",
    "sudo ",
    "respool /etc/respool/respool.toml --check-config",
    "docker ",
    "kubectl ",
    // It opens a browser. .ci/run makes the documentation.
    "cargo doc --open",
    // .ci/run checks that the fuzzers compile.
    "cargo install cargo-fuzz",
    "mkdir -p fuzz/corpus/connection",
    "RUSTC_BOOTSTRAP=1 cargo fuzz run",
    "RESPOOL_FUZZ_INPUTS=1000000 cargo test",
];

fn is_exempt(command: &str) -> bool {
    EXEMPT.iter().any(|exempt| command.starts_with(exempt))
}

/// A command of a document, and the output that is shown below it.
struct Step {
    command: String,
    shown: String,
}

impl Step {
    fn starts_server(&self) -> bool {
        let ends_by_itself = ["--help", "--check-config"];
        self.command.starts_with("./your_program.sh")
            && !ends_by_itself
                .iter()
                .any(|flag| self.command.contains(flag))
    }
}

/// Returns the commands in the `console` blocks of `text`.
fn steps(text: &str) -> impl Iterator<Item = Step> {
    let blocks = text.split("\n```console\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let blocks = blocks.map(|block| block.replace(" \\\n", ""));
    let blocks: Vec<_> = blocks.map(|block| format!("\n{block}")).collect();
    let step = |text: &str| {
        let (command, shown) = text.split_once('\n').unwrap_or((text, ""));
        Step {
            command: command
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned(),
            shown: shown.trim_end().to_owned(),
        }
    };
    blocks
        .into_iter()
        .flat_map(move |block| block.split("\n$ ").skip(1).map(step).collect::<Vec<_>>())
}

/// Returns the commands in the running text, in backticks.
fn inline_commands(text: &str) -> impl Iterator<Item = String> {
    let prose = text.split("```").step_by(2);
    let code = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let is_command = |code: &&str| {
        let programs = ["cargo ", "redis-cli ", "./your_program.sh", "kill "];
        programs.iter().any(|program| code.starts_with(program))
    };
    code.filter(is_command).map(|code| code.replace('\n', " "))
}

/// Follows README.md in a copy of the repository.
struct Reader {
    /// Holds the home folder, the copy, and a crate beside it.
    folder: PathBuf,
    /// The port in place of 6380.
    tls_port: String,
    server: Option<Process>,
}

impl Reader {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("an earlier run left it");
        }
        let reader = Self {
            folder,
            tls_port: free_port().to_string(),
            server: None,
        };
        reader.copy_repository();
        let home = env::var("HOME").unwrap_or_default();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("your_program.sh");
        reader.write_program(
            "respool/your_program.sh",
            &format!(
                "HOME='{home}' exec '{}' --default-file config/respool.toml \"$@\" --port {}",
                program.display(),
                free_port()
            ),
        );
        let path = env::var("PATH").expect("there is a PATH");
        let port = reader.folder.join("port");
        reader.write_program(
            "bin/redis-cli",
            &format!(
                "PATH='{path}' exec redis-cli -p \"$(cat '{}')\" \"$@\"",
                port.display()
            ),
        );
        reader.write_program(
            "bin/cargo",
            &format!(
                "HOME='{home}' CARGO_NET_OFFLINE=true exec '{}' \"$@\"",
                env!("CARGO")
            ),
        );
        reader.write("home/.keep", "");
        reader.write(
            "program/Cargo.toml",
            "[package]\nname = \"program\"\n[workspace]\n",
        );
        reader.write("program/src/main.rs", "fn main() {}\n");
        reader
    }

    /// Copies the configuration, which the commands may change, and links to everything else.
    fn copy_repository(&self) {
        let copy = self.folder.join("respool");
        fs::create_dir_all(copy.join("config")).expect("the target folder is writable");
        let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository");
        for entry in entries {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            let own = ["config", "your_program.sh", "target", ".git"];
            if !own.iter().any(|own| name == *own) {
                symlink(entry.path(), copy.join(name)).expect("a link can be made");
            }
        }
        let manual = repository_file("config/respool.toml");
        self.write("respool/config/respool.toml", &manual);
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.folder.join(name);
        let folder = file.parent().expect("it is in a folder");
        fs::create_dir_all(folder).expect("the target folder is writable");
        fs::write(file, text).expect("the target folder is writable");
    }

    fn write_program(&self, name: &str, script: &str) {
        self.write(name, &format!("#!/bin/sh\n{script}\n"));
        let file = self.folder.join(name);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("it is our file");
    }

    /// Starts `command` in a shell, with the programs of this copy first in the PATH.
    fn shell(&self, command: &str) -> Process {
        let path = env::var("PATH").expect("there is a PATH");
        let folder = if command.starts_with("cargo add") {
            "program"
        } else {
            "respool"
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command.replace("6380", &self.tls_port)])
            .current_dir(self.folder.join(folder))
            .env("HOME", self.folder.join("home"))
            .env("PATH", format!("{}/bin:{path}", self.folder.display()));
        Process::start(&mut shell)
    }

    /// Starts a server in place of the one that runs, and compares the line of its log with the one
    /// that is shown.
    fn start_server(&mut self, step: &Step) {
        if let Some(server) = self.server.take() {
            server.signal("INT");
            assert_eq!(server.ended(PATIENCE).status.code(), Some(0));
        }
        let mut server = self.shell(&format!("exec {}", step.command));
        let answers = server.prints(" PING\n", Instant::now() + BUILD_PATIENCE);
        assert!(answers, "{}", step.command);
        let greeting = server.expect("; try: redis-cli -p ");
        let port = server.expect(" PING\n");
        if !step.shown.is_empty() {
            let shown = step.shown.trim_end_matches("; try: redis-cli -p 6379 PING");
            let greeting = greeting.replace(&format!(":{port}"), ":6379");
            assert_eq!(of_any_machine(&greeting), of_any_machine(shown));
        }
        self.write("port", &port);
        self.server = Some(server);
    }

    /// Runs a command to its end, and compares its output with the one that is shown.
    fn run(&self, step: &Step) {
        let home = self.folder.join("home");
        let printed = self.output(&step.command);
        let printed = printed.replace(&home.display().to_string(), "/home/you");
        if !step.shown.is_empty() {
            assert_eq!(printed.trim_end(), step.shown, "{}", step.command);
        }
    }

    fn output(&self, command: &str) -> String {
        let ended = self.shell(command).ended(PATIENCE);
        assert_eq!(ended.status.code(), Some(0), "{command}: {}", ended.stderr);
        // These report their progress there.
        let reports = ["cargo ", "./your_program.sh", "openssl "];
        assert!(
            reports.iter().any(|program| command.starts_with(program)) || ended.stderr.is_empty(),
            "{command}: {}",
            ended.stderr
        );
        ended.stdout
    }
}

/// Returns a greeting without the time, the IPv6 address and the number of workers.
fn of_any_machine(greeting: &str) -> String {
    let (_, text) = greeting.split_once(' ').expect("a time and a text");
    let (text, _) = text.rsplit_once(" with ").expect("a number of workers");
    text.replace(" and [::1]:6379", "")
}

fn repository_file(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A first release build on a slow machine, with all dependencies.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);
