//! Every bound on what a peer may take of the server.
//!
//! Several addresses of one machine stand for several machines. This needs Linux, where all of
//! 127.0.0.0/8 is the loopback.

#![cfg(target_os = "linux")]

mod close_reasons;
mod connections;
mod hostile;
mod late_clients;
mod memory;
mod memory_returns;
mod output;
mod pending_output;
mod requests;
mod timeouts;

use std::net::SocketAddr;
use std::sync::Once;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, eventually};

/// A server, and a client that asks it what it has counted.
struct Watched {
    server: TestServer,
    control: Peer,
}

impl Watched {
    fn start(config: Config) -> Self {
        Self::with(config, Commands::builtin())
    }

    fn with(config: Config, commands: Commands) -> Self {
        Lines::collect();
        let server = TestServer::with(config, commands);
        let control = server.connect();
        Self { server, control }
    }

    fn connect(&self) -> Peer {
        self.server.connect()
    }

    fn connect_from(&self, last_byte: u8) -> Peer {
        Peer::connect_from([127, 0, 0, last_byte], self.server.addr)
    }

    #[track_caller]
    fn set(&mut self, key: &str, value: &str) {
        self.control
            .ask(format!("CONFIG SET {key} \"{value}\"\r\n"), "+OK\r\n");
    }

    /// Waits until INFO says so. Asking often keeps the control from being idle.
    #[track_caller]
    fn counts(&mut self, field: &str, count: u64) {
        eventually(&format!("{field} is {count}"), || {
            self.control.count(field) == count
        });
    }

    /// As [`Self::counts`] for a field `closed_*`, and the log says of the peer why.
    #[track_caller]
    fn closes(&mut self, peer_addr: SocketAddr, field: &str, count: u64, why: &str) {
        self.counts(&format!("closed_{field}"), count);
        let begins = format!("({peer_addr}) closed after ");
        let told = |line: &String| line.contains(&begins) && line.ends_with(why);
        eventually(&format!("the log says {why:?}"), || {
            Lines::collect().lock().iter().any(told)
        });
    }

    /// Lets so many seconds of the server's clock pass.
    #[track_caller]
    fn pass(&mut self, seconds: u64) {
        let start = Instant::now();
        eventually("the clock moves on", || {
            self.control.ping();
            start.elapsed() > Duration::from_secs(seconds)
        });
    }

    /// Waits until bytes wait for a client, and the kernel has taken no more of them for a while.
    /// Gives how many.
    #[track_caller]
    fn bytes_that_wait(&mut self) -> u64 {
        const FIELD: &str = "client_recent_max_output_buffer";
        let mut last = (0, Instant::now());
        eventually("something waits, and stays", || {
            let bytes = self.control.count(FIELD);
            if bytes != last.0 {
                last = (bytes, Instant::now());
            }
            bytes > 0 && last.1.elapsed() > Duration::from_millis(1500)
        });
        last.0
    }
}

/// What this process has logged: all of its servers.
struct Lines(Mutex<Vec<String>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl Lines {
    fn collect() -> &'static Mutex<Vec<String>> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            log::set_logger(&LINES).expect("it is the only one");
            log::set_max_level(log::LevelFilter::Debug);
        });
        &LINES.0
    }
}

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("respool")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn local_addr(peer: &Peer) -> SocketAddr {
    peer.socket.local_addr().expect("a connected socket")
}

fn echo(message: &str) -> (String, String) {
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    (format!("*2\r\n$4\r\nECHO\r\n{bulk}"), bulk)
}

/// What the parser keeps of a word beside its bytes.
const WORD_BYTES: usize = 8;

/// A client for whom replies wait that it does not read, and how many bytes.
fn deaf(watched: &mut Watched) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    let bytes = watched.bytes_that_wait();
    (deaf, bytes)
}
