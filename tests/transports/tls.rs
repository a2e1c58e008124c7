//! Clients over TLS: handshakes, records, and the ends of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use respool::config::{DebugAccess, TlsAuthClients, TlsProtocols};
use respool::{Commands, Config, Server};
use respool_testing::certificates::{Authority, Folder};
use respool_testing::tls::{TlsClients, TlsStream};
use respool_testing::{Peer, TestServer, config, echo, eventually};
use rustls::version::{TLS12, TLS13};

/// A server with a plain port and one for TLS.
struct TlsServer {
    server: TestServer,
    addr: SocketAddr,
    files: Folder,
    clients: TlsClients,
}

impl TlsServer {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let (plain, tls) = (listen(), listen());
        let addr = tls.local_addr().expect("it listens");
        let files = Authority::new("the CA").folder();
        let mut config = Config {
            tls_port: addr.port(),
            tls_cert_file: Some(files.server_certificate()),
            tls_key_file: Some(files.server_key()),
            tls_auth_clients: TlsAuthClients::No,
            ..config(2)
        };
        change(&mut config);
        let server = Server::from_listeners(vec![plain, tls], config, Commands::builtin());
        Self {
            server: TestServer::serve(server.expect("the server starts")),
            addr,
            clients: TlsClients::anonymous(&files),
            files,
        }
    }

    fn connect(&self) -> Peer<TlsStream> {
        self.clients.connect(self.addr)
    }

    /// Returns a field of INFO, by a plain client.
    fn count(&self, field: &str) -> u64 {
        self.server.connect().count(field)
    }

    /// Waits until a field of INFO has this value.
    fn expect_count(&self, field: &str, wanted: u64) {
        let mut admin = self.server.connect();
        eventually(&format!("{field} is {wanted}"), || {
            admin.count(field) == wanted
        });
    }
}

/// Returns the client's first flight, and its connection.
fn client_hello(server: &TlsServer) -> (Vec<u8>, TlsStream) {
    let mut stream = server
        .clients
        .over(TcpStream::connect(server.addr).expect("it listens"));
    let mut hello = Vec::new();
    stream.conn.write_tls(&mut hello).expect("it is memory");
    (hello, stream)
}

/// Sends the records of `bytes` in one write.
fn send_at_once(peer: &mut Peer<TlsStream>, requests: &[&[u8]]) {
    let mut records = Vec::new();
    for request in requests {
        peer.socket.conn.writer().write_all(request).expect("room");
        while peer.socket.conn.wants_write() {
            peer.socket.conn.write_tls(&mut records).expect("memory");
        }
    }
    peer.socket.sock.write_all(&records).expect("it is there");
}

/// Reads until the end, which `close_notify` has to announce.
fn expect_orderly_end(peer: &mut Peer<TlsStream>) -> String {
    let mut rest = String::new();
    let read = peer.socket.read_to_string(&mut rest);
    read.expect("close_notify comes before the end");
    rest
}

#[test]
fn both_versions_are_served() {
    let server = TlsServer::start();
    for version in [&TLS12, &TLS13] {
        let clients = TlsClients::with_versions(&server.files, &[version]);
        let mut peer = clients.connect(server.addr);
        peer.ask("PING\r\n", "+PONG\r\n");
        let (request, reply) = echo(&"x".repeat(100_000));
        peer.ask(&request, &reply);
        peer.ask("PING\r\n".repeat(1000), "+PONG\r\n".repeat(1000));
    }
    assert_eq!(server.count("tls_handshakes"), 2);
    assert_eq!(server.count("tls_handshake_failures"), 0);
}

#[test]
fn reply_larger_than_socket_buffers_arrives() {
    let server = TlsServer::start();
    let mut peer = server.connect();
    let (request, reply) = echo(&"0123456789".repeat(800_000));
    peer.send(&request);
    let mut admin = server.server.connect();
    eventually("output is pending", || {
        let list = admin.answer("CLIENT LIST");
        list.contains(" cmd=echo ") && !list.contains(" omem=0 events=r cmd=echo")
    });
    peer.expect(&reply);
    peer.ask("PING\r\n", "+PONG\r\n");
}

// The socket is quiet after the only segment, so no event comes for records that were decrypted
// and not served.
#[test]
fn records_of_one_segment_are_all_served() {
    let server = TlsServer::start();
    let mut peer = server.connect();
    peer.ask("PING\r\n", "+PONG\r\n");
    send_at_once(
        &mut peer,
        &[b"PING\r\n", b"ECHO a\r\n", b"ECHO b\r\nECH", b"O c\r\n"],
    );
    peer.expect("+PONG\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    // More than a turn's budget of bytes and requests.
    let many = "PING\r\n".repeat(5000);
    let all = [many.as_bytes(); 8];
    send_at_once(&mut peer, &all);
    peer.expect("+PONG\r\n".repeat(40_000));
}

#[test]
fn request_beside_the_last_flight_is_served() {
    let server = TlsServer::start();
    let (hello, mut stream) = client_hello(&server);
    stream.sock.write_all(&hello).expect("it is there");
    while stream.conn.is_handshaking() {
        stream.conn.read_tls(&mut stream.sock).expect("a flight");
        stream.conn.process_new_packets().expect("a valid flight");
    }
    let mut peer = Peer { socket: stream };
    send_at_once(&mut peer, &[b"PING\r\n", b"ECHO a\r\n"]);
    peer.expect("+PONG\r\n$1\r\na\r\n");
}

#[test]
fn handshake_and_request_come_byte_by_byte() {
    let server = TlsServer::start();
    let (hello, mut stream) = client_hello(&server);
    let mut flight = hello;
    stream.sock.set_nodelay(true).expect("a TCP socket");
    loop {
        for byte in &flight {
            stream.sock.write_all(&[*byte]).expect("it is there");
        }
        if !stream.conn.is_handshaking() {
            break;
        }
        while !stream.conn.wants_write() {
            stream.conn.read_tls(&mut stream.sock).expect("a flight");
            stream.conn.process_new_packets().expect("a valid flight");
        }
        flight = Vec::new();
        while stream.conn.wants_write() {
            stream.conn.write_tls(&mut flight).expect("memory");
        }
    }
    stream.conn.writer().write_all(b"PING\r\n").expect("room");
    let mut record = Vec::new();
    stream.conn.write_tls(&mut record).expect("memory");
    for byte in &record {
        stream.sock.write_all(&[*byte]).expect("it is there");
    }
    Peer { socket: stream }.expect("+PONG\r\n");
}

#[test]
fn client_closes_its_half_and_reads_the_replies() {
    let server = TlsServer::start();
    for sends_fin in [false, true] {
        let mut peer = server.connect();
        peer.send("PING\r\n".repeat(100));
        peer.socket.conn.send_close_notify();
        while peer.socket.conn.wants_write() {
            let stream = &mut peer.socket;
            stream.conn.write_tls(&mut stream.sock).expect("a socket");
        }
        if sends_fin {
            let half = std::net::Shutdown::Write;
            peer.socket.sock.shutdown(half).expect("a socket");
        }
        assert_eq!(expect_orderly_end(&mut peer), "+PONG\r\n".repeat(100));
    }
    server.expect_count("closed_peer_left", 2);
}

#[test]
fn end_without_close_notify_is_an_end() {
    let server = TlsServer::start();
    let mut peer = server.connect();
    peer.send("PING\r\n");
    let half = std::net::Shutdown::Write;
    peer.socket.sock.shutdown(half).expect("a socket");
    assert_eq!(expect_orderly_end(&mut peer), "+PONG\r\n");
    server.expect_count("closed_peer_left", 1);
}

#[test]
fn server_closes_with_close_notify() {
    let server = TlsServer::start();
    let mut peer = server.connect();
    peer.send("PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(expect_orderly_end(&mut peer), "+PONG\r\n+OK\r\n");
    let mut peer = server.connect();
    peer.send("*1\r\n!\r\n");
    let error = "-ERR Protocol error: expected '$', got '!'\r\n";
    assert_eq!(expect_orderly_end(&mut peer), error);
    let mut peer = server.connect();
    let id = peer.id();
    server
        .server
        .connect()
        .ask(format!("CLIENT KILL ID {id}\r\n"), ":1\r\n");
    assert_eq!(expect_orderly_end(&mut peer), "");
}

#[test]
fn drain_closes_tls_clients_in_order() {
    let server = TlsServer::start();
    let mut idle = server.connect();
    idle.ask("PING\r\n", "+PONG\r\n");
    // One that sends nothing, and one that stops in the middle of its handshake.
    let _silent = TcpStream::connect(server.addr).expect("it listens");
    let (hello, mut stalled) = client_hello(&server);
    stalled.sock.write_all(&hello[..100]).expect("it is there");
    server.expect_count("connected_clients", 4);
    let drained = server.server.drain();
    assert_eq!(drained.aborted, 0);
    assert_eq!(expect_orderly_end(&mut idle), "");
}

#[test]
fn plain_request_to_the_tls_port_gets_an_error_line() {
    let server = TlsServer::start();
    for request in ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut peer = Peer::connect(server.addr);
        peer.send(request);
        let error = "-ERR this port speaks TLS: connect with TLS, for example redis-cli --tls\r\n";
        peer.expect(error);
        peer.expect_end();
    }
    server.expect_count("closed_not_tls", 3);
    assert_eq!(server.count("tls_handshake_failures"), 3);
}

#[test]
fn tls_handshake_on_the_plain_port_gets_an_alert() {
    let server = TlsServer::start();
    let (hello, _) = client_hello(&server);
    let mut peer = server.server.connect();
    peer.send(&hello);
    // A fatal `handshake_failure`.
    peer.expect(b"\x15\x03\x01\x00\x02\x02\x28");
    peer.expect_end();
    let error = server.clients.try_connect(server.server.addr);
    let error = error.err().expect("no TLS there").to_string();
    assert!(error.contains("HandshakeFailure"), "{error}");
}

#[test]
fn failed_handshake_ends_with_an_alert() {
    let server = TlsServer::with(|config| config.tls_protocols = TlsProtocols::Tls13);
    let clients = TlsClients::with_versions(&server.files, &[&TLS12]);
    let error = clients.try_connect(server.addr).err().expect("no TLS 1.2");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    server.expect_count("closed_tls_handshake_failed", 1);
    assert_eq!(server.count("tls_handshake_failures"), 1);
    assert_eq!(server.count("tls_handshakes"), 0);
}

#[test]
fn client_without_a_certificate_is_refused_with_an_alert() {
    let server = TlsServer::with(|_| ());
    drop(server);
    let files = Authority::new("the CA").folder();
    let ca = files.ca();
    let server = TlsServer::with(|config| {
        config.tls_auth_clients = TlsAuthClients::Yes;
        config.tls_ca_cert_file = Some(ca);
    });
    let mut peer = server.connect();
    // With TLS 1.3, the client is done before the server has seen its certificate.
    let _ = peer.socket.write_all(b"PING\r\n");
    let error = peer.socket.read(&mut [0; 100]).expect_err("an alert");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    server.expect_count("closed_tls_handshake_failed", 1);
}

// The client's kernel answers the tickets with RST, because nobody reads them.
#[test]
fn tickets_for_a_client_that_has_gone_do_no_harm() {
    let server = TlsServer::start();
    let clients = server.clients.without_resumption();
    for _ in 0..50 {
        let mut peer = clients.connect(server.addr);
        peer.send("SUBSCRIBE gone\r\n");
        drop(peer);
        drop(clients.connect(server.addr));
    }
    server.expect_count("connected_clients", 1);
    assert_eq!(server.count("tls_handshakes"), 100);
    server.connect().ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn maxclients_error_comes_after_the_handshake() {
    let server = TlsServer::with(|config| config.maxclients = 1);
    let mut admitted = server.connect();
    admitted.ask("PING\r\n", "+PONG\r\n");
    for _ in 0..3 {
        let mut refused = server.connect();
        let error = "-ERR max number of clients reached\r\n";
        assert_eq!(expect_orderly_end(&mut refused), error);
    }
    assert_eq!(admitted.count("rejected_connections"), 3);
    assert_eq!(admitted.count("connected_clients"), 1);
}

#[test]
fn clients_beyond_the_slots_for_refusals_are_closed() {
    let server = TlsServer::with(|config| config.maxclients = 1);
    let mut admitted = server.connect();
    admitted.ask("PING\r\n", "+PONG\r\n");
    // Each holds a slot, because it does not begin its handshake.
    let mut silent = Vec::new();
    let mut closed = loop {
        let mut peer = TcpStream::connect(server.addr).expect("it listens");
        let timeout = std::time::Duration::from_millis(20);
        peer.set_read_timeout(Some(timeout)).expect("a timeout");
        match peer.read(&mut [0; 100]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => silent.push(peer),
            end => break end,
        }
        assert!(silent.len() < 1000, "their number is not bounded");
    };
    if let Err(error) = &closed {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        closed = Ok(0);
    }
    assert_eq!(closed.expect("a plain close"), 0);
    assert!(silent.len() > 10, "{}", silent.len());
    admitted.ask("PING\r\n", "+PONG\r\n");
    assert_eq!(admitted.count("connected_clients"), 1);
    // Their end frees the slots.
    drop(silent);
    eventually("a client is refused after its handshake", || {
        let refused = server.clients.try_connect(server.addr);
        refused.is_ok_and(|mut peer| expect_orderly_end(&mut peer).contains("max number"))
    });
}

/// Asserts that `peers`, which do not begin their handshakes, leave slots to others, and give theirs
/// back.
#[cfg(target_os = "linux")]
fn expect_few_slots_for(server: &TlsServer, connect: impl Fn() -> Peer, error: &str) {
    let mut admin = server.server.connect();
    let mut silent: Vec<_> = (0..100).map(|_| connect()).collect();
    eventually("all are refused", || {
        admin.count("rejected_connections") == 100
    });
    for last in 10..30 {
        Peer::connect_from([127, 0, 0, last], server.server.addr).ping();
    }
    // The oldest ones keep their places.
    let is_there = |peer: &mut Peer| {
        peer.socket.set_nonblocking(true).expect("a socket");
        let read = peer.socket.read(&mut [0; 1]);
        read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    eventually("16 are left", || {
        silent.retain_mut(is_there);
        silent.len() <= 16
    });
    drop(silent);
    // More than there are places.
    for _ in 0..20 {
        eventually("a client is told why", || {
            let mut socket = server.clients.over(connect().socket);
            let mut rest = String::new();
            let _ = socket.read_to_string(&mut rest);
            rest.starts_with(error)
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn refused_by_address_take_few_slots() {
    let server = TlsServer::with(|config| {
        config.maxclients = 40;
        config.maxclients_per_address = 1;
    });
    let mut first = Peer::connect_from([127, 0, 0, 9], server.server.addr);
    first.ping();
    let connect = || Peer::connect_from([127, 0, 0, 9], server.addr);
    let error = "-ERR max number of clients from this address reached\r\n";
    expect_few_slots_for(&server, connect, error);
}

#[test]
#[cfg(target_os = "linux")]
fn refused_by_protected_mode_take_few_slots() {
    let server = TlsServer::with(|config| {
        config.maxclients = 40;
        config.proxy_protocol_from = vec!["127.0.0.2".parse().expect("an address")];
    });
    let connect = || {
        let mut peer = Peer::connect_from([127, 0, 0, 2], server.addr);
        peer.send("PROXY TCP4 192.0.2.1 192.0.2.2 1000 6379\r\n");
        peer
    };
    expect_few_slots_for(&server, connect, "-DENIED");
}

#[test]
#[cfg(target_os = "linux")]
fn maxclients_error_comes_after_header_and_handshake() {
    let server = TlsServer::with(|config| {
        config.maxclients = 1;
        config.proxy_protocol_from = vec!["127.0.0.2".parse().expect("an address")];
    });
    let mut admitted = server.connect();
    admitted.ask("PING\r\n", "+PONG\r\n");
    let header = "PROXY TCP4 127.0.0.1 192.0.2.2 1000 6379\r\n";
    for step in [usize::MAX, 1] {
        let mut refused = connect_by_proxy(&server, header, step);
        let error = "-ERR max number of clients reached\r\n";
        assert_eq!(expect_orderly_end(&mut refused), error);
    }
    let mut invalid = Peer::connect_from([127, 0, 0, 2], server.addr);
    invalid.send("PING\r\n");
    assert_eq!(invalid.rest_or(1), "");
    assert_eq!(admitted.count("rejected_connections"), 3);
    assert_eq!(admitted.count("connected_clients"), 1);
}

#[test]
fn peer_that_stops_in_its_handshake_is_closed() {
    let server = TlsServer::with(|config| config.tls_handshake_timeout_s = 1);
    let mut established = server.connect();
    established.ask("PING\r\n", "+PONG\r\n");
    let mut silent = Peer::connect(server.addr);
    let (hello, mut stalled) = client_hello(&server);
    stalled.sock.write_all(&hello[..100]).expect("it is there");
    // It reads the server's flight, and answers nothing.
    let (hello, mut halfway) = client_hello(&server);
    halfway.sock.write_all(&hello).expect("it is there");
    silent.expect_end();
    for mut stream in [stalled, halfway] {
        let mut rest = Vec::new();
        let _ = stream.sock.read_to_end(&mut rest);
    }
    server.expect_count("closed_tls_handshake_timeout", 3);
    // The one that sent nothing has not begun.
    assert_eq!(server.count("tls_handshake_failures"), 2);
    established.ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn peer_that_stops_in_a_record_is_closed() {
    let server = TlsServer::with(|config| config.request_timeout_s = 1);
    let mut idle = server.connect();
    idle.ask("PING\r\n", "+PONG\r\n");
    let mut stalled = server.connect();
    stalled.ask("PING\r\n", "+PONG\r\n");
    stalled
        .socket
        .sock
        .write_all(b"\x17\x03\x03")
        .expect("it is there");
    let error = "-ERR the rest of the request did not come in time\r\n";
    assert_eq!(expect_orderly_end(&mut stalled), error);
    server.expect_count("closed_request_timeout", 1);
    idle.ask("PING\r\n", "+PONG\r\n");
}

// More bytes follow, which are not read: a close at once would send RST, and the alert could be
// lost.
#[test]
fn invalid_record_is_answered_with_an_alert() {
    let server = TlsServer::start();
    for _ in 0..20 {
        let mut peer = server.connect();
        peer.ask("PING\r\n", "+PONG\r\n");
        let record = [&[23, 3, 3, 0, 100][..], &[0; 100]].concat();
        let _ = peer.socket.sock.write_all(&record.repeat(5000));
        let error = peer.socket.read(&mut [0; 100]).expect_err("an alert");
        assert!(error.to_string().contains("BadRecordMac"), "{error}");
    }
    server.expect_count("closed_tls_record", 20);
}

#[test]
fn incomplete_record_counts_as_memory() {
    let server = TlsServer::start();
    let mut peer = server.connect();
    peer.ask("PING\r\n", "+PONG\r\n");
    let mut admin = server.server.connect();
    let mut input_bytes = || admin.count("client_recent_max_input_buffer");
    let mut records = Vec::new();
    let request = format!("ECHO {}\r\n", "x".repeat(16_000));
    let writer = &mut peer.socket.conn.writer();
    writer.write_all(request.as_bytes()).expect("room");
    while peer.socket.conn.wants_write() {
        peer.socket.conn.write_tls(&mut records).expect("memory");
    }
    let (last, most) = records.split_last().expect("a record");
    peer.socket.sock.write_all(most).expect("it is there");
    eventually("the record is counted", || input_bytes() >= 16_000);
    peer.socket.sock.write_all(&[*last]).expect("it is there");
    assert!(peer.line().starts_with("$16000"));
    eventually("it is not counted any more", || input_bytes() < 16_000);
}

#[test]
fn many_handshakes_at_once_all_end() {
    // On a busy machine, some wait for longer than the default of 10 s.
    let server = TlsServer::with(|config| config.tls_handshake_timeout_s = 60);
    let clients = server.clients.without_resumption();
    let addr = server.addr;
    let threads = [(); 8].map(|()| {
        let clients = clients.clone();
        thread::spawn(move || {
            // All flights of a thread are on their way before it reads an answer.
            let mut streams: Vec<_> = (0..25)
                .map(|_| clients.over(TcpStream::connect(addr).expect("it listens")))
                .collect();
            for stream in &mut streams {
                stream.conn.write_tls(&mut stream.sock).expect("a socket");
            }
            for socket in streams {
                Peer { socket }.ask("PING\r\n", "+PONG\r\n");
            }
        })
    });
    for thread in threads {
        thread.join().expect("each is served");
    }
    assert_eq!(server.count("tls_handshakes"), 200);
    assert_eq!(server.count("tls_handshakes_waiting"), 0);
    server.expect_count("connected_clients", 1);
}

// The commands keep both workers busy until all peers have left.
#[test]
fn peers_that_have_left_get_no_flight() {
    let server = TlsServer::with(|config| config.enable_debug_command = DebugAccess::Yes);
    let mut sleepers = [(); 2].map(|()| server.server.connect());
    for sleeper in &mut sleepers {
        sleeper.ping();
        sleeper.send("DEBUG SLEEP 1\r\n");
    }
    let left: Vec<_> = (0..200)
        .map(|_| {
            let (hello, mut stream) = client_hello(&server);
            stream.sock.write_all(&hello).expect("it is there");
            let half = std::net::Shutdown::Write;
            stream.sock.shutdown(half).expect("a socket");
            stream
        })
        .collect();
    for sleeper in &mut sleepers {
        sleeper.expect("+OK\r\n");
    }
    drop(sleepers);
    server.expect_count("connected_clients", 1);
    let flights = server.count("tls_handshake_failures");
    assert!(flights < 100, "{flights} flights");
    drop(left);
}

#[test]
fn messages_reach_an_idle_subscriber() {
    let server = TlsServer::start();
    let mut subscriber = server.connect();
    let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
    subscriber.ask("SUBSCRIBE c\r\n", confirmation);
    let mut publisher = server.connect();
    for _ in 0..3 {
        publisher.ask("PUBLISH c hello\r\n", ":1\r\n");
        subscriber.expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n");
    }
}

/// Connects from 127.0.0.2, and sends `header` and the handshake, in pieces of `step` bytes at
/// first.
#[cfg(target_os = "linux")]
fn connect_by_proxy(server: &TlsServer, header: &str, step: usize) -> Peer<TlsStream> {
    let socket = Peer::connect_from([127, 0, 0, 2], server.addr).socket;
    let mut socket = server.clients.over(socket);
    let mut bytes = header.as_bytes().to_vec();
    socket.conn.write_tls(&mut bytes).expect("it is memory");
    for piece in bytes.chunks(step) {
        socket.sock.write_all(piece).expect("it is there");
    }
    while socket.conn.is_handshaking() {
        let TlsStream { conn, sock, .. } = &mut socket;
        conn.complete_io(sock).expect("a handshake");
    }
    Peer { socket }
}

#[test]
#[cfg(target_os = "linux")]
fn header_of_a_proxy_comes_before_the_handshake() {
    let server = TlsServer::with(|config| {
        config.proxy_protocol_from = vec!["127.0.0.2".parse().expect("an address")];
        config.protected_mode = false;
        config.maxclients_per_address = 1;
    });
    let header = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 6379\r\n";
    for step in [usize::MAX, 1] {
        let mut peer = connect_by_proxy(&server, header, step);
        let line = peer.answer("CLIENT INFO");
        assert!(line.contains(" addr=192.0.2.1:1000 "), "{line}");
        let mut other = connect_by_proxy(&server, header, usize::MAX);
        other.expect("-ERR max number of clients from this address reached\r\n");
        expect_orderly_end(&mut other);
        drop(peer);
        server.expect_count("connected_clients", 1);
    }
    // Without the header, the first byte of the handshake is refused.
    let mut plain = Peer::connect_from([127, 0, 0, 2], server.addr);
    plain.send([22, 3, 1, 0, 100]);
    plain.expect("-ERR a PROXY header is required from this address\r\n");
    plain.expect_end();
    drop(plain);
    server.expect_count("closed_proxy_header", 1);
}
