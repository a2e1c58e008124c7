//! How a program starts a server and stops it.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use std::{env, thread};

use respool::config::BindAddress;
use respool::{Commands, Config, Listener, Server, StartError};
use respool_testing::{
    PATIENCE, Peer, Scratch, TestServer, commands_with_gate, config, eventually,
};

const OK: &str = "+OK\r\n";

/// Another address of this machine.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn bind(workers: usize, commands: Commands) -> Server {
    Server::bind(config(workers), commands).expect("the server starts")
}

#[track_caller]
fn next<T>(of: &Receiver<T>) -> T {
    of.recv_timeout(PATIENCE).expect("the other thread reports")
}

/// Returns a configuration whose drain may take as long as the test.
fn patient(workers: usize) -> Config {
    Config {
        drain_timeout_ms: 60_000,
        ..config(workers)
    }
}

#[test]
fn server_accepts_on_given_listeners() {
    let listen = |ip: Ipv4Addr| TcpListener::bind((ip, 0)).expect("a free port");
    let listeners = vec![listen(ELSEWHERE), listen(Ipv4Addr::LOCALHOST)];
    let addr_of = |listener: &TcpListener| listener.local_addr().expect("it is bound");
    let addrs: Vec<_> = listeners.iter().map(addr_of).collect();
    // A client that connects before the server serves is accepted.
    let mut early = Peer::connect(addrs[1]);
    early.send("PING\r\n");
    // If bind were heeded, the server could not listen.
    let elsewhere = Config {
        bind: Vec::new(),
        port: 1,
        ..config(2)
    };
    let server = Server::from_listeners(listeners, elsewhere, Commands::builtin())
        .expect("the server starts");
    assert_eq!(server.local_addrs(), addrs);
    assert_eq!(server.workers(), 2);
    let server = server.spawn().expect("there are threads");
    assert_eq!(server.local_addrs(), addrs);
    early.expect("+PONG\r\n");
    for &addr in &addrs {
        let mut peer = Peer::connect(addr);
        peer.ping();
        let line = peer.answer("CLIENT INFO");
        assert!(line.contains(&format!(" laddr={addr} ")), "{line}");
        let port = peer.count("tcp_port");
        assert_eq!(port, u64::from(addrs[0].port()));
    }
    drop(early);
    assert_eq!(server.drain().aborted, 0);
    for addr in addrs {
        assert!(TcpStream::connect(addr).is_err());
    }
}

#[test]
fn given_unix_listener_serves_and_keeps_its_file() {
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).expect("nothing is there");
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = tcp.local_addr().expect("it is bound");
    // The configured Unix socket is ignored, too.
    let elsewhere = Config {
        unixsocket: Some("/no-such-folder/socket".into()),
        ..config(1)
    };
    let listeners = [Listener::from(unix), Listener::from(tcp)];
    let server = Server::from_listeners(listeners, elsewhere, Commands::builtin());
    let server = server.expect("the server starts").spawn();
    let server = server.expect("there are threads");
    assert_eq!(server.local_addrs(), [addr]);
    let mut peer = Peer::connect_to_file(&path);
    let line = peer.answer("CLIENT INFO");
    let shown = format!("{}:0", path.display());
    assert!(
        line.contains(&format!(" addr={shown} laddr={shown} ")),
        "{line}"
    );
    Peer::connect(addr).ping();
    drop(peer);
    assert_eq!(server.drain().aborted, 0);
    assert!(path.exists(), "it is the caller's");
    assert!(UnixStream::connect(&path).is_err());
}

/// Returns the text of the error.
#[track_caller]
fn error_of(outcome: Result<Server, StartError>) -> String {
    outcome.expect_err("it cannot start").to_string()
}

#[test]
fn start_errors_name_their_cause() {
    let none = Server::from_listeners([] as [TcpListener; 0], config(1), Commands::builtin());
    assert_eq!(
        error_of(none),
        "there is nothing to listen on: set `bind`, `tls-port` or `unixsocket`"
    );

    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = taken.local_addr().expect("it is bound");
    let same = Config {
        port: addr.port(),
        ..config(1)
    };
    let error = error_of(Server::bind(same, Commands::builtin()));
    assert!(
        error.starts_with(&format!("cannot listen on {addr}: ")),
        "{error}"
    );
    let advice = " (another server uses it; stop that one, or choose another `port`)";
    assert!(error.ends_with(advice), "{error}");
    let same = Config {
        bind: Vec::new(),
        tls_port: addr.port(),
        ..config(1)
    };
    let error = error_of(Server::bind(same, Commands::builtin()));
    let start = format!("cannot listen on {addr} for TLS: ");
    assert!(error.starts_with(&start), "{error}");
    assert!(error.ends_with(" choose another `tls-port`)"), "{error}");

    // An address for documentation, which no machine has.
    let missing = |optional| Config {
        bind: vec![BindAddress {
            address: [192, 0, 2, 1].into(),
            optional,
        }],
        ..config(1)
    };
    let error = error_of(Server::bind(missing(false), Commands::builtin()));
    assert!(
        error.ends_with(" (this machine lacks the address; see `bind`)"),
        "{error}"
    );
    assert_eq!(
        error_of(Server::bind(missing(true), Commands::builtin())),
        "this machine has none of the addresses in `bind`"
    );
}

#[test]
fn value_invalid_in_the_file_is_invalid_in_code() {
    let error = |change: fn(&mut Config)| {
        let mut config = config(1);
        change(&mut config);
        error_of(Server::bind(config, Commands::builtin()))
    };
    for (change, text) in [
        (
            (|config| config.maxclients = 1_000_001) as fn(&mut Config),
            "`maxclients`: argument must be between 1 and 1000000 inclusive",
        ),
        (
            |config| config.maxclients = 0,
            "`maxclients`: argument must be between 1 and 1000000 inclusive",
        ),
        (
            |config| config.bind.clear(),
            "there is nothing to listen on: set `bind`, `tls-port` or `unixsocket`",
        ),
    ] {
        assert!(error(change).starts_with(text), "{}", error(change));
    }
    let server = bind(1, Commands::builtin()).spawn().expect("it starts");
    let wrong = Config {
        maxclients: 0,
        ..config(1)
    };
    let error = server.handle().reconfigure(&wrong);
    let error = error.expect_err("no address is left").to_string();
    assert!(error.starts_with("`maxclients`: "), "{error}");
}

#[test]
fn waiting_for_a_background_server_does_not_stop_it() {
    let server = bind(1, Commands::builtin()).spawn().expect("it starts");
    let mut peer = Peer::connect(server.local_addrs()[0]);
    let waiter = thread::spawn(move || server.wait());
    peer.ping();
    peer.send("SHUTDOWN\r\n");
    let drained = waiter.join().expect("the thread does not panic");
    assert_eq!(drained.aborted, 0);
}

/// Returns a server that listens on the Unix socket `socket` in the folder.
fn on_file() -> (Server, Scratch) {
    let folder = Scratch::for_sockets();
    let config = Config {
        bind: Vec::new(),
        unixsocket: Some(folder.path().join("socket")),
        ..config(1)
    };
    let server = Server::bind(config, Commands::builtin()).expect("the server starts");
    assert_eq!(server.local_addrs(), []);
    (server, folder)
}

#[test]
fn failed_thread_start_is_an_error_and_frees_the_port() {
    const CHILD: &str = "RESPOOL_TEST_WITHOUT_THREADS";
    const NAME: &str = "start::failed_thread_start_is_an_error_and_frees_the_port";
    if env::var_os(CHILD).is_some() {
        let server = bind(1, Commands::builtin());
        let addr = server.local_addrs()[0];
        let error = server.serve().expect_err("there is no thread");
        assert!(matches!(error, StartError::Thread(_)));
        let text = error.to_string();
        assert!(text.starts_with("cannot start a thread: "), "{text}");
        assert!(text.ends_with("; fewer `workers` may help"), "{text}");
        assert!(TcpStream::connect(addr).is_err());
        let error = bind(1, Commands::builtin()).spawn();
        assert!(matches!(error, Err(StartError::Thread(_))));
        let (server, folder) = on_file();
        let error = server.serve();
        assert!(matches!(error, Err(StartError::Thread(_))));
        assert!(!folder.path().join("socket").exists());
        return;
    }
    // No machine has address space for stacks of this size. With one test thread, the harness
    // starts no thread.
    let child = Command::new(env::current_exe().expect("this program is a file"))
        .args(["--exact", NAME, "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_MIN_STACK", (1_u64 << 60).to_string())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{child:?}"
    );
}

#[test]
fn background_server_drains_on_drop() {
    let (commands, gate) = commands_with_gate();
    let server = Server::bind(patient(2), commands).expect("the server starts");
    let server = server.spawn().expect("there are threads");
    let addr = server.local_addrs()[0];
    let (mut quiet, mut busy) = (Peer::connect(addr), Peer::connect(addr));
    quiet.ping();
    busy.send("GATE\r\nPING\r\n");
    gate.wait_for_start();
    let (dropped, drops) = channel();
    let dropping = thread::spawn(move || {
        drop(server);
        let _ = dropped.send(());
    });
    quiet.expect_end();
    // The drop waits until received requests are answered.
    assert!(drops.try_recv().is_err());
    gate.let_one_through();
    busy.expect("+OPEN\r\n+PONG\r\n");
    busy.expect_end();
    drop((quiet, busy));
    next(&drops);
    dropping.join().expect("the thread does not panic");
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn wait_returns_after_a_drain_from_elsewhere() {
    let (commands, gate) = commands_with_gate();
    let server = Server::bind(patient(1), commands).expect("the server starts");
    let server = server.spawn().expect("there are threads");
    let mut busy = gate.busy_client(server.local_addrs()[0]);
    let handle = server.handle().clone();
    handle.drain();
    handle.drain();
    let waiting = thread::spawn(move || server.drain());
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
    busy.expect_end();
    drop(busy);
    assert_eq!(
        waiting.join().expect("the thread does not panic").aborted,
        0
    );
    assert_eq!(handle.stats().clients, 0);
    // Draining twice changes nothing.
    handle.drain();
}

#[test]
fn drain_counts_aborted_clients() {
    let (commands, gate) = commands_with_gate();
    let short = Config {
        drain_timeout_ms: 50,
        ..config(1)
    };
    let server = Server::bind(short, commands).expect("the server starts");
    let server = server.spawn().expect("there are threads");
    let mut busy = gate.busy_client(server.local_addrs()[0]);
    assert_eq!(server.drain().aborted, 1);
    gate.let_one_through();
    busy.rest();
}

#[test]
fn stats_are_not_changed_by_resetstat() {
    let few = Config {
        maxclients: 2,
        ..config(1)
    };
    let server = Server::bind(few, Commands::builtin()).expect("the server starts");
    let server = server.spawn().expect("there are threads");
    let (mut one, mut two) = (
        Peer::connect(server.local_addrs()[0]),
        Peer::connect(server.local_addrs()[0]),
    );
    let sent = "+PONG\r\n$1\r\nx\r\n";
    one.ask("PING\r\nECHO x\r\n", sent);
    // This error is not from a handler.
    let wrong = "-ERR wrong number of arguments for 'echo' command\r\n";
    two.ask("ECHO\r\n", wrong);
    let mut three = Peer::connect(server.local_addrs()[0]);
    three.expect("-ERR max number of clients reached\r\n");
    three.expect_end();
    two.ask("CONFIG RESETSTAT\r\n", OK);
    let stats = server.handle().stats();
    assert_eq!((stats.clients, stats.connections, stats.refused), (2, 3, 1));
    assert_eq!((stats.requests, stats.bytes_read), (3, 14 + 6 + 18));
    let sent = sent.len() + wrong.len() + OK.len();
    assert_eq!(stats.bytes_sent, sent as u64);
    drop(two);
    eventually("one has gone", || server.handle().stats().clients == 1);
    assert_eq!(server.handle().stats().connections, 3);
    drop(one);
    assert_eq!(server.drain().aborted, 0);
}

#[test]
fn unserved_server_frees_its_port() {
    let server = bind(1, Commands::builtin());
    let addr = server.local_addrs()[0];
    drop(TcpStream::connect(addr).expect("it listens"));
    let handle = server.handle();
    drop(server);
    assert_eq!(handle.workers(), 0);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn unserved_server_removes_its_socket_file() {
    let (server, folder) = on_file();
    let path = folder.path().join("socket");
    let handle = server.handle();
    drop(UnixStream::connect(&path).expect("it listens"));
    drop(server);
    assert!(!path.exists());
    drop(handle);
}

#[test]
fn background_server_answers_on_its_socket_file() {
    let (server, folder) = on_file();
    let path = folder.path().join("socket");
    // A client that connects before the server serves is accepted.
    let mut early = Peer::connect_to_file(&path);
    let server = server.spawn().expect("there are threads");
    assert_eq!(server.local_addrs(), []);
    early.ping();
    drop(early);
    assert_eq!(server.drain().aborted, 0);
    assert!(!path.exists());
}

// Reconfiguring a server that did not serve yet started workers, which never ended.
#[test]
fn reconfiguration_before_the_start_is_in_force() {
    let server = bind(2, Commands::builtin());
    let handle = server.handle();
    for workers in [5, 3] {
        let changed = handle.reconfigure(&config(workers));
        changed.expect("the number of workers can change");
        assert_eq!(server.workers(), workers);
        assert_eq!(handle.workers(), 0);
    }
    let server = server.spawn().expect("there are threads");
    Peer::connect(server.local_addrs()[0]).ping();
    assert_eq!(handle.workers(), 3);
}

#[test]
fn drain_requested_before_the_start_takes_effect() {
    let server = bind(2, Commands::builtin());
    server.handle().drain();
    let mut early = Peer::connect(server.local_addrs()[0]);
    early.send("PING\r\n");
    let serving = thread::spawn(move || server.serve().expect("there are threads"));
    // A client that connected earlier is answered.
    early.expect("+PONG\r\n");
    early.expect_end();
    drop(early);
    assert_eq!(
        serving.join().expect("the thread does not panic").aborted,
        0
    );
}

#[test]
fn first_address_chooses_the_port_for_all() {
    let mut config = config(1);
    config.bind = Config::default().bind;
    let server = TestServer::with(config, Commands::builtin());
    server.connect().ping();
    let v6 = (std::net::Ipv6Addr::LOCALHOST, server.addr.port());
    match TcpStream::connect(v6) {
        Ok(_) => Peer::connect(v6.into()).ping(),
        // This machine has no IPv6: the address is optional.
        Err(_) => Duration::ZERO,
    };
}
