//! A load that checks every byte, and knows whether a reply was cut short.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::iter;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use socket2::Socket;

use crate::process::Respool;
use crate::{PATIENCE, Peer};

/// Clients that send requests until the server closes them.
pub struct Load {
    clients: Vec<JoinHandle<Received>>,
    /// Disconnects after the first reply of each client.
    first_replies: Receiver<()>,
}

/// What a client received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Received {
    pub bytes: usize,
    /// The connection ended within a reply.
    pub cut_short: bool,
    /// The connection ended by RST.
    pub reset: bool,
}

impl Load {
    /// Starts clients that pipeline without end, each with its own read size, and clients that wait
    /// for each reply. Returns when every client has had a reply.
    pub fn start(addr: SocketAddr) -> Self {
        Self::over(|| Peer::connect(addr).socket.into())
    }

    /// As [`Self::start`], over the connections that `connect` makes.
    pub fn over(connect: impl Fn() -> Socket) -> Self {
        Self::with(connect, Listener::flood_until_the_end)
    }

    /// As [`Self::start`], but a pipeline begins after the replies of the one before. So this load
    /// can last, without more and more replies that wait for their client.
    pub fn in_rounds(addr: SocketAddr) -> Self {
        let connect = || Peer::connect(addr).socket.into();
        Self::with(connect, Listener::pipeline_until_the_end)
    }

    fn with(connect: impl Fn() -> Socket, pipeline: fn(&mut Listener)) -> Self {
        let script = Arc::new(Script::new());
        let (replied, first_replies) = bounded(FLOODS.len() + ASKERS.len());
        let client = |read_bytes, talk: fn(&mut Listener)| {
            let mut listener =
                Listener::new(connect(), Arc::clone(&script), read_bytes, replied.clone());
            thread::spawn(move || {
                talk(&mut listener);
                listener.received
            })
        };
        let floods = FLOODS.map(|read_bytes| client(read_bytes, pipeline));
        let askers = ASKERS.map(|read_bytes| client(read_bytes, Listener::ask_until_the_end));
        let load = Self {
            clients: floods.into_iter().chain(askers).collect(),
            first_replies,
        };
        load.wait_for_first_replies();
        load
    }

    fn wait_for_first_replies(&self) {
        for _ in &self.clients {
            let reply = self.first_replies.recv_timeout(PATIENCE);
            reply.expect("the server answers every client");
        }
    }

    /// Waits until the server has closed every client. Panics at a wrong reply.
    pub fn ended(self) -> Vec<Received> {
        let joined = self.clients.into_iter().map(JoinHandle::join);
        joined
            .map(|received| received.expect("a client's panic has the reason"))
            .collect()
    }
}

/// Stops this many servers by SIGTERM, each at a random moment of a load. No reply may be cut
/// short.
pub fn end_by_sigterm(rounds: usize) {
    let (mut clients, mut resets, mut longest) = (0, 0, Duration::ZERO);
    for round in 0..rounds {
        let server = Respool::start(2);
        let load = Load::start(server.addr);
        let delay = random_delay();
        // The load may be at any point.
        thread::sleep(delay);

        let signalled = Instant::now();
        server.signal("TERM");
        let ended = server.ended(PATIENCE);
        let took = signalled.elapsed();

        let received = load.ended();
        let log = ended.without_complaint();
        let context = format!("round {round}, {delay:?} of load, {took:?}: {received:#?}\n{log}");
        assert!(took < Duration::from_secs(2), "{context}");
        assert!(received.iter().all(|one| !one.cut_short), "{context}");
        clients += received.len();
        resets += received.iter().filter(|one| one.reset).count();
        longest = longest.max(took);
    }
    report_ends(rounds, clients, resets, longest);
}

/// RST after a complete reply is allowed; `--nocapture` shows how often it happens.
fn report_ends(rounds: usize, clients: usize, resets: usize, longest: Duration) {
    eprintln!(
        "{rounds} times SIGTERM: no reply cut short, every exit code 0, the slowest end took \
         {longest:.1?}; clients whose end was a reset: {resets} of {clients}"
    );
}

/// Returns 5 to 50 ms.
fn random_delay() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    Duration::from_micros(5_000 + random % 45_001)
}

/// Requests that a client repeats, and the expected replies.
struct Script {
    requests: Vec<u8>,
    replies: Vec<u8>,
    /// The ends of each request and of its reply.
    ends: Vec<(usize, usize)>,
}

impl Script {
    /// PING inline and as an array, and ECHO with messages of many lengths, up to more than one
    /// read or write.
    fn new() -> Self {
        let mut script = Self {
            requests: Vec::new(),
            replies: Vec::new(),
            ends: Vec::new(),
        };
        for number in 0..40 {
            script.add("PING\r\n", "+PONG\r\n");
            script.add("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
            let message = format!("{number:03}-").repeat(number * number * 16);
            let bulk = format!("${}\r\n{message}\r\n", message.len());
            script.add(&format!("*2\r\n$4\r\nECHO\r\n{bulk}"), &bulk);
        }
        script
    }

    fn add(&mut self, request: &str, reply: &str) {
        self.requests.extend_from_slice(request.as_bytes());
        self.replies.extend_from_slice(reply.as_bytes());
        self.ends.push((self.requests.len(), self.replies.len()));
    }

    fn is_end_of_reply(&self, at: usize) -> bool {
        at == 0 || self.ends.iter().any(|&(_, end)| end == at)
    }
}

/// A client and its position in the replies.
struct Listener {
    socket: Socket,
    script: Arc<Script>,
    // Invariant: at < script.replies.len(); the replies start again after the last.
    at: usize,
    received: Received,
    buffer: Box<[u8]>,
    /// `None` after the first reply was reported.
    replied: Option<Sender<()>>,
}

impl Listener {
    fn new(socket: Socket, script: Arc<Script>, read_bytes: usize, replied: Sender<()>) -> Self {
        Self {
            socket,
            script,
            at: 0,
            received: Received::default(),
            buffer: vec![0; read_bytes].into_boxed_slice(),
            replied: Some(replied),
        }
    }

    fn flood_until_the_end(&mut self) {
        let mut socket = self.socket.try_clone().expect("there are descriptors");
        let script = Arc::clone(&self.script);
        // Ends with an error when the server closes. The reader judges how it closed.
        let writer = thread::spawn(move || while socket.write_all(&script.requests).is_ok() {});
        while self.listen() {}
        // The server has closed, so the writer would never finish.
        let _ = self.socket.shutdown(Shutdown::Both);
        writer.join().expect("the writer does not panic");
    }

    fn pipeline_until_the_end(&mut self) {
        let mut socket = self.socket.try_clone().expect("there are descriptors");
        let script = Arc::clone(&self.script);
        let is_open = || {
            // Reads while it writes, or both sides would wait for each other.
            thread::scope(|scope| {
                scope.spawn(|| {
                    // An error means that the server closes, which the reader sees.
                    let _ = socket.write_all(&script.requests);
                });
                let is_open = self.listen_to_the_last_reply();
                if !is_open {
                    // The writer would never finish.
                    let _ = self.socket.shutdown(Shutdown::Both);
                }
                is_open
            })
        };
        iter::repeat_with(is_open).all(|is_open| is_open);
    }

    /// Reads the replies to the whole script. Returns false at the end of the connection.
    fn listen_to_the_last_reply(&mut self) -> bool {
        loop {
            match self.listen() {
                true if self.at == 0 => return true,
                true => {}
                false => return false,
            }
        }
    }

    fn ask_until_the_end(&mut self) {
        let script = Arc::clone(&self.script);
        let mut start = 0;
        for &(end, reply_end) in script.ends.iter().cycle() {
            // An error means that the server closes, which the reader sees.
            let _ = self.socket.write_all(&script.requests[start..end]);
            start = end % script.requests.len();
            while self.at != reply_end % script.replies.len() {
                if !self.listen() {
                    return;
                }
            }
        }
    }

    /// Reads once. Returns false at the end of the connection.
    fn listen(&mut self) -> bool {
        match self.socket.read(&mut self.buffer) {
            Ok(0) => self.end(),
            Ok(count) => {
                self.compare(count);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.received.reset = true;
                self.end();
            }
            Err(error) => panic!("neither bytes nor the end came: {error}"),
        }
        false
    }

    /// Compares the `count` bytes just read with the expected ones.
    fn compare(&mut self, count: usize) {
        let mut bytes = &self.buffer[..count];
        while !bytes.is_empty() {
            let expected = &self.script.replies[self.at..];
            let both = expected.len().min(bytes.len());
            assert!(
                bytes[..both] == expected[..both],
                "a wrong reply within {count} bytes after {}",
                self.received.bytes
            );
            bytes = &bytes[both..];
            self.at = (self.at + both) % self.script.replies.len();
        }
        self.received.bytes += count;
        self.replied.take().map(|replied| replied.send(()));
    }

    fn end(&mut self) {
        self.received.cut_short = !self.script.is_end_of_reply(self.at);
    }
}

/// Read sizes of the pipelining clients. Small reads keep more bytes in the sockets between server
/// and client.
const FLOODS: [usize; 3] = [64 * 1024, 8 * 1024, 1024];

/// Read sizes of the clients that wait for each reply.
const ASKERS: [usize; 2] = [64 * 1024, 256];
