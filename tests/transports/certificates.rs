//! Certificates of a running server, and which clients they let in. `swaps.rs` swaps them under
//! load.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use respool::config::{TlsAuthClients, TlsProtocols};
use respool::{Commands, Config, Listener, Server};
use respool_testing::certificates::{Authority, Folder};
use respool_testing::tls::{TlsClients, der};
use respool_testing::{TestServer, config, eventually};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, ServerConfig};

/// A server with a plain socket and one for TLS, which has this address.
fn serve(change: impl FnOnce(&mut Config)) -> (TestServer, SocketAddr) {
    let (server, tls) = bind(change);
    (TestServer::serve(server), tls)
}

fn bind(change: impl FnOnce(&mut Config)) -> (Server, SocketAddr) {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (tls, plain) = (listen(), listen());
    let addr = tls.local_addr().expect("it listens");
    let mut config = Config {
        tls_port: addr.port(),
        tls_auth_clients: TlsAuthClients::No,
        ..config(2)
    };
    change(&mut config);
    let server = Server::from_listeners([tls, plain], config, Commands::builtin());
    (server.expect("the files are right"), addr)
}

#[test]
fn listener_for_tls_needs_no_tls_port() {
    let folder = Authority::new("the CA").folder();
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let (tls, plain) = (listen(), listen());
    let addr = tls.local_addr().expect("it listens");
    let mut config = Config {
        tls_auth_clients: TlsAuthClients::No,
        ..config(2)
    };
    set_files(&mut config, &folder);
    let listeners = [Listener::Tls(tls), Listener::from(plain)];
    let server = Server::from_listeners(listeners, config, Commands::builtin());
    let server = server.expect("the files are right");
    // Plain ones first.
    assert_eq!(server.local_addrs()[1], addr);
    let server = TestServer::serve(server);
    server.connect().ping();
    assert!(is_let_in(&TlsClients::anonymous(&folder), addr));
}

/// The program has set no `tls_port`, so the error must not ask for a change of it.
#[test]
fn listener_for_tls_needs_a_certificate() {
    let folder = Authority::new("the CA").folder();
    let start = |config| {
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let listeners = [Listener::Tls(tls)];
        let server = Server::from_listeners(listeners, config, Commands::builtin())?;
        server.spawn()
    };
    let without_files = config(2);
    let without_key = Config {
        tls_cert_file: Some(folder.server_certificate()),
        ..config(2)
    };
    for (config, key) in [
        (without_files, "tls-cert-file"),
        (without_key, "tls-key-file"),
    ] {
        let missing = start(config).expect_err("a file is missing");
        assert_eq!(
            missing.to_string(),
            format!("`{key}`: a socket for TLS needs it: write the path of a file in PEM")
        );
    }
}

fn set_files(config: &mut Config, folder: &Folder) {
    config.tls_cert_file = Some(folder.server_certificate());
    config.tls_key_file = Some(folder.server_key());
}

fn certificate_in(folder: &Folder) -> Vec<u8> {
    let text = fs::read_to_string(folder.server_certificate());
    der(&text.expect("a file"))
}

/// Connects and pings. An error of the server may come after the client's part of the handshake.
fn is_let_in(clients: &TlsClients, addr: SocketAddr) -> bool {
    clients.try_connect(addr).is_ok_and(|mut peer| {
        peer.send("PING\r\n");
        let mut reply = [0; 7];
        let read = std::io::Read::read_exact(&mut peer.socket, &mut reply);
        read.is_ok() && &reply == b"+PONG\r\n"
    })
}

#[test]
fn addresses_for_tls_come_after_the_plain_ones() {
    let folder = Authority::new("the CA").folder();
    let (server, tls) = bind(|config| set_files(config, &folder));
    assert_eq!(server.local_addrs().len(), 2);
    assert_eq!(server.local_addrs()[1], tls);
}

#[test]
fn changed_files_reach_new_clients_and_old_ones_stay() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let (_server, addr) = serve(|config| {
        set_files(config, &folder);
        config.tls_auto_reload_interval_s = 1;
    });
    let clients = TlsClients::anonymous(&folder).without_resumption();
    let mut old = clients.connect(addr);
    folder.write_server(&authority.server());
    let new = certificate_in(&folder);
    eventually("the new certificate is served", || {
        clients.connect(addr).server_certificate() == new
    });
    old.ask("PING\r\n", "+PONG\r\n");
    assert_ne!(old.server_certificate(), new);
}

#[test]
fn sessions_are_resumed_until_the_certificates_change() {
    let folder = Authority::new("the CA").folder();
    for version in [&TLS12, &TLS13] {
        let (server, addr) = serve(|config| set_files(config, &folder));
        let clients = TlsClients::with_versions(&folder, &[version]);
        let kind = || {
            let mut peer = clients.connect(addr);
            // The ticket of TLS 1.3 comes before the reply.
            peer.ask("PING\r\n", "+PONG\r\n");
            peer.socket.conn.handshake_kind()
        };
        assert_eq!(kind(), Some(HandshakeKind::Full));
        assert_eq!(kind(), Some(HandshakeKind::Resumed));
        let same = server.handle.config();
        server
            .handle
            .reconfigure(&same)
            .expect("the files are right");
        assert_eq!(kind(), Some(HandshakeKind::Full));
        assert_eq!(kind(), Some(HandshakeKind::Resumed));
        let mut admin = server.connect();
        admin.ask("CONFIG SET tls-session-caching no\r\n", "+OK\r\n");
        for _ in 0..2 {
            assert_eq!(kind(), Some(HandshakeKind::Full));
        }
    }
}

#[test]
fn clients_need_a_certificate_of_the_ca_if_asked() {
    let authority = Authority::new("the CA");
    let folder = authority.folder();
    let authorities = folder.scratch().path().join("authorities");
    folder
        .scratch()
        .file_in("authorities/5ed36f99.0", &authority.certificate());
    let (server, addr) = serve(|config| {
        set_files(config, &folder);
        config.tls_ca_cert_dir = Some(authorities);
    });
    let anonymous = TlsClients::anonymous(&folder);
    let known = TlsClients::with_certificate(&folder);
    let stranger = Authority::new("another CA").client("a client");
    folder
        .scratch()
        .file_in("client.pem", &stranger.certificate);
    folder.scratch().file_in("client.key", &stranger.key);
    let unknown = TlsClients::with_certificate(&folder);
    let mut admin = server.connect();
    for (asked, expected) in [
        ("no", [true, true, true]),
        ("optional", [true, true, false]),
        ("yes", [false, true, false]),
    ] {
        admin.ask(
            format!("CONFIG SET tls-auth-clients {asked}\r\n"),
            "+OK\r\n",
        );
        let clients = [&anonymous, &known, &unknown];
        let let_in = clients.map(|clients| is_let_in(&clients.without_resumption(), addr));
        assert_eq!(let_in, expected, "{asked}");
    }
}

#[test]
fn protocols_are_those_of_the_configuration() {
    let folder = Authority::new("the CA").folder();
    for (protocols, expected) in [
        (TlsProtocols::Tls12, [true, false]),
        (TlsProtocols::Tls13, [false, true]),
        (TlsProtocols::Both, [true, true]),
    ] {
        let (_server, addr) = serve(|config| {
            set_files(config, &folder);
            config.tls_protocols = protocols;
        });
        let let_in = [&TLS12, &TLS13]
            .map(|version| is_let_in(&TlsClients::with_versions(&folder, &[version]), addr));
        assert_eq!(let_in, expected, "{protocols}");
    }
}

#[test]
fn program_may_bring_its_own_certificates() {
    let folder = Authority::new("the CA").folder();
    let (server, _) = bind(|_| ());
    let missing = server.spawn().expect_err("there is no certificate");
    let text = missing.to_string();
    assert!(
        text.starts_with("`tls-cert-file`: `tls-port` needs it"),
        "{text}"
    );

    let (server, addr) = bind(|_| ());
    let server = TestServer::serve(server.with_tls(Arc::new(server_config(&folder))));
    let peer = TlsClients::anonymous(&folder).connect(addr);
    assert_eq!(peer.server_certificate(), certificate_in(&folder));
    let mut admin = server.connect();
    admin.ask(
        "CONFIG SET tls-cert-file x\r\n",
        "-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - the program that \
         runs the server has set its own certificates\r\n",
    );
    admin.ask("CONFIG SET tls-cert-file \"\"\r\n", "+OK\r\n");
}

/// A server that was asked for TLS must not speak in plain text.
#[test]
fn tls_without_a_socket_for_it_does_not_start() {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let folder = Authority::new("the CA").folder();
    // It is in use, so no other socket gets its port.
    let other = listen();
    let mut other_port = Config {
        tls_port: other.local_addr().expect("it listens").port(),
        ..config(1)
    };
    set_files(&mut other_port, &folder);
    let server = Server::from_listeners([listen()], other_port, Commands::builtin());
    let text = server.expect_err("no socket speaks TLS").to_string();
    assert!(
        text.starts_with("`tls-port`: no socket that was given has this port; "),
        "{text}"
    );

    let server = Server::bind(config(1), Commands::builtin()).expect("it listens");
    let error = server.with_tls(Arc::new(server_config(&folder))).spawn();
    let text = error.expect_err("no socket speaks TLS").to_string();
    let start =
        "`tls-port`: `Server::with_tls` was called, but no socket speaks TLS: set `tls-port`";
    assert!(text.starts_with(start), "{text}");
}

fn server_config(folder: &Folder) -> ServerConfig {
    let key = fs::read(folder.server_key()).expect("a file");
    let key = PrivateKeyDer::from_pem_slice(&key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has their ciphers")
        .with_no_client_auth()
        .with_single_cert(vec![certificate_in(folder).into()], key)
        .expect("a pair")
}
