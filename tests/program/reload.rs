//! SIGHUP.

use std::fs;
use std::path::Path;

use respool_testing::process::Process;
use respool_testing::{PATIENCE, Scratch, eventually};

use crate::log_format::json;
use crate::{config, respool, start, value};

#[test]
fn sighup_applies_the_changed_file() {
    let file = Scratch::file("");
    let server = start(&[file.arg()]);
    let quiet_log = Scratch::unused();

    file.write(&format!(
        "loglevel = \"warning\"\nlogfile = \"{}\"\n",
        quiet_log.arg()
    ));
    server.signal("HUP");
    eventually("the new log file", || Path::new(quiet_log.arg()).exists());

    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    assert!(!ended.stdout.contains("SIGTERM"), "{}", ended.stdout);
    assert_eq!(
        quiet_log.read(),
        "",
        "start, drain and stop are below `warning`"
    );
}

#[test]
fn sighup_logs_each_changed_key_and_no_password() {
    let file = Scratch::file("requirepass = 'a \"b\"'\n");
    let server = start(&[file.arg()]);
    let set = "SET timeout 5 latency-tracking no requirepass other";
    assert_eq!(config(&server, set), "+OK");
    server.signal("HUP");
    server.wait_for_log("SIGHUP: applied ");
    for change in [
        "`timeout` changed from 5 to 0\n",
        "`latency-tracking` changed from no to yes\n",
        "`requirepass` changed from (redacted) to (redacted)\n",
    ] {
        assert!(server.log().contains(change), "{}", server.log());
    }
    assert_eq!(server.log().matches(" changed from ").count(), 3);

    file.write("bind = \"127.0.0.1\"\nlogfile = \"\"\nslowlog-max-len = 7\n");
    server.signal("HUP");
    server.wait_for_log("`slowlog-max-len` changed from 128 to 7\n");
    server.wait_for_log("`requirepass` changed from (redacted) to \"\"\n");
}

#[test]
fn sighup_names_keys_overridden_by_a_flag() {
    let file = Scratch::file("timeout = 5\nmaxclients = 50\nworkers = 1\n");
    let flags = ["--timeout", "6", "--workers", "1", "--requirepass", "x"];
    let server = start(&[&[file.arg()], &flags[..]].concat());
    file.write("timeout = 7\nmaxclients = 50\nport = 7777\nworkers = 1\nrequirepass = \"y\"\n");
    server.signal("HUP");
    server.wait_for_log("SIGHUP: applied ");
    let path = file.arg();
    for line in [
        format!("`timeout = 7` in {path} has no effect: --timeout 6 overrides it\n"),
        format!("`port = 7777` in {path} has no effect: --port 0 overrides it\n"),
        format!("`requirepass` in {path} has no effect: the command line sets it\n"),
    ] {
        assert!(server.log().contains(&line), "{}", server.log());
    }
    assert_eq!(server.log().matches(" has no effect: ").count(), 3);
}

#[test]
fn sighup_keeps_flags_above_the_file() {
    let file = Scratch::file("");
    let server = start(&[file.arg(), "--loglevel", "notice"]);
    file.write("loglevel = \"nothing\"\n");
    server.signal("HUP");
    server.wait_for_log(&format!("SIGHUP: applied {}\n", file.arg()));
}

#[test]
fn sighup_with_an_invalid_file_changes_nothing() {
    let file = Scratch::file("");
    let server = start(&[file.arg()]);
    file.write("loglevel = \"nothing\"\nport = 70000\n");
    server.signal("HUP");
    let place = format!(
        "{}:2:8: `port = 70000`: expected a whole number",
        file.arg()
    );
    server.wait_for_log(&format!("[warning] SIGHUP: nothing changed: {place}"));

    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    ended.assert_prints("stopped");
}

#[test]
fn sighup_with_an_unusable_log_file_changes_nothing() {
    let file = Scratch::file("");
    let server = start(&[file.arg()]);
    file.write("logfile = \"/no-such-folder/a.log\"\n");
    server.signal("HUP");
    server
        .wait_for_log("SIGHUP: nothing changed: cannot open the log file /no-such-folder/a.log: ");
}

#[test]
fn sighup_reopens_the_log_for_logrotate() {
    let log = Scratch::file("older\n");
    let rotated = Scratch::unused();
    let args = ["--logfile", log.arg(), "--bind", "127.0.0.1", "--port", "0"];
    let server = Process::start(&mut respool(&args));
    eventually("the first line", || log.read().contains("answers on"));

    fs::rename(log.arg(), rotated.arg()).unwrap();
    server.signal("HUP");
    eventually("the new log file", || Path::new(log.arg()).exists());
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));

    assert!(
        rotated.read().starts_with("older\n"),
        "the log is appended to"
    );
    assert!(!rotated.read().contains("SIGTERM"));
    assert!(
        log.read()
            .contains("[warning] SIGHUP: the log was opened again; there is no FILE"),
        "{}",
        log.read()
    );
    assert!(log.read().contains("SIGTERM: draining\n"), "{}", log.read());
    assert_eq!(ended.stdout, "", "nothing on standard output");
}

/// Starts a server with a log in `format`, replaces `file` by `text`, moves the log away, sends
/// `signal`, and returns the new log once it has `line`.
#[track_caller]
fn log_after_a_rotation(
    format: &str,
    file: &Scratch,
    text: &str,
    signal: &str,
    line: &str,
) -> String {
    let log = Scratch::file("");
    let rotated = Scratch::unused();
    file.write(&format!(
        "logfile = \"{}\"\nlog-format = \"{format}\"\n",
        log.arg()
    ));
    let args = [file.arg(), "--bind", "127.0.0.1", "--port", "0"];
    let server = Process::start(&mut respool(&args));
    eventually("the first line", || log.read().contains("answers on"));
    file.write(text);
    fs::rename(log.arg(), rotated.arg()).unwrap();
    server.signal(signal);
    eventually("the new log file", || {
        fs::read_to_string(log.arg()).is_ok_and(|text| text.contains(line))
    });
    server.signal("TERM");
    assert_eq!(server.ended(PATIENCE).status.code(), Some(0));
    log.read()
}

#[test]
fn sighup_with_an_invalid_file_reopens_the_log() {
    let file = Scratch::unused();
    let line = "SIGHUP: nothing changed: ";
    let log = log_after_a_rotation("text", &file, "port = 70000\n", "HUP", line);
    assert!(log.contains("SIGTERM: draining\n"), "{log}");
}

#[test]
fn sigusr1_reopens_the_log_and_reads_no_file() {
    let line = "SIGUSR1: the log was opened again\n";
    for broken in ["loglevel = \"nothing\"\nport = 70000\n", "loglevel = [\n"] {
        let log = log_after_a_rotation("text", &Scratch::unused(), broken, "USR1", line);
        assert!(log.contains("SIGTERM: draining\n"), "{log}");
        assert_eq!(log.matches(" [warning] ").count(), 0, "{log}");
    }
}

#[test]
fn sigusr1_reopens_a_log_in_json() {
    let line = "SIGUSR1: the log was opened again\"}\n";
    let log = log_after_a_rotation("json", &Scratch::unused(), "loglevel = [\n", "USR1", line);
    let messages: Vec<_> = log
        .lines()
        .map(|line| json(line)["message"].clone())
        .collect();
    let expected = [
        "SIGUSR1: the log was opened again",
        "SIGTERM: draining",
        "stopped: every reply was sent",
    ];
    assert_eq!(messages, expected, "{log}");
}

#[test]
fn set_loglevel_holds_until_sighup_rereads_the_file() {
    let file = Scratch::file("");
    let server = start(&[file.arg()]);
    // The connection that sets it is the first whose close is logged.
    assert_eq!(config(&server, "SET loglevel verbose timeout 5"), "+OK");
    server.wait_for_log("closed after 0 s: the peer closed the connection");
    assert_eq!(value(&server, "loglevel"), "verbose");

    server.signal("HUP");
    server.wait_for_log("SIGHUP: applied ");
    assert_eq!(value(&server, "loglevel"), "notice");
    assert_eq!(value(&server, "timeout"), "0");
    assert_eq!(config(&server, "SET loglevel nothing"), "+OK");
    server.signal("HUP");
    eventually("the level of the file", || {
        value(&server, "loglevel") == "notice"
    });
    let ends = server.log().matches(" closed after ").count();
    assert!(ends <= 2, "of the first two at most: {}", server.log());
}

#[test]
fn sighup_without_a_file_keeps_set_values() {
    let server = start(&["--timeout", "3"]);
    assert_eq!(config(&server, "SET timeout 5 maxclients 50"), "+OK");
    server.signal("HUP");
    server.wait_for_log("[warning] SIGHUP: the log was opened again; there is no FILE");
    assert_eq!(value(&server, "timeout"), "5");
    assert_eq!(value(&server, "maxclients"), "50");
}
