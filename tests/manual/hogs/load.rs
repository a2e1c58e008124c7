//! Clients that repeat the same requests and read every reply.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use respool_testing::Peer;

/// Running hogs, on one thread.
pub(crate) struct Hogs {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Hog {
    socket: TcpStream,
    /// Bytes written of the requests of the current round.
    written: usize,
}

impl Hogs {
    /// Starts `count` clients that pipeline `requests` without end.
    pub(crate) fn start(addr: SocketAddr, count: usize, requests: &str) -> Self {
        let requests = requests.repeat(1 + REQUESTS_BYTES / requests.len());
        let mut poll = Poll::new().expect("a descriptor is left");
        let hog = |index: usize| {
            let socket = Peer::connect(addr).socket;
            socket.set_nonblocking(true).expect("a TCP socket");
            let mut socket = TcpStream::from_std(socket);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = poll
                .registry()
                .register(&mut socket, Token(index), interest);
            registered.expect("there is memory");
            Hog { socket, written: 0 }
        };
        let mut hogs: Vec<_> = (0..count).map(hog).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stop_wanted = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut events = Events::with_capacity(count);
            let mut scratch = vec![0; 256 * 1024];
            while !stop_wanted.load(Ordering::Relaxed) {
                let timeout = Some(Duration::from_millis(50));
                poll.poll(&mut events, timeout)
                    .expect("no signal interrupts");
                for event in &events {
                    hogs[event.token().0].work(requests.as_bytes(), &mut scratch);
                }
            }
        });
        Self { stop, thread }
    }

    /// Closes all of them, whatever is pending.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a hog does not panic");
    }
}

impl Hog {
    /// Reads and writes until it would block. The poll is edge-triggered.
    fn work(&mut self, requests: &[u8], scratch: &mut [u8]) {
        until_blocked(|| self.socket.read(scratch));
        until_blocked(|| {
            let count = self.socket.write(&requests[self.written..])?;
            self.written = (self.written + count) % requests.len();
            Ok(count)
        });
    }
}

/// Repeats `act` until it would block or the connection has ended.
fn until_blocked(mut act: impl FnMut() -> std::io::Result<usize>) {
    loop {
        match act() {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// Approximate bytes of requests per write.
const REQUESTS_BYTES: usize = 64 * 1024;
