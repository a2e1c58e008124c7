//! Runs of the real server, in this process.

use std::time::{Duration, Instant};
use std::{fmt, io};

use respool::testing::{self, TestServer};
use respool::{Arity, Commands, Config, Server, StartError};

use crate::client::Clients;
use crate::cpu::pin;

/// A server and its load.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) workers: usize,
    /// The cores that the workers may use.
    pub(crate) cores: Vec<usize>,
    /// The core of the load.
    pub(crate) load: usize,
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
    pub(crate) handler: Handler,
}

/// What answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// PING.
    Ping,
    /// A command that computes for this many microseconds. Its worker hands over before, because it
    /// does not declare that it never waits.
    Burn(u64),
}

/// What a run showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    pub(crate) turns_per_s: f64,
    pub(crate) p99_us: f64,
}

const WARM_UP: Duration = Duration::from_millis(20);

impl Run {
    /// Runs the server and the load for this long.
    pub(crate) fn measure(&self, time: Duration) -> io::Result<Measured> {
        let server = self.start().map_err(io::Error::other)?;
        pin(&[self.load])?;
        let request = match self.handler {
            Handler::Ping => "*1\r\n$4\r\nPING\r\n",
            Handler::Burn(_) => "*1\r\n$4\r\nBURN\r\n",
        };
        let request = request.repeat(self.pipeline);
        let mut clients = Clients::connect(server.addr(), self.clients, &request)?;
        clients.talk_for(WARM_UP)?;
        let talk = clients.talk_for(time)?;
        drop(clients);
        let _ = server.drain();
        Ok(Measured {
            turns_per_s: talk.turns as f64 / talk.time.as_secs_f64(),
            p99_us: talk.p99_us,
        })
    }

    /// Starts the server on its cores.
    fn start(&self) -> Result<TestServer, StartError> {
        let micros = match self.handler {
            Handler::Ping => 0,
            Handler::Burn(micros) => micros,
        };
        let mut commands = Commands::builtin();
        commands.register("BURN", Arity::Exactly(1), move |_, _, reply| {
            burn(Duration::from_micros(micros));
            Ok(reply.simple("PONG"))
        });
        let config = Config {
            workers: self.workers,
            ..testing::config()
        };
        // The workers may use what this thread may.
        pin(&self.cores).map_err(StartError::Poll)?;
        testing::start(Server::bind(config, commands)?)
    }
}

fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

impl fmt::Display for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.handler {
            Handler::Ping => write!(out, "P={}", self.pipeline)?,
            Handler::Burn(micros) => write!(out, "a command of {micros} µs")?,
        }
        let (clients, workers, cores) = (self.clients, self.workers, self.cores.len());
        let plural = |count| if count == 1 { "" } else { "s" };
        let (worker_end, core_end) = (plural(workers), plural(cores));
        write!(
            out,
            ", {clients} clients, {workers} worker{worker_end} on {cores} core{core_end}"
        )
    }
}
