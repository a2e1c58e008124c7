//! Stands for the servers' operations listener, which is still to come: answers /readyz.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) struct StandIn(Arc<AtomicBool>);

impl StandIn {
    pub(crate) fn start(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).unwrap();
        let ready = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ready);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let seen = Arc::clone(&seen);
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).unwrap_or(0) > 0 {
                        let status = if seen.load(Ordering::Relaxed) {
                            "200 OK"
                        } else {
                            "503 Service Unavailable"
                        };
                        let _ =
                            write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 3\r\n\r\nok\n");
                    }
                });
            }
        });
        Self(ready)
    }

    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }
}
