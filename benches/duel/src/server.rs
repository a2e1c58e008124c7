//! A server as a process of its own, which is killed when it is dropped.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cores::{self, Cores};
use crate::pings::{Dialect, Exchange, Ping};
use crate::products::{Program, Rival};
use crate::reaper;

/// Longer than anything takes that works.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How to start a server.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// As the results call it.
    pub(crate) name: String,
    pub(crate) rival: Rival,
    pub(crate) program: Program,
    pub(crate) version: String,
    /// Behind those that all of its kind have; the last word wins.
    pub(crate) more_arguments: Vec<String>,
}

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    pub(crate) dialect: Dialect,
    child: Guard,
}

/// A child of ours, and of nobody else.
#[derive(Debug)]
struct Guard(Child);

impl Recipe {
    pub(crate) fn start(&self, ping: Ping, cores: &Cores) -> io::Result<Server> {
        let command = cores::on_a_leash(&self.program)?;
        Ok(self.run(command, ping, cores)?.0)
    }

    /// How long it takes from the start of the process to the first PONG. Without a leash, because
    /// that takes its time too.
    pub(crate) fn time_to_start(&self, ping: Ping, cores: &Cores) -> io::Result<Duration> {
        let mut command = Command::new(&self.program.path);
        command.arg0(self.program.name);
        Ok(self.run(command, ping, cores)?.1)
    }

    fn run(
        &self,
        mut command: Command,
        ping: Ping,
        cores: &Cores,
    ) -> io::Result<(Server, Duration)> {
        let addr = free_addr()?;
        command.args(self.rival.arguments(addr.port(), ping));
        command.args(&self.more_arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let start = Instant::now();
        // A group of its own, for the reaper: it is of use where there is no leash.
        command.process_group(0);
        let child = cores.among_servers(|| command.spawn());
        let mut server = Server {
            name: self.name.clone(),
            addr,
            dialect: self.rival.dialect(&self.version),
            child: Guard::of(child.map_err(|error| self.error(&error))?),
        };
        let exchange = ping.exchange(&server.dialect);
        let exchange = exchange.ok_or_else(|| io::Error::other("it cannot be asked this"))?;
        let answered = server.answers(&exchange, start + PATIENCE);
        answered.map_err(|error| self.error(&error))?;
        Ok((server, start.elapsed()))
    }

    fn error(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.name))
    }
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Waits until it answers, and right.
    fn answers(&mut self, exchange: &Exchange, deadline: Instant) -> io::Result<()> {
        loop {
            if let Ok(mut socket) = TcpStream::connect(self.addr) {
                return ask(&mut socket, exchange);
            }
            if let Some(status) = self.child.0.try_wait()? {
                let text = format!("it has ended with {status} instead of answering");
                return Err(io::Error::other(text));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("it does not listen"));
            }
            // Short beside the time that it takes to start.
            thread::sleep(Duration::from_micros(50));
        }
    }
}

impl Guard {
    fn of(child: Child) -> Self {
        reaper::watch(child.id());
        Self(child)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        reaper::forget(self.0.id());
        let _ = self.0.wait();
    }
}

/// Connections that may be waiting for the server to accept them. If its queue of them is full, the
/// kernel forgets the next one for a second.
pub(crate) const UNACCEPTED_MAX: usize = 100;

/// One request, and its reply to the byte.
pub(crate) fn ask(socket: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    socket.write_all(&exchange.request)?;
    hear(socket, exchange)
}

/// The reply to a request, to the byte.
pub(crate) fn hear(socket: &mut TcpStream, exchange: &Exchange) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut reply = vec![0; exchange.reply.len()];
    let mut heard = 0;
    while heard < reply.len() {
        let count = socket.read(&mut reply[heard..])?;
        let (new, owed) = (&reply[heard..heard + count], &exchange.reply[heard..]);
        check(new, owed)?;
        heard += count;
    }
    Ok(())
}

/// Whether `heard` is the beginning of what is `owed`, and not the end of the connection.
pub(crate) fn check(heard: &[u8], owed: &[u8]) -> io::Result<()> {
    if heard.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if owed.starts_with(heard) {
        return Ok(());
    }
    let shown = heard[..heard.len().min(80)].escape_ascii();
    let expected = owed[..owed.len().min(80)].escape_ascii();
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a wrong reply: \"{shown}\" where \"{expected}\" was expected"),
    ))
}

/// A port that was free a moment ago. Should another program take it meanwhile, the server cannot
/// start and the bench says so.
fn free_addr() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
