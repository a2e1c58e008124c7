//! `docs/envoy-redis.yaml`, in front of two servers of `examples/kv.rs`.

#[path = "../../../examples/kv.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod example;

use std::net::Ipv4Addr;
use std::process::Command;

use respool_testing::balancer::listens;
use respool_testing::case::{Case, Outcome};
use respool_testing::process::Process;
use respool_testing::setup::{installed, python};
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually, free_port};

use crate::envoy::{VERSION, addresses, run, stop};

pub(crate) fn case() -> Case {
    let does = "envoy-redis.yaml: keys on two servers of examples/kv, one of which ends";
    Case::without_server("Envoy", VERSION, does, two_stores)
}

fn two_stores() -> Outcome {
    let store = || TestServer::with(config(1), example::commands());
    let (one, two) = (store(), store());
    let balancer = (Ipv4Addr::LOCALHOST, free_port()).into();
    let envoy = run(
        "envoy-redis.yaml",
        &addresses(balancer, [one.addr, two.addr], 6380),
    )?;
    listens(balancer);

    let mut client = Peer::connect(balancer);
    client.ask("PING\r\n", "+PONG\r\n");
    for key in 0..100 {
        client.ask(format!("SET k{key} v{key}\r\n"), "+OK\r\n");
    }
    let keys = [&one, &two].map(|store| store.connect().answer("DBSIZE"));
    let keys = keys.map(|count| count.parse::<u32>().expect("a number"));
    assert!(
        keys.iter().sum::<u32>() == 100 && keys.iter().all(|count| *count > 20),
        "{keys:?}"
    );
    for key in 0..100 {
        assert_eq!(client.answer(&format!("GET k{key}")), format!("v{key}"));
    }
    // Envoy asks both servers, and adds up.
    assert_eq!(client.answer("DEL k0 k1 k2 k3 k4 k5 k6 k7"), "8");
    client.ask("INCR n\r\nINCR n\r\n", ":1\r\n:2\r\n");
    programs(balancer.port())?;

    one.drain();
    eventually("all keys are on the other server", || {
        (0..20).all(|key| client.answers(&format!("SET k{key} w")) == ["OK"])
    });
    stop(envoy);
    two.drain();
    Ok(())
}

/// redis-cli, redis-benchmark and redis-py.
fn programs(port: u16) -> Outcome {
    let port = &port.to_string();
    let mut cli = Command::new(installed("redis-cli")?);
    cli.args(["-p", port, "SET", "greeting", "hello"]);
    let printed = Process::start(&mut cli).ended(PATIENCE).without_complaint();
    assert_eq!(printed, "OK\n");

    let mut benchmark = Command::new(installed("redis-benchmark")?);
    benchmark
        .args(["-p", port, "-t", "set,get,incr", "-r", "1000", "-P", "16"])
        .args(["-n", "20000", "--csv"]);
    let ended = Process::start(&mut benchmark).ended(PATIENCE);
    let printed = [ended.stdout, ended.stderr].concat();
    for kind in ["\"SET\",", "\"GET\",", "\"INCR\","] {
        assert!(printed.contains(kind), "{printed}");
    }

    // Envoy has no RESP3, which is redis-py's default.
    let script = "import redis, sys
client = redis.Redis(port=int(sys.argv[1]), protocol=2)
assert client.set('python', 'one') and client.get('python') == b'one'
assert client.mget(['python', 'greeting']) == [b'one', b'hello']
";
    let mut command = Command::new(installed("python3")?);
    command
        .args(["-s", "-B", "-c", script, port])
        .env("PYTHONPATH", python("redis-py-8.1.0")?);
    Process::start(&mut command)
        .ended(PATIENCE)
        .without_complaint();
    Ok(())
}
