//! The lines of the log.

use std::net::TcpListener;

use respool_testing::{PATIENCE, Scratch};

use crate::{config, run, start};

#[test]
fn failed_start_is_logged_to_the_log_file() {
    let log = Scratch::file("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = [
        "--bind",
        "127.0.0.1",
        "--port",
        &port,
        "--logfile",
        log.arg(),
    ];
    let ended = run(&args);
    assert_eq!(ended.status.code(), Some(1));
    let problem = format!("cannot listen on 127.0.0.1:{port}: ");
    assert!(ended.stderr.contains(&problem));
    let line = format!("[warning] cannot start: {problem}");
    assert!(log.read().contains(&line), "{}", log.read());

    let file = Scratch::file("port = 70000\n");
    let ended = run(&[file.arg(), "--logfile", log.arg()]);
    assert_eq!(ended.status.code(), Some(1));
    let line = format!("[warning] cannot start: {}:1:8: ", file.arg());
    assert!(log.read().contains(&line), "{}", log.read());
}

#[test]
fn unusable_log_file_is_named_with_the_reason() {
    let start = run(&["--port", "0", "--logfile", "/no-such-folder/a.log"]);
    start
        .assert_mistake(&["respool: cannot open the log file /no-such-folder/a.log: No such file"]);
}

#[test]
fn first_line_has_the_address_and_a_command_to_try() {
    let server = start(&["--workers", "2"]);
    let port = server.addr.port();
    let version = env!("CARGO_PKG_VERSION");
    let line = format!(
        "respool {version} answers on 127.0.0.1:{port} with 2 workers; \
         try: redis-cli -p {port} PING\n"
    );
    assert!(server.log().ends_with(&line), "{}", server.log());
}

#[test]
fn each_line_has_a_time_and_a_level() {
    let server = start(&["--loglevel", "debug"]);
    assert_eq!(config(&server, "SET timeout 5"), "+OK");
    server.wait_for_log("closed after 0 s: the peer closed the connection");
    server.signal("HUP");
    server.wait_for_log("there is no FILE to read");
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    let log = ended.stdout;
    for line in log.lines() {
        let (time, rest) = line.split_once(" [").expect(line);
        let shape = time.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
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
fn verbose_has_two_lines_per_client_and_no_debug() {
    let server = start(&["--loglevel", "verbose"]);
    for _ in 0..3 {
        assert_eq!(config(&server, "SET timeout 5"), "+OK");
    }
    server.signal("TERM");
    let ended = server.ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(0));
    let log = ended.stdout;
    assert_eq!(log.matches(" [verbose] ").count(), 6, "{log}");
    assert_eq!(log.matches(" [debug] ").count(), 0, "{log}");
}
