//! A server in the process of the test.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use respool::config::BindAddress;
use respool::{Arity, Commands, Config, Drained, Server, ServerHandle};

use crate::{PATIENCE, Peer};

/// A server on a free port of the loopback. Drains on drop.
pub struct TestServer {
    pub addr: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<Drained>>,
}

impl TestServer {
    /// Starts a server with the built-in commands.
    pub fn start(workers: usize) -> Self {
        Self::with(config(workers), Commands::builtin())
    }

    /// Starts a server with this configuration.
    pub fn with(config: Config, commands: Commands) -> Self {
        Self::serve(Server::bind(config, commands).expect("the server starts"))
    }

    /// Starts a server for at most `maxclients` clients, with two workers.
    pub fn with_maxclients(maxclients: usize) -> Self {
        let config = Config {
            maxclients,
            ..config(2)
        };
        Self::with(config, Commands::builtin())
    }

    /// Serves on a thread of its own.
    pub fn serve(server: Server) -> Self {
        let addr = server.local_addrs()[0];
        let handle = server.handle();
        let thread = thread::spawn(move || server.serve().expect("the server serves"));
        Self {
            addr,
            handle,
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.addr)
    }

    /// Drains the server and waits until it has stopped.
    pub fn drain(self) -> Drained {
        self.handle.drain();
        self.wait()
    }

    /// Waits until a server has stopped that was drained otherwise.
    pub fn wait(mut self) -> Drained {
        self.thread
            .take()
            .expect("it was not drained before")
            .join()
            .expect("the thread does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.drain();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns the default configuration on 127.0.0.1, port 0.
pub fn config(workers: usize) -> Config {
    Config {
        bind: vec![BindAddress {
            address: [127, 0, 0, 1].into(),
            optional: false,
        }],
        port: 0,
        workers,
        ..Config::default()
    }
}

/// Returns the built-in commands and those that `add` adds.
pub fn builtin_and(add: impl FnOnce(&mut Commands)) -> Commands {
    let mut commands = Commands::builtin();
    add(&mut commands);
    commands
}

/// The test's side of the command GATE: its handler reports its start, then waits for the test.
pub struct Gate {
    pub starts: Receiver<()>,
    pub open: Sender<()>,
}

impl Gate {
    /// Connects a client, and returns it after its GATE has occupied a worker.
    #[track_caller]
    pub fn busy_client(&self, server: SocketAddr) -> Peer {
        let mut client = Peer::connect(server);
        client.send("GATE\r\n");
        self.wait_for_start();
        client
    }

    /// Waits until a handler has started.
    #[track_caller]
    pub fn wait_for_start(&self) {
        self.starts
            .recv_timeout(PATIENCE)
            .expect("the handler starts");
    }

    /// Lets one handler return.
    #[track_caller]
    pub fn let_one_through(&self) {
        self.open.send(()).expect("the handler waits");
    }
}

/// Returns the built-in commands and `GATE`, which replies `OPEN`.
pub fn commands_with_gate() -> (Commands, Gate) {
    let (started, starts) = channel();
    let (open, opens) = channel();
    let ends = Mutex::new((started, opens));
    let mut commands = Commands::builtin();
    commands.register("GATE", Arity::AtLeast(1), move |_, _, reply| {
        let ends = ends.lock();
        ends.0.send(()).expect("the test waits for it");
        ends.1
            .recv_timeout(PATIENCE)
            .expect("the test opens the gate");
        reply.simple("OPEN")
    });
    (commands, Gate { starts, open })
}
