//! Servers under the same load, in short slices that take turns.

use std::io;
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Slice};
use crate::latencies::Latencies;
use crate::loads::{Manner, Talk};
use crate::options::Pace;
use crate::pings::Exchange;
use crate::results::{Figure, Samples};
use crate::server::Server;
use crate::usage::{CpuTime, load_waited_ns};
use crate::wire::{ask, connect};

/// A server and its clients.
struct Runner<'a> {
    server: &'a Server,
    crowd: Crowd,
    exchange: Exchange,
    /// The client beside the hogs.
    pinger: Option<TcpStream>,
    samples: Samples,
}

/// The least time of a slice for each client, so that all clients are answered several times.
const SLICE_PER_CLIENT: Duration = Duration::from_micros(60);

/// Time for a server to become idle. Then the kernel has added up its CPU time.
const REST: Duration = Duration::from_millis(5);

/// Gives each server a slice in every round. The first round does not count.
///
/// The order is random. Otherwise a disturbance that recurs would always hit the same server.
pub(crate) fn race<'a>(
    talk: Talk,
    servers: impl Iterator<Item = (&'a Server, Exchange)>,
    pace: Pace,
) -> io::Result<Vec<Samples>> {
    let runners = servers.map(|(server, exchange)| Runner::new(server, talk, exchange));
    let mut runners: Vec<_> = runners.collect::<io::Result<_>>()?;
    let time = pace.slice.max(SLICE_PER_CLIENT * talk.clients as u32);
    for round in 0..=pace.rounds {
        let mut order: Vec<_> = runners.iter_mut().collect();
        fastrand::shuffle(&mut order);
        for runner in order {
            let name = &runner.server.name;
            let values = runner
                .slice(time)
                .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
            if round > 0 {
                runner.samples.add(&values);
            }
        }
    }
    Ok(runners.into_iter().map(|runner| runner.samples).collect())
}

impl<'a> Runner<'a> {
    fn new(server: &'a Server, talk: Talk, exchange: Exchange) -> io::Result<Self> {
        let pinger = (talk.manner == Manner::Hogging).then(|| connect(server.addr));
        Ok(Self {
            server,
            crowd: Crowd::new(server.addr, talk, &exchange)?,
            exchange,
            pinger: pinger.transpose()?,
            samples: Samples::of(&server.name),
        })
    }

    fn slice(&mut self, time: Duration) -> io::Result<[(Figure, f64); 7]> {
        let server_before = CpuTime::of(self.server.id())?;
        let load_waited_before_ns = load_waited_ns()?;
        let slice = match &mut self.pinger {
            None => self.crowd.talk_for(time)?,
            Some(pinger) => talk_beside(pinger, &self.exchange, || self.crowd.talk_for(time))?,
        };
        thread::sleep(REST);
        let load_waited_ns = load_waited_ns()? - load_waited_before_ns;
        let server = CpuTime::of(self.server.id())?.since(server_before);
        let percent = |ns: u64| 100.0 * ns as f64 / slice.time.as_nanos() as f64;
        let cpu_ns_per_request = server.used_ns as f64 / slice.requests as f64;
        let waited_ns = server.waited_ns + load_waited_ns;
        Ok([
            (Figure::RequestsPerS, slice.requests_per_s),
            (Figure::CpuNsPerRequest, cpu_ns_per_request),
            (Figure::BusyPercent, percent(server.used_ns)),
            (Figure::WaitingPercent, percent(waited_ns)),
            (Figure::P50Us, slice.latencies.percentile_us(50.0)),
            (Figure::P99Us, slice.latencies.percentile_us(99.0)),
            (Figure::P999Us, slice.latencies.percentile_us(99.9)),
        ])
    }
}

/// Sends PINGs, one at a time, while `talk` runs. The latencies are those of the PINGs.
fn talk_beside(
    pinger: &mut TcpStream,
    exchange: &Exchange,
    talk: impl FnOnce() -> io::Result<Slice>,
) -> io::Result<Slice> {
    // Relaxed: no data depends on it.
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        let pings = scope.spawn(|| {
            let mut latencies = Latencies::new();
            while !ends.load(Relaxed) {
                let start = Instant::now();
                ask(pinger, exchange)?;
                latencies.record(start.elapsed());
            }
            Ok::<_, io::Error>(latencies)
        });
        let slice = talk();
        ends.store(true, Relaxed);
        let latencies = pings
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        Ok(Slice {
            latencies,
            ..slice?
        })
    })
}
