//! `docs/haproxy.cfg` and `docs/haproxy-ping.cfg`.

use std::process::Command;

use respool_testing::balancer::{haproxy_answer, listens};
use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::setup::{installed, version};
use respool_testing::{Peer, eventually};

use crate::fleet::{Fleet, Server};
use crate::proxy::{FOLDER, Proxy, recipe, shows_clients};
use crate::rolling::{rolling_restart, survives_a_crash};

pub(crate) fn cases() -> Vec<Case> {
    let haproxy = version("haproxy", "-v");
    let case = |does, run: fn() -> Outcome| Case::without_server("HAProxy", &haproxy, does, run);
    vec![
        case("haproxy.cfg: rolling restarts under load", rolling),
        case(
            "haproxy-ping.cfg: rolling restarts by its socket, under load",
            rolling_by_hand,
        ),
        case(
            "haproxy.cfg: a session with its address, beside a crash",
            crash,
        ),
        case(
            "haproxy-ping.cfg: checks servers with a password",
            checks_with_password,
        ),
    ]
}

fn rolling() -> Outcome {
    let mut fleet = Fleet::start();
    let haproxy = start("haproxy.cfg", &fleet)?;
    shows_clients(fleet.balancer)?;
    rolling_restart(&mut fleet, Server::restart)?;
    let printed = stop(haproxy);
    // By /readyz, before a connect failed.
    for server in ["one", "two"] {
        let down =
            format!("Server respool/{server} is DOWN, reason: Layer7 wrong status, code: 503");
        assert!(printed.contains(&down), "{printed}");
    }
    Ok(())
}

/// Without `http-port`, `HAProxy` learns from its socket which server to leave out.
fn rolling_by_hand() -> Outcome {
    let mut fleet = Fleet::start();
    let haproxy = start("haproxy-ping.cfg", &fleet)?;
    let one = fleet.servers[0].addr;
    let socket = haproxy.folder.path().join("admin.sock");
    shows_clients(fleet.balancer)?;
    rolling_restart(&mut fleet, |server| {
        let name = if server.addr == one { "one" } else { "two" };
        let set = |state: &str| {
            let command = format!("set server respool/{name} state {state}");
            assert_eq!(haproxy_answer(&socket, &command), "\n");
        };
        set("drain");
        server.restart();
        set("ready");
    })?;
    stop(haproxy);
    Ok(())
}

fn crash() -> Outcome {
    let mut fleet = Fleet::start();
    let haproxy = start("haproxy.cfg", &fleet)?;
    shows_clients(fleet.balancer)?;
    survives_a_crash(&mut fleet);
    stop(haproxy);
    Ok(())
}

fn checks_with_password() -> Outcome {
    let fleet = Fleet::with_flags(&["--requirepass", "foobared"]);
    let haproxy = start_with(
        "haproxy-ping.cfg",
        &fleet,
        &[("#tcp-check", "tcp-check".to_owned())],
    )?;
    listens(fleet.balancer);
    let socket = haproxy.folder.path().join("admin.sock");
    eventually("both are checked", || {
        let states = haproxy_answer(&socket, "show stat");
        assert!(!states.contains("DOWN"), "{states}");
        states.matches(",L7OK,").count() == 2
    });
    let mut client = Peer::connect(fleet.balancer);
    client.ask("AUTH foobared\r\nPING\r\n", "+OK\r\n+PONG\r\n");
    stop(haproxy);
    Ok(())
}

fn start(name: &str, fleet: &Fleet) -> Result<Proxy, NotRun> {
    start_with(name, fleet, &[])
}

fn start_with(name: &str, fleet: &Fleet, more: &[(&'static str, String)]) -> Result<Proxy, NotRun> {
    let [one, two] = &fleet.servers;
    let mut here = vec![
        ("bind :6379", format!("bind {}", fleet.balancer)),
        ("192.0.2.11:6379", one.addr.to_string()),
        ("192.0.2.12:6379", two.addr.to_string()),
        ("/run/haproxy", FOLDER.to_owned()),
    ];
    if name == "haproxy.cfg" {
        here.push((
            "check port 9121 inter",
            format!("check port {} inter", one.http_port),
        ));
    }
    here.extend_from_slice(more);
    let mut command = Command::new(installed("haproxy")?);
    command.args(["-db", "-f"]);
    Ok(Proxy::start(command, &recipe(name, &here)))
}

/// Expects that there was a server for every client. Returns what `HAProxy` has printed.
fn stop(haproxy: Proxy) -> String {
    let printed = haproxy.stop("TERM");
    let printed = [printed.stdout, printed.stderr].concat();
    assert!(!printed.contains("no server available"), "{printed}");
    printed
}
