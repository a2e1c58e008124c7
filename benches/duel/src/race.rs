//! Servers under the same load, in short slices that take turns.

use std::io::{self, Write};
use std::net::TcpStream;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Slice};
use crate::histogram::Histogram;
use crate::loads::{Manner, Talk};
use crate::options::Pace;
use crate::pings::Exchange;
use crate::results::{Figure, Samples};
use crate::server::{Server, UNACCEPTED_MAX, ask, hear};
use crate::usage::{self, Cpu};

/// A server and those who talk to it.
struct Runner<'a> {
    server: &'a Server,
    crowd: Crowd,
    exchange: Exchange,
    /// The one whose latency counts, if there are hogs beside it.
    pinger: Option<TcpStream>,
    samples: Samples,
}

/// A slice of each server, again and again, in an order that chance gives: what the machine does once
/// a second would else meet the same server again and again. The first round does not count. Servers
/// that cannot be asked this are left out.
pub(crate) fn race(talk: Talk, servers: &[&Server], pace: Pace) -> io::Result<Vec<Samples>> {
    let mut runners = Vec::new();
    for server in servers {
        if let Some(exchange) = talk.ping.exchange(&server.dialect) {
            runners.push(Runner::new(server, talk, exchange)?);
        }
    }
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

/// The least that a slice takes for each client, so that all of them are answered several times.
const SLICE_PER_CLIENT: Duration = Duration::from_micros(60);

/// Time for a server to come to rest, when the kernel has booked all that it has used.
const REST: Duration = Duration::from_millis(5);

impl<'a> Runner<'a> {
    fn new(server: &'a Server, talk: Talk, exchange: Exchange) -> io::Result<Self> {
        let pinger = (talk.manner == Manner::Hogging).then(|| connect(server));
        Ok(Self {
            server,
            crowd: Crowd::new(server.addr, talk, &exchange)?,
            exchange,
            pinger: pinger.transpose()?,
            samples: Samples::of(&server.name),
        })
    }

    fn slice(&mut self, time: Duration) -> io::Result<[(Figure, f64); 7]> {
        let before = Cpu::of(self.server.id())?;
        let load_before = Cpu::of_this_thread()?;
        let slice = match &mut self.pinger {
            None => self.crowd.talk_for(time)?,
            Some(pinger) => talk_beside(pinger, &self.exchange, || self.crowd.talk_for(time))?,
        };
        thread::sleep(REST);
        let load = Cpu::of_this_thread()?.since(load_before);
        let cpu = Cpu::of(self.server.id())?.since(before);
        let percent = |ns: u64| 100.0 * ns as f64 / slice.time.as_nanos() as f64;
        let percentile = |percent| slice.latencies.percentile_us(percent).unwrap_or(f64::NAN);
        Ok([
            (Figure::RequestsPerS, slice.requests_per_s),
            (
                Figure::CpuNsPerRequest,
                cpu.used_ns as f64 / slice.requests as f64,
            ),
            (Figure::BusyPercent, percent(cpu.used_ns)),
            (
                Figure::WaitingPercent,
                percent(cpu.waited_ns + load.waited_ns),
            ),
            (Figure::P50Us, percentile(50.0)),
            (Figure::P99Us, percentile(99.0)),
            (Figure::P999Us, percentile(99.9)),
        ])
    }
}

fn connect(server: &Server) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(server.addr)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Pings, one at a time, while `talk` goes on. The latencies are the pinger's.
fn talk_beside(
    pinger: &mut TcpStream,
    exchange: &Exchange,
    talk: impl FnOnce() -> io::Result<Slice>,
) -> io::Result<Slice> {
    // Carries no data, so no order is asked for.
    let ends = AtomicBool::new(false);
    let ends = &ends;
    thread::scope(|scope| {
        let pings = scope.spawn(move || {
            let mut latencies = Histogram::new();
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

/// So many connections, each of which has had one PONG and rests: what they take each of the
/// server's resident memory. All that it has grown by is counted.
pub(crate) fn idle_bytes(
    server: &Server,
    exchange: &Exchange,
    connections: usize,
) -> io::Result<f64> {
    let before = usage::resident_bytes(server.id())?;
    let mut idle = Vec::with_capacity(connections);
    while idle.len() < connections {
        let more = UNACCEPTED_MAX.min(connections - idle.len());
        let first = idle.len();
        for _ in 0..more {
            let mut socket = connect(server)?;
            socket.write_all(&exchange.request)?;
            idle.push(socket);
        }
        for socket in &mut idle[first..] {
            hear(socket, exchange)?;
        }
    }
    thread::sleep(SETTLING);
    let grown = usage::resident_bytes(server.id())?.saturating_sub(before);
    // All of them are still there.
    for socket in &mut idle {
        socket.write_all(&exchange.request)?;
    }
    Ok(grown as f64 / connections as f64)
}

/// Servers do some of their house-keeping once a second.
const SETTLING: Duration = Duration::from_millis(1200);
