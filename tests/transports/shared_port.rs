//! Servers that share a port by `reuse-port`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use respool::{Arity, Commands, Config, Server};
use respool_testing::{PATIENCE, Peer, TestServer, builtin_and, config, eventually};
#[cfg(feature = "tls")]
use respool_testing::{certificates::Authority, free_port, tls::TlsClients};

use crate::start;

/// So many connections that each of two servers gets some: all go to one in one of 2^63 runs.
const ENOUGH: usize = 64;

/// Clients that connect, ping and leave at the same time.
const CLIENTS: usize = 4;

/// Returns a configuration that shares this port; 0 means any.
fn sharing(port: u16) -> Config {
    Config {
        port,
        reuse_port: true,
        drain_timeout_ms: 30_000,
        ..config(1)
    }
}

/// Returns commands with NAME, whose reply is `name`.
fn named(name: &'static str) -> Commands {
    builtin_and(|commands| {
        let arity = Arity::Exactly(1);
        commands.register("NAME", arity, move |_, _, reply| reply.simple(name));
    })
}

/// Asks for the name over many connections. Returns how often it was `first`.
#[track_caller]
fn times_first(ask: impl Fn() -> String) -> usize {
    let names: Vec<_> = (0..ENOUGH).map(|_| ask()).collect();
    let is_known = |name: &String| name == "+first" || name == "+second";
    assert!(names.iter().all(is_known), "{names:?}");
    names.iter().filter(|name| *name == "+first").count()
}

fn name_over<S: Read + Write>(mut peer: Peer<S>) -> String {
    peer.send("NAME\r\n");
    peer.line()
}

#[test]
fn servers_on_one_port_each_get_clients() {
    let first = TestServer::with(sharing(0), named("first"));
    let second = TestServer::with(sharing(first.addr.port()), named("second"));
    assert_eq!(first.addr, second.addr);
    let count = times_first(|| name_over(first.connect()));
    assert!((1..ENOUGH).contains(&count), "{count}");
    assert_eq!(first.drain().aborted, 0);
    assert_eq!(times_first(|| name_over(second.connect())), 0);
}

#[cfg(feature = "tls")]
#[test]
fn port_for_tls_is_shared() {
    let authority = Authority::new("a CA");
    let files = authority.folder();
    let secure = Config {
        bind: Vec::new(),
        tls_port: free_port(),
        tls_bind: config(1).bind,
        tls_cert_file: Some(files.server_certificate()),
        tls_key_file: Some(files.server_key()),
        tls_auth_clients: respool::config::TlsAuthClients::No,
        ..sharing(0)
    };
    let first = TestServer::with(secure.clone(), named("first"));
    let second = TestServer::with(secure, named("second"));
    assert_eq!(first.addr, second.addr);
    let clients = TlsClients::anonymous(&files);
    let count = times_first(|| name_over(clients.connect(first.addr)));
    assert!((1..ENOUGH).contains(&count), "{count}");
}

#[test]
fn drain_answers_its_own_backlog_of_a_shared_port() {
    // They do not accept before they serve, so all clients wait in one of the two backlogs.
    let bind = |port, name| Server::bind(sharing(port), named(name)).expect("the server starts");
    let first = bind(0, "first");
    let addr = first.local_addrs()[0];
    let second = bind(addr.port(), "second");
    let mut peers: Vec<_> = (0..ENOUGH).map(|_| Peer::connect(addr)).collect();
    for peer in &mut peers {
        peer.send("NAME\r\n");
    }
    first.handle().drain();
    let servers = [first, second].map(TestServer::serve);
    let names: Vec<_> = peers.iter_mut().map(Peer::line).collect();
    let count = |of: &str| names.iter().filter(|name| *name == of).count();
    let (of_first, of_second) = (count("+first"), count("+second"));
    assert!((1..ENOUGH).contains(&of_first), "{names:?}");
    assert_eq!(of_first + of_second, ENOUGH, "{names:?}");
    drop(peers);
    assert!(servers.map(|server| server.drain().aborted) == [0, 0]);
}

/// Connects, pings and leaves.
fn visit(addr: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"PING\r\n")?;
    let mut reply = [0; 7];
    socket.read_exact(&mut reply)?;
    assert_eq!(&reply, b"+PONG\r\n");
    Ok(())
}

/// Visits until `is_over`. Returns the errors.
fn visits(addr: SocketAddr, is_over: &AtomicBool, answered: &AtomicUsize) -> Vec<io::Error> {
    let mut errors = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        match visit(addr) {
            Ok(()) => _ = answered.fetch_add(1, Ordering::Relaxed),
            Err(error) => errors.push(error),
        }
    }
    errors
}

#[test]
fn process_leaves_a_shared_port_under_load() {
    let flags = ["--reuse-port", "yes", "--drain-timeout-ms", "30000"];
    let first = start(&flags);
    let addr = first.addr;
    let port = addr.port().to_string();
    let second = start(&[&flags[..], &["--port", &port]].concat());
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let errors: Vec<_> = thread::scope(|scope| {
        let client = || visits(addr, &is_over, &answered);
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let wait_for_more = || {
            let before = answered.load(Ordering::Relaxed);
            let more = || answered.load(Ordering::Relaxed) >= before + ENOUGH;
            eventually("more clients are answered", more);
        };
        wait_for_more();
        first.signal("TERM");
        first.ended(PATIENCE).without_complaint();
        wait_for_more();
        is_over.store(true, Ordering::Relaxed);
        let ended = clients
            .into_iter()
            .map(|client| client.join().expect("no panic"));
        ended.collect()
    });
    // A connection that comes between the last accept and the close is reset by the kernel. Its
    // client can have no second one there.
    assert!(errors.iter().all(|errors| errors.len() <= 1), "{errors:?}");
    second.stop();
}

#[track_caller]
fn error_of(config: Config) -> String {
    let outcome = Server::bind(config, Commands::builtin());
    outcome.expect_err("it cannot start").to_string()
}

#[test]
fn port_is_shared_only_if_both_servers_want_it() {
    let alone = TestServer::start(1);
    let addr = alone.addr;
    let error = error_of(sharing(addr.port()));
    let expected = format!(
        "cannot listen on {addr}: the server there has no `reuse-port`, or another user runs it \
         (another server uses it; stop that one, or choose another `port`)"
    );
    assert_eq!(error, expected);

    let shared = TestServer::with(sharing(0), Commands::builtin());
    let error = error_of(Config {
        reuse_port: false,
        ..sharing(shared.addr.port())
    });
    let beginning = format!("cannot listen on {}: Address already in use", shared.addr);
    assert!(error.starts_with(&beginning), "{error}");
}

#[test]
fn port_for_http_is_not_shared() {
    let scraped = Config {
        http_port: free_port(),
        http_bind: config(1).bind,
        ..sharing(0)
    };
    let first = Server::bind(scraped.clone(), Commands::builtin()).expect("the server starts");
    let http = first.http_addrs()[0];
    let port = first.local_addrs()[0].port();
    let error = error_of(Config { port, ..scraped });
    let beginning = format!("cannot listen on {http} for HTTP: Address already in use");
    assert!(error.starts_with(&beginning), "{error}");
}
