//! redis-cli and redis-benchmark, beyond `tests/external/tools.rs`.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::process::{Process, Respool, with_default_signals};
use respool_testing::setup::{installed, version};
use respool_testing::{PATIENCE, eventually};

pub(crate) fn cases() -> Vec<Case> {
    let cli = version("redis-cli", "--version");
    let cli = |does, run: fn(&Respool) -> Outcome| Case::new("redis-cli", &cli, does, run);
    let mut cases = vec![
        cli("-3 speaks RESP3", speaks_resp3),
        cli("--json prints JSON", prints_json),
        cli("-n takes databases 0 to 15", takes_databases),
        cli("-u says user, password and database", says_who_it_is),
        cli("a session on a terminal, ended by QUIT", ended_by_quit),
        cli("a session on a terminal, ended by ^D", ended_by_end_of_file),
        cli("--pipe takes both kinds of requests, 200 times", pipes),
        cli("--stat prints a row each interval", prints_statistics),
        cli("--latency-history prints a row each second", prints_latency),
        cli(
            "SUBSCRIBE prints what is published",
            prints_what_is_published,
        ),
        cli(
            "^C ends SUBSCRIBE, and the session goes on",
            goes_on_after_subscribe,
        ),
        cli(
            "MONITOR prints the PING of another",
            prints_the_requests_of_others,
        ),
        cli("`help ping` prints what COMMAND DOCS tells", prints_help),
    ];
    let benchmark = version("redis-benchmark", "--version");
    for args in BENCHMARKS {
        let does = format!("{} finishes without a warning", args.join(" "));
        let run = |server: &Respool| {
            let port = server.addr.port().to_string();
            finishes_without_a_warning(args, &["-p".into(), port])
        };
        cases.push(Case::new("redis-benchmark", &benchmark, does, run));
    }
    cases
}

fn speaks_resp3(server: &Respool) -> Outcome {
    assert_eq!(printed(server, &["-3", "PING"])?, "PONG\n");
    let hello = printed(server, &["-3", "HELLO"])?;
    assert!(hello.contains("\nproto 3\n"), "{hello}");
    Ok(())
}

fn prints_json(server: &Respool) -> Outcome {
    assert_eq!(printed(server, &["--json", "PING"])?, "\"PONG\"\n");
    let hello = printed(server, &["--json", "HELLO"])?;
    assert!(hello.starts_with("{\"server\":\"redis\","), "{hello}");
    assert!(hello.contains(",\"proto\":3,"), "{hello}");
    Ok(())
}

fn takes_databases(server: &Respool) -> Outcome {
    assert_eq!(printed(server, &["-n", "15", "PING"])?, "PONG\n");
    let ended = Process::start(&mut redis_cli(server, &["-n", "16", "PING"])?).ended(PATIENCE);
    let complaint = "SELECT 16 failed: ERR DB index is out of range\n";
    assert_eq!(
        (ended.stderr.as_str(), ended.stdout.as_str()),
        (complaint, "PONG\n")
    );
    Ok(())
}

fn says_who_it_is(server: &Respool) -> Outcome {
    let address = format!("redis://default:any@{}/3", server.addr);
    let args = ["-u", &address, "--no-auth-warning", "PING"];
    assert_eq!(printed(server, &args)?, "PONG\n");
    Ok(())
}

fn ended_by_quit(server: &Respool) -> Outcome {
    let mut terminal = Terminal::start(server, "")?;
    talk(&mut terminal);
    terminal.enter("QUIT");
    terminal.process.ended(PATIENCE).without_complaint();
    Ok(())
}

fn ended_by_end_of_file(server: &Respool) -> Outcome {
    let mut terminal = Terminal::start(server, "")?;
    talk(&mut terminal);
    terminal.wait_for_prompt();
    terminal.process.say("\u{4}");
    terminal.process.ended(PATIENCE).without_complaint();
    Ok(())
}

fn talk(terminal: &mut Terminal) {
    for (line, reply) in [
        ("PING", "PONG\r\n"),
        ("ping hi", "\"hi\"\r\n"),
        ("HELLO 3", "\"proto\" => (integer) 3\r\n"),
        ("PING", "PONG\r\n"),
        ("help ping", "summary:"),
    ] {
        terminal.enter(line);
        terminal.process.expect(reply);
    }
}

/// The 20 random bytes of the ECHO after the input contain a line end in about one of seven runs.
fn pipes(server: &Respool) -> Outcome {
    for _ in 0..200 {
        let mut command = redis_cli(server, &["--pipe"])?;
        let requests = "PING\r\nPING x\r\n*1\r\n$4\r\nPING\r\n";
        let ended = Process::start_with_input(&mut command, requests).ended(PATIENCE);
        let printed = ended.without_complaint();
        assert!(printed.ends_with("errors: 0, replies: 3\n"), "{printed}");
    }
    Ok(())
}

fn prints_statistics(server: &Respool) -> Outcome {
    let mut terminal = Terminal::start(server, "--stat -i 0.1")?;
    terminal.process.expect("requests            connections");
    // Between two rows comes only the INFO of the second.
    for _ in 0..5 {
        terminal.process.expect(" (+1) ");
    }
    terminal.interrupt();
    Ok(())
}

fn prints_latency(server: &Respool) -> Outcome {
    let mut terminal = Terminal::start(server, "--latency-history -i 1")?;
    for _ in 0..2 {
        terminal.process.expect("seconds range");
    }
    terminal.interrupt();
    Ok(())
}

fn prints_what_is_published(server: &Respool) -> Outcome {
    let mut subscriber = Process::start(&mut redis_cli(server, &["SUBSCRIBE", "news"])?);
    subscriber.expect("subscribe\nnews\n1\n");
    assert_eq!(printed(server, &["PUBLISH", "news", "hello"])?, "1\n");
    assert_eq!(subscriber.expect("message\nnews\nhello\n"), "");
    // The other subscriber uses RESP2; this one uses RESP3.
    let mut other = Process::start(&mut redis_cli(server, &["-3", "SUBSCRIBE", "news"])?);
    other.expect("subscribe\nnews\n1\n");
    assert_eq!(printed(server, &["PUBLISH", "news", "again"])?, "2\n");
    for mut process in [subscriber, other] {
        process.expect("message\nnews\nagain\n");
        interrupted(process);
    }
    Ok(())
}

/// After ^C, redis-cli reconnects and abandons the subscribed connection.
fn goes_on_after_subscribe(server: &Respool) -> Outcome {
    let mut terminal = Terminal::start(server, "")?;
    terminal.enter("SUBSCRIBE news");
    terminal.process.expect("3) (integer) 1\r\n");
    assert_eq!(printed(server, &["PUBLISH", "news", "hello"])?, "1\n");
    terminal.process.expect("3) \"hello\"\r\n");
    terminal.process.say("\u{3}");
    terminal.enter("PING");
    terminal.process.expect("PONG\r\n");
    eventually("the subscriber has left", || {
        printed(server, &["PUBLISH", "news", "hello"]).is_ok_and(|count| count == "0\n")
    });
    terminal.enter("QUIT");
    terminal.process.ended(PATIENCE).without_complaint();
    Ok(())
}

fn prints_the_requests_of_others(server: &Respool) -> Outcome {
    let mut monitor = Process::start(&mut redis_cli(server, &["MONITOR"])?);
    monitor.expect("OK\n");
    assert_eq!(printed(server, &["PING", "hi"])?, "hi\n");
    let line = monitor.expect(" \"PING\" \"hi\"\n");
    // Such as `1795356593.395608 [0 127.0.0.1:43304]`.
    let (time, client) = line.split_once(' ').expect(&line);
    assert!(time.parse::<f64>().is_ok_and(|time| time > 0.0), "{line}");
    assert!(client.starts_with("[0 127.0.0.1:"), "{line}");
    interrupted(monitor);
    Ok(())
}

/// redis-cli has its own help; the text shows which of the two it prints.
fn prints_help(server: &Respool) -> Outcome {
    let docs = printed(server, &["COMMAND", "DOCS", "PING"])?;
    let mut lines = docs.lines().skip_while(|line| *line != "summary").skip(1);
    let summary = lines.next().expect(&docs);
    let mut terminal = Terminal::start(server, "")?;
    terminal.wait_for_prompt();
    // While typing, the arguments that may follow are shown in grey.
    terminal.process.say("PING");
    terminal.process.expect("[message]");
    terminal.process.say("\r");
    terminal.process.expect("PONG\r\n");
    terminal.enter("help ping");
    terminal.process.expect("summary:");
    let printed = terminal.process.expect("since:");
    assert!(printed.contains(summary), "{printed}, and not {summary}");
    terminal.enter("QUIT");
    terminal.process.ended(PATIENCE).without_complaint();
    Ok(())
}

/// `tests/external/tools.rs` has `-k 0` and two threads.
const BENCHMARKS: [&[&str]; 4] = [
    &["-P", "16"],
    &["-3"],
    &["--dbnum", "3"],
    &["--enable-tracking"],
];

/// Runs redis-benchmark with `args` against `address`, which is in its notation.
pub(crate) fn finishes_without_a_warning(args: &[&str], address: &[String]) -> Outcome {
    let mut command = Command::new(installed("redis-benchmark")?);
    command
        .args(["-t", "ping", "-c", "50", "-n", "20000", "--csv"])
        .args(address)
        .args(args);
    let rows = Process::start(&mut command)
        .ended(BENCHMARK_PATIENCE)
        .without_complaint();
    for kind in ["\"PING_INLINE\",", "\"PING_MBULK\","] {
        assert!(rows.lines().any(|row| row.starts_with(kind)), "{rows}");
    }
    Ok(())
}

/// Returns the output of redis-cli. Expects success and no error output.
fn printed(server: &Respool, args: &[&str]) -> Result<String, NotRun> {
    let process = Process::start(&mut redis_cli(server, args)?);
    Ok(process.ended(PATIENCE).without_complaint())
}

fn redis_cli(server: &Respool, args: &[&str]) -> Result<Command, NotRun> {
    let mut command = with_default_signals(&installed("redis-cli")?);
    command
        .args(["-p", &server.addr.port().to_string()])
        .args(args);
    Ok(command)
}

/// redis-cli on a terminal of its own, made by `script` of util-linux.
struct Terminal {
    process: Process,
    prompt: String,
}

impl Terminal {
    fn start(server: &Respool, args: &str) -> Result<Self, NotRun> {
        let cli = installed("redis-cli")?;
        let script = installed("script")?;
        // Without a width, redis-cli asks the terminal, which nobody answers.
        let run = format!(
            "stty cols 80 && exec '{}' -p {} {args}",
            cli.display(),
            server.addr.port()
        );
        let mut command = with_default_signals(&script);
        command
            .args(["-q", "-e", "-c", &run, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            // Does not touch the user's settings and history.
            .env("REDISCLI_RCFILE", "/dev/null")
            .env("REDISCLI_HISTFILE", "/dev/null");
        Ok(Self {
            process: Process::start_dialogue(&mut command),
            prompt: format!("{}> ", server.addr),
        })
    }

    /// redis-cli discards what is typed before its prompt.
    fn wait_for_prompt(&mut self) {
        self.process.expect(&self.prompt);
    }

    fn enter(&mut self, line: &str) {
        self.wait_for_prompt();
        self.process.say(line);
        // redis-cli draws the whole line at each character.
        self.process.expect(line);
        self.process.say("\r");
    }

    /// Ends an endless command by ^C.
    fn interrupt(mut self) {
        self.process.say("\u{3}");
        ended_by_interrupt(self.process);
    }
}

pub(crate) fn interrupted(process: Process) {
    process.signal("INT");
    ended_by_interrupt(process);
}

fn ended_by_interrupt(process: Process) {
    let ended = process.ended(PATIENCE);
    let interrupted = ended.status.code() == Some(130) || ended.status.signal() == Some(2);
    assert!(interrupted, "{}", ended.status);
    assert_eq!(ended.stderr, "");
}

/// Twenty thousand requests on a busy machine.
pub(crate) const BENCHMARK_PATIENCE: Duration = Duration::from_secs(60);
