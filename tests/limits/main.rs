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
use std::time::{Duration, Instant};

use respool::{Commands, Config};
use respool_testing::{Peer, TestServer, echo, eventually, log};

/// A server and a client that reads its statistics. What the server logs is kept.
struct Watched {
    server: TestServer,
    control: Peer,
    start: Instant,
}

impl Watched {
    fn start(config: Config) -> Self {
        Self::with(config, Commands::builtin())
    }

    fn with(config: Config, commands: Commands) -> Self {
        log::collect();
        let server = TestServer::with(config, commands);
        let control = server.connect();
        Self::over(server, control)
    }

    fn over(server: TestServer, control: Peer) -> Self {
        log::collect();
        Self {
            server,
            control,
            start: Instant::now(),
        }
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

    /// Waits until INFO has this count. Asking often keeps the control client from being idle.
    #[track_caller]
    fn counts(&mut self, field: &str, count: u64) {
        eventually(&format!("{field} is {count}"), || {
            self.control.count(field) == count
        });
    }

    /// Waits until INFO has this count in `closed_FIELD` and the log says why the peer was closed.
    #[track_caller]
    fn closes(&mut self, peer_addr: SocketAddr, field: &str, count: u64, why: &str) {
        self.counts(&format!("closed_{field}"), count);
        let close = format!("({peer_addr}) closed after ");
        eventually(&format!("the log says {why:?}"), || {
            let is_wanted = |line: &str| line.contains(&close) && line.ends_with(why);
            log::find(self.start, is_wanted).is_some()
        });
    }

    /// Lets this time pass on the server's clock.
    #[track_caller]
    fn pass(&mut self, seconds: u64) {
        let start = Instant::now();
        eventually("the time has passed", || {
            self.control.ping();
            start.elapsed() > Duration::from_secs(seconds)
        });
    }

    /// Waits until output is pending and the kernel has taken no more of it for a while. Returns how
    /// many bytes are pending.
    #[track_caller]
    fn pending_bytes(&mut self) -> u64 {
        const FIELD: &str = "client_recent_max_output_buffer";
        let mut last = (0, Instant::now());
        eventually("pending output stays the same", || {
            let bytes = self.control.count(FIELD);
            if bytes != last.0 {
                last = (bytes, Instant::now());
            }
            bytes > 0 && last.1.elapsed() > Duration::from_millis(1500)
        });
        last.0
    }
}

/// Bytes that the parser keeps per argument, besides the argument itself.
const WORD_BYTES: usize = 8;

/// Returns a client that does not read its reply, and how many bytes of it are pending.
fn deaf(watched: &mut Watched) -> (Peer, u64) {
    let mut deaf = Peer::connect_with_small_buffer(watched.server.addr);
    deaf.send(echo(&"x".repeat(8 << 20)).0);
    let bytes = watched.pending_bytes();
    (deaf, bytes)
}
