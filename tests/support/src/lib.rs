//! What the tests share: servers in this process and as processes of their own, and peers that speak
//! to them in bytes.
//!
//! Every wait has a deadline. A test that reaches it fails and names the condition it waited for.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    missing_debug_implementations,
    missing_docs,
    reason = "only tests use it"
)]

pub mod attacks;
pub mod hogs;
pub mod load;
pub mod process;
pub mod reaper;
pub mod redis_server;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use respool::config::BindAddress;
use respool::{Arity, Commands, Config, Drained, Server, ServerHandle};
use socket2::{Domain, SockRef, Socket, Type};

/// Long enough for a slow and busy machine; nothing that works comes near it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port of the loopback; it drains when dropped.
pub struct TestServer {
    pub addr: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<Drained>>,
}

/// The default configuration on 127.0.0.1, port 0, with so many workers.
pub fn config(workers: usize) -> Config {
    Config {
        bind: vec![BindAddress {
            address: [127, 0, 0, 1].into(),
            optional: false,
        }],
        port: 0,
        workers,
        ..Config::default()
    }
}

impl TestServer {
    /// The built-in commands on so many workers.
    pub fn start(workers: usize) -> Self {
        Self::with(config(workers), Commands::builtin())
    }

    pub fn with(config: Config, commands: Commands) -> Self {
        Self::serve(Server::bind(config, commands).expect("the server starts"))
    }

    pub fn serve(server: Server) -> Self {
        let addr = server.local_addrs()[0];
        let handle = server.handle();
        let thread = thread::spawn(move || server.serve().expect("the server serves"));
        Self {
            addr,
            handle,
            thread: Some(thread),
        }
    }

    pub fn connect(&self) -> Peer {
        Peer::connect(self.addr)
    }

    /// Drains the server and waits for its end.
    pub fn drain(self) -> Drained {
        self.handle.drain();
        self.wait()
    }

    /// Waits for the end of a server that drains by another's word.
    pub fn wait(mut self) -> Drained {
        self.thread
            .take()
            .expect("it was not drained before")
            .join()
            .expect("it does not panic")
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.drain();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The program at the other end of a connection.
pub struct Peer {
    pub socket: TcpStream,
}

impl Peer {
    pub fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE).expect("the server accepts");
        Self::over(socket)
    }

    /// As [`Self::connect`], from this address of the machine.
    pub fn connect_from(source: impl Into<IpAddr>, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        let source = SocketAddr::new(source.into(), 0);
        socket.bind(&source.into()).expect("an address of ours");
        socket
            .connect_timeout(&addr.into(), PATIENCE)
            .expect("the server accepts");
        Self::over(socket.into())
    }

    /// A peer whose kernel, and the server's for it, take few bytes that nobody has read yet.
    pub fn connect_with_small_buffer(addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        // Before the connection is made, or the window is as large as usual.
        socket.set_recv_buffer_size(4096).expect("any size will do");
        socket.connect(&addr.into()).expect("the server accepts");
        Self::over(socket.into())
    }

    fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a TCP socket");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        socket
            .set_write_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        Self { socket }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket
            .write_all(bytes.as_ref())
            .expect("the server takes the bytes");
    }

    /// Reads exactly as many bytes as `expected` has, and they must be those.
    #[track_caller]
    pub fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let mut bytes = vec![0; expected.len()];
        let mut count = 0;
        while count < bytes.len() {
            match self.socket.read(&mut bytes[count..]) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!(
                    "{error} after {:?}, wanted {:?}",
                    bytes[..count].escape_ascii().to_string(),
                    expected.escape_ascii().to_string()
                ),
            }
        }
        assert!(
            bytes[..count] == *expected,
            "got {:?}, wanted {:?}",
            bytes[..count].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    /// The next line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.bytes(1));
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// The next bytes, so many.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket
            .read_exact(&mut bytes)
            .expect("the server sends them");
        bytes
    }

    /// The simple values of the next reply in their order, whatever contains them: text, numbers in
    /// digits, errors with their `-`, and `(null)`.
    #[track_caller]
    pub fn leaves(&mut self) -> Vec<String> {
        let mut leaves = Vec::new();
        let mut missing = 1;
        while missing > 0 {
            missing -= 1;
            let line = self.line();
            let (kind, rest) = line.split_at(1);
            match (kind, rest) {
                ("+" | ":", text) => leaves.push(text.to_owned()),
                ("-", _) => leaves.push(line),
                ("_", _) | ("$" | "*", "-1") => leaves.push("(null)".to_owned()),
                ("$" | "=", length) => {
                    let length: usize = length.parse().expect(&line);
                    let mut bytes = self.bytes(length + 2);
                    bytes.truncate(length);
                    leaves.push(String::from_utf8_lossy(&bytes).into_owned());
                }
                ("*" | ">", count) => missing += count.parse::<usize>().expect(&line),
                ("%", count) => missing += 2 * count.parse::<usize>().expect(&line),
                _ => panic!("no reply begins so: {line}"),
            }
        }
        leaves
    }

    /// The simple values of the reply to an inline request.
    #[track_caller]
    pub fn answers(&mut self, request: &str) -> Vec<String> {
        self.send(format!("{request}\r\n"));
        self.leaves()
    }

    /// The reply to an inline request, which must be one text or one number.
    #[track_caller]
    pub fn answer(&mut self, request: &str) -> String {
        let mut leaves = self.answers(request);
        assert_eq!(leaves.len(), 1, "{request}: {leaves:?}");
        leaves.remove(0)
    }

    /// The number behind `field:`, or behind `field:` and `part=`, in a section of INFO; `None` if
    /// there is no such line.
    #[track_caller]
    pub fn info(&mut self, section: &str, field: &str, part: &str) -> Option<u64> {
        let text = self.answer(&format!("INFO {section}"));
        let line = text.lines().find_map(|line| {
            let value = line.strip_prefix(field)?;
            value.strip_prefix(':')
        })?;
        let number = line.split(',').find_map(|pair| pair.strip_prefix(part))?;
        Some(number.parse().expect(line))
    }

    /// The number of a field that INFO has.
    #[track_caller]
    pub fn count(&mut self, field: &str) -> u64 {
        let number = self.info("default", field, "");
        number.unwrap_or_else(|| panic!("INFO has no {field}"))
    }

    /// The client's number.
    #[track_caller]
    pub fn id(&mut self) -> u64 {
        self.answer("CLIENT ID").parse().expect("a number")
    }

    /// Has the server answer in RESP3.
    #[track_caller]
    pub fn speak_resp3(&mut self) {
        self.send("HELLO 3\r\n");
        // Its last field is the list of modules, which is empty.
        while self.line() != "*0" {}
    }

    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// A PING and its PONG. Gives how long it took.
    #[track_caller]
    pub fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.ask("PING\r\n", "+PONG\r\n");
        start.elapsed()
    }

    /// The server closes, and sends nothing before.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.rest().escape_ascii().to_string(), "");
    }

    /// Everything up to the server's close.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.socket
            .read_to_end(&mut bytes)
            .expect("the server closes in order");
        bytes
    }

    /// Returns the next `count` bytes, or fewer if the server closes before.
    pub fn rest_or(&mut self, count: usize) -> String {
        let mut text = String::new();
        let socket = &mut self.socket;
        // A reset shows as a reply that is too short.
        let _ = socket.take(count as u64).read_to_string(&mut text);
        text
    }

    /// Sends `request` again and again without reading a reply, until the server takes no more
    /// because it cannot get rid of its replies. Gives how many bytes were sent; the last request
    /// may be cut.
    ///
    /// `other` is a client of the same server, which must have one worker: as long as that serves
    /// `other` and there is still no room, it is not busy with this peer but waits for it.
    #[track_caller]
    pub fn send_until_stuck(&mut self, request: &[u8], other: &mut Self) -> usize {
        self.socket.set_nonblocking(true).expect("a TCP socket");
        let (mut sent, mut stuck) = (0, 0);
        while stuck < 100 {
            match self.socket.write(&request[sent % request.len()..]) {
                Ok(count) => (sent, stuck) = (sent + count, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    other.ping();
                    stuck += 1;
                }
                Err(error) => panic!("{error}"),
            }
            assert!(
                sent < STUCK_BYTES_MAX,
                "the server reads on although its replies are not taken"
            );
        }
        self.socket.set_nonblocking(false).expect("a TCP socket");
        sent
    }

    /// Closes by a reset, as some clients always do.
    pub fn reset(self) {
        SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
    }

    /// Nothing more is sent from this side; it still reads.
    pub fn end_sending(&self) {
        self.socket
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    }
}

/// Bytes that fit between a peer that does not read and a server: the buffers of two sockets, each
/// way.
const STUCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The built-in commands, and what `add` adds to them.
pub fn builtin_and(add: impl FnOnce(&mut Commands)) -> Commands {
    let mut commands = Commands::builtin();
    add(&mut commands);
    commands
}

/// A request as an array of bulk strings.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A command whose handler says that it has begun, and does not return before it is told to.
pub struct Gate {
    pub starts: Receiver<()>,
    pub open: Sender<()>,
}

impl Gate {
    /// Waits until a handler has begun.
    #[track_caller]
    pub fn wait_for_start(&self) {
        self.starts
            .recv_timeout(PATIENCE)
            .expect("the handler begins");
    }

    /// Has one handler return.
    #[track_caller]
    pub fn let_one_through(&self) {
        self.open.send(()).expect("the handler waits");
    }
}

/// The built-in commands, and `GATE` beside them.
pub fn commands_with_gate() -> (Commands, Gate) {
    let (started, starts) = channel();
    let (open, opens) = channel();
    let ends = Mutex::new((started, opens));
    let mut commands = Commands::builtin();
    commands.register("GATE", Arity::AtLeast(1), move |_, _, reply| {
        let ends = ends.lock();
        ends.0.send(()).expect("the test waits for it");
        ends.1
            .recv_timeout(PATIENCE)
            .expect("the test opens the gate");
        reply.simple("OPEN")
    });
    (commands, Gate { starts, open })
}

/// Returns a port of the loopback that was free just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    listener.local_addr().expect("it listens").port()
}

/// Makes a FIFO.
pub fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo")
        .arg(path)
        .stdin(Stdio::null())
        .status();
    assert!(made.expect("there is mkfifo").success());
}

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain waited until {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// The value below which `percent` of all lie.
pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}
