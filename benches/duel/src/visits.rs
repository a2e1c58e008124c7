//! Clients that connect for a single PING and close the connection.
//!
//! The load works as little as possible for a visit, because the kernel does the whole handshake on
//! the load's CPU: six or seven system calls, and no poll.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::connection::Endpoint;
use crate::loads::Close;
use crate::pings::Exchange;
use crate::slice::{Answers, Slice};
use crate::wire::{PATIENCE, check};

/// The clients of one server. Their visits begin and end in turn, so that all but one are always
/// under way.
pub(crate) struct Visitors {
    endpoint: Endpoint,
    close: Close,
    count: usize,
    exchange: Exchange,
    sources: Sources,
}

/// A visit whose request is sent.
struct Visit {
    socket: Socket,
    began_at: Instant,
}

/// Source addresses and ports, which are used again after millions of others.
///
/// A connection that its client has closed by FIN keeps its pair of addresses for a minute, in the
/// state `TIME_WAIT`. If all come from one address, the kernel soon searches hundreds of ports for
/// a free one, which takes the load most of its time.
struct Sources {
    index: u32,
}

impl Visitors {
    pub(crate) fn new(endpoint: Endpoint, close: Close, count: usize, exchange: Exchange) -> Self {
        Self {
            endpoint,
            close,
            count,
            exchange,
            sources: Sources::new(),
        }
    }

    /// Visits the server for this time, and then waits until all requests are answered.
    pub(crate) fn talk_for(&mut self, time: Duration) -> io::Result<Slice> {
        let mut answers = Answers::starting_now(time);
        let visits = (0..self.count).map(|_| self.begin());
        let mut visits: Vec<_> = visits
            .map(|visit| visit.map(Some))
            .collect::<io::Result<_>>()?;
        let mut visiting = visits.len();
        while visiting > 0 {
            for place in &mut visits {
                let Some(visit) = place.take() else { continue };
                self.finish(&visit)?;
                let now = answers.add(visit.began_at);
                self.close.apply(visit.socket)?;
                if now < answers.end() {
                    *place = Some(self.begin()?);
                } else {
                    visiting -= 1;
                }
            }
        }
        Ok(answers.slice(1))
    }

    /// Connects and sends the request.
    fn begin(&mut self) -> io::Result<Visit> {
        let began_at = Instant::now();
        let socket = self.sources.bound_socket()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        self.endpoint.connect_socket(&socket)?;
        (&socket).write_all(&self.exchange.request)?;
        Ok(Visit { socket, began_at })
    }

    /// Waits for the whole reply.
    fn finish(&self, visit: &Visit) -> io::Result<()> {
        let mut expected = self.exchange.reply.as_slice();
        let mut buffer = [0; 4096];
        while !expected.is_empty() {
            let count = (&visit.socket).read(&mut buffer)?;
            check(&buffer[..count], expected)?;
            expected = &expected[count..];
        }
        Ok(())
    }
}

impl Close {
    fn apply(self, socket: Socket) -> io::Result<()> {
        match self {
            Self::Fin => {}
            Self::Rst => socket.set_linger(Some(Duration::ZERO))?,
        }
        drop(socket);
        Ok(())
    }
}

impl Sources {
    /// Below those that Linux picks for other connections, from 32,768 on: it picks none that was
    /// bound, not even at another address, and a closed connection keeps its port for a minute.
    const PORT_MIN: u16 = 10_000;
    const PORTS: u32 = 22_000;
    /// From 127.0.0.2 on: servers listen at 127.0.0.1.
    const ADDRESSES: u32 = 250;

    fn new() -> Self {
        Self {
            // Elsewhere than the other groups of clients, and the runs before.
            index: fastrand::u32(..Self::PORTS * Self::ADDRESSES),
        }
    }

    /// Returns a blocking socket that is bound to the next address that is free.
    fn bound_socket(&mut self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        loop {
            match socket.bind(&self.next().into()) {
                Ok(()) => return Ok(socket),
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn next(&mut self) -> SocketAddrV4 {
        self.index = (self.index + 1) % (Self::PORTS * Self::ADDRESSES);
        let port = Self::PORT_MIN + (self.index % Self::PORTS) as u16;
        let host = 2 + (self.index / Self::PORTS) as u8;
        SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), port)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;
    use crate::bare;
    use crate::loads::Transport;
    use crate::pings::Ping;

    const A_WHILE: Duration = Duration::from_millis(20);

    fn first(ping: Ping) -> Exchange {
        ping.exchanges().swap_remove(0)
    }

    /// Visits a server that serves one connection at a time with `serve`.
    fn visit(
        close: Close,
        serve: impl Fn(TcpStream) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Slice> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let endpoint = Endpoint::tcp(listener.local_addr()?);
        thread::spawn(move || listener.incoming().try_for_each(|socket| serve(socket?)));
        Visitors::new(endpoint, close, 3, first(Ping::Array)).talk_for(A_WHILE)
    }

    /// Reads the request, sends `reply`, and returns what the peer then does.
    fn answer(mut socket: TcpStream, reply: &[u8]) -> io::Result<usize> {
        socket.read_exact(&mut [0; 14])?;
        socket.write_all(reply)?;
        socket.read(&mut [0; 1])
    }

    #[test]
    fn connections_end_as_the_load_says() {
        let slice = visit(Close::Fin, |socket| {
            assert_eq!(answer(socket, b"+PONG\r\n")?, 0);
            Ok(())
        });
        assert!(slice.expect("every reply is right").requests >= 3);
        let slice = visit(Close::Rst, |socket| {
            let error = answer(socket, b"+PONG\r\n").map_err(|error| error.kind());
            assert_eq!(error, Err(ErrorKind::ConnectionReset));
            Ok(())
        });
        assert!(slice.expect("every reply is right").requests >= 3);
    }

    #[test]
    fn the_bare_server_answers_every_visitor() {
        let ping = Ping::Message(3);
        let place = bare::tests::start(Transport::Tcp, ping);
        for close in [Close::Fin, Close::Rst] {
            let endpoint = place.endpoint.clone();
            let slice = Visitors::new(endpoint, close, 3, first(ping)).talk_for(A_WHILE);
            assert!(slice.expect("every reply is right").requests >= 3);
        }
    }

    #[test]
    fn wrong_surplus_and_missing_bytes_are_errors() {
        use ErrorKind::{InvalidData, UnexpectedEof};
        let error = |reply: &'static [u8]| {
            let slice = visit(Close::Fin, move |mut socket| {
                socket.read_exact(&mut [0; 14])?;
                socket.write_all(reply)
            });
            slice.err().map(|error| error.kind())
        };
        assert_eq!(error(b"+PANG\r\n"), Some(InvalidData));
        assert_eq!(error(b"+PONG\r\n+"), Some(InvalidData));
        assert_eq!(error(b"+PON"), Some(UnexpectedEof));
    }

    #[test]
    fn source_addresses_differ_and_skip_those_in_use() {
        let mut sources = Sources::new();
        let seen: HashSet<_> = (0..100_000).map(|_| sources.next()).collect();
        assert_eq!(seen.len(), 100_000);
        assert!(seen.iter().all(|addr| addr.ip().octets()[3] >= 2));
        let index = sources.index;
        let first = sources.bound_socket().expect("an address is free");
        sources.index = index;
        let second = sources.bound_socket().expect("an address is free");
        let addr = |socket: &Socket| socket.local_addr().expect("it is bound").as_socket();
        assert_ne!(addr(&first), addr(&second));
    }
}
