//! The clients of one server. They share one thread and check every byte that they receive.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::latencies::Latencies;
use crate::loads::{Manner, Talk};
use crate::pings::Exchange;
use crate::wire::{PATIENCE, UNACCEPTED_MAX, ask, check, connect};

/// The clients of one server under one load. Steady connections stay from slice to slice.
pub(crate) struct ClientGroup {
    addr: SocketAddr,
    talk: Talk,
    /// What a client sends at once, and the replies.
    pipeline: Exchange,
    clients: Vec<Client>,
    poll: Poll,
    buffer: Vec<u8>,
}

/// What happened in a slice.
pub(crate) struct Slice {
    /// Requests that were answered.
    pub(crate) requests: usize,
    /// The rate in the window, which excludes the beginning and the end of the slice.
    pub(crate) requests_per_s: f64,
    pub(crate) time: Duration,
    /// How long each pipeline took that was answered in the window.
    pub(crate) latencies: Latencies,
}

struct Client {
    /// `None` between connections.
    socket: Option<TcpStream>,
    asked_at: Instant,
    // Invariant: sent <= pipeline.request.len(), received <= pipeline.reply.len().
    sent: usize,
    received: usize,
}

/// The part of a slice before its window. After it, all clients are talking.
const WARM_UP: f64 = 0.1;

/// Events that one poll returns at most.
const EVENTS_MAX: usize = 1024;

impl ClientGroup {
    pub(crate) fn new(addr: SocketAddr, talk: Talk, exchange: &Exchange) -> io::Result<Self> {
        let mut group = Self {
            addr,
            talk,
            pipeline: exchange.times(talk.pipeline),
            clients: Vec::new(),
            poll: Poll::new()?,
            buffer: vec![0; 256 * 1024],
        };
        group.clients.resize_with(talk.clients, || Client {
            socket: None,
            asked_at: Instant::now(),
            sent: 0,
            received: 0,
        });
        if talk.manner == Manner::Connecting {
            return Ok(group);
        }
        for (index, client) in group.clients.iter_mut().enumerate() {
            let mut socket = connect(addr)?;
            // Reno costs the load's CPU least, and there is no congestion on the loopback. The
            // default may be BBR, which reads the clock.
            socket2::SockRef::from(&socket).set_tcp_congestion(b"reno")?;
            if (index + 1) % UNACCEPTED_MAX == 0 {
                // When this client is answered, all before it have been accepted.
                ask(&mut socket, exchange)?;
            }
            client.connect(socket, group.poll.registry(), Token(index))?;
        }
        Ok(group)
    }

    /// Talks for this time, and then waits until all requests are answered.
    pub(crate) fn talk_for(&mut self, time: Duration) -> io::Result<Slice> {
        let mut latencies = Latencies::new();
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut pipelines = 0;
        let mut talking = self.clients.len();
        // ClientGroup that ask next. They wait until all events are handled: doing one thing many times
        // is faster than alternating, and the load must not be slower than the servers.
        let mut next: Vec<_> = (0..talking).collect();
        let start = Instant::now();
        let window = start + time.mul_f64(WARM_UP)..start + time;
        while talking > 0 {
            for index in next.drain(..) {
                self.begin(index)?;
            }
            self.wait(&mut events, talking)?;
            for event in &events {
                let index = event.token().0;
                let client = &mut self.clients[index];
                if !client.proceed(&self.pipeline, &mut self.buffer, event.is_read_closed())? {
                    continue;
                }
                let now = Instant::now();
                pipelines += 1;
                if window.contains(&now) {
                    latencies.record(now - client.asked_at);
                }
                self.end(index);
                if now < window.end {
                    next.push(index);
                } else {
                    talking -= 1;
                }
            }
        }
        let in_window = latencies.count() * self.talk.pipeline;
        Ok(Slice {
            requests: pipelines * self.talk.pipeline,
            requests_per_s: in_window as f64 / (window.end - window.start).as_secs_f64(),
            time: start.elapsed(),
            latencies,
        })
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        client.asked_at = Instant::now();
        if self.talk.manner == Manner::Connecting {
            // On the loopback the kernel completes this without the server.
            let socket = std::net::TcpStream::connect(self.addr)?;
            client.connect(socket, self.poll.registry(), Token(index))?;
        }
        client.send(&self.pipeline.request)
    }

    fn wait(&mut self, events: &mut Events, talking: usize) -> io::Result<()> {
        self.poll.poll(events, Some(PATIENCE))?;
        if events.is_empty() {
            let text = format!("{talking} clients wait for replies that do not come");
            return Err(io::Error::new(ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// Ends the exchange of a client that has received all its replies.
    fn end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        (client.sent, client.received) = (0, 0);
        if self.talk.manner == Manner::Connecting {
            client.socket = None;
        }
    }
}

impl Client {
    fn connect(
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

    /// Sends as much of the pipeline as the socket takes.
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

    /// Sends the rest of the pipeline and reads replies. Returns whether all replies have come.
    fn proceed(
        &mut self,
        pipeline: &Exchange,
        buffer: &mut [u8],
        is_closed: bool,
    ) -> io::Result<bool> {
        // An event may concern a client that has nothing in flight.
        let has_asked = self.sent > 0;
        if has_asked && self.sent < pipeline.request.len() {
            self.send(&pipeline.request)?;
        }
        let Some(socket) = &mut self.socket else {
            return Ok(false);
        };
        loop {
            match socket.read(buffer) {
                Ok(count) => {
                    check(&buffer[..count], &pipeline.reply[self.received..])?;
                    self.received += count;
                    // After a short read the poll reports new bytes, but a FIN only once.
                    if count < buffer.len() && !is_closed {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(has_asked && self.received == pipeline.reply.len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Shutdown, TcpListener};
    use std::thread;

    use super::*;
    use crate::bare;
    use crate::pings::Ping;
    use crate::server::free_addr;

    fn talk(clients: usize, pipeline: usize, ping: Ping, manner: Manner) -> Talk {
        Talk {
            clients,
            pipeline,
            ping,
            manner,
        }
    }

    fn group(addr: SocketAddr, talk: Talk) -> ClientGroup {
        ClientGroup::new(addr, talk, &talk.ping.exchange()).expect("the peer listens")
    }

    const A_WHILE: Duration = Duration::from_millis(50);

    /// Returns the error of a client whose peer has sent `reply` and FIN before the request.
    fn error_of(reply: &'static [u8]) -> Option<ErrorKind> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let addr = listener.local_addr().expect("it listens");
        let mut group = group(addr, talk(1, 1, Ping::Array, Manner::Steady));
        let (mut peer, _) = listener.accept().expect("there is a client");
        peer.write_all(reply).expect("there is room");
        peer.shutdown(Shutdown::Write).expect("it is open");
        group.talk_for(A_WHILE).err().map(|error| error.kind())
    }

    #[test]
    fn wrong_surplus_and_missing_bytes_are_errors() {
        use ErrorKind::{InvalidData, UnexpectedEof};
        assert_eq!(error_of(b"+PANG\r\n"), Some(InvalidData));
        assert_eq!(error_of(b"+PONG\r\n+"), Some(InvalidData));
        assert_eq!(error_of(b"+PON"), Some(UnexpectedEof));
        assert_eq!(error_of(b""), Some(UnexpectedEof));
    }

    #[test]
    fn the_bare_server_answers_everything() {
        let talks = [
            talk(3, 1, Ping::Inline, Manner::Steady),
            talk(3, 100, Ping::Array, Manner::Steady),
            talk(3, 8, Ping::Message(1 << 20), Manner::Steady),
            talk(3, 1, Ping::Message(3), Manner::Connecting),
        ];
        for talk in talks {
            let addr = free_addr().expect("a port is free");
            thread::spawn(move || bare::serve(addr.port(), talk.ping));
            while std::net::TcpStream::connect(addr).is_err() {
                thread::sleep(Duration::from_millis(1));
            }
            let slice = group(addr, talk).talk_for(A_WHILE);
            let slice = slice.expect("every reply is right");
            assert!(slice.requests >= talk.clients * talk.pipeline, "{talk:?}");
            assert_eq!(slice.requests % talk.pipeline, 0);
        }
    }
}
