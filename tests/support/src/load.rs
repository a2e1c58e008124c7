//! A load that checks every byte it gets, and knows whether a reply was cut short.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::process::Respool;
use crate::{PATIENCE, Peer};

/// Clients that talk to a server until it closes them.
pub struct Load {
    clients: Vec<JoinHandle<Heard>>,
    /// Ends when each client has had its first reply.
    first_replies: Receiver<()>,
}

/// What a client has heard up to the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Heard {
    pub bytes: usize,
    /// The end came in the middle of a reply.
    pub cut_short: bool,
    /// The end was a reset, and not the server's orderly end.
    pub reset: bool,
}

impl Load {
    /// Clients that send without end and read what comes, each by so many bytes at a time, and
    /// clients that wait for each reply before they send the next request. Every one of them is
    /// under way when this returns.
    pub fn start(addr: SocketAddr) -> Self {
        let script = Arc::new(Script::new());
        let (replied, first_replies) = bounded(FLOODS.len() + ASKERS.len());
        let client = |read_bytes, talk: fn(&mut Listener)| {
            let socket = Peer::connect(addr).socket;
            let mut listener =
                Listener::new(socket, Arc::clone(&script), read_bytes, replied.clone());
            thread::spawn(move || {
                talk(&mut listener);
                listener.heard
            })
        };
        let floods = FLOODS.map(|read_bytes| client(read_bytes, Listener::flood_until_the_end));
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

    /// Waits until the server has closed every client. A wrong reply, and one out of order, is a
    /// panic.
    pub fn ended(self) -> Vec<Heard> {
        let joined = self.clients.into_iter().map(JoinHandle::join);
        joined
            .map(|heard| heard.expect("the client's own panic says what is wrong"))
            .collect()
    }
}

/// Ends so many servers by SIGTERM, each at a random moment of a load. A reply that a client sees cut
/// short is a lie; the end behind a whole one is the truth about a server that stops.
pub fn end_by_sigterm(rounds: usize) {
    let (mut clients, mut resets, mut longest) = (0, 0, Duration::ZERO);
    for round in 0..rounds {
        let server = Respool::start(2);
        let load = Load::start(server.addr);
        let delay = random_delay();
        // Nothing is waited for: any moment of a load under way must be as good as any other.
        thread::sleep(delay);

        let signalled = Instant::now();
        server.signal("TERM");
        let ended = server.ended(PATIENCE);
        let took = signalled.elapsed();

        let heard = load.ended();
        let log = ended.without_complaint();
        let context = format!("round {round}, {delay:?} of load, {took:?}: {heard:#?}\n{log}");
        assert!(took < Duration::from_secs(2), "{context}");
        assert!(heard.iter().all(|one| !one.cut_short), "{context}");
        clients += heard.len();
        resets += heard.iter().filter(|one| one.reset).count();
        longest = longest.max(took);
    }
    report_ends(rounds, clients, resets, longest);
}

/// Resets are allowed behind a whole reply, and worth to be known of: `--nocapture` shows them.
fn report_ends(rounds: usize, clients: usize, resets: usize, longest: Duration) {
    eprintln!(
        "{rounds} times SIGTERM: no reply cut short, every exit code 0, the slowest end took \
         {longest:.1?}; clients whose end was a reset: {resets} of {clients}"
    );
}

/// 5 to 50 ms.
fn random_delay() -> Duration {
    let random = RandomState::new().build_hasher().finish();
    Duration::from_micros(5_000 + random % 45_001)
}

/// Requests that a client sends over and over, and the replies that it is owed.
struct Script {
    requests: Vec<u8>,
    replies: Vec<u8>,
    /// Where each request ends, and its reply.
    ends: Vec<(usize, usize)>,
}

impl Script {
    /// PING inline and as an array, and ECHO with messages of all lengths up to more than the
    /// server reads or writes at once.
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

/// One client, as far as it has heard.
struct Listener {
    socket: TcpStream,
    script: Arc<Script>,
    // Invariant: at < script.replies.len(); the replies begin anew behind the last.
    at: usize,
    heard: Heard,
    buffer: Box<[u8]>,
    /// `None` once the first reply was told of.
    replied: Option<Sender<()>>,
}

impl Listener {
    fn new(socket: TcpStream, script: Arc<Script>, read_bytes: usize, replied: Sender<()>) -> Self {
        Self {
            socket,
            script,
            at: 0,
            heard: Heard::default(),
            buffer: vec![0; read_bytes].into_boxed_slice(),
            replied: Some(replied),
        }
    }

    fn flood_until_the_end(&mut self) {
        let mut socket = self.socket.try_clone().expect("there are descriptors");
        let script = Arc::clone(&self.script);
        // It ends by the error that the server's close brings. What that means the listener finds
        // out.
        let writer = thread::spawn(move || while socket.write_all(&script.requests).is_ok() {});
        while self.listen() {}
        // The server has closed, so nobody reads what the writer may still be waiting to send.
        let _ = self.socket.shutdown(Shutdown::Both);
        writer.join().expect("the writer does not panic");
    }

    fn ask_until_the_end(&mut self) {
        let script = Arc::clone(&self.script);
        let mut start = 0;
        for &(end, reply_end) in script.ends.iter().cycle() {
            // An error is the server's close, which the listener hears of.
            let _ = self.socket.write_all(&script.requests[start..end]);
            start = end % script.requests.len();
            while self.at != reply_end % script.replies.len() {
                if !self.listen() {
                    return;
                }
            }
        }
    }

    /// Hears what has come, or the end. Gives whether there can be more.
    fn listen(&mut self) -> bool {
        match self.socket.read(&mut self.buffer) {
            Ok(0) => self.end(),
            Ok(count) => {
                self.compare(count);
                return true;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.heard.reset = true;
                self.end();
            }
            Err(error) => panic!("neither bytes nor the end came: {error}"),
        }
        false
    }

    /// Compares the `count` bytes just read with those that are owed.
    fn compare(&mut self, count: usize) {
        let mut bytes = &self.buffer[..count];
        while !bytes.is_empty() {
            let owed = &self.script.replies[self.at..];
            let both = owed.len().min(bytes.len());
            assert!(
                bytes[..both] == owed[..both],
                "a wrong reply within {count} bytes after {}",
                self.heard.bytes
            );
            bytes = &bytes[both..];
            self.at = (self.at + both) % self.script.replies.len();
        }
        self.heard.bytes += count;
        self.replied.take().map(|replied| replied.send(()));
    }

    fn end(&mut self) {
        self.heard.cut_short = !self.script.is_end_of_reply(self.at);
    }
}

/// Those who flood, and how many bytes each reads at a time. The less it is, the longer is the way
/// from the server's end of a connection to the client that sees it.
const FLOODS: [usize; 3] = [64 * 1024, 8 * 1024, 1024];

/// Likewise for those who ask.
const ASKERS: [usize; 2] = [64 * 1024, 256];
