//! The load: one thread with all clients, which checks the replies.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::sockets::{REPLY, calm, put};

/// Clients that send a pipeline, wait for all of its replies, and begin again.
pub(crate) struct Clients {
    poll: Poll,
    all: Vec<Client>,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

struct Client {
    socket: TcpStream,
    asked_at: Instant,
    /// Bytes of the reply that have not come.
    missing: usize,
}

/// What came of a time of talking.
pub(crate) struct Talk {
    pub(crate) turns: usize,
    pub(crate) time: Duration,
    pub(crate) p99_us: f64,
}

/// Time for a reply.
const PATIENCE: Duration = Duration::from_secs(20);

impl Clients {
    pub(crate) fn connect(addr: SocketAddr, count: usize, request: &str) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for index in 0..count {
            let socket = TcpStream::connect(addr)?;
            calm(&socket)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut SourceFd(&socket.as_raw_fd()), Token(index), both)?;
            clients.push(Client {
                socket,
                asked_at: Instant::now(),
                missing: 0,
            });
            // So that the backlog is never full.
            if index % 100 == 99 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(Self {
            poll,
            all: clients,
            request: request.into(),
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Talks for this time, and then until all clients have their replies.
    pub(crate) fn talk_for(&mut self, time: Duration) -> io::Result<Talk> {
        let reply_bytes = self.request.len() / crate::sockets::REQUEST.len() * REPLY.len();
        let mut events = Events::with_capacity(1024);
        let mut next: VecDeque<_> = (0..self.all.len()).collect();
        let (start, mut talking) = (Instant::now(), self.all.len());
        let mut latencies = Vec::new();
        while talking > 0 {
            for index in next.drain(..) {
                let client = &mut self.all[index];
                client.asked_at = Instant::now();
                client.missing = reply_bytes;
                put(&client.socket, &self.request);
            }
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(io::Error::other("a reply does not come"));
            }
            for event in &events {
                let index = event.token().0;
                if !self.all[index].receive(&mut self.buffer)? {
                    continue;
                }
                let now = Instant::now();
                latencies.push((now - self.all[index].asked_at).as_nanos() as f64 / 1000.0);
                if now - start < time {
                    next.push_back(index);
                } else {
                    talking -= 1;
                }
            }
        }
        let time = start.elapsed();
        latencies.sort_by(f64::total_cmp);
        Ok(Talk {
            turns: latencies.len(),
            time,
            p99_us: latencies[latencies.len() * 99 / 100],
        })
    }
}

impl Client {
    /// Returns whether all replies have come.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if self.missing == 0 {
            return Ok(false);
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((count, _)) => {
                let is_right = buffer[..count]
                    .chunks(REPLY.len())
                    .all(|reply| REPLY.starts_with(reply));
                if !is_right || count > self.missing {
                    return Err(io::Error::other("a wrong reply"));
                }
                self.missing -= count;
                Ok(self.missing == 0)
            }
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
