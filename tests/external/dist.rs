//! The files in `dist/`, read by the programs that they are for: systemd-analyze, systemd-sysusers,
//! strace and logrotate. A test whose program is missing says so and passes.
//!
//! `cargo test --test dist` runs it; plain `cargo test` does not, because it needs these programs.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use respool::Config;
use respool_testing::process::Process;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, eventually, free_port};

#[test]
fn units_are_valid() {
    if is_missing("systemd-analyze") {
        return;
    }
    let folder = Scratch::folder();
    let program = program().display().to_string();
    let mut verify = command("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for (name, text) in units() {
        // It checks that the program exists.
        verify.arg(folder.file_in(&name, &text.replace("/usr/bin/respool", &program)));
    }
    assert_eq!(complaint(&mut verify), "");
}

#[test]
fn template_of_the_service_separates_its_instances() {
    let document = file("docs/several-processes.md");
    let (_, recipe) = document.split_once("$ sed ").expect("it has the recipe");
    let (expressions, _) = recipe
        .split_once(" \\\n")
        .expect("the file is on a new line");
    let mut sed = Command::new("sh");
    sed.args(["-c", &format!("sed {expressions} {SERVICE}")]);
    let output = output(sed.current_dir(repository()));
    let template = String::from_utf8(output.stdout).expect("text");
    let started = "/usr/bin/respool /etc/respool/%i.toml";
    assert_eq!(values(&template, "ExecStart"), [started]);
    assert_eq!(values(&template, "RuntimeDirectory"), ["respool/%i"]);
    assert_eq!(values(&template, "LogsDirectory"), ["respool/%i"]);
}

#[test]
fn exposure_of_the_service_is_below_3() {
    if is_missing("systemd-analyze") {
        return;
    }
    let mut security = command("systemd-analyze");
    security.args(["security", "--no-pager", "--offline=yes", "--threshold=30"]);
    let output = output(security.arg(repository().join(SERVICE)));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("Overall exposure level for respool.service: "),
        "{text}"
    );
}

#[test]
fn times_of_the_service_fit_the_defaults() {
    let service = file(SERVICE);
    let seconds = |key| values(&service, key)[0].parse::<u32>().expect("seconds");
    let config = Config::default();
    let stop_ms = config.drain_delay_ms + config.drain_timeout_ms;
    assert!(seconds("TimeoutStopSec") * 1_000 > stop_ms);
    assert!(seconds("WatchdogSec") * 1_000 > config.stuck_worker_ms);
    // A client has a descriptor; the server has some more.
    let files: usize = values(&service, "LimitNOFILE")[0]
        .parse()
        .expect("a number");
    assert!(files > config.maxclients + 1_000);
}

#[test]
fn sockets_have_the_names_that_the_program_knows() {
    let names: Vec<_> = units()
        .iter()
        .filter(|(name, _)| name.ends_with(".socket"))
        .map(|(name, text)| {
            assert_eq!(values(text, "Service"), ["respool.service"], "{name}");
            let descriptor = values(text, "FileDescriptorName")[0].to_owned();
            assert_eq!(*name, format!("respool-{descriptor}.socket"));
            descriptor
        })
        .collect();
    assert_eq!(names, ["http", "plain", "tls", "unix"]);
}

#[test]
fn service_allows_every_system_call_of_the_program() {
    let cannot_trace = |strace: &mut Command| {
        let traced = strace.args(["-o", "/dev/null", "true"]).status();
        !traced.is_ok_and(|status| status.success())
    };
    if is_missing("systemd-analyze") || is_missing("strace") {
        return;
    }
    if cannot_trace(&mut command("strace")) {
        println!("not run: strace may not trace here");
        return;
    }
    let allowed = allowed_calls(&file(SERVICE));
    assert!(allowed.contains("epoll_wait") && !allowed.contains("mount"));
    let called = calls_of_the_program();
    assert!(
        called.contains("epoll_wait") && called.contains("accept4"),
        "{called:?}"
    );
    let refused: Vec<_> = called.difference(&allowed).collect();
    assert!(refused.is_empty(), "the service would refuse {refused:?}");
}

/// Returns the calls that the lines `SystemCallFilter` allow.
fn allowed_calls(service: &str) -> BTreeSet<String> {
    let listed = output(command("systemd-analyze").args(["--no-pager", "syscall-filter"]));
    let listed = String::from_utf8(listed.stdout).expect("text");
    let mut sets: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut set = "";
    for line in listed
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        match line.strip_prefix("    ") {
            Some(member) => sets.entry(set).or_default().push(member),
            None => set = line,
        }
    }
    // systemd always allows this set.
    let mut allowed = members(&sets, "@default");
    for filter in values(service, "SystemCallFilter") {
        let refused = filter.strip_prefix('~');
        for name in refused.unwrap_or(filter).split(' ') {
            let calls = members(&sets, name);
            match refused {
                Some(_) => allowed.retain(|call| !calls.contains(call)),
                None => allowed.extend(calls),
            }
        }
    }
    allowed
}

/// Returns the calls of a set and of the sets in it.
fn members(sets: &HashMap<&str, Vec<&str>>, name: &str) -> BTreeSet<String> {
    match sets.get(name) {
        Some(inner) => inner.iter().flat_map(|name| members(sets, name)).collect(),
        None => BTreeSet::from([name.to_owned()]),
    }
}

/// Returns the calls from a start to SHUTDOWN, with a client and two signals between.
fn calls_of_the_program() -> BTreeSet<String> {
    let calls = Scratch::unused();
    let sockets = Scratch::for_sockets();
    let log = Scratch::unused();
    let port = free_port();
    let mut strace = command("strace");
    strace
        .args(["-f", "-qq", "-e", "signal=none", "-o", calls.arg()])
        .arg(program());
    strace.args([
        "--workers",
        "2",
        "--loglevel",
        "debug",
        "--logfile",
        log.arg(),
    ]);
    strace.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    strace.args([
        "--http-port",
        &free_port().to_string(),
        "--unixsocketperm",
        "770",
    ]);
    let notify_socket = sockets.path().join("notify");
    let _manager = UnixDatagram::bind(&notify_socket).expect("the folder is ours");
    strace
        .env("NOTIFY_SOCKET", notify_socket)
        .env("WATCHDOG_USEC", "2000000");
    let process = Process::start(
        strace
            .arg("--unixsocket")
            .arg(sockets.path().join("socket")),
    );
    eventually("it answers", || {
        fs::read_to_string(log.path()).is_ok_and(|log| log.contains(" answers on "))
    });
    use_everything(Peer::connect(([127, 0, 0, 1], port).into()), &log);
    assert_eq!(process.ended(PATIENCE).status.code(), Some(0));
    calls.read().lines().filter_map(name_of_call).collect()
}

/// Changes the configuration, sends both signals that open the log, and stops the server.
fn use_everything(mut peer: Peer, log: &Scratch) {
    peer.send("CONFIG SET workers 3\r\nINFO server\r\n");
    let mut lines = std::iter::repeat_with(|| peer.line());
    let id = lines.find_map(|line| line.strip_prefix("process_id:").map(String::from));
    let id = id.expect("lines do not end");
    for (signal, line) in [
        ("USR1", "SIGUSR1: the log was"),
        ("HUP", "SIGHUP: the log was"),
    ] {
        kill(signal, &id);
        eventually(line, || log.read().contains(line));
    }
    peer.send("SHUTDOWN\r\n");
}

/// Returns the name in a line of strace that begins a call, and not in one that ends a call which
/// another thread has interrupted.
fn name_of_call(line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    (!name.contains(' ')).then(|| name.to_owned())
}

#[test]
fn logrotate_moves_the_log_and_loses_no_line() {
    if is_missing("logrotate") {
        return;
    }
    for format in ["text", "json"] {
        let new = log_after_a_rotation(format);
        for line in ["client 1 ", "SIGTERM: draining", "stopped: every reply"] {
            assert!(new.contains(line), "{line}: {new}");
        }
        let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        let is_right = |line| is_json(line) == (format == "json");
        assert!(new.lines().all(is_right), "{new}");
    }
}

/// Runs a server with a log in `format`, and logrotate. Returns the log after that.
fn log_after_a_rotation(format: &str) -> String {
    let folder = Scratch::folder();
    let log = folder.path().join("respool.log");
    let rotated = folder.path().join("respool.log.1");
    let config = Scratch::file("");
    let port = free_port();
    let mut command = Command::new(program());
    command
        .arg(config.path())
        .args(["--log-format", format, "--loglevel", "debug"]);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    let server = Process::start(command.arg("--logfile").arg(&log));
    eventually("it answers", || text(&log).contains(" answers on "));

    // A mistake in the file does not keep the signal from its work.
    config.write("loglevel = [\n");
    rotate(folder.path(), server.id());
    eventually("the new file", || {
        text(&log).contains("SIGUSR1: the log was opened again")
    });
    let old = text(&rotated);
    assert!(old.contains(" answers on ") && old.ends_with('\n'), "{old}");

    Peer::connect(([127, 0, 0, 1], port).into()).ping();
    server.signal("TERM");
    assert_eq!(server.ended(PATIENCE).status.code(), Some(0));
    assert_eq!(text(&rotated), old);
    text(&log)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Runs logrotate with `dist/logrotate/respool` for the logs in `folder`. In place of systemctl there
/// is a program that sends the signal to `server`.
fn rotate(folder: &Path, server: u32) {
    let files = Scratch::folder();
    let own = file("dist/logrotate/respool").replace("/var/log/respool", &folder.to_string_lossy());
    let config = files.file_in("respool", &own);
    let state = files.path().join("state");
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'kill --signal=USR1 respool.service' ] && kill -s USR1 {server}\n"
    );
    let systemctl = files.file_in("bin/systemctl", &script);
    for (path, mode) in [(folder, 0o755), (&systemctl, 0o755)] {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, permissions).expect("it is ours");
    }
    let bin = systemctl.parent().expect("it is in a folder");
    let mut logrotate = command("logrotate");
    let path = env::join_paths(std::iter::once(bin.to_owned()).chain(folders())).expect("a path");
    logrotate
        .env("PATH", path)
        .arg("--force")
        .arg("--state")
        .arg(&state);
    assert_eq!(complaint(logrotate.arg(&config)), "");
}

#[test]
fn sysusers_makes_the_user_of_the_service() {
    if is_missing("systemd-sysusers") {
        return;
    }
    let root = Scratch::folder();
    fs::create_dir(root.path().join("etc")).expect("the folder is ours");
    let mut sysusers = command("systemd-sysusers");
    sysusers.arg(format!("--root={}", root.arg()));
    let output = output(sysusers.arg(repository().join("dist/sysusers/respool.conf")));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let users = fs::read_to_string(root.path().join("etc/passwd")).expect("it was made");
    let user = values(&file(SERVICE), "User")[0].to_owned();
    assert!(
        users.starts_with(&format!("{user}:")) && users.contains("nologin"),
        "{users}"
    );
}

#[test]
fn kubernetes_settings_fit_the_manifest() {
    let manifest = file("dist/kubernetes/respool.yaml");
    let block = manifest
        .split("  respool.toml: |\n")
        .nth(1)
        .expect("the ConfigMap has it");
    let block = block.split("---\n").next().unwrap_or_default();
    let lines: Vec<_> = block.lines().map(str::trim_start).collect();
    let text = lines.join("\n");
    let config = Scratch::file(&text);
    let mut check = Command::new(program());
    check
        .args([config.arg(), "--check-config"])
        .env("RESPOOL_REQUIREPASS", "x");
    assert_eq!(complaint(&mut check), "");

    let values: toml::Table = text.parse().expect("TOML");
    let number = |key: &str| values[key].as_integer().expect("a number");
    let grace = field(&manifest, "terminationGracePeriodSeconds");
    let stop_ms = number("drain-delay-ms") + number("drain-timeout-ms");
    assert!(grace.parse::<i64>().expect("seconds") * 1_000 > stop_ms);
    assert!(manifest.contains(&format!("containerPort: {}\n", number("http-port"))));
    assert_eq!(
        field(&manifest, "prometheus.io/port"),
        format!("\"{}\"", number("http-port"))
    );
}

#[test]
fn container_file_copies_what_there_is() {
    let config = repository().join("dist/container/respool.toml");
    let mut check = Command::new(program());
    check
        .arg(config)
        .arg("--check-config")
        .env("RESPOOL_REQUIREPASS", "x");
    assert_eq!(complaint(&mut check), "");
    let steps = file("dist/container/Containerfile");
    let copies = steps.lines().filter_map(|line| line.strip_prefix("COPY "));
    let own = copies.filter(|copy| !copy.starts_with("--from="));
    let mut sources: Vec<&str> = Vec::new();
    for copy in own {
        let words: Vec<_> = copy.split(' ').collect();
        sources.extend(&words[..words.len() - 1]);
    }
    for source in &sources {
        assert!(repository().join(source).exists(), "{source}");
    }
    let manifest: toml::Table = file("Cargo.toml").parse().expect("TOML");
    let members = manifest["workspace"]["members"]
        .as_array()
        .expect("an array");
    for member in members.iter().filter_map(toml::Value::as_str) {
        let is_copied = |source: &&str| Path::new(member).starts_with(source);
        assert!(sources.iter().any(is_copied), "no COPY of {member}");
    }
}

const SERVICE: &str = "dist/systemd/respool.service";

/// Returns the name and the text of each unit.
fn units() -> Vec<(String, String)> {
    let folder = fs::read_dir(repository().join("dist/systemd")).expect("there is the folder");
    let mut units: Vec<_> = folder
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            let name = name.into_string().expect("a name in UTF-8");
            let text = file(&format!("dist/systemd/{name}"));
            (name, text)
        })
        .collect();
    units.sort();
    units
}

/// Returns the values of `key` in a unit.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    let pairs = unit.lines().filter_map(|line| line.split_once('='));
    let values: Vec<_> = pairs
        .filter(|pair| pair.0 == key)
        .map(|pair| pair.1)
        .collect();
    assert!(!values.is_empty(), "the unit has no {key}");
    values
}

/// Returns the first value of `key` in a manifest.
fn field<'a>(manifest: &'a str, key: &str) -> &'a str {
    let mut pairs = manifest
        .lines()
        .filter_map(|line| line.trim().split_once(": "));
    pairs.find(|pair| pair.0 == key).expect(key).1
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    fs::read_to_string(repository().join(name)).expect(name)
}

/// Returns the folders of `PATH`, and those that only root's has.
fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(own).collect()
}

fn command(program: &str) -> Command {
    let found = folders().into_iter().map(|folder| folder.join(program));
    let mut command = Command::new(
        found
            .into_iter()
            .find(|path| path.is_file())
            .expect(program),
    );
    command.stdin(Stdio::null());
    command
}

fn is_missing(program: &str) -> bool {
    let is_missing = folders()
        .iter()
        .all(|folder| !folder.join(program).is_file());
    if is_missing {
        println!("not run: {program} is missing; tests/run.sh installs it");
    }
    is_missing
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it is installed")
}

/// Expects success. Returns standard error.
#[track_caller]
fn complaint(command: &mut Command) -> String {
    let output = output(command);
    let complaint = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{command:?}: {complaint}");
    complaint
}

fn kill(signal: &str, id: &str) {
    let kill = format!("kill -s {signal} {id}");
    let status = Command::new("sh").args(["-c", &kill]).status();
    assert!(status.expect("there is a shell").success(), "{kill}");
}
