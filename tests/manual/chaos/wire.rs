//! A connection that keeps its last bytes for the report of a failure.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;

use crate::World;
use respool_testing::{PATIENCE, Peer};

pub(crate) struct Wire {
    peer: Peer,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Wire {
    /// Connects from one of many addresses, because each has its own ports.
    pub(crate) fn connect(world: &World, rng: &mut Rng) -> Self {
        let source = [127, rng.u8(1..255), rng.u8(1..255), rng.u8(1..255)];
        let peer = Peer::connect_from(source, world.server.addr);
        Self::over(peer)
    }

    pub(crate) fn over(peer: Peer) -> Self {
        let (sent, received) = (Vec::new(), Vec::new());
        Self {
            peer,
            sent,
            received,
        }
    }

    pub(crate) fn address(&self) -> String {
        let addr = self.peer.socket.local_addr();
        addr.expect("a connected socket").to_string()
    }

    #[track_caller]
    pub(crate) fn fail(&self, why: &str) -> ! {
        let thread = thread::current();
        let last = |bytes: &[u8]| bytes.escape_ascii().to_string();
        panic!(
            "{} at {}: {why}\n  last sent: \"{}\"\n  last received: \"{}\"",
            thread.name().unwrap_or_default(),
            self.address(),
            last(&self.sent),
            last(&self.received),
        )
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        keep_last(&mut self.sent, bytes);
        if let Err(error) = self.peer.socket.write_all(bytes) {
            self.fail(&format!("write: {error}"));
        }
    }

    /// Sends `bytes` in a few pieces.
    #[track_caller]
    pub(crate) fn send_cut(&mut self, bytes: &[u8], rng: &mut Rng) {
        let mut rest = bytes;
        for _ in 0..rng.usize(0..4) {
            let (piece, after) = rest.split_at(rng.usize(0..=rest.len()));
            self.send(piece);
            thread::sleep(Duration::from_micros(rng.u64(0..2000)));
            rest = after;
        }
        self.send(rest);
    }

    /// Writes as much as the socket takes. Returns how many bytes that was.
    pub(crate) fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        self.peer
            .socket
            .set_nonblocking(true)
            .expect("a TCP socket");
        let count = self.peer.socket.write(bytes).unwrap_or(0);
        self.peer
            .socket
            .set_nonblocking(false)
            .expect("a TCP socket");
        keep_last(&mut self.sent, &bytes[..count]);
        count
    }

    pub(crate) fn send_urgent(&mut self) {
        let sent = SockRef::from(&self.peer.socket).send_out_of_band(b"!");
        if !matches!(sent, Ok(1)) {
            self.fail("the urgent byte is not sent");
        }
    }

    /// Reads up to `room` bytes; none at the end. RST is an end.
    #[track_caller]
    pub(crate) fn read(&mut self, room: usize) -> Vec<u8> {
        let mut bytes = vec![0; room.min(256 * 1024)];
        let count = match self.peer.socket.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => self.fail(&format!("read: {error}")),
        };
        bytes.truncate(count);
        keep_last(&mut self.received, &bytes);
        bytes
    }

    /// Reads and compares `expected`.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let mut rest = expected.as_ref();
        while !rest.is_empty() {
            let bytes = self.read(rest.len());
            let near = rest[..rest.len().min(100)].escape_ascii();
            if bytes.is_empty() {
                self.fail(&format!("closed, wanted \"{near}\""));
            }
            if !rest.starts_with(&bytes) {
                let wanted = &rest[..bytes.len()];
                let at = (0..wanted.len())
                    .find(|&at| wanted[at] != bytes[at])
                    .unwrap_or(0);
                // The rest of an error is more helpful.
                let rest_of_line = if bytes[at] == b'-' {
                    self.read(200)
                } else {
                    Vec::new()
                };
                let bytes = [bytes, rest_of_line].concat();
                let part = |all: &[u8]| all[at..all.len().min(at + 100)].escape_ascii().to_string();
                self.fail(&format!(
                    "got \"{}\", wanted \"{}\"",
                    part(&bytes),
                    part(wanted)
                ));
            }
            rest = &rest[bytes.len()..];
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self, request: &str, reply: &str) {
        self.send(format!("{request}\r\n"));
        self.expect(reply);
    }

    /// Returns a line without its end, or the bytes before the end of the connection.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let byte = self.read(1);
            if byte.is_empty() {
                return String::from_utf8_lossy(&line).into_owned();
            }
            line.extend(byte);
        }
        line.truncate(line.len() - 2);
        String::from_utf8_lossy(&line).into_owned()
    }

    #[track_caller]
    pub(crate) fn number(&mut self, request: &str) -> u64 {
        self.send(format!("{request}\r\n"));
        let line = self.line();
        match line
            .strip_prefix(':')
            .and_then(|digits| digits.parse().ok())
        {
            Some(number) => number,
            None => self.fail(&format!("{request}: no number but {line:?}")),
        }
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let bytes = self.read(100);
        if !bytes.is_empty() {
            self.fail("wanted the end");
        }
    }

    /// Returns all bytes up to the end.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.read(usize::MAX);
            if bytes.is_empty() {
                return all;
            }
            all.extend(bytes);
        }
    }

    /// Returns true if a byte or FIN arrives within `time`.
    pub(crate) fn is_ready_within(&self, time: Duration) -> bool {
        let socket = &self.peer.socket;
        socket.set_read_timeout(Some(time)).expect("a TCP socket");
        let is_ready = socket.peek(&mut [0]).is_ok();
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a TCP socket");
        is_ready
    }

    pub(crate) fn end_sending(&self) {
        // Fails if the server has closed already.
        let _ = self.peer.socket.shutdown(Shutdown::Write);
    }

    pub(crate) fn reset(self) {
        self.peer.reset();
    }
}

fn keep_last(last: &mut Vec<u8>, bytes: &[u8]) {
    const KEPT: usize = 200;
    last.extend_from_slice(&bytes[bytes.len().saturating_sub(KEPT)..]);
    last.drain(..last.len().saturating_sub(KEPT));
}
