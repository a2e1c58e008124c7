//! Lines in JSON, and for systemd's journal.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use respool_testing::target::program;
use respool_testing::{PATIENCE, Scratch, eventually, reaper};
use serde_json::{Map, Value};

use crate::{config, start};

/// Reads a line of the log that is a JSON object.
#[track_caller]
pub(crate) fn json(line: &str) -> Map<String, Value> {
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn json_log_has_an_object_with_the_same_keys_per_line() {
    let server = start(&["--loglevel", "debug", "--log-format", "json"]);
    assert_eq!(config(&server, "SET timeout 5 requirepass \"\""), "+OK");
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    let lines: Vec<_> = ended.stdout.lines().map(json).collect();
    let levels = ["error", "warn", "info", "debug", "trace"];
    for line in &lines {
        let keys: Vec<_> = line.keys().collect();
        assert_eq!(keys, ["level", "message", "thread", "time"], "{line:?}");
        let text = |key| line[key].as_str().expect("each value is a string");
        let shape = text("time").replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape, "0000-00-00T00:00:00.000Z");
        assert!(levels.contains(&text("level")), "{line:?}");
        assert_ne!(text("thread"), "", "{line:?}");
    }
    for (level, thread, message) in [
        ("info", "main", " answers on 127.0.0.1:"),
        ("info", "signals", "SIGTERM: draining"),
        ("trace", "worker-0", "worker-0 started"),
    ] {
        let text = |line: &Map<String, Value>| line["message"].to_string();
        let mut found = lines.iter().filter(|line| text(line).contains(message));
        let line = found.next().expect(message);
        assert_eq!(
            (&line["level"], &line["thread"]),
            (&level.into(), &thread.into())
        );
    }
}

#[test]
fn json_log_escapes_what_the_configuration_contains() {
    let file = Scratch::file("");
    let server = start(&[file.arg(), "--log-format", "json"]);
    file.write(r#"logfile = "/no-such-folder/\"a\" \\ \u001b\n""#);
    server.signal("HUP");
    server.wait_for_log("SIGHUP: nothing changed: ");
    server.signal("TERM");
    let log = server.ended(PATIENCE).stdout;
    assert!(!log.replace('\n', "").contains(char::is_control), "{log}");
    let lines: Vec<_> = log.lines().map(json).collect();
    let line = lines
        .iter()
        .find(|line| line["level"] == "error")
        .expect(&log);
    let message = line["message"].as_str().expect("text");
    assert!(
        message.contains("/no-such-folder/\"a\" \\ \u{1b}\n: "),
        "{message}"
    );
}

#[test]
fn sighup_changes_the_format_together_with_the_file() {
    let file = Scratch::file("");
    let log = Scratch::unused();
    let server = start(&[file.arg()]);
    file.write(&format!("log-format = 'json'\nlogfile = '{}'\n", log.arg()));
    server.signal("HUP");
    eventually("the new log file", || {
        log.path().exists() && log.read().ends_with('\n')
    });
    file.write(&format!("log-format = 'text'\nlogfile = '{}'\n", log.arg()));
    server.signal("HUP");
    eventually("text again", || {
        log.read().contains(" [notice] SIGHUP: applied ")
    });
    server.signal("TERM");
    let first = server.ended(PATIENCE).stdout;
    let is_text = |line: &str| line.contains(" [notice] ");
    assert!(first.lines().all(is_text), "{first}");
    let change = "`log-format` changed from text to json\n";
    assert!(first.ends_with(change), "{first}");

    let log = log.read();
    let (objects, texts): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with('{'));
    let message = json(objects[0])["message"].to_string();
    assert!(message.contains("SIGHUP: applied "), "{log}");
    let changed = json(objects.last().expect("there is one"));
    assert_eq!(changed["message"], "`log-format` changed from json to text");
    assert!(texts.iter().all(|line| is_text(line)), "{log}");
    assert!(log.ends_with("stopped: every reply was sent\n"), "{log}");
}

#[test]
fn config_shows_the_format_and_cannot_set_it() {
    let server = start(&["--log-format", "json"]);
    assert_eq!(crate::value(&server, "log-format"), "json");
    let reply = config(&server, "SET log-format text");
    assert!(reply.starts_with("-ERR "), "{reply}");
}

/// The program with a Unix socket as standard output, as systemd's journal has it.
struct Service {
    child: Child,
    lines: BufReader<UnixStream>,
}

impl Service {
    /// Starts it. `stream` makes `JOURNAL_STREAM` of the device and inode of the socket.
    fn start(args: &[&str], stream: impl Fn(u64, u64) -> String) -> Self {
        let (ours, its) = UnixStream::pair().expect("sockets can be made");
        ours.set_read_timeout(Some(PATIENCE)).expect("it is not 0");
        let its = File::from(OwnedFd::from(its));
        let metadata = its.metadata().expect("it is open");
        let mut command = Command::new(program());
        command
            .args(["--bind", "127.0.0.1", "--port", "0"])
            .args(args);
        command.env("JOURNAL_STREAM", stream(metadata.dev(), metadata.ino()));
        let child = command.stdout(its).spawn().expect("it is built");
        reaper::watch(child.id());
        let lines = BufReader::new(ours);
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        reaper::forget(self.child.id());
        let _ = self.child.wait();
    }
}

#[test]
fn journal_gets_priorities_and_no_time() {
    let args = ["--loglevel", "debug", "--workers", "1"];
    let mut service = Service::start(&args, |device, inode| format!("{device}:{inode}"));
    let mut lines = [(); 2].map(|()| service.line());
    lines.sort();
    let [greeting, worker] = &lines;
    assert!(greeting.starts_with("<5>respool "), "{greeting}");
    assert_eq!(worker, "<7>worker-0 started\n");
}

#[test]
fn journal_gets_json_with_priorities() {
    let args = ["--log-format", "json"];
    let mut service = Service::start(&args, |device, inode| format!("{device}:{inode}"));
    let line = service.line();
    let object = json(line.strip_prefix("<5>").expect(&line));
    assert!(
        object["message"]
            .as_str()
            .is_some_and(|text| text.contains(" answers on "))
    );
    assert!(object.contains_key("time"), "{line}");
}

#[test]
fn other_outputs_than_the_journal_have_times() {
    let mut service = Service::start(&[], |device, inode| format!("{device}:{}", inode + 1));
    let line = service.line();
    assert!(line.contains("Z [notice] respool "), "{line}");
    assert!(!line.starts_with('<'), "{line}");
}
