//! A client of a program between client and server, and how such programs are found and asked.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::case::NotRun;
use crate::{PATIENCE, Peer, echo, eventually};

/// The address from which a client connects to a balancer.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

/// Connects two clients to the balancer in front of one server, and expects that the server shows
/// the clients' addresses if `is_told`.
pub fn session_through(balancer: SocketAddr, is_told: bool) {
    let [mut client, mut subscriber] = clients_through(balancer, is_told);
    subscriber.send("SUBSCRIBE news\r\n");
    assert_eq!(subscriber.leaves(), ["subscribe", "news", "1"]);
    client.ask("PUBLISH news hello\r\n", ":1\r\n");
    assert_eq!(subscriber.leaves(), ["message", "news", "hello"]);
    for mut peer in [client, subscriber] {
        peer.ask("QUIT\r\n", "+OK\r\n");
        peer.expect_end();
    }
}

/// Waits until the balancer listens.
pub fn listens(balancer: SocketAddr) {
    eventually("it listens", || TcpStream::connect(balancer).is_ok());
}

/// As [`session_through`], but the balancer may have many servers. Returns the clients.
pub fn clients_through(balancer: SocketAddr, is_told: bool) -> [Peer; 2] {
    listens(balancer);
    let mut clients = [(); 2].map(|()| Peer::connect_from(CLIENT, balancer));
    for peer in &mut clients {
        peer.ping();
        // More than one TLS record.
        let (request, reply) = echo(&"x".repeat(100_000));
        peer.ask(request, reply);
        let shown = format!(" addr={} ", peer.local_addr());
        let info = peer.answer("CLIENT INFO");
        assert_eq!(info.contains(&shown), is_told, "{shown} in {info}");
    }
    clients
}

/// Returns what `HAProxy` answers to a command on its `stats socket`.
pub fn haproxy_answer(socket: &Path, command: &str) -> String {
    // HAProxy makes its socket for this a moment after those for clients.
    let mut stats = None;
    eventually("HAProxy has its stats socket", || {
        stats = UnixStream::connect(socket).ok();
        stats.is_some()
    });
    let mut socket = stats.expect("it was there");
    let patience = Some(PATIENCE);
    socket.set_read_timeout(patience).expect("a Unix socket");
    writeln!(socket, "{command}").expect("HAProxy listens");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("HAProxy answers");
    answer
}

/// Returns the path of nginx's stream module, which is a package of its own.
pub fn stream_module() -> Result<PathBuf, NotRun> {
    let folders = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"];
    let mut files = folders
        .map(|folder| Path::new(folder).join("ngx_stream_module.so"))
        .into_iter();
    files
        .find(|file| file.is_file())
        .ok_or_else(|| NotRun("nginx's stream module is not installed".to_owned()))
}
