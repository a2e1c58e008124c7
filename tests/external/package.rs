//! The Debian package, the container file and the Kubernetes manifests, by the programs that make or
//! check them. A test whose program is missing says how to install it and passes.
//!
//! `cargo test --test package -- --nocapture` runs it. Nothing else does, because it makes two release
//! builds. Before it, install
//!
//! - cargo-deb: `cargo install --locked cargo-deb`, some minutes;
//! - lintian, of Debian and Ubuntu;
//! - kubernetes-validate: `pip install kubernetes-validate`, which brings the schemas with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use respool_testing::Scratch;
use respool_testing::process::{Process, Respool};

/// A release build on a busy machine.
const BUILD: Duration = Duration::from_secs(30 * 60);

#[test]
fn package_is_lintian_clean_and_runs_as_the_unit_says() {
    if is_missing("cargo-deb", "cargo install --locked cargo-deb") {
        return;
    }
    let out = Scratch::folder();
    let package = out.path().join("respool.deb");
    let mut deb = Command::new("cargo");
    deb.args(["deb", "--locked", "--output"])
        .arg(&package)
        .current_dir(repository());
    printed(&mut deb);

    assert_lintian_clean(&package);
    let root = out.path().join("root");
    printed(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root));
    printed(
        Command::new("dpkg-deb")
            .arg("-e")
            .arg(&package)
            .arg(out.path().join("control")),
    );
    assert_keeps_changed_files(&out.path().join("control/conffiles"));

    let unit = root.join("usr/lib/systemd/system/respool.service");
    let unit = fs::read_to_string(unit).expect("the package has it");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="));
    serves(
        &root,
        &start
            .expect("a service has it")
            .split(' ')
            .collect::<Vec<_>>(),
    );
}

fn assert_keeps_changed_files(conffiles: &Path) {
    let kept = fs::read_to_string(conffiles).expect("there is one");
    let files = ["/etc/logrotate.d/respool", "/etc/respool/respool.toml"];
    assert!(
        files
            .iter()
            .all(|file| kept.lines().any(|line| line == *file)),
        "{kept}"
    );
}

fn assert_lintian_clean(package: &Path) {
    if is_missing("lintian", "apt-get install lintian") {
        return;
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning"]);
    let tags = printed(lintian.arg(package));
    let is_tag = |line: &&str| line.starts_with("E: ") || line.starts_with("W: ");
    assert_eq!(tags.lines().find(is_tag), None);
}

/// Runs a command whose absolute paths are those in `root`, and pings it.
fn serves(root: &Path, words: &[&str]) {
    let mut words = words.iter().map(|word| match word.strip_prefix('/') {
        Some(path) => root.join(path),
        None => PathBuf::from(word),
    });
    let mut command = Command::new(words.next().expect("a program"));
    let server = Respool::run_beside_others(command.args(words).current_dir(root));
    server.stop();
}

#[test]
fn container_steps_build_and_run_in_empty_folders() {
    let text = fs::read_to_string(repository().join("dist/container/Containerfile")).expect("it");
    let steps = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let folder = Scratch::folder();
    let mut stages: Vec<Stage> = Vec::new();
    for (instruction, rest) in steps.filter_map(|step| step.split_once(' ')) {
        let words: Vec<_> = rest.split(' ').collect();
        match instruction {
            "FROM" => stages.push(Stage::new(folder.path(), words.get(2).unwrap_or(&""))),
            "WORKDIR" => stages.last_mut().expect("FROM is first").enter(rest),
            "COPY" => copy(&stages, &words),
            "RUN" => stages.last().expect("FROM is first").run(rest),
            "USER" => assert!(
                words[0].starts_with(|c: char| ('1'..='9').contains(&c)),
                "{rest}"
            ),
            "EXPOSE" => assert_eq!(rest, "6379"),
            "STOPSIGNAL" => assert_eq!(rest, "SIGTERM"),
            "ENTRYPOINT" => {
                let words: Vec<String> = serde_json::from_str(rest).expect("an array");
                let words: Vec<_> = words.iter().map(String::as_str).collect();
                serves(&stages.last().expect("FROM is first").root, &words);
                return;
            }
            other => panic!("the test does not know {other}"),
        }
    }
    panic!("there is no ENTRYPOINT");
}

/// A stage of the container file: a folder in place of its file system.
struct Stage {
    name: String,
    root: PathBuf,
    workdir: PathBuf,
}

impl Stage {
    fn new(folder: &Path, name: &str) -> Self {
        let root = folder.join(format!("stage {name}"));
        fs::create_dir(&root).expect("the folder is ours");
        let workdir = root.clone();
        let name = name.to_owned();
        Self {
            name,
            root,
            workdir,
        }
    }

    fn enter(&mut self, folder: &str) {
        self.workdir = self.path(folder);
        fs::create_dir_all(&self.workdir).expect("the folder is ours");
    }

    fn path(&self, path: &str) -> PathBuf {
        match path.strip_prefix('/') {
            Some(path) => self.root.join(path),
            None => self.workdir.join(path),
        }
    }

    fn run(&self, line: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(&self.workdir);
        // The build is that of the folder.
        printed(shell.env_remove("CARGO_TARGET_DIR"));
    }
}

/// Copies as the engine does: the content of a folder, a file under its own or another name.
fn copy(stages: &[Stage], words: &[&str]) {
    let to = stages.last().expect("FROM is first");
    let from = words[0].strip_prefix("--from=");
    let from = from.map(|name| stages.iter().find(|stage| stage.name == name).expect(name));
    let [sources @ .., target] = &words[usize::from(from.is_some())..] else {
        panic!("{words:?}");
    };
    for source in sources {
        let path = from.map_or_else(|| repository().join(source), |stage| stage.path(source));
        let mut target_path = to.path(target);
        if target.ends_with('/') && path.is_file() {
            target_path.push(path.file_name().expect("it is a file"));
        }
        fs::create_dir_all(target_path.parent().expect("it is in a folder")).expect("it is ours");
        printed(Command::new("cp").arg("-rT").arg(path).arg(target_path));
    }
}

#[test]
fn kubernetes_manifests_are_valid() {
    let install = "pip install kubernetes-validate";
    if is_missing("kubernetes-validate", install) {
        return;
    }
    let manifest = repository().join("dist/kubernetes/respool.yaml");
    let resources = fs::read_to_string(&manifest)
        .expect("there is one")
        .matches("\nkind: ")
        .count();
    let mut validate = Command::new("sh");
    validate.args(["-c", "exec kubernetes-validate --strict \"$0\" 2>&1"]);
    let passed = printed(validate.arg(&manifest));
    assert_eq!(
        passed.matches(" passed for resource ").count(),
        resources,
        "{passed}"
    );
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_missing(program: &str, install: &str) -> bool {
    let mut found = Command::new("sh");
    let found = found
        .args(["-c", &format!("command -v {program} >/dev/null")])
        .status();
    let is_missing = !found.is_ok_and(|status| status.success());
    if is_missing {
        println!("not run: {program} is missing; {install}");
    }
    is_missing
}

/// Returns what `command` prints. It must succeed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let ended = Process::start(command).ended(BUILD);
    assert!(
        ended.status.success(),
        "{command:?}: {}{}",
        ended.stdout,
        ended.stderr
    );
    ended.stdout
}
