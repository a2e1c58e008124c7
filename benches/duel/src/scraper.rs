//! Scrapes respool's /metrics while it is measured, as Prometheus would, but more often.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wire::PATIENCE;

/// A thread that scrapes ten times a second, until this is dropped.
#[derive(Debug)]
pub(crate) struct Scraper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Scraper {
    /// Scrapes once to see that it works, then from a thread.
    pub(crate) fn start(port: u16) -> io::Result<Self> {
        scrape(port)?;
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = scrape(port) {
                    eprintln!("a scrape failed: {error}");
                }
            }
        });
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn scrape(port: u16) -> io::Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.contains("\nredis_up 1\n") {
        Ok(())
    } else {
        Err(io::Error::other("no metrics came back"))
    }
}

/// Time between two scrapes. Prometheus usually waits 15 s or more.
const PERIOD: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answer_without_metrics_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let server = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("the scraper connects");
            let mut line = String::new();
            let mut lines = BufReader::new(socket.try_clone().expect("it is open"));
            while lines.read_line(&mut line).expect("a request") > 2 {
                line.clear();
            }
            let _ = socket.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n");
        });
        let error = Scraper::start(port).expect_err("it has no metrics");
        assert_eq!(error.to_string(), "no metrics came back");
        server.join().expect("it ends");
    }
}
