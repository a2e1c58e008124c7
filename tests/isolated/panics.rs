//! Panics in the threads that serve all clients, and a logger that asks the server. The logger of
//! this process panics or asks on demand, on the thread that logs. A process of its own for that
//! logger.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::{Mutex, MutexGuard};
use respool::config::TlsAuthClients;
use respool::{Arity, Commands, Config, Replied, Server, ServerHandle};
use respool_testing::certificates::Authority;
use respool_testing::{
    PATIENCE, Peer, TestServer, builtin_and, commands_with_gate, config, eventually,
};

/// A logger that panics.
struct Panics(Mutex<Wanted>);

/// The thread, the text and the number of panics.
struct Wanted {
    thread: &'static str,
    text: &'static str,
    count: usize,
}

static LOGGER: Panics = Panics(Mutex::new(Wanted {
    thread: "",
    text: "",
    count: 0,
}));

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The server that the logger asks for its configuration, once, when certificates were loaded.
static ASKED: Mutex<Option<ServerHandle>> = Mutex::new(None);

impl Log for Panics {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.args().to_string().starts_with("certificates loaded")
            && let Some(server) = ASKED.lock().take()
        {
            drop(server.config());
        }
        let mut wanted = self.0.lock();
        let here = thread::current();
        if wanted.count > 0
            && here.name() == Some(wanted.thread)
            && record.args().to_string().contains(wanted.text)
        {
            wanted.count -= 1;
            drop(wanted);
            panic!("as the test wants it");
        }
    }

    fn flush(&self) {}
}

impl Panics {
    /// Makes `thread` panic this often when it logs `text`. The tests of this file run one after
    /// the other.
    fn at(thread: &'static str, text: &'static str, count: usize) -> MutexGuard<'static, ()> {
        let alone = ONE_AT_A_TIME.lock();
        // Already set from the second test on.
        let _ = log::set_logger(&LOGGER);
        log::set_max_level(LevelFilter::Debug);
        *LOGGER.0.lock() = Wanted {
            thread,
            text,
            count,
        };
        alone
    }

    fn left() -> usize {
        LOGGER.0.lock().count
    }
}

#[test]
fn server_accepts_after_a_panic_of_the_acceptor() {
    let _alone = Panics::at("acceptor", "connected from", 3);
    let server = TestServer::start(1);
    let mut peers: Vec<Peer> = (0..6).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.ping();
    }
    assert_eq!(Panics::left(), 0);
    drop(peers);
    let drained = server.drain();
    assert_eq!((drained.aborted, drained.failed), (0, false));
}

/// The other connections whose refusal waited were dropped without an error.
#[test]
fn panic_of_the_acceptor_loses_no_delayed_refusal() {
    let _alone = Panics::at("acceptor", "client 3 connected from", 1);
    let (commands, gate) = commands_with_gate();
    let one_per_address = Config {
        maxclients_per_address: 1,
        ..config(1)
    };
    let server = TestServer::with(one_per_address, commands);
    let _busy = gate.busy_client(server.addr);
    // No worker has looked at it, so the refusals of the next ones wait for 100 ms.
    let connect = || Peer::connect_from([127, 0, 0, 2], server.addr);
    let _second = connect();
    eventually("the second client is admitted", || {
        server.handle.stats().clients == 2
    });
    let mut refused = [connect(), connect(), connect()];
    eventually("the acceptor has panicked", || Panics::left() == 0);
    gate.let_one_through();
    for peer in &mut refused {
        peer.expect("-ERR max number of clients from this address reached\r\n");
    }
}

#[test]
fn server_drains_when_its_acceptor_keeps_panicking() {
    let _alone = Panics::at("acceptor", "connected from", usize::MAX);
    let config = Config {
        // A failure does not wait for it.
        drain_delay_ms: 3_600_000,
        ..config(1)
    };
    let server = TestServer::with(config, Commands::builtin());
    let mut first = server.connect();
    first.ping();
    let peers: Vec<Peer> = (0..30)
        .filter_map(|_| {
            let socket = std::net::TcpStream::connect(server.addr).ok()?;
            Some(Peer { socket })
        })
        .collect();
    // The client is closed although it did nothing. While it stays, so does the server.
    let live = || server.handle.health().live;
    eventually("the acceptor is dead", || live().is_err());
    let unfit = live().expect_err("the acceptor is dead");
    assert_eq!(unfit.to_string(), "the acceptor kept panicking");
    first.expect_end();
    drop((first, peers));
    assert!(server.wait().failed);
}

#[test]
fn clock_continues_after_a_panic() {
    let _alone = Panics::at("clock", "has been busy", 1);
    let (commands, gate) = commands_with_gate();
    let impatient = Config {
        timeout_s: 1,
        ..config(2)
    };
    let server = TestServer::with(impatient, commands);
    let mut busy = gate.busy_client(server.addr);
    eventually("the clock has panicked", || Panics::left() == 0);
    let mut idle = server.connect();
    idle.ping();
    idle.expect_end();
    gate.let_one_through();
    busy.expect("+OPEN\r\n");
}

#[test]
fn only_worker_continues_after_a_panic() {
    let _alone = Panics::at("worker-0", "closed after", 1);
    let server = TestServer::start(1);
    drop(server.connect());
    eventually("the worker has panicked", || Panics::left() == 0);
    let mut next = server.connect();
    next.socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a TCP socket");
    next.ping();
    assert_eq!(server.handle.workers(), 1);
}

/// The worker notifies at the end of a turn, which a panic outside of a handler ends.
#[test]
fn message_survives_a_panic_of_its_publishers_worker() {
    let _alone = Panics::at("worker-0", "a handler panicked", 1);
    let commands = builtin_and(|commands| {
        let panic = commands.register("PANIC", Arity::Exactly(1), |_, _, _| -> Replied {
            panic!("as the test wants it")
        });
        // Before a handler that may block, the worker notifies, too.
        panic.never_blocks();
    });
    let server = TestServer::with(config(1), commands);
    let (mut subscriber, mut publisher) = (server.connect(), server.connect());
    publisher.ping();
    subscriber.ask(
        "SUBSCRIBE a\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    );
    publisher.send("PUBLISH a x\r\nPANIC\r\n");
    assert_eq!(subscriber.leaves(), ["message", "a", "x"]);
    assert_eq!(Panics::left(), 0);
}

/// A changed certificate was logged while the configuration was locked.
#[test]
fn logger_may_ask_for_the_configuration() {
    let _alone = Panics::at("", "", 0);
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let config = Config {
        tls_port: socket.local_addr().expect("it listens").port(),
        tls_cert_file: Some(folder.server_certificate()),
        tls_key_file: Some(folder.server_key()),
        tls_auth_clients: TlsAuthClients::No,
        ..config(1)
    };
    let server = Server::from_listeners([socket], config.clone(), Commands::builtin());
    let server = server.expect("the files are right").spawn();
    let server = server.expect("there are threads");
    *ASKED.lock() = Some(server.handle().clone());
    folder.write_server(&authority.server());
    let (done, is_done) = channel();
    let handle = server.handle().clone();
    thread::spawn(move || done.send(handle.reconfigure(&config).is_ok()));
    let outcome = is_done.recv_timeout(PATIENCE);
    assert_eq!(outcome, Ok(true), "the logger waits for a lock");
    assert!(ASKED.lock().is_none(), "it was not logged");
    assert_eq!(server.drain().aborted, 0);
}

/// The hook of a program may block. It ran on the clock's thread for clients that were closed for
/// unread replies.
#[test]
fn clock_does_not_wait_for_a_disconnect_hook() {
    let _alone = Panics::at("", "", 0);
    let (enter, entered) = channel();
    let (leave, left) = channel::<()>();
    let ends = Mutex::new((enter, left));
    let hasty = Config {
        write_timeout_s: 1,
        pending_output_per_client: 0,
        first_byte_timeout_s: 2,
        ..config(3)
    };
    let server = Server::bind(hasty, Commands::builtin())
        .expect("the server starts")
        .on_disconnect(move |_, departure| {
            if departure.name() == "write_timeout" {
                let ends = ends.lock();
                let _ = ends.0.send(());
                let _ = ends.1.recv_timeout(PATIENCE);
            }
        });
    let server = TestServer::serve(server);
    let mut deaf = Peer::connect_with_small_buffer(server.addr);
    let message = "x".repeat(16 << 20);
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    deaf.send(format!("*2\r\n$4\r\nECHO\r\n{bulk}"));
    entered
        .recv_timeout(PATIENCE)
        .expect("it is closed for its unread replies");
    // The clock must run for this close.
    let mut silent = server.connect();
    silent.expect("-ERR no request came in time\r\n");
    leave.send(()).expect("the hook waits");
    drop((deaf, silent));
}
