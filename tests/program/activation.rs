//! Socket activation: the sockets of a service manager, which keeps them between two processes.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use respool_testing::process::{Process, Respool};
use respool_testing::target::program;
use respool_testing::{PATIENCE, Peer, Scratch, activation, eventually, free_port};
use socket2::{Domain, Socket, Type};

use crate::respool;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    (listener, addr)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().expect("there are descriptors").into()
}

#[test]
fn given_sockets_are_served_instead_of_the_configured_ones() {
    let (tcp, addr) = listener();
    let folder = Scratch::for_sockets();
    let path = folder.path().join("socket");
    let unix = UnixListener::bind(&path).expect("nothing is there");
    let port = free_port().to_string();
    let sockets = vec![tcp.into(), unix.into()];
    let server = activation::serve(&["--port", &port], "plain:respool.socket", sockets);
    assert_eq!(server.addr, addr);
    let info = server.connect().answer("INFO server");
    let tcp = format!("listener0:name=tcp,bind=127.0.0.1,port={}\r\n", addr.port());
    let unix = format!("listener1:name=unix,bind={}\r\n", path.display());
    assert!(info.contains(&(tcp + &unix)), "{info}");
    Peer::connect_to_file(&path).ping();
    let configured = format!("127.0.0.1:{port}");
    assert!(TcpStream::connect(configured).is_err());
    let log = server.stop();
    let shown = format!("answers on {addr} and {} with", path.display());
    assert!(log.contains(&shown), "{log}");
    assert!(fs::exists(&path).expect("it can be looked up"));
}

#[cfg(feature = "http")]
#[test]
fn socket_named_http_is_the_operations_listener() {
    let ((clients, addr), (http, http_addr)) = (listener(), listener());
    let server = activation::serve(&[], "plain:http", vec![clients.into(), http.into()]);
    assert_eq!(server.addr, addr);
    let mut peer = Peer::connect(http_addr);
    peer.send(format!("GET /livez HTTP/1.1\r\nHost: {http_addr}\r\n\r\n"));
    assert_eq!(peer.line(), "HTTP/1.1 200 OK");
    server.stop();
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let mut command = respool(&[]);
    command.envs([("LISTEN_PID", "1"), ("LISTEN_FDS", "1")]);
    Respool::run_beside_others(&mut command).stop();
}

/// Returns the program with these values of variables, and with `LISTEN_PID` as its own.
fn with_variables(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_PID=$$; exec \"$@\"", "sh"]);
    command
        .arg(program())
        .args(["--port", &free_port().to_string()]);
    command.envs(variables.iter().copied());
    command
}

#[test]
fn listen_fds_is_a_number_of_descriptors() {
    for count in ["two", "-1", "4000000000", ""] {
        let mut command = with_variables(&[("LISTEN_FDS", count)]);
        let ended = Process::start(&mut command).ended(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{count:?}: {}", ended.stdout);
        let why = format!("LISTEN_FDS is {count:?}, which is no number of descriptors");
        assert!(ended.stderr.contains(&why), "{}", ended.stderr);
    }
    let mut command = with_variables(&[("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")]);
    Respool::run_beside_others(&mut command).stop();
}

/// Starts the program with these sockets, and returns its error.
#[track_caller]
fn error(args: &[&str], names: &str, sockets: Vec<OwnedFd>) -> String {
    let ended = activation::start(args, names, sockets).ended(PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    // With two sockets, standard error is standard output.
    ended.stderr + &ended.stdout
}

#[test]
fn descriptor_that_cannot_be_served_is_an_error() {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let text = error(&[], "", vec![udp.into()]);
    let why = "descriptor 3 of the service manager is not a TCP or Unix socket that listens";
    assert!(text.contains(why), "{text}");

    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there are descriptors");
    let text = error(&[], "plain", vec![silent.into()]);
    let why = "descriptor 3 of the service manager, \"plain\", is not a TCP or Unix socket";
    assert!(text.contains(why), "{text}");

    let text = error(&[], "unix", vec![listener().0.into()]);
    let why = "descriptor 3 of the service manager, \"unix\", is a TCP socket";
    assert!(text.contains(why), "{text}");

    let (tcp, addr) = listener();
    let text = error(&[], "plain:plain", vec![copy(&tcp), copy(&tcp)]);
    let why =
        format!("descriptor 4 of the service manager, \"plain\", listens on {addr} as well as");
    assert!(text.contains(&why), "{text}");

    let text = error(&[], "plain:plain", vec![listener().0.into()]);
    assert!(
        text.contains("LISTEN_FDNAMES names 2 descriptors, but LISTEN_FDS is 1"),
        "{text}"
    );

    let text = error(&[], "http", vec![listener().0.into()]);
    assert!(
        text.contains("has handed over no socket for clients"),
        "{text}"
    );

    let port = addr.port().to_string();
    let text = error(&["--tls-port", &port], "plain", vec![copy(&tcp)]);
    assert!(
        text.contains("listens on `tls-port`; its name would be \"tls\""),
        "{text}"
    );
}

#[cfg(feature = "tls")]
#[test]
fn socket_named_tls_needs_a_certificate() {
    for args in [&[][..], &["--tls-cert-file", "/certificate.pem"]] {
        let text = error(args, "tls", vec![listener().0.into()]);
        let why = "descriptor 3 of the service manager, \"tls\", needs a certificate: set \
                   `tls-cert-file` and `tls-key-file`";
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("answers"), "{text}");
    }
}

#[test]
fn backlog_is_left_to_the_next_process() {
    let (tcp, addr) = listener();
    let first = activation::serve(&[], "plain", vec![copy(&tcp)]);
    let mut peer = first.connect();
    peer.ping();
    first.signal("TERM");
    peer.expect_end();
    first.ended(PATIENCE).without_complaint();
    let mut peers: Vec<_> = (0..10).map(|_| Peer::connect(addr)).collect();
    for peer in &mut peers {
        peer.socket.write_all(b"PING\r\n").expect("it is connected");
    }
    let second = activation::serve(&[], "plain", vec![copy(&tcp)]);
    for peer in &mut peers {
        peer.expect("+PONG\r\n");
    }
    second.stop();
}

#[test]
fn next_process_may_start_before_the_previous_one_ends() {
    let (tcp, addr) = listener();
    let args = [
        "--workers",
        "1",
        "--enable-debug-command",
        "local",
        "--drain-timeout-ms",
        "60000",
    ];
    let first = activation::serve(&args, "plain", vec![copy(&tcp)]);
    let mut busy = first.connect();
    busy.ping();
    busy.send("DEBUG SLEEP 1\r\n");
    let second = activation::serve(&args, "plain", vec![copy(&tcp)]);
    first.signal("TERM");
    // The first process may still accept a client before it drains, and then answers it.
    let id = u64::from(second.id());
    eventually("the second process has the clients", || {
        Peer::connect(addr).count("process_id") == id
    });
    busy.expect("+OK\r\n");
    busy.expect_end();
    first.ended(PATIENCE).without_complaint();
    second.stop();
}
