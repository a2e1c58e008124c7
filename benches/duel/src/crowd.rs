//! Clients that talk to one server from one thread, and check every byte that they hear.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::histogram::Histogram;
use crate::loads::{Manner, Talk};
use crate::pings::Exchange;
use crate::server::{PATIENCE, UNACCEPTED_MAX, ask, check};

/// The clients of one server under one load. Their connections stay from slice to slice.
pub(crate) struct Crowd {
    addr: SocketAddr,
    talk: Talk,
    /// All that a client says at once, and all that it is owed.
    pipeline: Exchange,
    clients: Vec<Client>,
    poll: Poll,
    buffer: Vec<u8>,
}

/// What happened in a slice.
pub(crate) struct Slice {
    /// Requests that were answered from the first to the last moment.
    pub(crate) requests: usize,
    /// Of them, those in the window, which excludes how the slice begins and ends.
    pub(crate) requests_per_s: f64,
    /// From the first to the last moment.
    pub(crate) time: Duration,
    /// How long each pipeline took that was answered in the window.
    pub(crate) latencies: Histogram,
}

/// A client that is between connections has no socket.
#[derive(Default)]
struct Client {
    socket: Option<TcpStream>,
    // Invariant: sent <= pipeline.request.len(), heard <= pipeline.reply.len().
    sent: usize,
    heard: usize,
}

/// The part of a slice before its window: by then all are talking.
const WARM_UP: f64 = 0.1;

/// As many as a poll tells at once.
const EVENTS_MAX: usize = 1024;

impl Crowd {
    pub(crate) fn new(addr: SocketAddr, talk: Talk, exchange: &Exchange) -> io::Result<Self> {
        let mut crowd = Self {
            addr,
            talk,
            pipeline: exchange.times(talk.pipeline),
            clients: Vec::new(),
            poll: Poll::new()?,
            buffer: vec![0; 256 * 1024],
        };
        crowd.clients.resize_with(talk.clients, Client::default);
        if talk.manner != Manner::Connecting {
            for (index, client) in crowd.clients.iter_mut().enumerate() {
                let mut socket = std::net::TcpStream::connect(addr)?;
                // On the loopback there is no congestion to control: the simplest way to do it
                // costs the load's core least. The machine's own may be BBR, with its clock.
                #[cfg(target_os = "linux")]
                socket2::SockRef::from(&socket).set_tcp_congestion(b"reno")?;
                if (index + 1) % UNACCEPTED_MAX == 0 {
                    // Who is answered was accepted, and so were all before.
                    ask(&mut socket, exchange)?;
                }
                client.take(socket, crowd.poll.registry(), Token(index))?;
            }
        }
        Ok(crowd)
    }

    /// Talks for so long, and then waits until all are answered.
    pub(crate) fn talk_for(&mut self, time: Duration) -> io::Result<Slice> {
        let start = Instant::now();
        let window = start + time.mul_f64(WARM_UP)..start + time;
        let mut asked_at = vec![start; self.clients.len()];
        let mut latencies = Histogram::new();
        let (mut pipelines, mut pipelines_in_window) = (0, 0);
        let mut talking = self.clients.len();
        let mut events = Events::with_capacity(EVENTS_MAX);
        // Those who ask again when all who were answered have heard their replies: to do one thing
        // several times over is faster than to do two in turn, and the load must not be what limits
        // the servers.
        let mut again = Vec::with_capacity(self.clients.len());
        for (index, at) in asked_at.iter_mut().enumerate() {
            *at = Instant::now();
            self.begin(index)?;
        }
        while talking > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                let text = format!("{talking} clients wait for replies that do not come");
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            for event in &events {
                let index = event.token().0;
                let client = &mut self.clients[index];
                let ends = event.is_read_closed();
                if !client.proceed(&self.pipeline, &mut self.buffer, ends)? {
                    continue;
                }
                let now = Instant::now();
                pipelines += 1;
                if window.contains(&now) {
                    pipelines_in_window += 1;
                    latencies.record(now - asked_at[index]);
                }
                self.end(index);
                if now < window.end {
                    again.push(index);
                } else {
                    talking -= 1;
                }
            }
            for index in again.drain(..) {
                asked_at[index] = Instant::now();
                self.begin(index)?;
            }
        }
        let in_window = pipelines_in_window * self.talk.pipeline;
        Ok(Slice {
            requests: pipelines * self.talk.pipeline,
            requests_per_s: in_window as f64 / (window.end - window.start).as_secs_f64(),
            time: start.elapsed(),
            latencies,
        })
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        if self.talk.manner == Manner::Connecting {
            // On the loopback the kernel answers at once, without the server.
            let socket = std::net::TcpStream::connect(self.addr)?;
            client.take(socket, self.poll.registry(), Token(index))?;
        }
        client.send(&self.pipeline.request)
    }

    /// The client has heard all that it is owed.
    fn end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        (client.sent, client.heard) = (0, 0);
        if self.talk.manner == Manner::Connecting {
            client.socket = None;
        }
    }
}

impl Client {
    fn take(
        &mut self,
        socket: std::net::TcpStream,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends as much of its pipeline as there is room for.
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(socket) = &mut self.socket else {
            return Ok(());
        };
        while self.sent < request.len() {
            match socket.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends what is left and reads what has come. Gives whether it has heard the whole of its
    /// replies now.
    fn proceed(&mut self, pipeline: &Exchange, buffer: &mut [u8], ends: bool) -> io::Result<bool> {
        // The poll may tell of a client that has nothing in flight, or is between connections.
        let has_asked = self.sent > 0;
        if self.sent < pipeline.request.len() && has_asked {
            self.send(&pipeline.request)?;
        }
        let Some(socket) = &mut self.socket else {
            return Ok(false);
        };
        loop {
            match socket.read(buffer) {
                Ok(count) => {
                    check(&buffer[..count], &pipeline.reply[self.heard..])?;
                    self.heard += count;
                    // The poll tells of what comes behind a short read, but not again of an end.
                    if count < buffer.len() && !ends {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(has_asked && self.heard == pipeline.reply.len())
    }
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use std::net::{Ipv4Addr, Shutdown, TcpListener};
    use std::thread;

    use super::*;
    use crate::bare;
    use crate::pings::{Dialect, Ping};

    fn talk(clients: usize, pipeline: usize, ping: Ping, manner: Manner) -> Talk {
        Talk {
            clients,
            pipeline,
            ping,
            manner,
        }
    }

    fn crowd(addr: SocketAddr, talk: Talk) -> Crowd {
        let exchange = talk.ping.exchange(&Dialect::Resp).expect("RESP has it");
        Crowd::new(addr, talk, &exchange).expect("somebody listens")
    }

    const A_WHILE: Duration = Duration::from_millis(50);

    /// What comes of one client and a peer that has sent `reply` and its end, both at once, before
    /// it is asked.
    fn error_of(reply: &'static [u8]) -> Option<ErrorKind> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let addr = listener.local_addr().expect("it listens");
        let mut crowd = crowd(addr, talk(1, 1, Ping::Array, Manner::Steady));
        let (mut peer, _) = listener.accept().expect("there is a client");
        peer.write_all(reply).expect("there is room");
        peer.shutdown(Shutdown::Write).expect("it is open");
        crowd.talk_for(A_WHILE).err().map(|error| error.kind())
    }

    #[test]
    fn a_wrong_byte_and_one_too_many_and_an_early_end_are_errors() {
        use ErrorKind::{InvalidData, UnexpectedEof};
        assert_eq!(error_of(b"+PANG\r\n"), Some(InvalidData));
        assert_eq!(error_of(b"+PONG\r\n+"), Some(InvalidData));
        assert_eq!(error_of(b"+PON"), Some(UnexpectedEof));
        assert_eq!(error_of(b""), Some(UnexpectedEof));
    }

    #[test]
    fn the_bare_server_owes_nobody_anything_however_much_is_under_way() {
        let talks = [
            talk(3, 1, Ping::Inline, Manner::Steady),
            talk(3, 100, Ping::Array, Manner::Steady),
            talk(3, 8, Ping::Message(1 << 20), Manner::Steady),
            talk(3, 1, Ping::Message(3), Manner::Connecting),
        ];
        for talk in talks {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
            let addr = listener.local_addr().expect("it listens");
            drop(listener);
            thread::spawn(move || bare::serve(addr.port(), talk.ping));
            while std::net::TcpStream::connect(addr).is_err() {
                thread::sleep(Duration::from_millis(1));
            }
            let slice = crowd(addr, talk).talk_for(A_WHILE);
            let slice = slice.expect("every reply is right");
            assert!(slice.requests >= talk.clients * talk.pipeline, "{talk:?}");
            assert_eq!(slice.requests % talk.pipeline, 0);
        }
    }
}
