//! A rolling restart under load: no client sees more of it than the end of its connection after a
//! reply.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};

use parking_lot::Mutex;
use respool_testing::case::Outcome;
use respool_testing::load::Load;
use respool_testing::process::Process;
use respool_testing::setup::installed;
use respool_testing::{Peer, eventually};

use crate::fleet::{Fleet, Server};

/// Restarts each server of `fleet` by `restart`, in one or several rounds. In the meantime, clients
/// connect for one request or one pipeline each, others pipeline without end or wait for each reply.
pub(crate) fn rolling_restart(fleet: &mut Fleet, restart: impl Fn(&mut Server)) -> Outcome {
    let benchmark = installed("redis-benchmark")?;
    let balancer = fleet.balancer;
    let connecting = Connecting::default();
    thread::scope(|scope| {
        let end = connecting.end_on_drop();
        for pipeline in ["1", "16"] {
            scope.spawn(|| connecting.until_the_end(&benchmark, balancer, pipeline));
        }
        for _ in 0..rounds() {
            let load = Load::in_rounds(balancer);
            for server in &mut fleet.servers {
                restart(server);
                is_in_use(server, &connecting);
            }
            for received in load.ended() {
                assert!(!received.cut_short && !received.reset, "{received:?}");
            }
        }
        drop(end);
    });
    connecting.has_no_error();
    Ok(())
}

/// Clients with a connection for each request or pipeline.
#[derive(Default)]
struct Connecting {
    has_ended: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Connecting {
    fn until_the_end(&self, benchmark: &Path, balancer: SocketAddr, pipeline: &str) {
        while !self.has_ended.load(Ordering::Relaxed) {
            if let Err(error) = connect_for_each(benchmark, balancer, pipeline) {
                *self.error.lock() = Some(error);
                return;
            }
        }
    }

    /// Ends the clients if a check fails, too.
    fn end_on_drop(&self) -> impl Drop {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        End(&self.has_ended)
    }

    fn has_no_error(&self) {
        assert_eq!(*self.error.lock(), None);
    }
}

/// Ends a server at once. Expects that the clients that connect next are served by the other, and
/// that it is in use again after it was started.
pub(crate) fn survives_a_crash(fleet: &mut Fleet) {
    let balancer = fleet.balancer;
    let ping = || Peer::connect(balancer).ping();
    fleet.servers[0].crash(|| {
        for _ in 0..50 {
            ping();
        }
    });
    let before = fleet.servers[0].connections();
    let mut looks = 0;
    eventually("the server has clients again", || {
        ping();
        looks += 1;
        fleet.servers[0].connections() > before + looks
    });
}

/// Runs redis-benchmark with a connection for each request or pipeline. It ends at the first error,
/// which is returned.
fn connect_for_each(program: &Path, balancer: SocketAddr, pipeline: &str) -> Result<(), String> {
    let mut benchmark = Command::new(program);
    benchmark
        .args(["-h", &balancer.ip().to_string()])
        .args(["-p", &balancer.port().to_string()])
        .args(["-t", "ping", "-c", "20", "-n", "2000", "--csv"])
        .args(["-k", "0", "-P", pipeline]);
    let ended = Process::start(&mut benchmark).ended_or_stuck(PATIENCE)?;
    // It advises a sysctl against running out of ports.
    let is_advice = |line: &&str| line.starts_with("WARNING: Keepalive disabled. ");
    let stderr: Vec<_> = ended.stderr.lines().skip_while(is_advice).collect();
    match (ended.status.code(), stderr.join(" ").trim()) {
        (Some(0), "") => Ok(()),
        (code, stderr) => Err(format!(
            "-P {pipeline}: {code:?}, {stderr}, {}",
            ended.stdout
        )),
    }
}

/// Waits until the balancer sends new connections to the server.
fn is_in_use(server: &Server, connecting: &Connecting) {
    let before = server.connections();
    // Each look is a connection, too.
    let mut looks = 0;
    eventually("the restarted server has connections", || {
        connecting.has_no_error();
        looks += 1;
        server.connections() > before + looks + 20
    });
}

/// Returns how often each server is restarted.
fn rounds() -> usize {
    let rounds = env::var("RESPOOL_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Some thousand connections on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
