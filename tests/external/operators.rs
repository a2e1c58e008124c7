//! Programs that operators use, against the operations listener: promtool and `ss`.
//!
//! `cargo test --test operators` runs it; plain `cargo test` does not. Without a program, its test
//! says so and ends.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use respool::{Commands, Config, Server};
use respool_testing::http::get;
use respool_testing::load::Load;
use respool_testing::process::Process;
use respool_testing::{PATIENCE, Peer, TestServer, config, eventually};

/// Starts a server with an operations listener, whose address it returns.
fn serve(config: Config) -> (TestServer, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let server = Server::bind(config, Commands::builtin()).expect("the server starts");
    let server = server.with_http_listener(listener).expect("it listens");
    let http = server.http_addrs()[0];
    (TestServer::serve(server), http)
}

/// Returns whether a program is there. If not, says so.
fn has(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let is_missing = version.is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if is_missing {
        println!("not run: {program} is missing");
    }
    !is_missing
}

#[test]
fn promtool_finds_nothing_wrong_under_load() {
    if !has("promtool") {
        return;
    }
    let (server, http) = serve(config(2));
    let check = || {
        let metrics = get(http, "/metrics");
        assert_eq!(metrics.status, 200);
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]);
        let process = Process::start_with_input(&mut promtool, &metrics.body);
        assert_eq!(process.ended(PATIENCE).without_complaint(), "");
    };
    check();
    let load = Load::start(server.addr);
    let mut peer = server.connect();
    for request in [
        "PING a b",
        "ECHO",
        "NOTHING",
        "CONFIG GET *",
        "AUTH \"\\\\\\n\"",
    ] {
        peer.answers(request);
    }
    for last_request in ["QUIT\r\n", "GET / HTTP/1.1\r\n", "*1\r\n:1\r\n"] {
        let mut peer = server.connect();
        peer.send(last_request);
        peer.rest();
    }
    for _ in 0..5 {
        check();
    }
    assert_eq!(server.drain().aborted, 0);
    load.ended();
}

/// Holds up the acceptor: it logs every client, and here that waits for this lock.
static ACCEPTOR: Mutex<()> = Mutex::new(());

/// A logger that holds up the acceptor.
struct Holds;

impl Log for Holds {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let is_new_client = record.args().to_string().contains(" connected from ");
        if is_new_client && thread::current().name() == Some("acceptor") {
            drop(ACCEPTOR.lock());
        }
    }

    fn flush(&self) {}
}

/// Returns the length and the limit of a listening socket's accept queue, as `ss` shows them.
fn queue_by_ss(addr: SocketAddr) -> [u64; 2] {
    let mut ss = Command::new("ss");
    ss.args(["-H", "-l", "-t", "-n", "src", &addr.to_string()]);
    let text = Process::start(&mut ss).ended(PATIENCE).without_complaint();
    let mut words = text.split_whitespace().skip(1);
    [(); 2].map(|()| {
        let number = words.next().and_then(|word| word.parse().ok());
        number.unwrap_or_else(|| panic!("{text}"))
    })
}

fn queue_by_metrics(http: SocketAddr, addr: SocketAddr) -> [u64; 2] {
    let metrics = get(http, "/metrics");
    ["length", "limit"].map(|what| {
        let sample = format!("respool_accept_queue_{what}{{listener=\"{addr}\"}}");
        metrics.sample(&sample)
    })
}

#[test]
fn accept_queue_is_the_one_that_ss_shows() {
    const WAITING: u64 = 600;
    if !has("ss") {
        return;
    }
    log::set_logger(&Holds).expect("there is no other logger");
    log::set_max_level(LevelFilter::Debug);
    let config = Config {
        tcp_backlog: 1000,
        ..config(2)
    };
    let (server, http) = serve(config);
    let held = ACCEPTOR.lock();
    // The acceptor has taken it, and gets no further.
    let mut first = server.connect();
    first.ping();
    let mut waiting: Vec<_> = (0..WAITING).map(|_| server.connect()).collect();
    eventually("all connections wait", || {
        queue_by_metrics(http, server.addr)[0] == WAITING
    });
    let queue = queue_by_metrics(http, server.addr);
    assert_eq!(queue, queue_by_ss(server.addr));
    assert_eq!(queue[0], WAITING);
    drop(held);
    for peer in &mut waiting {
        peer.ping();
    }
    eventually("none waits", || queue_by_metrics(http, server.addr)[0] == 0);
    overflows_are_counted();
}

/// In the same test, because the acceptors have one lock.
fn overflows_are_counted() {
    let config = Config {
        tcp_backlog: 4,
        ..config(1)
    };
    let (server, http) = serve(config);
    let overflows = || -> u64 { get(http, "/metrics").sample("respool_listen_overflows_total") };
    let held = ACCEPTOR.lock();
    let mut first = server.connect();
    first.ping();
    let before = overflows();
    let brief = Duration::from_millis(20);
    let peers: Vec<_> = (0..10)
        .map(|_| TcpStream::connect_timeout(&server.addr, brief))
        .collect();
    assert!(
        peers.iter().any(Result::is_err),
        "the queue has no room for all"
    );
    eventually("the kernel has counted them", || overflows() > before);
    drop(held);
    Peer::connect(server.addr).ping();
}
