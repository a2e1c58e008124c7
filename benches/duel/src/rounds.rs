//! Servers under the same load, in short slices that take turns.

use std::io;
use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::nice;

use crate::audience::Audience;
use crate::clients::ClientGroup;
use crate::connection::Connection;
use crate::context;
use crate::latencies::Latencies;
use crate::loads::{Manner, Talk};
use crate::options::Pace;
use crate::pings::Exchange;
use crate::results::{Figure, Samples};
use crate::server::Server;
use crate::slice::Slice;
use crate::usage::{CpuTime, load_waited_ns};
use crate::visits::Visitors;
use crate::wire::{ask, connect};

/// A server under load, and its clients.
struct Subject<'a> {
    server: &'a Server,
    talk: Talk,
    clients: Clients,
    /// The client beside the hogs or the handshakes.
    pinger: Option<Connection>,
    samples: Samples,
}

enum Clients {
    /// Their connections stay open, or have a handshake that takes many bytes.
    Group(ClientGroup),
    /// They connect for one request.
    Visitors(Visitors),
    Audience(Audience),
}

/// Time for a server to become idle. Then the kernel has added up its CPU time.
const REST: Duration = Duration::from_millis(5);

/// Runs a slice of each server in every round. The first round does not count.
///
/// The order is random. Otherwise a disturbance that recurs would always hit the same server.
pub(crate) fn run_rounds(talk: Talk, servers: &[Server], pace: Pace) -> io::Result<Vec<Samples>> {
    let subjects = servers.iter().map(|server| Subject::new(server, talk));
    let mut subjects: Vec<_> = subjects.collect::<io::Result<_>>()?;
    let time = pace.slice.max(talk.least_time());
    for round in 0..=pace.rounds {
        let mut order: Vec<_> = subjects.iter_mut().collect();
        fastrand::shuffle(&mut order);
        for subject in order {
            let values = subject.slice(time).map_err(context(&subject.server.name))?;
            if round > 0 {
                subject.samples.add(&values);
            }
        }
    }
    Ok(subjects
        .into_iter()
        .map(|subject| subject.samples)
        .collect())
}

impl<'a> Subject<'a> {
    fn new(server: &'a Server, talk: Talk) -> io::Result<Self> {
        let pinger = talk.has_pinger().then(|| connect(server.endpoint()));
        Ok(Self {
            server,
            talk,
            clients: Clients::new(server, talk)?,
            pinger: pinger.transpose()?,
            samples: Samples::of(&server.name),
        })
    }

    fn slice(&mut self, time: Duration) -> io::Result<[(Figure, f64); 7]> {
        let before = CpuTime::of(self.server.id())?;
        let load_waited_before_ns = load_waited_ns()?;
        let slice = match &mut self.pinger {
            None => self.clients.talk_for(time)?,
            Some(pinger) => talk_beside(pinger, self.server.first_exchange(), || {
                self.clients.talk_for(time)
            })?,
        };
        thread::sleep(REST);
        let load_waited_ns = load_waited_ns()? - load_waited_before_ns;
        let after = CpuTime::of(self.server.id())?;
        let used_ns = after.used_ns - before.used_ns;
        let server_waited_ns = match self.talk.manner {
            Manner::Steady | Manner::Hogging | Manner::Subscribing => {
                after.waited_ns - before.waited_ns
            }
            // The server's threads wait for each other: those that accept, and the workers.
            Manner::Connecting(_) | Manner::Handshaking => 0,
        };
        let waited_ns = server_waited_ns + load_waited_ns;
        let percent = |ns: u64| 100.0 * ns as f64 / slice.time.as_nanos() as f64;
        let cpu_ns_per_request = used_ns as f64 / slice.requests as f64;
        Ok([
            (Figure::RequestsPerS, slice.requests_per_s),
            (Figure::CpuNsPerRequest, cpu_ns_per_request),
            (Figure::BusyPercent, percent(used_ns)),
            (Figure::WaitingPercent, percent(waited_ns)),
            (Figure::P50Us, slice.latencies.percentile_us(50.0)),
            (Figure::P99Us, slice.latencies.percentile_us(99.0)),
            (Figure::P999Us, slice.latencies.percentile_us(99.9)),
        ])
    }
}

impl Clients {
    fn new(server: &Server, talk: Talk) -> io::Result<Self> {
        let endpoint = server.endpoint().clone();
        match talk.manner {
            Manner::Connecting(close) => {
                let exchange = server.first_exchange().clone();
                let visitors = Visitors::new(endpoint, close, talk.clients, exchange);
                Ok(Self::Visitors(visitors))
            }
            Manner::Subscribing => Audience::new(&endpoint, talk).map(Self::Audience),
            Manner::Steady | Manner::Hogging | Manner::Handshaking => {
                ClientGroup::new(endpoint, talk, &server.exchanges).map(Self::Group)
            }
        }
    }

    fn talk_for(&mut self, time: Duration) -> io::Result<Slice> {
        match self {
            Self::Group(clients) => clients.talk_for(time),
            Self::Visitors(visitors) => visitors.talk_for(time),
            Self::Audience(audience) => audience.publish_for(time),
        }
    }
}

/// Sends PINGs, one at a time, while `talk` runs in another thread. The latencies are those of the
/// PINGs.
fn talk_beside(
    pinger: &mut Connection,
    exchange: &Exchange,
    talk: impl FnOnce() -> io::Result<Slice> + Send,
) -> io::Result<Slice> {
    thread::scope(|scope| {
        let talk = scope.spawn(|| {
            // Only of this thread. So the pinger, which shares its CPU, runs as soon as its reply
            // has come.
            nice(19)?;
            talk()
        });
        let mut latencies = Latencies::new();
        while !talk.is_finished() {
            let start = Instant::now();
            ask(pinger, exchange)?;
            latencies.record(start.elapsed());
        }
        let slice = talk
            .join()
            .unwrap_or_else(|panic| panic::resume_unwind(panic))?;
        Ok(Slice { latencies, ..slice })
    })
}
