//! A client in bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::PATIENCE;

/// A connection, over plain TCP if nothing else is said. Each wait ends after [`PATIENCE`].
pub struct Peer<S = TcpStream> {
    pub socket: S,
}

/// What carries a connection's bytes.
pub trait Transport: Read + Write {
    /// Ends this side's output; the other side can still be read.
    fn end_sending(&mut self);
}

impl Transport for TcpStream {
    fn end_sending(&mut self) {
        self.shutdown(Shutdown::Write).expect("a connected socket");
    }
}

impl Transport for UnixStream {
    fn end_sending(&mut self) {
        self.shutdown(Shutdown::Write).expect("a connected socket");
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn end_sending(&mut self) {
        (**self).end_sending();
    }
}

impl Peer {
    pub fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&addr, PATIENCE).expect("the server accepts");
        Self::over(socket)
    }

    /// Connects from this address of the machine.
    pub fn connect_from(source: impl Into<IpAddr>, addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        let source = SocketAddr::new(source.into(), 0);
        socket.bind(&source.into()).expect("an address of ours");
        socket
            .connect_timeout(&addr.into(), PATIENCE)
            .expect("the server accepts");
        Self::over(socket.into())
    }

    /// Connects with small socket buffers, so that few unread replies fill them.
    pub fn connect_with_small_buffer(addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket");
        // Set before connecting, which fixes the window.
        socket.set_recv_buffer_size(4096).expect("any size will do");
        socket.connect(&addr.into()).expect("the server accepts");
        Self::over(socket.into())
    }

    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_nodelay(true).expect("a TCP socket");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        socket
            .set_write_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        Self { socket }
    }

    /// Returns this side's address.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("a connected socket")
    }
}

impl Peer<UnixStream> {
    /// Connects to a Unix socket's file.
    pub fn connect_to_file(path: &Path) -> Self {
        let socket = UnixStream::connect(path).expect("the server accepts");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a Unix socket");
        socket
            .set_write_timeout(Some(PATIENCE))
            .expect("a Unix socket");
        Self { socket }
    }
}

impl<S: Read + Write> Peer<S> {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket
            .write_all(bytes.as_ref())
            .expect("the server takes the bytes");
    }

    /// Reads as many bytes as `expected` has and compares them.
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

    /// Returns the next line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.bytes(1));
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// Returns the next `count` bytes.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.socket
            .read_exact(&mut bytes)
            .expect("the server sends them");
        bytes
    }

    /// Returns the simple values of the next reply, flattened: text, numbers in digits, errors with
    /// their `-`, and `(null)`.
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
                _ => panic!("not a reply: {line}"),
            }
        }
        leaves
    }

    /// Sends an inline request and returns the simple values of its reply.
    #[track_caller]
    pub fn answers(&mut self, request: &str) -> Vec<String> {
        self.send(format!("{request}\r\n"));
        self.leaves()
    }

    /// Sends an inline request and returns its reply, which must be one text or one number.
    #[track_caller]
    pub fn answer(&mut self, request: &str) -> String {
        let mut leaves = self.answers(request);
        assert_eq!(leaves.len(), 1, "{request}: {leaves:?}");
        leaves.remove(0)
    }

    /// Returns the number after `field:`, or after `part=` in that line, of a section of INFO. `None`
    /// if the section has no such line.
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

    /// Returns a number that INFO must have.
    #[track_caller]
    pub fn count(&mut self, field: &str) -> u64 {
        let number = self.info("default", field, "");
        number.unwrap_or_else(|| panic!("INFO has no {field}"))
    }

    /// Returns the client's id.
    #[track_caller]
    pub fn id(&mut self) -> u64 {
        self.answer("CLIENT ID").parse().expect("a number")
    }

    /// Switches to RESP3.
    #[track_caller]
    pub fn speak_resp3(&mut self) {
        self.send("HELLO 3\r\n");
        // The last field of the reply is the list of modules, which is empty.
        while self.line() != "*0" {}
    }

    /// Sends a request and compares its reply.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>, reply: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(reply);
    }

    /// Sends PING, expects PONG and returns the time between them.
    #[track_caller]
    pub fn ping(&mut self) -> Duration {
        let start = Instant::now();
        self.ask("PING\r\n", "+PONG\r\n");
        start.elapsed()
    }

    /// Expects that the server closes without another byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.rest().escape_ascii().to_string(), "");
    }

    /// Returns all bytes until the server closes.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.socket
            .read_to_end(&mut bytes)
            .expect("the server closes in order");
        bytes
    }

    /// Returns the next `count` bytes, or fewer if the server closes first.
    pub fn rest_or(&mut self, count: usize) -> String {
        let mut text = String::new();
        let socket = &mut self.socket;
        // RST shows as a short reply.
        let _ = socket.take(count as u64).read_to_string(&mut text);
        text
    }
}

impl Peer {
    /// Repeats `request` without reading replies until the server stops reading because its replies
    /// are not taken. Returns how many bytes were sent; the last request may be incomplete.
    ///
    /// `other` is a client of the same server, which must have one worker. If that worker serves
    /// `other` and there is still no room, it waits for this peer.
    #[track_caller]
    pub fn send_until_stuck(&mut self, request: &[u8], other: &mut Self) -> usize {
        self.send_much_until_stuck(request, STUCK_BYTES_MAX, other)
    }

    /// As [`Self::send_until_stuck`], of a server that may read up to `bytes_max` bytes.
    #[track_caller]
    pub fn send_much_until_stuck(
        &mut self,
        request: &[u8],
        bytes_max: usize,
        other: &mut Self,
    ) -> usize {
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
                sent < bytes_max,
                "the server goes on reading although its replies are not taken"
            );
        }
        self.socket.set_nonblocking(false).expect("a TCP socket");
        sent
    }

    /// Closes by RST.
    pub fn reset(self) {
        SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .expect("a TCP socket");
    }

    /// Sends FIN; the peer can still read.
    pub fn end_sending(&self) {
        self.socket
            .shutdown(Shutdown::Write)
            .expect("a connected socket");
    }
}

/// More bytes than the buffers of both sockets hold in both directions.
const STUCK_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Returns a request as an array of bulk strings.
pub fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Returns ECHO of this message, and its reply.
pub fn echo(message: &str) -> (String, String) {
    let bulk = format!("${}\r\n{message}\r\n", message.len());
    (format!("*2\r\n$4\r\nECHO\r\n{bulk}"), bulk)
}
