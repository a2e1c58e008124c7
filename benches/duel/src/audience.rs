//! One publisher and its subscribers. They share one thread and check every byte that they receive.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::clients::EVENTS_MAX;
use crate::connection::{Connection, Endpoint};
use crate::loads::Talk;
use crate::pings::Exchange;
use crate::slice::{Answers, Slice};
use crate::wire::{PATIENCE, ask, check, connect};

/// The publisher and the subscribers of one server. They stay connected from slice to slice.
pub(crate) struct Audience {
    talk: Talk,
    poll: Poll,
    /// The publisher, and then its subscribers.
    listeners: Vec<Listener>,
    pipeline: Exchange,
    /// The messages of a pipeline, as each subscriber receives them.
    messages: Vec<u8>,
    buffer: Vec<u8>,
}

struct Listener {
    connection: Connection,
    received: usize,
}

/// The place of the publisher among the listeners.
const PUBLISHER: usize = 0;

const CHANNEL: &str = "duel";

/// Bytes of a message: as many as a short line of JSON.
const MESSAGE_BYTES: usize = 64;

impl Audience {
    pub(crate) fn new(endpoint: &Endpoint, talk: Talk) -> io::Result<Self> {
        let subscription = subscription();
        let mut audience = Self {
            talk,
            poll: Poll::new()?,
            listeners: Vec::new(),
            pipeline: pipeline(talk),
            messages: messages(talk.pipeline),
            buffer: vec![0; 256 * 1024],
        };
        for index in 0..=talk.clients {
            let mut connection = connect(endpoint)?;
            connection.socket().set_tcp_congestion(b"reno")?;
            if index != PUBLISHER {
                ask(&mut connection, &subscription)?;
            }
            connection.socket().set_nonblocking(true)?;
            let socket = connection.socket().as_raw_fd();
            let registry = audience.poll.registry();
            registry.register(&mut SourceFd(&socket), Token(index), Interest::READABLE)?;
            audience.listeners.push(Listener {
                connection,
                received: 0,
            });
        }
        Ok(audience)
    }

    /// Publishes for this time. Each message counts once for each subscriber.
    pub(crate) fn publish_for(&mut self, time: Duration) -> io::Result<Slice> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut answers = Answers::starting_now(time);
        let mut asked_at = Instant::now();
        while asked_at < answers.end() {
            self.publish(&mut events)?;
            asked_at = answers.add(asked_at);
        }
        Ok(answers.slice(self.talk.pipeline * self.talk.clients))
    }

    /// Publishes a pipeline, and waits until its replies and all its messages have come.
    fn publish(&mut self, events: &mut Events) -> io::Result<()> {
        let publisher = &mut self.listeners[PUBLISHER].connection;
        // There is room: the server has taken everything before.
        publisher.write_all(&self.pipeline.request)?;
        let mut missing = self.listeners.len();
        while missing > 0 {
            self.poll.poll(events, Some(PATIENCE))?;
            if events.is_empty() {
                let text = format!("{missing} clients wait for messages that do not come");
                return Err(io::Error::new(ErrorKind::TimedOut, text));
            }
            for event in &*events {
                let index = event.token().0;
                let expected = match index {
                    PUBLISHER => &self.pipeline.reply,
                    _ => &self.messages,
                };
                let listener = &mut self.listeners[index];
                if listener.receive(expected, &mut self.buffer, event.is_read_closed())? {
                    missing -= 1;
                }
            }
        }
        for listener in &mut self.listeners {
            listener.received = 0;
        }
        Ok(())
    }
}

impl Listener {
    /// Reads what has come. Returns whether all that is expected has, with these bytes.
    fn receive(&mut self, expected: &[u8], buffer: &mut [u8], is_closed: bool) -> io::Result<bool> {
        let before = self.received;
        loop {
            match self.connection.read(buffer) {
                Ok(count) => {
                    check(&buffer[..count], &expected[self.received..])?;
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
        Ok(self.received > before && self.received == expected.len())
    }
}

fn subscription() -> Exchange {
    let bulk = bulk(CHANNEL);
    Exchange::new(
        &format!("*2\r\n$9\r\nSUBSCRIBE\r\n{bulk}"),
        &format!("*3\r\n$9\r\nsubscribe\r\n{bulk}:1\r\n"),
    )
}

/// Returns what the publisher sends at once, and the replies.
fn pipeline(talk: Talk) -> Exchange {
    let channel = bulk(CHANNEL);
    let requests = (0..talk.pipeline)
        .map(|number| format!("*3\r\n$7\r\nPUBLISH\r\n{channel}{}", message(number)));
    Exchange::new(
        &requests.collect::<String>(),
        &format!(":{}\r\n", talk.clients).repeat(talk.pipeline),
    )
}

fn messages(count: usize) -> Vec<u8> {
    let channel = bulk(CHANNEL);
    let messages =
        (0..count).map(|number| format!("*3\r\n$7\r\nmessage\r\n{channel}{}", message(number)));
    messages.collect::<String>().into()
}

/// Returns a message that differs from the others in its pipeline.
fn message(number: usize) -> String {
    bulk(&format!("{number:0MESSAGE_BYTES$}"))
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::*;
    use crate::loads::{Manner, Transport};
    use crate::pings::Ping;

    /// Publishes through a peer that sends `messages` to the only subscriber.
    fn publish_through(sent: Vec<u8>) -> io::Result<Slice> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let endpoint = Endpoint::tcp(listener.local_addr()?);
        let talk = Talk {
            clients: 1,
            pipeline: 2,
            ping: Ping::Array,
            manner: Manner::Subscribing,
            transport: Transport::Tcp,
        };
        thread::spawn(move || -> io::Result<()> {
            let (mut publisher, _) = listener.accept()?;
            let (mut subscriber, _) = listener.accept()?;
            let subscription = subscription();
            subscriber.read_exact(&mut vec![0; subscription.request.len()])?;
            subscriber.write_all(&subscription.reply)?;
            let pipeline = pipeline(talk);
            loop {
                publisher.read_exact(&mut vec![0; pipeline.request.len()])?;
                publisher.write_all(&pipeline.reply)?;
                subscriber.write_all(&sent)?;
            }
        });
        Audience::new(&endpoint, talk)?.publish_for(Duration::from_millis(20))
    }

    #[test]
    fn each_message_counts_once() {
        let slice = publish_through(messages(2)).expect("every message is right");
        assert!(slice.requests >= 2);
        assert_eq!(slice.requests % 2, 0);
    }

    #[test]
    fn messages_in_another_order_are_an_error() {
        let mut swapped = messages(2);
        let half = swapped.len() / 2;
        swapped.rotate_left(half);
        let error = publish_through(swapped).err().map(|error| error.kind());
        assert_eq!(error, Some(ErrorKind::InvalidData));
    }
}
