//! What the kernel knows about a TCP socket, by `TCP_INFO`. Has `unsafe`: neither rustix nor
//! socket2 has this socket option.
//!
//! Only Linux has it in this form. Elsewhere, and for sockets that are not TCP, the functions
//! return `None`.

#![cfg_attr(
    target_os = "linux",
    expect(unsafe_code, reason = "no crate in use has a safe binding")
)]

use std::os::fd::AsFd;
use std::time::Duration;

/// The connections of a listening socket that the kernel has established and nobody has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AcceptQueue {
    pub(crate) length: u32,
    /// The backlog, as the kernel has limited it. The queue is full when `length` exceeds it.
    pub(crate) limit: u32,
}

/// Returns the accept queue of a socket; `None` unless it listens for TCP.
pub(crate) fn accept_queue(listener: impl AsFd) -> Option<AcceptQueue> {
    let info = read(listener)?;
    // Linux returns the queue of a listening socket in two fields that mean something else for a
    // connection (`tcp_get_info` in net/ipv4/tcp.c).
    info.listens.then_some(AcceptQueue {
        length: info.unacked,
        limit: info.sacked,
    })
}

/// Returns how long ago a TCP connection became ready, which was `within` this time: since the
/// latest data arrived, or since it was established. If that was before, since the latest ACK,
/// which comes with a FIN, and with what makes room for output.
pub(crate) fn since_event(connection: impl AsFd, within: Duration) -> Option<Duration> {
    let info = read(connection)?;
    let since_data = Duration::from_millis(info.last_data_recv_ms.into());
    let since_ack = Duration::from_millis(info.last_ack_recv_ms.into());
    let since = if since_data + TICK <= within {
        since_data
    } else {
        since_data.min(since_ack)
    };
    (!info.listens).then_some(since)
}

/// The kernel counts in ticks of its timer: of 1 to 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// The fields in use of the kernel's `struct tcp_info`.
struct Fields {
    listens: bool,
    unacked: u32,
    sacked: u32,
    last_data_recv_ms: u32,
    last_ack_recv_ms: u32,
}

#[cfg(target_os = "linux")]
fn read(socket: impl AsFd) -> Option<Fields> {
    use std::mem::{MaybeUninit, offset_of};
    use std::os::fd::AsRawFd;

    // All fields are integers, for which 0 is valid, so that a kernel may fill a part of them.
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: `socket` keeps the descriptor open, and the kernel writes at most `length` bytes to
    // `info`, which has that size. All zeros is a `tcp_info`, and so is what the kernel writes over
    // a part of it, since any bits are an integer.
    let (result, info) = unsafe {
        let result = libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        );
        (result, info.assume_init())
    };
    // All of them are as old as Linux 2.4: the last one in use says whether the others are there.
    let is_filled = length as usize > offset_of!(libc::tcp_info, tcpi_last_ack_recv);
    (result == 0 && is_filled).then_some(Fields {
        listens: info.tcpi_state == TCP_LISTEN,
        unacked: info.tcpi_unacked,
        sacked: info.tcpi_sacked,
        last_data_recv_ms: info.tcpi_last_data_recv,
        last_ack_recv_ms: info.tcpi_last_ack_recv,
    })
}

#[cfg(not(target_os = "linux"))]
fn read(_socket: impl AsFd) -> Option<Fields> {
    None
}

/// The state of a listening socket in `include/net/tcp_states.h`.
#[cfg(target_os = "linux")]
const TCP_LISTEN: u8 = 10;

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Instant;

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn listener(backlog: i32) -> TcpListener {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any_port = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any_port.into()).expect("a free port");
        socket.listen(backlog).expect("it is bound");
        socket.into()
    }

    fn connect(listener: &TcpListener) -> TcpStream {
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens")
    }

    #[test]
    fn accept_queue_counts_connections_not_accepted() {
        let listener = listener(7);
        let queue = |length| Some(AcceptQueue { length, limit: 7 });
        assert_eq!(accept_queue(&listener), queue(0));
        let clients: Vec<_> = (0..3).map(|_| connect(&listener)).collect();
        assert_eq!(accept_queue(&listener), queue(3));
        let accepted = listener.accept().expect("a client waits");
        assert_eq!(accept_queue(&listener), queue(2));
        assert_eq!(accept_queue(&clients[0]), None);
        assert_eq!(accept_queue(&accepted.0), None);
    }

    #[test]
    fn since_event_begins_again_with_each_byte() {
        let listener = listener(1);
        let mut client = connect(&listener);
        let accepted = listener.accept().expect("a client waits").0;
        let before = Instant::now();
        client.write_all(b"x").expect("it is connected");
        let sent = Instant::now();
        thread::sleep(Duration::from_millis(300));
        let passed = since_event(&accepted, Duration::MAX).expect("a TCP connection");
        assert!(
            passed + 2 * TICK >= Duration::from_millis(300),
            "{passed:?}"
        );
        assert!(passed <= before.elapsed() + 2 * TICK, "{passed:?}");
        client.write_all(b"x").expect("it is connected");
        let passed = since_event(&accepted, Duration::MAX).expect("a TCP connection");
        assert!(passed < sent.elapsed(), "{passed:?}");
        assert_eq!(since_event(&listener, Duration::MAX), None);
    }

    #[test]
    fn since_event_is_the_time_since_a_fin_if_no_data_came() {
        let listener = listener(1);
        let client = connect(&listener);
        let accepted = listener.accept().expect("a client waits").0;
        thread::sleep(Duration::from_millis(300));
        let within = Duration::from_millis(200);
        let since = |within| since_event(&accepted, within).expect("a TCP connection");
        assert!(since(within) > within, "nothing came");
        let sent = Instant::now();
        client
            .shutdown(std::net::Shutdown::Write)
            .expect("it is connected");
        let passed = since(within);
        assert!(passed <= sent.elapsed() + 2 * TICK, "{passed:?}");
        let long = Duration::from_secs(60);
        assert!(since(long) > within, "the start counts as data");
    }

    #[test]
    fn sockets_that_are_not_tcp_have_no_tcp_info() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(since_event(&one, Duration::MAX), None);
        assert_eq!(accept_queue(&one), None);
    }
}
