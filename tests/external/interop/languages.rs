//! Redis libraries. Their scripts are `python.py` and `node.mjs`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::process::{Process, Respool};
use respool_testing::setup;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (version, pin, default) in REDIS_PY {
        cases.extend(redis_py_cases(version, pin, default));
    }
    let mut python = |client, version, pin, way, does| {
        let run = move |server: &Respool| python(client, version, way, &[pin], server);
        cases.push(Case::new(client, version, does, run));
    };
    for (way, does) in [("plain", PINGS), ("identity", SAYS_WHO_IT_IS)] {
        python("coredis", "6.9.0", "coredis-6.9.0", way, does);
    }
    let in_resp2 = "pings in RESP2, and 100 times at the same time";
    for (way, does) in [
        ("plain", PINGS),
        ("identity", SAYS_WHO_IT_IS),
        ("resp2", in_resp2),
    ] {
        python("valkey-glide", "2.6.0", "valkey-glide-2.6.0", way, does);
    }
    for (client, version, name) in NODE {
        let mut node = |way, does| {
            let run = move |server: &Respool| node(name, version, way, server);
            cases.push(Case::new(client, version, does, run));
        };
        node("plain", format!("{PINGS}, leaves, and the process ends"));
        node("identity", format!("{SAYS_WHO_IT_IS}, and closes"));
        if !name.contains("glide") {
            node("pipelines", PIPELINES.to_owned());
        }
    }
    cases
}

fn redis_py_cases(version: &'static str, pin: &'static str, default: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |way: String, does: String| {
        let run = move |server: &Respool| {
            // redis-py uses hiredis if it is installed.
            let pins = [pin, "hiredis-3.5.0"];
            let count = if way.ends_with("+hiredis") { 2 } else { 1 };
            python("redis-py", version, &way, &pins[..count], server)
        };
        cases.push(Case::new("redis-py", version, does, run));
    };
    let other = match version {
        "5.3.1" => Some(("plain+resp3", "pings in RESP3")),
        "8.1.0" => Some(("plain+resp2", "pings in RESP2")),
        _ => None,
    };
    let by_default = format!("pings in {default}, which is its default");
    let ways = [
        ("plain", by_default.as_str()),
        ("identity", SAYS_WHO_IT_IS),
        (
            "health",
            "pings before all else, and by itself after a second",
        ),
    ];
    for (way, does) in ways.into_iter().chain(other) {
        add(way.to_owned(), format!("{does} (its own parser)"));
        add(format!("{way}+hiredis"), format!("{does} (hiredis)"));
    }
    add("threads".into(), "8 threads ping 100 times each".into());
    add("pipelines".into(), format!("{PIPELINES} (its own parser)"));
    if version != "3.5.3" {
        add("pipelines+hiredis".into(), format!("{PIPELINES} (hiredis)"));
        add("pipelines+asyncio".into(), format!("{PIPELINES} (asyncio)"));
        let gather = "100 coroutines ping at the same time";
        add("asyncio".into(), gather.into());
    }
    cases
}

/// The version, its pin, and its default protocol.
pub(crate) const REDIS_PY: [(&str, &str, &str); 3] = [
    ("3.5.3", "redis-py-3.5.3", "RESP2"),
    ("5.3.1", "redis-py-5.3.1", "RESP2"),
    ("8.1.0", "redis-py-8.1.0", "RESP3"),
];

/// The client, its version, and its name in `package.json` of the pins.
pub(crate) const NODE: [(&str, &str, &str); 8] = [
    ("node-redis", "3.1.2", "redis-3"),
    ("node-redis", "4.7.1", "redis-4"),
    ("node-redis", "5.12.1", "redis-5"),
    ("node-redis", "6.3.1", "redis-6"),
    ("ioredis", "5.11.1", "ioredis-5"),
    ("ioredis", "6.0.0", "ioredis-6"),
    ("iovalkey", "0.4.0", "iovalkey"),
    ("valkey-glide for Node", "2.5.2", "@valkey/valkey-glide"),
];

const PINGS: &str = "pings, and 100 times at the same time";
const PIPELINES: &str = "pipelines up to 50 MB and 100,000 requests";
const SAYS_WHO_IT_IS: &str = "says its name, user, password and database";

fn python(
    client: &str,
    version: &str,
    way: &str,
    pins: &[&'static str],
    server: &Respool,
) -> Outcome {
    let port = server.addr.port().to_string();
    run_python(&[client, version, way, &port], pins)
}

/// Runs `python.py` with these arguments and the packages of `pins`.
pub(crate) fn run_python(args: &[&str], pins: &[&'static str]) -> Outcome {
    run_in_python("python.py", args, pins)
}

/// Runs this script with these arguments and the packages of `pins`.
pub(crate) fn run_in_python(script: &str, args: &[&str], pins: &[&'static str]) -> Outcome {
    let folders: Result<Vec<_>, _> = pins.iter().map(|pin| setup::python(pin)).collect();
    let path = env::join_paths(folders?).map_err(|error| NotRun(error.to_string()))?;
    let mut command = Command::new(setup::installed("python3")?);
    command
        // Without the user's packages, and without compiled files in the cache or in the tree.
        .args(["-s", "-B"])
        .arg(scripts().join(script))
        .args(args)
        .env("PYTHONPATH", path)
        .env_remove("PYTHONWARNINGS");
    has_no_complaint(&mut command, CLIENT_PATIENCE)
}

fn node(name: &str, version: &str, way: &str, server: &Respool) -> Outcome {
    run_node(&[name, version, way, &server.addr.port().to_string()])
}

/// Runs `node.mjs` with these arguments.
pub(crate) fn run_node(args: &[&str]) -> Outcome {
    run_in_node("node.mjs", args, CLIENT_PATIENCE)
}

/// Runs this script with these arguments. It fails if the script takes longer than `at_most`.
pub(crate) fn run_in_node(script: &str, args: &[&str], at_most: Duration) -> Outcome {
    let folder = setup::node()?;
    let mut command = Command::new(setup::installed("node")?);
    command
        .arg(scripts().join(script))
        .args(args)
        .current_dir(folder)
        .env_remove("NODE_OPTIONS");
    has_no_complaint(&mut command, at_most)
}

/// Returns the folder of the scripts.
fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/external/interop")
}

/// The scripts print nothing, except why they cannot run.
fn has_no_complaint(command: &mut Command, at_most: Duration) -> Outcome {
    let ended = Process::start(command).ended(at_most);
    if ended.status.code() == Some(NOT_FOR_THIS_MACHINE) {
        return Err(NotRun(ended.stdout.trim().to_owned()));
    }
    let said = [ended.stdout, ended.stderr].concat();
    assert!(
        ended.status.success() && said.is_empty(),
        "{}: {said}",
        ended.status
    );
    Ok(())
}

const NOT_FOR_THIS_MACHINE: i32 = 77;

/// Longer than any wait in the scripts.
pub(crate) const CLIENT_PATIENCE: Duration = Duration::from_secs(60);
