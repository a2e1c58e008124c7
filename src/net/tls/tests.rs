//! TLS in memory, against rustls as the client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, LazyLock};

use respool_testing::certificates::{Authority, Pair};
use rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::*;
use crate::net::connection::Connection;

type Versions = &'static [&'static SupportedProtocolVersion];

static ONLY_12: Versions = &[&TLS12];
static ONLY_13: Versions = &[&TLS13];

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new("the CA"));
static SERVER: LazyLock<Pair> = LazyLock::new(|| AUTHORITY.server());

fn server_config(versions: Versions) -> ServerConfig {
    let certificate = CertificateDer::from_pem_slice(SERVER.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(SERVER.key.as_bytes());
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has both versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate")],
            key.expect("a key"),
        )
        .expect("a pair")
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(authority.certificate().as_bytes());
    roots.add(ca.expect("a certificate")).expect("a CA");
    roots
}

fn client_trusting(authority: &Authority, versions: Versions) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("ring has both versions")
        .with_root_certificates(roots(authority))
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    config
}

fn client_config(versions: Versions) -> ClientConfig {
    client_trusting(&AUTHORITY, versions)
}

/// A server and a client, and the buffer of the worker.
struct Ends {
    server: TlsState,
    client: ClientConnection,
    buffer: Vec<u8>,
}

impl Ends {
    fn new(server: ServerConfig, client: ClientConfig) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(client), name);
        Self {
            server: TlsState::new(Arc::new(server)).expect("a session"),
            client: client.expect("a session"),
            buffer: vec![0; 128 * 1024],
        }
    }

    fn handshaked(versions: Versions) -> Self {
        let mut ends = Self::new(server_config(versions), client_config(versions));
        ends.handshake(usize::MAX)
            .expect("they understand each other");
        ends
    }

    /// Exchanges flights until both have finished. The server reads at most `step` bytes at a time.
    fn handshake(&mut self, step: usize) -> Result<(), TlsError> {
        while self.client.is_handshaking() || self.server.is_handshaking() {
            let flight = self.client_sends();
            assert!(!flight.is_empty(), "both wait");
            for piece in flight.chunks(step) {
                let (result, output) = self.receive(piece);
                self.client_reads(&output);
                assert_eq!(result?, b"");
            }
        }
        Ok(())
    }

    /// Returns what the client has to send.
    fn client_sends(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("it is memory");
        }
        bytes
    }

    /// Returns the records of a request.
    fn request(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        // rustls buffers at most 64 KiB.
        for piece in plaintext.chunks(32 * 1024) {
            let writer = &mut self.client.writer();
            writer.write_all(piece).expect("it is memory");
            records.extend(self.client_sends());
        }
        records
    }

    fn receive(&mut self, bytes: &[u8]) -> (Result<Vec<u8>, TlsError>, Vec<u8>) {
        let mut output = Vec::new();
        let start = self.server.begin_read(&mut self.buffer);
        self.buffer[start..start + bytes.len()].copy_from_slice(bytes);
        let filled = start + bytes.len();
        let length = self.server.receive(&mut self.buffer, filled, &mut output);
        (length.map(|length| self.buffer[..length].to_vec()), output)
    }

    /// Returns the plaintext of `bytes`, to which TLS itself has no answer.
    fn plaintext(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (plaintext, output) = self.receive(bytes);
        assert_eq!(output, b"");
        plaintext.expect("the records are right")
    }

    /// Returns what the client reads of `bytes`.
    fn client_reads(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plaintext = Vec::new();
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).expect("it is memory");
            let state = self.client.process_new_packets().expect("no alert");
            let mut read = vec![0; state.plaintext_bytes_to_read()];
            let reader = &mut self.client.reader();
            reader.read_exact(&mut read).expect("they are there");
            plaintext.append(&mut read);
        }
        plaintext
    }

    fn reply(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        let encrypted = self.server.encrypt(plaintext, &mut records);
        encrypted.expect("the handshake is done");
        records
    }
}

#[test]
fn handshake_and_requests_in_both_versions() {
    for versions in [ONLY_12, ONLY_13] {
        let mut ends = Ends::handshaked(versions);
        let request = ends.request(b"PING\r\n");
        assert_eq!(ends.plaintext(&request), b"PING\r\n");
        let reply = ends.reply(b"+PONG\r\n");
        assert_eq!(ends.client_reads(&reply), b"+PONG\r\n");
        assert_eq!(ends.server.partial.capacity(), 0);
    }
}

#[test]
fn records_arrive_byte_by_byte() {
    for versions in [ONLY_12, ONLY_13] {
        let mut ends = Ends::new(server_config(versions), client_config(versions));
        ends.handshake(1).expect("they understand each other");
        let request = ends.request(b"PING\r\n");
        let (last, rest) = request.split_last().expect("a record");
        for byte in rest {
            assert_eq!(ends.plaintext(&[*byte]), b"");
        }
        assert_eq!(ends.server.partial.len(), rest.len());
        assert_eq!(ends.plaintext(&[*last]), b"PING\r\n");
        assert_eq!(ends.server.partial.capacity(), 0);
    }
}

#[test]
fn records_in_one_read_are_all_decrypted() {
    let mut ends = Ends::handshaked(ONLY_13);
    let mut records = Vec::new();
    let mut wanted = String::new();
    for number in 0..1000 {
        let request = format!("ECHO {number}\r\n");
        records.extend(ends.request(request.as_bytes()));
        wanted.push_str(&request);
    }
    assert_eq!(ends.plaintext(&records), wanted.as_bytes());
}

#[test]
fn record_is_split_over_reads() {
    let mut ends = Ends::handshaked(ONLY_13);
    let mut records = ends.request(b"first");
    let first_length = records.len();
    records.extend(ends.request(b"second"));
    for split in 1..records.len() {
        let mut ends = Ends::handshaked(ONLY_13);
        let mut records = ends.request(b"first");
        records.extend(ends.request(b"second"));
        let (one, other) = records.split_at(split);
        let wanted: &[u8] = if split < first_length { b"" } else { b"first" };
        assert_eq!(ends.plaintext(one), wanted);
        assert_eq!([wanted, &ends.plaintext(other)].concat(), b"firstsecond");
    }
}

#[test]
fn plaintext_is_several_records_long() {
    for versions in [ONLY_12, ONLY_13] {
        let mut ends = Ends::handshaked(versions);
        let text: Vec<_> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
        let request = ends.request(&text);
        assert!(ends.plaintext(&request) == text);
        let reply = ends.reply(&text);
        assert!(ends.client_reads(&reply) == text);
    }
}

#[test]
fn plaintext_after_the_handshake_comes_in_the_same_read() {
    let mut ends = Ends::new(server_config(ONLY_13), client_config(ONLY_13));
    let hello = ends.client_sends();
    let (_, output) = ends.receive(&hello);
    ends.client_reads(&output);
    let mut last = ends.client_sends();
    last.extend(ends.request(b"PING\r\n"));
    let (plaintext, _) = ends.receive(&last);
    assert_eq!(plaintext.expect("the handshake is done"), b"PING\r\n");
    assert!(!ends.server.is_handshaking());
}

#[test]
fn plaintext_is_kept_until_it_is_taken() {
    let mut ends = Ends::handshaked(ONLY_13);
    ends.server.keep_plaintext(b"PING\r\n");
    assert_eq!(ends.server.take_plaintext(&mut ends.buffer), 6);
    assert_eq!(ends.buffer[..6], *b"PING\r\n");
    assert_eq!(ends.server.take_plaintext(&mut ends.buffer), 0);
}

#[test]
fn close_notify_goes_both_ways() {
    for versions in [ONLY_12, ONLY_13] {
        let mut ends = Ends::handshaked(versions);
        let mut records = ends.request(b"PING\r\n");
        ends.client.send_close_notify();
        records.extend(ends.client_sends());
        // Bytes after close_notify do not count.
        records.extend(b"\x17\x03\x03");
        assert!(!ends.server.has_peer_closed());
        assert_eq!(ends.plaintext(&records), b"PING\r\n");
        assert!(ends.server.has_peer_closed());
        assert_eq!(ends.server.partial.capacity(), 0);
        // The other direction stays open.
        let reply = ends.reply(b"+PONG\r\n");
        assert_eq!(ends.client_reads(&reply), b"+PONG\r\n");
        let mut output = Vec::new();
        ends.server.close(&mut output);
        ends.client
            .read_tls(&mut &output[..])
            .expect("it is memory");
        let state = ends.client.process_new_packets().expect("no alert");
        assert!(state.peer_has_closed());
    }
}

#[test]
fn key_update_is_answered() {
    let mut ends = Ends::handshaked(ONLY_13);
    ends.client.refresh_traffic_keys().expect("TLS 1.3");
    let mut records = ends.client_sends();
    records.extend(ends.request(b"PING\r\n"));
    assert_eq!(ends.receive(&records).0.expect("new keys"), b"PING\r\n");
    let reply = ends.reply(b"+PONG\r\n");
    assert_eq!(ends.client_reads(&reply), b"+PONG\r\n");
}

#[test]
fn tickets_are_sent_and_used() {
    let mut server = server_config(ONLY_13);
    server.ticketer = ring::Ticketer::new().expect("a ticketer");
    let (server, client) = (Arc::new(server), Arc::new(client_config(ONLY_13)));
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let mut ends = Ends::new((*server).clone(), (*client).clone());
        ends.handshake(usize::MAX)
            .expect("they understand each other");
        kinds.push(ends.client.handshake_kind().expect("it is done"));
    }
    assert_eq!(kinds[1], rustls::HandshakeKind::Resumed, "{kinds:?}");
}

#[test]
fn plain_bytes_are_recognised() {
    for bytes in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"\0", b"G"] {
        let mut ends = Ends::new(server_config(ONLY_13), client_config(ONLY_13));
        let (result, output) = ends.receive(bytes);
        assert!(matches!(result, Err(TlsError::NotTls)), "{result:?}");
        assert_eq!(output, b"");
        ends.server.close(&mut Vec::new());
    }
}

/// Hands the server the client's flights until it refuses. Returns the error and the last output.
fn refused(server: ServerConfig, client: ClientConfig) -> (String, Vec<u8>) {
    let mut ends = Ends::new(server, client);
    loop {
        let flight = ends.client_sends();
        let (result, output) = ends.receive(&flight);
        match result {
            Err(error) => {
                // It must not fail again.
                ends.server.close(&mut Vec::new());
                return (error.to_string(), output);
            }
            Ok(_) => _ = ends.client_reads(&output),
        }
    }
}

#[test]
fn failed_handshake_sends_an_alert() {
    let (error, output) = refused(server_config(ONLY_13), client_config(ONLY_12));
    assert!(error.contains("incompatible"), "{error}");
    // A fatal protocol_version.
    assert_eq!(output[5..], [2, 70]);
    assert_eq!(output[0], 21);
}

#[test]
fn missing_client_certificate_sends_an_alert() {
    let provider = Arc::new(ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(&AUTHORITY)),
        Arc::clone(&provider),
    );
    let server = server_config(ONLY_13);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(ONLY_13)
        .expect("ring has it")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_cert_resolver(Arc::clone(&server.cert_resolver));
    let (error, output) = refused(config, client_config(ONLY_13));
    assert!(error.contains("certificate"), "{error}");
    assert!(!output.is_empty());
}

#[test]
fn alert_of_the_client_ends_the_handshake() {
    let other = Authority::new("another CA");
    let client = client_trusting(&other, ONLY_13);
    let mut ends = Ends::new(server_config(ONLY_13), client);
    let hello = ends.client_sends();
    let (_, output) = ends.receive(&hello);
    ends.client
        .read_tls(&mut &output[..])
        .expect("it is memory");
    ends.client.process_new_packets().expect_err("no such CA");
    let alert = ends.client_sends();
    let (result, output) = ends.receive(&alert);
    let error = result.expect_err("it was an alert").to_string();
    assert_eq!(error, "received fatal alert: UnknownCA");
    assert_eq!(output, b"");
}

// A peer that sends little plaintext in many bytes must not get a longer turn for it.
#[test]
fn bytes_around_the_plaintext_count_for_the_budget() {
    let mut ends = Ends::handshaked(ONLY_13);
    let mut records = Vec::new();
    while records.len() < 64 * 1024 {
        records.extend(ends.request(b"x"));
    }
    let (socket, mut peer) = UnixStream::pair().expect("two sockets");
    peer.write_all(&records).expect("the socket has room");
    socket.set_nonblocking(true).expect("a socket");
    let mut connection = Connection::new(socket.into());
    connection.start_tls(ends.server);
    let mut buffer = vec![0; BUFFER_BYTES_MIN + 1];
    let count = connection.read(&mut buffer).expect("records");
    let count = count.expect("they are there");
    assert!(count > 1000 && buffer[..count].iter().all(|&byte| byte == b'x'));
    let mut counted = count + connection.take_overhead();
    assert_eq!(counted, buffer.len() - GAP_BYTES);
    assert_eq!(connection.take_overhead(), 0);
    // There is more, and no event will tell.
    assert!(!connection.is_drained(count, buffer.len()));
    // Also a read that does not fill the buffer counts.
    while let Some(count) = connection.read(&mut buffer).expect("records") {
        counted += count + connection.take_overhead();
    }
    assert_eq!(counted, records.len());
}

/// Makes records of a client that no client of rustls sends.
struct Forger {
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Forger {
    /// Takes over from the client of `ends`. Returns the server's side with it.
    fn new(ends: Ends) -> (TlsState, Vec<u8>, Self) {
        let Ends {
            server,
            client,
            buffer,
        } = ends;
        let suite = client.negotiated_cipher_suite().expect("it is done");
        let secrets = client.dangerous_extract_secrets().expect("allowed");
        let (sequence, ConnectionTrafficSecrets::Aes256Gcm { key, iv }) = secrets.tx else {
            panic!("the first choice is AES-256-GCM");
        };
        let encrypter = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
            SupportedCipherSuite::Tls12(suite) => {
                let iv = iv.as_ref();
                suite.aead_alg.encrypter(key, &iv[..4], &iv[4..])
            }
        };
        let forger = Self {
            encrypter,
            sequence,
        };
        (server, buffer, forger)
    }

    fn record(&mut self, typ: ContentType, plaintext: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_2,
            payload: plaintext.into(),
        };
        let record = self.encrypter.encrypt(message, self.sequence);
        self.sequence += 1;
        record.expect("a record").encode()
    }
}

/// Hands one record to the server. Returns the length of the plaintext, and the output.
fn hand(
    server: &mut TlsState,
    buffer: &mut [u8],
    record: &[u8],
) -> (Result<usize, TlsError>, Vec<u8>) {
    let mut output = Vec::new();
    let start = server.begin_read(buffer);
    buffer[start..start + record.len()].copy_from_slice(record);
    let result = server.receive(buffer, start + record.len(), &mut output);
    (result, output)
}

#[test]
fn endless_empty_records_are_refused() {
    let (mut server, mut buffer, mut forger) = Forger::new(Ends::handshaked(ONLY_13));
    let error = (0..100).find_map(|_| {
        let record = forger.record(ContentType::ApplicationData, b"");
        hand(&mut server, &mut buffer, &record).0.err()
    });
    let error = error.expect("100 are too many").to_string();
    assert!(error.contains("TooManyEmptyFragments"), "{error}");
}

#[test]
fn endless_handshake_message_is_refused() {
    let (mut server, mut buffer, mut forger) = Forger::new(Ends::handshaked(ONLY_13));
    // The header of a message of 60,000 bytes, and then pieces of it.
    let first = forger.record(ContentType::Handshake, &[24, 0, 0xea, 0x60]);
    assert_eq!(hand(&mut server, &mut buffer, &first).0.ok(), Some(0));
    let error = (0..60_000).find_map(|_| {
        let record = forger.record(ContentType::Handshake, b"x");
        let (result, _) = hand(&mut server, &mut buffer, &record);
        assert!(server.partial.len() <= PARTIAL_BYTES_MAX);
        result.err()
    });
    assert!(matches!(error, Some(TlsError::TooLong)), "{error:?}");
}

#[test]
fn key_update_in_pieces_leaves_output_possible() {
    let (mut server, mut buffer, mut forger) = Forger::new(Ends::handshaked(ONLY_13));
    let first = forger.record(ContentType::Handshake, &[24, 0, 0]);
    assert_eq!(hand(&mut server, &mut buffer, &first).0.ok(), Some(0));
    let mut output = Vec::new();
    server.encrypt(b"+PONG\r\n", &mut output).expect("it can");
    assert!(!output.is_empty());
    let second = forger.record(ContentType::Handshake, &[1, 0]);
    assert_eq!(hand(&mut server, &mut buffer, &second).0.ok(), Some(0));
    assert_eq!(server.partial.capacity(), 0);
}

#[test]
fn renegotiation_is_refused() {
    let mut ends = Ends::new(server_config(ONLY_12), client_config(ONLY_12));
    let hello = ends.client_sends();
    let (_, output) = ends.receive(&hello);
    ends.client_reads(&output);
    ends.handshake(usize::MAX)
        .expect("they understand each other");
    let (mut server, mut buffer, mut forger) = Forger::new(ends);
    // The first is answered with a warning, no_renegotiation; the second ends the connection.
    let again = forger.record(ContentType::Handshake, &hello[5..]);
    let (result, output) = hand(&mut server, &mut buffer, &again);
    assert_eq!((result.ok(), output[0]), (Some(0), 21));
    let again = forger.record(ContentType::Handshake, &hello[5..]);
    let error = hand(&mut server, &mut buffer, &again).0.expect_err("twice");
    assert!(error.to_string().contains("Renegotiation"), "{error}");
}

#[test]
fn broken_record_sends_an_alert() {
    let mut ends = Ends::handshaked(ONLY_13);
    let mut records = ends.request(b"PING\r\n");
    *records.last_mut().expect("a record") ^= 1;
    let (result, output) = ends.receive(&records);
    let error = result.expect_err("it was changed").to_string();
    assert_eq!(error, "cannot decrypt peer's message");
    assert!(!output.is_empty());
    let mut output = Vec::new();
    ends.server.close(&mut output);
    assert_eq!(output, b"");
}
