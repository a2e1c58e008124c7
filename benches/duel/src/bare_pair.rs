//! The bare pair: a thread that accepts, and one that serves as the bare server does.
//!
//! It makes the same system calls for a connection as respool, in threads of the same scheduling
//! policies. So it shows what a second thread costs: each connection wakes both threads, and in each
//! system call the kernel counts the users of a socket.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::write;
use rustix::thread::gettid;
use socket2::Socket;

use crate::bare::{Bare, accept, listen};
use crate::pings::Ping;

/// Answers this PING until the process is killed. Listens on the path, if there is one.
pub(crate) fn serve(port: u16, path: Option<&Path>, ping: Ping) -> io::Result<()> {
    let listener = listen(port, path)?;
    let mut bare = Bare::new(ping)?;
    let waker = Arc::new(Waker::new()?);
    bare.watch(&waker.eventfd, WAKER, EventFlags::IN | EventFlags::ET)?;
    let (sender, queue) = mpsc::channel();
    let acceptor_waker = Arc::clone(&waker);
    thread::spawn(move || {
        let error = accept_all(&listener, &sender, &acceptor_waker).err();
        eprintln!("the bare pair accepts no more: {error:?}");
        exit(1);
    });
    let mut events = Vec::with_capacity(256);
    loop {
        waker.is_needed.store(true, Ordering::SeqCst);
        // After the store: a connection that is not found here wakes this thread.
        while let Ok(socket) = queue.try_recv() {
            waker.is_needed.store(false, Ordering::Relaxed);
            let index = bare.add(socket);
            // Its request has mostly come.
            bare.serve(index, EventFlags::empty());
            bare.register(index)?;
            waker.is_needed.store(true, Ordering::SeqCst);
        }
        epoll::wait(&bare.epoll, spare_capacity(&mut events), None)?;
        waker.is_needed.store(false, Ordering::Relaxed);
        for event in events.drain(..) {
            match event.data.u64() {
                WAKER => {}
                index => bare.serve(index as usize, event.flags),
            }
        }
    }
}

/// Accepts, and passes each connection to the serving thread.
fn accept_all(listener: &Socket, sender: &Sender<OwnedFd>, waker: &Waker) -> io::Result<()> {
    set_policy()?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(0), EventFlags::IN)?;
    let mut events = Vec::with_capacity(1);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        events.clear();
        if let Some(socket) = accept(listener)? {
            sender.send(socket).map_err(io::Error::other)?;
            waker.wake()?;
        }
    }
}

/// Sets `SCHED_BATCH` for this thread, by the program `chrt` of util-linux: no crate in use has a
/// safe binding.
fn set_policy() -> io::Result<()> {
    let thread = gettid().as_raw_pid().to_string();
    let mut chrt = Command::new("chrt");
    let status = chrt.args(["--batch", "--pid", "0", &thread]).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("chrt: {status}")))
    }
}

/// More than the index of any connection.
const WAKER: u64 = u64::MAX;

/// Wakes the serving thread if it sleeps.
struct Waker {
    eventfd: OwnedFd,
    /// Whether the serving thread sleeps or is about to, and was not woken yet.
    is_needed: AtomicBool,
}

impl Waker {
    fn new() -> io::Result<Self> {
        Ok(Self {
            eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            is_needed: AtomicBool::new(false),
        })
    }

    fn wake(&self) -> io::Result<()> {
        if self.is_needed.swap(false, Ordering::SeqCst) {
            write(&self.eventfd, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::loads::Transport;
    use crate::place::Place;

    #[test]
    fn every_connection_is_answered() {
        let port = Place::new(Transport::Tcp).expect("there is room").port;
        thread::spawn(move || serve(port, None, Ping::Array));
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        while connect().is_err() {
            thread::sleep(Duration::from_millis(1));
        }
        let exchange = &Ping::Array.exchanges()[0];
        for _ in 0..100 {
            let mut client = connect().expect("it listens");
            let patience = Some(Duration::from_secs(10));
            client.set_read_timeout(patience).expect("it is valid");
            client.write_all(&exchange.request).expect("it reads");
            let mut reply = vec![0; exchange.reply.len()];
            client.read_exact(&mut reply).expect("a reply comes");
            assert_eq!(reply, exchange.reply);
        }
    }
}
