//! redis-cli and redis-benchmark against the program, with one worker and with two.
//!
//! `cargo test --test tools` runs it; plain `cargo test` does not, because it needs both tools.
//! Without them it fails.

use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use respool::ClientSnapshot;
use respool_testing::process::{Process, Respool};
use respool_testing::{PATIENCE, Peer, TestServer, eventually};

#[test]
fn two_redis_cli_at_once_print_pong() {
    with_one_worker_and_with_two(|server| {
        let both = [(); 2].map(|()| Process::start(&mut redis_cli(server, &["PING"])));
        for one in both {
            assert_eq!(one.ended(PATIENCE).without_complaint(), "PONG\n");
        }
    });
}

#[test]
fn redis_cli_prints_pong_or_the_message() {
    with_one_worker_and_with_two(|server| {
        assert_eq!(printed(server, &["PING"]), "PONG\n");
        assert_eq!(printed(server, &["ping"]), "PONG\n");
        assert_eq!(printed(server, &["PING", "hello"]), "hello\n");
        assert_eq!(printed(server, &["PING", ""]), "\n");
        assert_eq!(printed(server, &["ECHO", "hello"]), "hello\n");
    });
}

#[test]
fn redis_cli_echoes_any_bytes_from_its_input() {
    with_one_worker_and_with_two(|server| {
        let bytes = "a\r\n\0\u{7f}ü";
        assert_eq!(
            printed_for(server, &["-x", "PING"], bytes),
            "a\r\n\0\u{7f}ü\n"
        );
        assert_eq!(printed_for(server, &["-x", "PING"], ""), "\n");
    });
}

#[test]
fn redis_cli_runs_commands_from_its_input() {
    with_one_worker_and_with_two(|server| {
        let session = "PING\nping hi\nECHO \"a b\"\nPING a b\nPING\nquit\n";
        let replies = [
            "PONG\n",
            "hi\n",
            "a b\n",
            "ERR wrong number of arguments for 'ping' command\n\n",
            "PONG\n",
        ];
        assert_eq!(printed_for(server, &[], session), replies.concat());
    });
}

#[test]
fn redis_cli_repeats_a_ping_on_one_connection() {
    for workers in [1, 2] {
        let server = Respool::start(workers);
        let pongs = printed(&server, &["-r", "1000", "-i", "0", "PING"]);
        assert_eq!(pongs, "PONG\n".repeat(1000));
        assert_eq!(clients_before_the_control(&server.stop()), 1);
    }
}

#[test]
fn unknown_command_leaves_the_connection_open() {
    for workers in [1, 2] {
        let server = Respool::start(workers);
        let error = "ERR unknown command 'FOO', with args beginning with: 'bar' \n\n";
        assert_eq!(printed(&server, &["FOO", "bar"]), error);
        // redis-cli reconnects silently, so only the log shows that it did not.
        let session = "FOO bar\nPING\n";
        assert_eq!(printed_for(&server, &[], session), format!("{error}PONG\n"));
        assert_eq!(clients_before_the_control(&server.stop()), 2);
    }
}

#[test]
fn quit_is_answered_with_ok() {
    with_one_worker_and_with_two(|server| assert_eq!(printed(server, &["QUIT"]), "OK\n"));
}

/// redis-cli sends ECHO with 20 random bytes after the input, and takes its reply as the end. In
/// about one of seven runs they contain CR or LF, which shows a reply that is not binary safe.
#[test]
fn redis_cli_pipes_inline_and_array_requests_without_an_error() {
    with_one_worker_and_with_two(|server| {
        for _ in 0..50 {
            let requests = "PING\r\nPING x\r\n*1\r\n$4\r\nPING\r\n";
            let printed = printed_for(server, &["--pipe"], requests);
            assert!(printed.ends_with("errors: 0, replies: 3\n"), "{printed}");
        }
    });
}

/// It samples for one second if its output is not a terminal.
#[test]
fn redis_cli_measures_latency() {
    with_one_worker_and_with_two(|server| {
        let printed = printed(server, &["--latency"]);
        let numbers: Vec<f64> = printed
            .split_whitespace()
            .map(|number| number.parse().expect(&printed))
            .collect();
        let [min, max, mean, samples] = numbers[..] else {
            panic!("{printed}");
        };
        assert!(min <= mean && mean <= max && samples >= 1.0, "{printed}");
    });
}

#[test]
fn redis_benchmark_finishes_with_50_clients() {
    benchmark_with_one_worker_and_with_two(&["-c", "50", "-n", "100000"]);
}

#[test]
fn redis_benchmark_finishes_with_500_clients_that_pipeline() {
    benchmark_with_one_worker_and_with_two(&["-c", "500", "-P", "16", "-n", "1000000"]);
}

#[test]
fn redis_benchmark_finishes_with_a_connection_for_each_request() {
    benchmark_with_one_worker_and_with_two(&["-c", "50", "-n", "2000", "-k", "0"]);
}

#[test]
fn redis_benchmark_finishes_on_two_threads() {
    benchmark_with_one_worker_and_with_two(&["-c", "50", "-n", "20000", "--threads", "2"]);
}

/// A pool whose workers own their connections fails this.
#[test]
fn thousand_idle_connections_do_not_delay_ping() {
    // Each connection is a descriptor of this process, too.
    rlimit::increase_nofile_limit(4096).expect("the limit on open files can be raised");
    with_one_worker_and_with_two(|server| {
        let crowd = |count: usize| -> Vec<Peer> { (0..count).map(|_| server.connect()).collect() };
        let mut silent = crowd(500);
        let mut halves = crowd(250);
        for half in &mut halves {
            half.send("*1\r\n$4\r\nPI");
        }
        let mut answered = crowd(250);
        for one in &mut answered {
            one.ping();
        }

        for _ in 0..50 {
            let cli = Process::start(&mut redis_cli(server, &["ping"]));
            let ended = cli.ended(Duration::from_secs(5));
            assert_eq!(ended.without_complaint(), "PONG\n");
        }

        for half in &mut halves {
            half.ask("NG\r\n", "+PONG\r\n");
        }
        for one in silent.iter_mut().chain(&mut answered) {
            one.ping();
        }
    });
}

/// A thread of a program publishes to 100 of redis-cli. `RESPOOL_MESSAGES=100000` publishes more than
/// the tests of every commit; each then prints 1.7 MB.
#[test]
fn redis_cli_subscribers_get_every_message_in_order() {
    let count = match env::var("RESPOOL_MESSAGES") {
        Ok(count) => count.parse().expect("a number"),
        Err(_) => 10_000,
    };
    let server = TestServer::start(2);
    let port = server.addr.port().to_string();
    let readers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| {
            let mut command = Command::new("redis-cli");
            Process::start(command.args(["-p", &port, "SUBSCRIBE", "c"]))
        })
        .collect();
    eventually("all are subscribed", || {
        let clients = server.handle.clients();
        clients.iter().filter(|one| one.channels == 1).count() == SUBSCRIBERS
    });
    let handle = server.handle.clone();
    let publisher = thread::spawn(move || {
        (0..count).all(|number| handle.publish("c", number.to_string()) == SUBSCRIBERS)
    });
    assert!(publisher.join().expect("it publishes"), "one has gone");
    // A thousandth of a second for each message is 10 times what it takes here.
    let deadline = Instant::now() + Duration::from_millis(count) + PATIENCE;
    let is_sent = |one: &ClientSnapshot| one.pending_output_bytes == 0;
    while !server.handle.clients().iter().all(is_sent) {
        assert!(Instant::now() < deadline, "not sent in time");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.drain().aborted, 0);
    let message = |number| format!("message\nc\n{number}\n");
    let messages: Vec<_> = (0..count).map(message).collect();
    let expected = format!("subscribe\nc\n1\n{}", messages.concat());
    for reader in readers {
        let printed = reader.ended(deadline - Instant::now()).stdout;
        assert!(
            printed == expected,
            "{} of {} bytes",
            printed.len(),
            expected.len()
        );
    }
}

/// Clients of the test above.
const SUBSCRIBERS: usize = 100;

#[test]
fn sigterm_under_load_cuts_no_reply_short() {
    respool_testing::load::end_by_sigterm(20);
}

/// Runs `test` on a server with one worker and on one with two, and expects that the server is fine
/// afterwards.
fn with_one_worker_and_with_two(test: impl Fn(&Respool)) {
    for workers in [1, 2] {
        let server = Respool::start(workers);
        test(&server);
        server.stop();
    }
}

/// Expects that redis-benchmark prints a row for each kind of PING, and no error. It always warns
/// about its own `-k 0`.
fn benchmark_with_one_worker_and_with_two(args: &[&str]) {
    with_one_worker_and_with_two(|server| {
        let mut command = Command::new("redis-benchmark");
        command
            .args(["-p", &server.addr.port().to_string(), "-t", "ping", "-q"])
            .args(args);
        let ended = Process::start(&mut command).ended(BENCHMARK_PATIENCE);
        assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
        let mut complaints = ended.stderr.lines();
        let is_about_itself = |line: &str| line.starts_with("WARNING: Keepalive disabled.");
        assert!(complaints.all(is_about_itself), "{}", ended.stderr);
        // It overwrites a line until the line is final.
        let rows = ended.stdout.replace('\r', "\n");
        for kind in ["PING_INLINE: ", "PING_MBULK: "] {
            let is_final = |row: &str| row.starts_with(kind) && row.contains("requests per second");
            assert!(rows.lines().any(is_final), "no row {kind:?}: {rows}");
        }
    });
}

fn redis_cli(server: &Respool, args: &[&str]) -> Command {
    let mut command = Command::new("redis-cli");
    command
        .args(["-p", &server.addr.port().to_string()])
        .args(args);
    command
}

/// Returns the output of redis-cli. Expects success and no error output.
#[track_caller]
fn printed(server: &Respool, args: &[&str]) -> String {
    printed_for(server, args, "")
}

/// Returns the output of redis-cli for this input.
#[track_caller]
fn printed_for(server: &Respool, args: &[&str], input: &str) -> String {
    Process::start_with_input(&mut redis_cli(server, args), input)
        .ended(PATIENCE)
        .without_complaint()
}

/// Returns the number of clients in a stopped server's log, without the final control client.
fn clients_before_the_control(log: &str) -> usize {
    log.matches(" connected from ").count() - 1
}

/// Two million requests on a busy machine.
const BENCHMARK_PATIENCE: Duration = Duration::from_secs(180);
