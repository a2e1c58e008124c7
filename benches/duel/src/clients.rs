//! The clients of one server. They share one thread and check every byte that they receive.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};

use crate::connection::{Connection, Endpoint};
use crate::loads::{Manner, Talk, Transport};
use crate::pings::{Exchange, pipelines};
use crate::slice::{Answers, Slice};
use crate::wire::{PATIENCE, UNACCEPTED_MAX, ask, check, connect};

/// The clients of one server under one load. Steady connections stay from slice to slice.
pub(crate) struct ClientGroup {
    endpoint: Endpoint,
    talk: Talk,
    /// What a client sends at once, in turn, and the replies.
    pipelines: Vec<Exchange>,
    clients: Vec<Client>,
    poll: Poll,
    buffer: Vec<u8>,
}

struct Client {
    /// `None` between connections.
    connection: Option<Connection>,
    asked_at: Instant,
    /// The index of the pipeline that is in flight or comes next.
    pipeline: usize,
    // Invariant: sent <= pipeline.request.len(), received <= pipeline.reply.len().
    sent: usize,
    received: usize,
}

/// Events that one poll returns at most.
pub(crate) const EVENTS_MAX: usize = 1024;

impl ClientGroup {
    pub(crate) fn new(endpoint: Endpoint, talk: Talk, exchanges: &[Exchange]) -> io::Result<Self> {
        let mut group = Self {
            endpoint,
            talk,
            pipelines: pipelines(exchanges, talk.pipeline),
            clients: Vec::new(),
            poll: Poll::new()?,
            buffer: vec![0; 256 * 1024],
        };
        group.clients.resize_with(talk.clients, || Client {
            connection: None,
            asked_at: Instant::now(),
            pipeline: 0,
            sent: 0,
            received: 0,
        });
        if !talk.is_steady() {
            return Ok(group);
        }
        for (index, client) in group.clients.iter_mut().enumerate() {
            let mut connection = connect(&group.endpoint)?;
            if talk.transport != Transport::Unix {
                // Reno costs the load's CPU least, and there is no congestion on the loopback. The
                // default may be BBR, which reads the clock.
                connection.socket().set_tcp_congestion(b"reno")?;
            }
            if (index + 1) % UNACCEPTED_MAX == 0 {
                // When this client is answered, all before it have been accepted.
                ask(&mut connection, &group.pipelines[0])?;
                client.pipeline = 1 % group.pipelines.len();
            }
            client.connect(connection, group.poll.registry(), Token(index))?;
        }
        Ok(group)
    }

    /// Talks for this time, and then waits until all requests are answered.
    pub(crate) fn talk_for(&mut self, time: Duration) -> io::Result<Slice> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut talking = self.clients.len();
        // Clients that ask next. They wait until all events are handled: doing one thing many
        // times is faster than alternating, and the load must not be slower than the servers.
        let mut next: Vec<_> = (0..talking).collect();
        let mut answers = Answers::starting_now(time);
        while talking > 0 {
            for index in next.drain(..) {
                self.begin(index)?;
            }
            self.wait(&mut events, talking)?;
            for event in &events {
                let index = event.token().0;
                if !self.proceed(index, event.is_read_closed())? {
                    continue;
                }
                let now = answers.add(self.clients[index].asked_at);
                self.end(index);
                if now < answers.end() {
                    next.push(index);
                } else {
                    talking -= 1;
                }
            }
        }
        Ok(answers.slice(self.talk.pipeline))
    }

    fn begin(&mut self, index: usize) -> io::Result<()> {
        let client = &mut self.clients[index];
        client.asked_at = Instant::now();
        if !self.talk.is_steady() {
            let connection = self.endpoint.connect()?;
            client.connect(connection, self.poll.registry(), Token(index))?;
        }
        match self.talk.manner {
            Manner::Handshaking => client.handshake().map(drop),
            _ => client.send(&self.pipelines[client.pipeline].request),
        }
    }

    /// Returns whether the client has all that it asked for.
    fn proceed(&mut self, index: usize, is_closed: bool) -> io::Result<bool> {
        let client = &mut self.clients[index];
        let pipeline = &self.pipelines[client.pipeline];
        match self.talk.manner {
            Manner::Handshaking => client.handshake(),
            _ => client.proceed(pipeline, &mut self.buffer, is_closed),
        }
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
        client.pipeline += 1;
        if client.pipeline == self.pipelines.len() {
            client.pipeline = 0;
        }
        if !self.talk.is_steady() {
            client.connection = None;
        }
    }
}

impl Client {
    fn connect(
        &mut self,
        connection: Connection,
        registry: &Registry,
        token: Token,
    ) -> io::Result<()> {
        connection.socket().set_nonblocking(true)?;
        let mut source = SourceFd(&connection.socket().as_raw_fd());
        registry.register(&mut source, token, Interest::READABLE | Interest::WRITABLE)?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Continues the TLS handshake. Returns whether it is complete.
    fn handshake(&mut self) -> io::Result<bool> {
        // An event may concern a client that has closed its connection.
        self.connection
            .as_mut()
            .map_or(Ok(false), Connection::handshake)
    }

    /// Sends as much of the pipeline as the socket takes.
    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        while self.sent < request.len() {
            match connection.write(&request[self.sent..]) {
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
        let Some(connection) = &mut self.connection else {
            return Ok(false);
        };
        loop {
            match connection.read(buffer) {
                Ok(count) => {
                    check(&buffer[..count], &pipeline.reply[self.received..])?;
                    self.received += count;
                    // After a short read the poll reports new bytes, but a FIN only once. Over
                    // TLS, a record may remain.
                    let may_remain = connection.is_tls() && self.received < pipeline.reply.len();
                    if count < buffer.len() && !is_closed && !may_remain {
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

    use super::*;
    use crate::bare;
    use crate::pings::Ping;
    use crate::tls::tests::serve;

    fn talk(clients: usize, pipeline: usize, ping: Ping, manner: Manner) -> Talk {
        Talk {
            clients,
            pipeline,
            ping,
            manner,
            transport: Transport::Tcp,
        }
    }

    fn group(endpoint: &Endpoint, talk: Talk) -> ClientGroup {
        ClientGroup::new(endpoint.clone(), talk, &talk.ping.exchanges()).expect("the peer listens")
    }

    const A_WHILE: Duration = Duration::from_millis(50);

    /// Returns the error of a client whose peer has sent `reply` and FIN before the request.
    fn error_of(reply: &'static [u8]) -> Option<ErrorKind> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let endpoint = Endpoint::tcp(listener.local_addr().expect("it listens"));
        let mut group = group(&endpoint, talk(1, 1, Ping::Array, Manner::Steady));
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
        let unix = Talk {
            transport: Transport::Unix,
            ..talk(3, 16, Ping::Array, Manner::Steady)
        };
        let talks = [
            talk(3, 1, Ping::Inline, Manner::Steady),
            talk(3, 100, Ping::Array, Manner::Steady),
            talk(3, 8, Ping::Message(1 << 20), Manner::Steady),
            talk(3, 1, Ping::Differing, Manner::Steady),
            talk(3, 16, Ping::Differing, Manner::Steady),
            unix,
        ];
        for talk in talks {
            let place = bare::tests::start(talk.transport, talk.ping);
            let slice = group(&place.endpoint, talk).talk_for(A_WHILE);
            let slice = slice.expect("every reply is right");
            assert!(slice.requests >= talk.clients * talk.pipeline, "{talk:?}");
            assert_eq!(slice.requests % talk.pipeline, 0);
        }
    }

    #[test]
    fn clients_talk_over_tls() {
        let endpoint = serve(b"+PONG\r\n");
        let steady = talk(2, 100, Ping::Array, Manner::Steady);
        let handshaking = talk(2, 1, Ping::Array, Manner::Handshaking);
        for talk in [steady, handshaking] {
            let transport = Transport::Tls;
            let slice = group(&endpoint, Talk { transport, ..talk }).talk_for(A_WHILE);
            let slice = slice.expect("every reply is right");
            assert!(slice.requests >= talk.clients * talk.pipeline, "{talk:?}");
        }
    }

    #[test]
    fn wrong_replies_over_tls_are_errors() {
        let talk = Talk {
            transport: Transport::Tls,
            ..talk(1, 1, Ping::Array, Manner::Steady)
        };
        let error = group(&serve(b"+PANG\r\n"), talk).talk_for(A_WHILE).err();
        assert_eq!(
            error.map(|error| error.kind()),
            Some(ErrorKind::InvalidData)
        );
    }
}
