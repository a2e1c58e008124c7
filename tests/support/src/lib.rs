//! What the tests share: servers, peers that speak to them in bytes, processes, loads and attacks.
//!
//! Every wait has a deadline. A test that reaches it fails and names the condition it waited for.
//!
//! | module | has |
//! |---|---|
//! | [`server`] | a server in the process of the test |
//! | [`peer`] | a client of it, in bytes |
//! | [`process`] | the program, and other programs, as processes |
//! | [`reaper`] | kills processes whose test was killed |
//! | [`redis_server`] | redis-server and respool with the same settings, to compare them |
//! | [`log`] | the lines that the servers of this process log |
//! | [`scratch`] | files and folders that are removed afterwards |
//! | [`target`] | the program that cargo has built |
//! | [`load`] | clients that check every byte, and SIGTERM under their load |
//! | [`attacks`] | hostile clients |
//! | [`balancer`] | a client of a program between client and server |
//! | [`case`] | cases of real clients, and a line for each |
//! | [`setup`] | real clients: found on this machine, or installed |
//! | [`certificates`] | a CA, and pairs that it signed, as PEM files |
//! | [`tls`] | clients over TLS |
//! | [`http`] | requests to the operations listener |
//! | [`hogs`] | a row per command that makes it work for its reply |

#![allow(
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_debug_implementations,
    missing_docs,
    reason = "only tests use it"
)]

pub mod activation;
pub mod attacks;
pub mod balancer;
pub mod case;
pub mod certificates;
pub mod hogs;
pub mod http;
pub mod load;
pub mod log;
pub mod peer;
pub mod process;
pub mod reaper;
pub mod redis_server;
pub mod scratch;
pub mod server;
pub mod setup;
pub mod target;
pub mod tls;

use std::iter;
use std::net::{Ipv4Addr, TcpListener};
use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use peer::{Peer, echo, request};
pub use scratch::Scratch;
pub use server::{Gate, TestServer, builtin_and, commands_with_gate, config};

/// The longest wait. A slow, busy machine stays far below it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting until {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Returns a port of the loopback that was free a moment ago. It is below those that the system
/// gives to clients, so no client takes it in the meantime.
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    // Relaxed: only the numbers must differ. Two processes start far from each other.
    let mut ports = iter::repeat_with(|| {
        let number = id() * 101 + COUNT.fetch_add(1, Ordering::Relaxed);
        10_000 + (number % 20_000) as u16
    });
    ports.find(is_free).expect("they do not end")
}

/// Returns the value below which `percent` of all lie.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
