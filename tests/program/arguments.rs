//! The command line and the configuration file: `--help`, `--check-config` and errors.

use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use respool_testing::process::Process;
use respool_testing::target::program;
use respool_testing::{PATIENCE, Scratch};

use crate::{respool, run, start, value};

#[test]
fn help_has_usage_keys_and_examples() {
    let help = run(&["--help"]);
    let help = help.without_complaint();
    for part in [
        "Usage: respool [FILE] [--key value ...]",
        "--workers <N>",
        "--check-config",
        "Examples:",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn version_is_one_line() {
    let version = run(&["--version"]);
    assert_eq!(
        version.without_complaint(),
        format!("respool {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn check_config_accepts_a_valid_file() {
    let file = Scratch::file("port = 7000\n");
    let check = run(&[file.arg(), "--workers", "1", "--check-config"]);
    assert_eq!(
        check.without_complaint(),
        format!("respool: {} is fine\n", file.arg())
    );
}

#[test]
fn check_config_warns_and_still_succeeds() {
    let check = run(&["--check-config", "--workers", "1024", "--bind", "0.0.0.0"]);
    assert_eq!(check.status.code(), Some(0));
    check.assert_prints("respool: the command line is fine\n");
    let warnings: Vec<_> = check.stderr.lines().collect();
    assert!(
        warnings
            .iter()
            .all(|line| line.starts_with("respool: warning: ")),
        "{warnings:?}"
    );
    for part in ["write `workers = 0`", "write `requirepass-file = \"PATH\"`"] {
        assert!(
            warnings.iter().any(|line| line.contains(part)),
            "{part}: {warnings:?}"
        );
    }
}

#[test]
fn check_config_finds_that_too_few_files_may_be_open() {
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program());
        Process::start(command.stdin(Stdio::null())).ended(PATIENCE)
    };
    if shell("ulimit -n 40 && ulimit -n 50").status.success() {
        // A process that may raise the limit is not bound by it.
        return;
    }
    let check = r#"exec "$0" --check-config --port 7000"#;
    let with_limit = |limit: usize| shell(&format!("ulimit -n {limit}; {check}"));
    with_limit(40).assert_mistake(&["the limit on open files is too low"]);
    let check = with_limit(100);
    assert!(check.status.success(), "{}", check.stderr);
    assert!(
        check.stderr.contains("write `maxclients = "),
        "{}",
        check.stderr
    );
}

#[test]
fn check_config_checks_flags_without_a_file() {
    let check = run(&[
        "--check-config",
        "--bind",
        "127.0.0.1",
        "-::1",
        "--port",
        "7000",
    ]);
    assert_eq!(
        check.without_complaint(),
        "respool: the command line is fine\n"
    );
}

#[test]
fn check_config_finds_an_unwritable_log_file() {
    let folder = Scratch::folder();
    let inside = format!("{}/a.log", folder.arg());
    let check = |logfile: &str| run(&["--check-config", "--logfile", logfile]);
    check(&inside).without_complaint();
    assert!(!Path::new(&inside).exists(), "no file is left");
    check(folder.arg()).assert_mistake(&["cannot open the log file", "Is a directory"]);
    check("/no-such-folder/a.log")
        .assert_mistake(&["cannot open the log file /no-such-folder/a.log: No such file"]);
    check("/proc/a.log").assert_mistake(&["cannot open the log file /proc/a.log: "]);
    let link = format!("{}/link", folder.arg());
    symlink("a.log", &link).unwrap();
    check(&link).without_complaint();
    assert!(!Path::new(&inside).exists(), "nor at the target of a link");
    fs::write(&inside, "old\n").unwrap();
    check(&inside).without_complaint();
    assert_eq!(fs::read_to_string(&inside).unwrap(), "old\n");
}

#[test]
fn check_config_finds_an_address_not_on_this_machine() {
    // For documentation, by RFC 5737 and RFC 3849.
    for address in ["192.0.2.1", "2001:db8::1"] {
        run(&["--check-config", "--bind", address]).assert_mistake(&["cannot listen on "]);
        let optional = format!("-{address}");
        let check = run(&["--check-config", "--bind", "127.0.0.1", &optional]);
        assert!(check.status.success(), "{}", check.stderr);
        run(&["--check-config", "--bind", &optional])
            .assert_mistake(&["none of the addresses in `bind`"]);
    }
}

#[test]
fn check_config_accepts_the_port_of_a_running_server() {
    let server = start(&[]);
    let port = server.addr.port().to_string();
    let check = ["--check-config", "--bind", "127.0.0.1", "--port", &port];
    assert!(run(&check).status.success());
}

#[test]
fn invalid_file_value_is_explained_with_its_place() {
    let file = Scratch::file("# mine\nport = 70000\n");
    let place = format!("respool: {}:2:8: `port = 70000`: ", file.arg());
    run(&[file.arg()]).assert_mistake(&[&place, "expected a whole number from 0 to 65535"]);
}

#[test]
fn key_of_redis_that_cannot_be_honoured_is_refused() {
    for (line, why) in [
        (
            "tls-ciphers = \"DEFAULT\"",
            "`tls-ciphers` cannot be set: the ciphers ",
        ),
        (
            "tls-cluster = true",
            "`tls-cluster` cannot be set: respool ",
        ),
        (
            "tls-session-cache-size = 1",
            "`tls-session-cache-size` cannot be set: ",
        ),
        (
            "tls-key-file-pass = \"x\"",
            "encrypted keys are not supported: decrypt ",
        ),
    ] {
        let file = Scratch::file(&format!("# mine\n{line}\n"));
        run(&["--check-config", file.arg()]).assert_mistake(&[":2:1: ", why]);
    }
    let neutral = "tls-ciphers = \"\"\ntls-cluster = false\ntls-replication = \"no\"\n";
    let file = Scratch::file(neutral);
    assert!(run(&["--check-config", file.arg()]).status.success());
}

#[test]
fn check_config_finds_the_same_errors() {
    let file = Scratch::file("prot = 7000\n");
    let place = format!("respool: {}:1:1: unknown key `prot`, ", file.arg());
    run(&["--check-config", file.arg()]).assert_mistake(&[&place, "did you mean `port`?"]);
}

#[test]
fn flag_does_not_hide_an_invalid_file_value() {
    let file = Scratch::file("port = 70000\n");
    run(&[file.arg(), "--port", "7000"]).assert_mistake(&[":1:8: `port = 70000`"]);
}

#[test]
fn unreadable_file_is_named_with_the_reason() {
    run(&["no-such.toml"]).assert_mistake(&["respool: cannot read no-such.toml: No such file"]);
    run(&["/"]).assert_mistake(&["respool: cannot read /: Is a directory"]);
}

#[test]
fn too_long_file_is_refused() {
    let longest = Scratch::file(&"#".repeat(1 << 20));
    run(&[longest.arg(), "--check-config"]).without_complaint();
    let longer = Scratch::file(&"#".repeat((1 << 20) + 1));
    run(&[longer.arg(), "--check-config"]).assert_mistake(&["longer than 1048576 bytes"]);
}

#[test]
fn invalid_flag_value_is_explained() {
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
            ["--cluster-enabled", "no"],
            ["unexpected argument '--cluster-enabled'", "no effect here"],
        ),
        (
            ["--tls-ciphers", "DEFAULT"],
            ["unexpected argument '--tls-ciphers'", "cannot be chosen"],
        ),
        (
            ["--tls-protocols", "TLSv1.1"],
            ["`TLSv1.1` is obsolete and not supported", "TLSv1.3 or both"],
        ),
        (
            ["--tls-auth-clients", "maybe"],
            ["`maybe` is not a value", "yes, no or optional"],
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
        run(&args).assert_mistake(&parts);
    }
}

#[test]
fn file_after_a_list_flag_is_explained() {
    run(&["--bind", "127.0.0.1", "respool.toml"]).assert_mistake(&[
        "`respool.toml` is not an IP address",
        "tip: every word up to the next flag belongs to '--bind', so put FILE before it",
    ]);
}

#[test]
fn file_after_a_flag_replaces_the_default_file() {
    let file = Scratch::file("workers = 3\n");
    let default = Scratch::file("workers = 2\n");
    let default_file = ["--default-file", default.arg()];
    for args in [&["--timeout=5", file.arg()][..], &[file.arg()]] {
        let server = start(&[&default_file[..], args].concat());
        assert_eq!(value(&server, "workers"), "3");
    }
    let server = start(&[&default_file[..], &["--timeout", "5"]].concat());
    assert_eq!(value(&server, "workers"), "2");
}

#[test]
fn wildcard_with_an_address_it_covers_is_refused() {
    let problem = "0.0.0.0 includes 127.0.0.1";
    run(&["--port", "0", "--bind", "0.0.0.0", "127.0.0.1"]).assert_mistake(&[problem]);
    let file = Scratch::file("bind = [\"127.0.0.1\", \"*\"]\n");
    run(&[file.arg()]).assert_mistake(&[":1:8: ", problem]);
}

#[test]
fn flag_without_a_value_is_named() {
    run(&["--port", "--workers", "2"]).assert_mistake(&["a value is required for '--port <N>'"]);
}

#[test]
fn port_in_use_is_named_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let start = run(&["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    start.assert_mistake(&["respool: ", &address.to_string()]);
}

#[test]
fn unwritable_output_changes_no_exit_code() {
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
fn last_flag_wins() {
    let server = start(&["--workers", "2", "--workers=1"]);
    assert!(
        server.log().contains(" with 1 worker; "),
        "{}",
        server.log()
    );
}
