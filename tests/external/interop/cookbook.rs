//! The five services of the cookbook: what their pages show, by redis-cli, and their use by
//! redis-py and ioredis. The scripts are `cookbook.py` and `cookbook.mjs`.

#[path = "../../../examples/cache.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod cache;
#[path = "../../../examples/chat.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod chat;
#[path = "../../../examples/limiter.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod limiter;
#[path = "../../../examples/queue.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod queue;
#[path = "../../../examples/tenants.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod tenants;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use respool::{ErrorReply, Server};
use respool_testing::case::{Case, Outcome};
use respool_testing::process::Process;
use respool_testing::setup::{installed, version};
use respool_testing::{PATIENCE, TestServer, config};
use tokio::runtime::Runtime;
use tokio::time::sleep;

use crate::languages::{CLIENT_PATIENCE, run_in_node, run_in_python};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in NAMES {
        let does = format!("what the page of examples/{name}.rs shows");
        let page = move || follow_page(name);
        let version = version("redis-cli", "--version");
        cases.push(Case::without_server("redis-cli", version, does, page));
    }
    let does = "uses the five services of the cookbook";
    for (version, pin) in [("5.3.1", "redis-py-5.3.1"), ("8.1.0", "redis-py-8.1.0")] {
        let run = move || with_ports(|ports| run_in_python("cookbook.py", ports, &[pin]));
        cases.push(Case::without_server("redis-py", version, does, run));
    }
    for (version, name) in [("5.11.1", "ioredis-5"), ("6.0.0", "ioredis-6")] {
        let run = move || {
            with_ports(|ports| {
                let arguments = [&[name], ports].concat();
                run_in_node("cookbook.mjs", &arguments, CLIENT_PATIENCE)
            })
        };
        cases.push(Case::without_server("ioredis", version, does, run));
    }
    cases
}

const NAMES: [&str; 5] = ["limiter", "queue", "chat", "cache", "tenants"];

/// Starts a service. The runtime is for the tasks of the cache.
fn serve(name: &str, runtime: &Runtime) -> TestServer {
    let bind = |commands| Server::bind(config(2), commands);
    let server = match name {
        "limiter" => bind(limiter::commands(1000)),
        "queue" => bind(queue::commands()),
        "chat" => chat::server(config(2), 1000),
        "cache" => bind(cache::commands(runtime.handle().clone(), backend)),
        _ => bind(tenants::commands(&[
            ("alice", "wonder"),
            ("bob", "builder"),
            ("root", "secret"),
        ])),
    };
    TestServer::serve(server.expect("the server starts"))
}

async fn backend(key: String) -> Result<String, ErrorReply> {
    sleep(Duration::from_millis(100)).await;
    Ok(format!("the content of {key}"))
}

/// Calls `run` with the ports of all services, in the order of their names.
fn with_ports(run: impl FnOnce(&[&str]) -> Outcome) -> Outcome {
    let runtime = Runtime::new().expect("a runtime");
    let servers = NAMES.map(|name| serve(name, &runtime));
    let ports = servers
        .each_ref()
        .map(|server| server.addr.port().to_string());
    run(&ports.each_ref().map(String::as_str))
}

/// A command of a page, and the lines that are shown below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// Types what the page of an example shows, and compares what redis-cli prints.
fn follow_page(name: &str) -> Outcome {
    installed("redis-cli")?;
    let runtime = Runtime::new().expect("a runtime");
    let server = serve(name, &runtime);
    let port = server.addr.port().to_string();
    let mut exports = String::new();
    let mut listeners = Vec::new();
    for step in steps(name) {
        // As on a terminal, which a test is not.
        let command = step
            .command
            .replace("redis-cli -p 6380", "redis-cli --no-raw -p 6380");
        let command = command.replace("6380", &port);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{exports}{command}")]);
        if step.command.starts_with("cargo run") {
            // The server runs here.
        } else if step.command.starts_with("export ") {
            exports = format!("{exports}{command}\n");
        } else if step.command.contains(" SUBSCRIBE ") {
            let listener = Process::start(&mut shell);
            let subscribed = listener.prints("(integer) 1", Instant::now() + PATIENCE);
            assert!(subscribed, "{}", step.command);
            listeners.push((listener, step));
        } else {
            follow(&mut shell, &step);
        }
    }
    for (listener, step) in listeners {
        let shown = step.shown.join("\n");
        let heard = listener.prints(&shown, Instant::now() + PATIENCE);
        listener.signal("INT");
        assert!(
            heard,
            "{:?} is not {shown:?}",
            listener.ended(PATIENCE).stdout
        );
    }
    Ok(())
}

/// Runs one step to its end. What the reader types at a prompt is its input.
fn follow(shell: &mut Command, step: &Step) {
    let (typed, printed): (Vec<_>, Vec<_>) =
        step.shown.iter().partition(|line| line.starts_with(PROMPT));
    let typed = typed
        .iter()
        .map(|line| format!("{}\n", &line[PROMPT.len()..]));
    let ended = Process::start_with_input(shell, &typed.collect::<String>()).ended(PATIENCE);
    // At a prompt, redis-cli shows the time of slow commands: `(0.61s)`.
    let is_time = |line: &&str| line.starts_with('(') && line.ends_with("s)");
    let lines: Vec<_> = ended
        .stdout
        .lines()
        .map(str::trim_end)
        .filter(|line| !is_time(line))
        .collect();
    assert_eq!(lines, printed, "{}: {}", step.command, ended.stderr);
}

const PROMPT: &str = "127.0.0.1:6380> ";

/// Returns the steps in the `console` blocks of an example's page.
fn steps(name: &str) -> Vec<Step> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    let text = fs::read_to_string(file).expect("there is the example");
    let page = text.lines().map_while(|line| line.strip_prefix("//!"));
    let mut steps = Vec::<Step>::new();
    let mut is_console = false;
    for line in page.map(|line| line.strip_prefix(' ').unwrap_or(line)) {
        if line.starts_with("```") {
            is_console = line == "```console";
        } else if is_console {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => panic!("a block begins with a command"),
            }
        }
    }
    assert!(steps.len() > 2, "the page of {name} shows too little");
    steps
}
