//! What an operator sees of the program: its texts, its exit codes, and what signals do.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use respool_testing::{Peer, eventually, reaper};

#[test]
fn help_tells_how_to_use_the_program_and_every_key() {
    let help = Finished::of(&["--help"]);
    help.assert_success();
    for part in [
        "Usage: respool [FILE] [--key value ...]",
        "--workers <N>",
        "--check-config",
        "Examples:",
    ] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
}

#[test]
fn version_is_one_line() {
    let version = Finished::of(&["--version"]);
    version.assert_success();
    assert_eq!(
        version.stdout,
        format!("respool {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn check_config_says_that_a_file_is_fine_and_serves_nobody() {
    let file = Scratch::file("port = 7000\n");
    let check = Finished::of(&[file.path(), "--workers", "3", "--check-config"]);
    check.assert_success();
    assert_eq!(check.stdout, format!("respool: {} is fine\n", file.path()));
}

#[test]
fn check_config_without_a_file_judges_the_flags() {
    let check = Finished::of(&[
        "--check-config",
        "--bind",
        "127.0.0.1",
        "-::1",
        "--port",
        "7000",
    ]);
    check.assert_success();
    assert_eq!(check.stdout, "respool: the command line is fine\n");
}

#[test]
fn check_config_finds_a_log_file_that_cannot_be_written() {
    let folder = Scratch::file("");
    folder.remove();
    fs::create_dir(folder.path()).unwrap();
    let inside = format!("{}/a.log", folder.path());
    let check = |logfile: &str| Finished::of(&["--check-config", "--logfile", logfile]);
    check(&inside).assert_success();
    assert!(!Path::new(&inside).exists(), "nothing is left behind");
    check(folder.path()).assert_mistake(&["cannot open the log file", "Is a directory"]);
    check("/no-such-folder/a.log")
        .assert_mistake(&["cannot open the log file /no-such-folder/a.log: No such file"]);
    check("/proc/a.log").assert_mistake(&["cannot open the log file /proc/a.log: "]);
    let link = format!("{}/link", folder.path());
    symlink("a.log", &link).unwrap();
    check(&link).assert_success();
    assert!(!Path::new(&inside).exists(), "nor behind a link");
    fs::write(&inside, "old\n").unwrap();
    check(&inside).assert_success();
    assert_eq!(fs::read_to_string(&inside).unwrap(), "old\n");
    fs::remove_dir_all(folder.path()).unwrap();
}

#[test]
fn check_config_finds_an_address_that_the_machine_lacks() {
    // For documentation only, by RFC 5737 and RFC 3849.
    for address in ["192.0.2.1", "2001:db8::1"] {
        let run = respool(&["--check-config", "--bind", address])
            .output()
            .unwrap();
        let stderr = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("cannot listen on "), "{stderr}");
        let optional = format!("-{address}");
        let run = respool(&["--check-config", "--bind", "127.0.0.1", &optional]);
        assert!({ run }.output().unwrap().status.success());
        let run = respool(&["--check-config", "--bind", &optional])
            .output()
            .unwrap();
        let stderr = String::from_utf8(run.stderr).unwrap();
        assert!(
            stderr.contains("none of the addresses in `bind`"),
            "{stderr}"
        );
    }
}

#[test]
fn check_config_beside_a_running_server_finds_its_port_fine() {
    let server = Server::start(&[]);
    let port = server.port().to_string();
    let check = ["--check-config", "--bind", "127.0.0.1", "--port", &port];
    assert!(respool(&check).output().unwrap().status.success());
}

#[test]
fn failed_start_is_in_the_log_file_too() {
    let log = Scratch::file("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--logfile",
        log.path(),
    ];
    let run = respool(&args).output().unwrap();
    assert_eq!(run.status.code(), Some(1));
    let problem = format!("cannot listen on 127.0.0.1:{port}: ");
    assert!(String::from_utf8_lossy(&run.stderr).contains(&problem));
    let line = format!("[warning] cannot start: {problem}");
    assert!(log.read().contains(&line), "{}", log.read());

    let file = Scratch::file("port = 70000\n");
    let run = respool(&[file.path(), "--logfile", log.path()])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(1));
    let line = format!("[warning] cannot start: {}:1:8: ", file.path());
    assert!(log.read().contains(&line), "{}", log.read());
}

#[test]
fn a_mistake_in_the_file_is_shown_with_its_place_and_what_is_right() {
    let file = Scratch::file("# mine\nport = 70000\n");
    let place = format!("respool: {}:2:8: `port = 70000`: ", file.path());
    Finished::of(&[file.path()])
        .assert_mistake(&[&place, "expected a whole number from 0 to 65535"]);
}

#[test]
fn check_config_finds_the_same_mistakes() {
    let file = Scratch::file("prot = 7000\n");
    let place = format!("respool: {}:1:1: unknown key `prot`, ", file.path());
    Finished::of(&["--check-config", file.path()])
        .assert_mistake(&[&place, "did you mean `port`?"]);
}

#[test]
fn a_flag_does_not_hide_a_mistake_in_the_file() {
    let file = Scratch::file("port = 70000\n");
    Finished::of(&[file.path(), "--port", "7000"]).assert_mistake(&[":1:8: `port = 70000`"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    Finished::of(&["no-such.toml"])
        .assert_mistake(&["respool: cannot read no-such.toml: No such file"]);
    Finished::of(&["/"]).assert_mistake(&["respool: cannot read /: Is a directory"]);
}

#[test]
fn a_file_too_long_to_be_a_configuration_is_refused() {
    let longest = Scratch::file(&"#".repeat(1 << 20));
    Finished::of(&[longest.path(), "--check-config"]).assert_success();
    let longer = Scratch::file(&"#".repeat((1 << 20) + 1));
    Finished::of(&[longer.path(), "--check-config"]).assert_mistake(&["longer than 1048576 bytes"]);
}

#[test]
fn a_mistake_in_a_flag_names_the_flag_the_value_and_what_is_right() {
    for (args, parts) in [
        (
            ["--port", "70000"],
            [
                "'70000' for '--port <N>'",
                "expected a whole number from 0 to 65535",
            ],
        ),
        (
            ["--port", "-1"],
            [
                "'-1' for '--port <N>'",
                "expected a whole number from 0 to 65535",
            ],
        ),
        (
            ["--port", ""],
            [
                "'' for '--port <N>'",
                "expected a whole number from 0 to 65535",
            ],
        ),
        (
            ["--timeout", "soon"],
            [
                "'soon' for '--timeout <SECONDS>'",
                "of seconds from 0 to 2147483647",
            ],
        ),
        (
            ["--loglevel", "loud"],
            [
                "'loud' for '--loglevel <LEVEL>'",
                "expected debug, verbose, notice",
            ],
        ),
        (
            ["--bind", "localhost"],
            ["'localhost' for '--bind <IP...>'", "is not an IP address"],
        ),
        (["--prot", "7000"], ["'--prot'", "'--port'"]),
        (["a.toml", "b.toml"], ["'b.toml'", "Usage: respool [FILE]"]),
        (
            ["-p", "6380"],
            ["unexpected argument '-p'", "use '--port N'"],
        ),
        (["-port", "6380"], ["'-port'", "did you mean '--port'?"]),
        (
            ["-p6380", "--workers=2"],
            ["unexpected argument '-p'", "use '--port N'"],
        ),
        (["port", "6380"], ["argument 2", "did you mean '--port'?"]),
        (
            ["-c", "a.toml"],
            ["unexpected argument '-c'", "'respool FILE'"],
        ),
        (
            ["--config", "a.toml"],
            ["unexpected argument '--config'", "'respool FILE'"],
        ),
        (
            ["--daemonize", "yes"],
            ["unexpected argument '--daemonize'", "foreground"],
        ),
        (
            ["--save", ""],
            ["unexpected argument '--save'", "leave it out"],
        ),
        (
            ["--frobnicate", "7"],
            [
                "argument 1 is not a flag",
                "`respool --help` lists all flags",
            ],
        ),
        (
            ["a.toml", "7000"],
            ["argument 2 is unexpected", "Usage: respool [FILE]"],
        ),
    ] {
        Finished::of(&args).assert_mistake(&parts);
    }
}

#[test]
fn file_after_a_list_is_told_to_go_before_it() {
    Finished::of(&["--bind", "127.0.0.1", "respool.toml"]).assert_mistake(&[
        "`respool.toml` is not an IP address",
        "tip: every word up to the next flag belongs to '--bind', so put FILE before it",
    ]);
}

#[test]
fn file_after_a_flag_takes_the_place_of_the_default_file() {
    let file = Scratch::file("workers = 3\n");
    let default = Scratch::file("workers = 2\n");
    let default_file = ["--default-file", default.path()];
    for args in [&["--timeout=5", file.path()][..], &[file.path()]] {
        let server = Server::start(&[&default_file[..], args].concat());
        assert_eq!(value(&server, "workers"), "3");
    }
    let server = Server::start(&[&default_file[..], &["--timeout", "5"]].concat());
    assert_eq!(value(&server, "workers"), "2");
}

#[test]
fn wildcard_beside_an_address_that_it_covers_is_refused() {
    let problem = "0.0.0.0 includes 127.0.0.1";
    Finished::of(&["--port", "0", "--bind", "0.0.0.0", "127.0.0.1"]).assert_mistake(&[problem]);
    let file = Scratch::file("bind = [\"127.0.0.1\", \"*\"]\n");
    Finished::of(&[file.path()]).assert_mistake(&[":1:8: ", problem]);
}

#[test]
fn a_flag_without_its_value_is_named() {
    Finished::of(&["--port", "--workers", "2"])
        .assert_mistake(&["a value is required for '--port <N>'"]);
}

#[test]
fn a_port_that_is_taken_is_named_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let start = Finished::of(&["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    start.assert_mistake(&["respool: ", &address.to_string()]);
}

#[test]
fn an_output_that_cannot_be_written_changes_no_exit_code() {
    let full = || File::create("/dev/full").unwrap();
    for flag in ["--help", "--version", "--check-config"] {
        let run = respool(&[flag]).stdout(full()).output().unwrap();
        assert_eq!(
            (run.status.code(), run.stderr.as_slice()),
            (Some(0), &b""[..]),
            "{flag}"
        );
    }
    for mistake in ["--prot", "no-such.toml"] {
        let status = respool(&[mistake]).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{mistake}");
    }
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named_with_the_reason() {
    let start = Finished::of(&["--port", "0", "--logfile", "/no-such-folder/a.log"]);
    start
        .assert_mistake(&["respool: cannot open the log file /no-such-folder/a.log: No such file"]);
}

#[test]
fn the_first_line_says_where_the_server_answers_and_what_to_type() {
    let server = Server::start(&["--workers", "2"]);
    let port = server.port();
    let version = env!("CARGO_PKG_VERSION");
    let line = format!(
        "respool {version} answers on 127.0.0.1:{port} with 2 workers; \
         try: redis-cli -p {port} PING\n"
    );
    assert!(server.log().ends_with(&line), "{}", server.log());
}

#[test]
fn each_line_has_a_time_of_one_width_and_a_level_by_name() {
    let mut server = Server::start(&["--loglevel", "debug"]);
    assert_eq!(config(&server, "SET timeout 5"), "+OK");
    server.wait_for("closed after 0 s: the peer closed the connection");
    server.signal("HUP");
    server.wait_for("there is no FILE to read");
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    let log = server.log();
    for line in log.lines() {
        let (time, rest) = line.split_once(" [").expect(line);
        let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "{line}");
        let (level, _) = rest.split_once("] ").expect(line);
        assert!(["warning", "notice", "verbose", "debug"].contains(&level));
    }
    for line in [
        "[notice] respool ",
        "[debug] worker-0 started\n",
        "[verbose] client 1 connected from 127.0.0.1:",
        "[debug] CONFIG SET: `timeout` changed from 0 to 5\n",
        "[verbose] client 1 (127.0.0.1:",
        "[warning] SIGHUP: the log was opened again; there is no FILE",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn verbose_has_two_lines_for_each_client_and_nothing_of_debug() {
    let mut server = Server::start(&["--loglevel", "verbose"]);
    for _ in 0..3 {
        assert_eq!(config(&server, "SET timeout 5"), "+OK");
    }
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    let log = server.log();
    assert_eq!(log.matches(" [verbose] ").count(), 6, "{log}");
    assert_eq!(log.matches(" [debug] ").count(), 0, "{log}");
}

#[test]
fn the_last_flag_wins() {
    let server = Server::start(&["--workers", "2", "--workers=1"]);
    assert!(
        server.log().contains(" with 1 worker; "),
        "{}",
        server.log()
    );
}

#[test]
fn sigterm_and_sigint_drain_and_end_with_success() {
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let mut server = Server::start(&[]);
        server.signal(signal);
        assert_eq!(server.exit().code(), Some(0));
        let log = server.log();
        let drain = log.find(&format!("{name}: draining\n")).expect(&log);
        let stop = log.find("stopped: every reply was sent\n").expect(&log);
        assert!(drain < stop, "{log}");
    }
}

#[test]
fn shutdown_says_which_client_asked_for_it() {
    let mut server = Server::start(&[]);
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    let addr = peer.socket.local_addr().unwrap();
    peer.send("SHUTDOWN\r\n");
    assert_eq!(server.exit().code(), Some(0));
    server.wait_for(&format!("SHUTDOWN by client 1 ({addr}): draining\n"));
}

#[test]
fn a_client_that_does_not_read_is_cut_when_the_drain_runs_out_of_time() {
    let mut server = Server::start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "100",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(server.port());
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(3));
    server.wait_for("stopped: drain-timeout-ms ran out; clients aborted: 1\n");
}

#[test]
fn while_draining_a_second_sigterm_changes_nothing_and_sigint_ends_at_once() {
    let mut server = Server::start(&[
        "--workers",
        "1",
        "--drain-timeout-ms",
        "3600000",
        "--pending-output-per-client",
        "0",
    ]);
    let _client = client_that_does_not_read(server.port());
    server.signal("TERM");
    server.wait_for("SIGTERM: draining\n");
    server.signal("TERM");
    server.signal("INT");
    assert_eq!(server.exit().code(), Some(1));
    server.wait_for("SIGINT while draining: stopping at once\n");
    assert_eq!(
        server.log().matches("SIGTERM").count(),
        1,
        "{}",
        server.log()
    );
}

#[test]
fn sighup_applies_the_changed_file() {
    let file = Scratch::file("");
    let mut server = Server::start(&[file.path()]);
    let quiet_log = Scratch::file("");
    quiet_log.remove();

    file.write(&format!(
        "loglevel = \"warning\"\nlogfile = \"{}\"\n",
        quiet_log.path()
    ));
    server.signal("HUP");
    eventually("the new log file", || Path::new(quiet_log.path()).exists());

    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    assert!(!server.log().contains("SIGTERM"), "{}", server.log());
    assert_eq!(
        quiet_log.read(),
        "",
        "start, drain and stop are below `warning`"
    );
}

#[test]
fn sighup_logs_each_key_that_changes_and_no_password() {
    let file = Scratch::file("requirepass = 'a \"b\"'\n");
    let server = Server::start(&[file.path()]);
    let set = "SET timeout 5 latency-tracking no requirepass other";
    assert_eq!(config(&server, set), "+OK");
    server.signal("HUP");
    server.wait_for("SIGHUP: applied ");
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
    server.wait_for("`slowlog-max-len` changed from 128 to 7\n");
    server.wait_for("`requirepass` changed from (redacted) to \"\"\n");
}

#[test]
fn sighup_names_the_keys_that_a_flag_overrides() {
    let file = Scratch::file("timeout = 5\nmaxclients = 50\nworkers = 1\n");
    let flags = ["--timeout", "6", "--workers", "1", "--requirepass", "x"];
    let server = Server::start(&[&[file.path()], &flags[..]].concat());
    file.write("timeout = 7\nmaxclients = 50\nport = 7777\nworkers = 1\nrequirepass = \"y\"\n");
    server.signal("HUP");
    server.wait_for("SIGHUP: applied ");
    let path = file.path();
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
fn sighup_leaves_the_flags_on_top_of_the_file() {
    let file = Scratch::file("");
    let server = Server::start(&[file.path(), "--loglevel", "notice"]);
    file.write("loglevel = \"nothing\"\n");
    server.signal("HUP");
    server.wait_for(&format!("SIGHUP: applied {}\n", file.path()));
}

#[test]
fn sighup_with_a_mistake_in_the_file_changes_nothing_and_shows_it() {
    let file = Scratch::file("");
    let mut server = Server::start(&[file.path()]);
    file.write("loglevel = \"nothing\"\nport = 70000\n");
    server.signal("HUP");
    let place = format!(
        "{}:2:8: `port = 70000`: expected a whole number",
        file.path()
    );
    server.wait_for(&format!("[warning] SIGHUP: nothing changed: {place}"));

    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));
    server.wait_for("stopped");
}

#[test]
fn sighup_with_a_log_file_that_cannot_be_opened_changes_nothing() {
    let file = Scratch::file("");
    let server = Server::start(&[file.path()]);
    file.write("logfile = \"/no-such-folder/a.log\"\n");
    server.signal("HUP");
    server.wait_for("SIGHUP: nothing changed: cannot open the log file /no-such-folder/a.log: ");
}

#[test]
fn sighup_without_a_file_opens_the_log_again_as_logrotate_needs_it() {
    let log = Scratch::file("older\n");
    let rotated = Scratch::file("");
    let mut server = Server::spawn(&["--logfile", log.path()]);
    eventually("the first line", || log.read().contains("answers on"));

    fs::rename(log.path(), rotated.path()).unwrap();
    server.signal("HUP");
    eventually("the new log file", || Path::new(log.path()).exists());
    server.signal("TERM");
    assert_eq!(server.exit().code(), Some(0));

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
    assert_eq!(server.log(), "", "nothing on standard output");
}

/// What the server says to CONFIG with this behind it: one line.
#[track_caller]
fn config(server: &Server, words: &str) -> String {
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    // An error where no password is wanted, and that is fine.
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG {words}\r\n"));
    peer.line();
    peer.line()
}

/// As an inline request writes it.
const PASSWORD: &str = r#""a \"b\"""#;

/// The value of a directive.
#[track_caller]
fn value(server: &Server, directive: &str) -> String {
    let mut peer = Peer::connect((Ipv4Addr::LOCALHOST, server.port()).into());
    peer.send(format!("AUTH {PASSWORD}\r\nCONFIG GET {directive}\r\n"));
    peer.line();
    let mut lines = std::iter::repeat_with(|| peer.line());
    // The header, the name's length, the name, the value's length.
    lines.nth(4).expect("lines do not end")
}

#[test]
fn rewrite_writes_what_is_in_force_into_the_file_and_keeps_all_else() {
    let mine = "# My server.\n\ntimeout = 1   # seconds\n  # and so on\n\"maxclients\" = 50\n";
    let file = Scratch::file(mine);
    let server = Server::start(&[file.path(), "--workers", "2"]);
    let set = format!("SET timeout 60 requirepass {PASSWORD} latency-tracking no loglevel notice");
    assert_eq!(config(&server, &set), "+OK");
    assert_eq!(config(&server, "REWRITE"), "+OK");
    let mine = mine.replace("timeout = 1 ", "timeout = 60 ");
    let added = "# Generated by CONFIG REWRITE\nworkers = 2\nbind = [\"127.0.0.1\"]\nport = 0\n\
                 requirepass = 'a \"b\"'\nlatency-tracking = false\n";
    assert_eq!(file.read(), format!("{mine}{added}"));
    let line = format!(
        "CONFIG REWRITE: {} has the current configuration\n",
        file.path()
    );
    server.wait_for(&line);

    // Whoever starts with the file alone has the same, and a second time changes nothing.
    drop(server);
    let again = Server::start(&[file.path()]);
    assert_eq!(value(&again, "requirepass"), "a \"b\"");
    assert_eq!(value(&again, "timeout"), "60");
    assert_eq!(value(&again, "workers"), "2");
    assert_eq!(config(&again, "REWRITE"), "+OK");
    assert_eq!(file.read(), format!("{mine}{added}"));
}

#[test]
fn rewrite_writes_the_file_that_a_link_points_to() {
    let file = Scratch::file("timeout = 1\n");
    let link = Scratch::file("");
    link.remove();
    symlink(file.path(), link.path()).unwrap();
    let server = Server::start(&[link.path()]);
    assert_eq!(config(&server, "SET timeout 2"), "+OK");
    assert_eq!(config(&server, "REWRITE"), "+OK");
    assert!(fs::symlink_metadata(link.path()).unwrap().is_symlink());
    assert!(file.read().starts_with("timeout = 2\n"), "{}", file.read());
}

#[test]
fn rewrite_in_a_folder_that_takes_no_file_leaves_the_old_one_and_says_why() {
    let file = Scratch::file("timeout = 1\n");
    let server = Server::start(&[file.path()]);
    // A folder that may not be written would not stop root; one in the place of the new file does.
    let path = Path::new(file.path());
    let name = path.file_name().unwrap().to_str().unwrap();
    let in_its_place = path.with_file_name(format!(".{name}.{}.tmp", server.child.id()));
    fs::create_dir(&in_its_place).unwrap();
    assert_eq!(config(&server, "SET timeout 2"), "+OK");
    let reply = config(&server, "REWRITE");
    fs::remove_dir(&in_its_place).unwrap();
    let beginning = format!(
        "-ERR Rewriting config file: cannot write {}: ",
        in_its_place.display()
    );
    assert!(reply.starts_with(&beginning), "{reply}");
    assert_eq!(file.read(), "timeout = 1\n");
    let line = format!(
        "[warning] CONFIG REWRITE: {} was not changed: ",
        file.path()
    );
    server.wait_for(&line);
    assert_eq!(config(&server, "REWRITE"), "+OK");
    assert!(file.read().starts_with("timeout = 2\n"), "{}", file.read());
}

#[test]
fn rewrite_leaves_a_file_alone_that_has_become_wrong() {
    let file = Scratch::file("");
    let server = Server::start(&[file.path()]);
    file.write("prot = 1\n");
    let reply = config(&server, "REWRITE");
    let reason = format!("{}:1:1: unknown key `prot`", file.path());
    let beginning = format!("-ERR Rewriting config file: {reason}");
    assert!(reply.starts_with(&beginning), "{reply}");
    assert_eq!(file.read(), "prot = 1\n");
}

#[test]
fn rewrite_without_a_file_says_so() {
    let server = Server::start(&[]);
    assert_eq!(
        config(&server, "REWRITE"),
        "-ERR The server is running without a config file"
    );
}

#[test]
fn a_loglevel_that_is_set_holds_at_once_and_until_sighup_reads_the_file_again() {
    let file = Scratch::file("");
    let server = Server::start(&[file.path()]);
    // The connection that sets it is the first one whose end is logged.
    assert_eq!(config(&server, "SET loglevel verbose timeout 5"), "+OK");
    server.wait_for("closed after 0 s: the peer closed the connection");
    assert_eq!(value(&server, "loglevel"), "verbose");

    server.signal("HUP");
    server.wait_for("SIGHUP: applied ");
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
fn sighup_without_a_file_leaves_what_was_set() {
    let server = Server::start(&["--timeout", "3"]);
    assert_eq!(config(&server, "SET timeout 5 maxclients 50"), "+OK");
    server.signal("HUP");
    server.wait_for("[warning] SIGHUP: the log was opened again; there is no FILE");
    assert_eq!(value(&server, "timeout"), "5");
    assert_eq!(value(&server, "maxclients"), "50");
}

/// A run of the program that came to its end by itself.
struct Finished {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Finished {
    /// Runs the program with `args`; one that goes on serving is killed at the deadline and fails.
    fn of(args: &[&str]) -> Self {
        let stderr = Scratch::file("");
        let errors = File::create(stderr.path()).unwrap();
        let mut run = Server::spawn_command(respool(args).stderr(errors));
        Self {
            code: run.exit().code(),
            stdout: run.log(),
            stderr: stderr.read(),
        }
    }

    fn assert_success(&self) {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
    }

    /// The exit code is 1, standard output is empty, and standard error has all of `parts`.
    fn assert_mistake(&self, parts: &[&str]) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (Some(1), ""),
            "{}",
            self.stderr
        );
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {:?}", self.stderr);
        }
    }
}

/// A running program, whose standard output goes to a scratch file; killed when dropped.
struct Server {
    child: Child,
    stdout: Scratch,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 and waits for its first line.
    fn start(args: &[&str]) -> Self {
        let server = Self::spawn(args);
        server.wait_for("answers on 127.0.0.1:");
        server
    }

    fn spawn(args: &[&str]) -> Self {
        Self::spawn_command(respool(args).args(["--bind", "127.0.0.1", "--port", "0"]))
    }

    fn spawn_command(command: &mut Command) -> Self {
        let stdout = Scratch::file("");
        let child = command
            .stdout(File::create(stdout.path()).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        reaper::watch(child.id());
        Self { child, stdout }
    }

    /// Everything that it wrote to standard output, which is the log unless `--logfile` is given.
    fn log(&self) -> String {
        self.stdout.read()
    }

    fn wait_for(&self, part: &str) {
        eventually(part, || self.log().contains(part));
    }

    fn port(&self) -> u16 {
        let log = self.log();
        let (_, rest) = log
            .split_once("answers on 127.0.0.1:")
            .expect("the first line");
        rest.split_once(' ').unwrap().0.parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the program", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        reaper::forget(self.child.id());
        let _ = self.child.wait();
    }
}

/// A file that is removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn file(text: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: only the numbers must differ.
        let name = format!(
            "{}-{}",
            process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let scratch = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        scratch.write(text);
        scratch
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }

    fn remove(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn respool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_respool"));
    command.args(args).stdin(Stdio::null());
    command
}

/// A client whose requests and replies have filled every buffer between it and the server, so that
/// the server has replies for it that it cannot send.
fn client_that_does_not_read(port: u16) -> Peer {
    let addr = (Ipv4Addr::LOCALHOST, port).into();
    let (mut client, mut other) = (Peer::connect(addr), Peer::connect(addr));
    client.send_until_stuck("PING\r\n".repeat(10_000).as_bytes(), &mut other);
    client
}
