//! The program over each transport: plain TCP, and those in the files of this folder.

#[cfg(feature = "tls")]
mod certificates;
mod proxy;
mod redis_crate;
#[cfg(feature = "tls")]
mod resources;
#[cfg(feature = "tls")]
mod secure;
#[cfg(target_os = "linux")]
mod shared_port;
#[cfg(feature = "tls")]
mod swaps;
#[cfg(feature = "tls")]
mod tls;
mod unix;

use std::process::Command;

use respool_testing::process::Respool;
use respool_testing::target::program;

/// Starts a server and waits for its first line.
fn start(args: &[&str]) -> Respool {
    let mut command = Command::new(program());
    command.args(["--loglevel", "verbose"]).args(args);
    Respool::run_beside_others(&mut command)
}

#[test]
fn tcp_client_is_listed_with_both_addresses() {
    let server = start(&[]);
    let mut peer = server.connect();
    let line = peer.answer("CLIENT INFO");
    let (addr, local) = (peer.local_addr(), server.addr);
    let addresses = format!(" addr={addr} laddr={local} ");
    assert!(line.contains(&addresses), "{line}");
    assert!(line.contains(" flags=N "), "{line}");
    drop(peer);
    server.stop();
}
