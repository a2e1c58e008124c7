//! Properties of TLS in bytes: a peer sends anything, or damages the records of a real client.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};

use crate::net::tls::{TlsError, TlsState};

/// The settings of a server, and of its clients for each version of TLS.
#[derive(Debug)]
pub struct TlsSettings {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 2],
}

impl TlsSettings {
    /// Takes a CA, and the certificate and key of a server at `localhost`, as PEM text.
    ///
    /// # Panics
    ///
    /// Panics if they are not a CA and a pair that it has signed.
    #[must_use]
    pub fn new(ca: &str, pair_certificate: &str, key: &str) -> Self {
        let certificate =
            |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has both versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate(pair_certificate)], key);
        let mut roots = RootCertStore::empty();
        roots.add(certificate(ca)).expect("a CA");
        Self {
            server: Arc::new(server.expect("a pair")),
            clients: [&TLS13, &TLS12].map(|version| client(version, roots.clone())),
        }
    }
}

fn client(version: &'static SupportedProtocolVersion, roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("ring has both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // So that a run does not depend on earlier ones.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Runs a script after a byte that chooses the version of TLS: see [`Step`].
///
/// The server never receives plaintext that the client did not send, in its order, whatever becomes
/// of the records, and the client likewise. If they are not damaged, both receive all of it. The
/// server keeps at most 64 KiB for later, and sends little for what it receives.
///
/// # Panics
///
/// Panics if a property does not hold.
pub fn tls(settings: &TlsSettings, bytes: &[u8]) {
    let mut script = Script(bytes);
    let version = usize::from(script.byte().unwrap_or(0)) % 2;
    let mut ends = Ends::new(&settings.server, &settings.clients[version]);
    let played = script.try_for_each(|step| ends.play(&step));
    ends.finish(played);
}

/// The steps of a script. Each takes a byte for its kind, and one or two for its numbers.
struct Script<'a>(&'a [u8]);

enum Step<'a> {
    /// The client sends plaintext of this length.
    Write(usize),
    /// The server receives what the client has sent, in pieces of this length.
    Deliver(usize),
    /// A byte on the way is changed.
    Change { position: usize, mask: u8 },
    /// The last bytes on the way are lost.
    Lose(usize),
    /// What is on the way comes twice.
    Repeat,
    /// These bytes are added to those on the way.
    Insert(&'a [u8]),
    /// The client changes its keys, and asks the server to do so.
    ChangeKeys,
    /// The client sends `close_notify`.
    Close,
    /// The server sends plaintext of this length.
    Reply(usize),
}

impl<'a> Iterator for Script<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let kind = self.byte()?;
        let number = self.byte().unwrap_or(0);
        Some(match kind % 9 {
            0 => Step::Write(usize::from(number) * 67),
            1 => Step::Deliver(usize::from(number) * 16 + 1),
            2 => Step::Change {
                position: usize::from(number) * 256 + usize::from(self.byte().unwrap_or(0)),
                mask: kind | 1,
            },
            3 => Step::Lose(number.into()),
            4 => Step::Repeat,
            5 => {
                let (bytes, rest) = self.0.split_at(self.0.len().min(number.into()));
                self.0 = rest;
                Step::Insert(bytes)
            }
            6 => Step::ChangeKeys,
            7 => Step::Close,
            _ => Step::Reply(usize::from(number) * 67),
        })
    }
}

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }
}

/// A server, a client, and what is on the way between them.
struct Ends {
    server: TlsState,
    client: ClientConnection,
    /// As a worker has it.
    buffer: Vec<u8>,
    /// From the client to the server.
    way: Vec<u8>,
    is_damaged: bool,
    /// Whether the client has sent `close_notify`.
    is_closed: bool,
    key_changes: u32,
    /// The position in `buffer` of the first byte that a server without partial bytes receives.
    start: usize,
    from_client: Flow,
    from_server: Flow,
}

/// Plaintext in one direction: bytes that count up, so that only their number matters.
#[derive(Default)]
struct Flow {
    sent: usize,
    received: usize,
}

impl Flow {
    /// Returns the next plaintext, which counts as sent once [`Self::sent`] is increased.
    fn next(&self, length: usize) -> Vec<u8> {
        (self.sent..self.sent + length)
            .map(|position| (position % 251) as u8)
            .collect()
    }

    fn receive(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            assert_eq!(byte, (self.received % 251) as u8, "at {}", self.received);
            self.received += 1;
        }
        assert!(self.received <= self.sent, "more than was sent");
    }
}

impl Ends {
    fn new(server: &Arc<ServerConfig>, client: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::clone(client), name).expect("a client");
        let server = TlsState::new(Arc::clone(server)).expect("a server");
        let mut buffer = vec![0; 128 * 1024];
        Self {
            start: server.begin_read(&mut buffer),
            server,
            client,
            buffer,
            way: Vec::new(),
            is_damaged: false,
            is_closed: false,
            key_changes: 0,
            from_client: Flow::default(),
            from_server: Flow::default(),
        }
    }

    fn play(&mut self, step: &Step<'_>) -> Result<(), TlsError> {
        self.take_from_client();
        let length = self.way.len();
        match *step {
            Step::Write(length) => self.write(length),
            Step::Deliver(pieces) => return self.deliver(pieces),
            Step::Change { position, mask } if length > 0 => {
                self.is_damaged = true;
                self.way[position % length] ^= mask;
            }
            Step::Lose(count) if count > 0 && length > 0 => {
                self.is_damaged = true;
                self.way.truncate(length.saturating_sub(count));
            }
            Step::Repeat if length > 0 => {
                self.is_damaged = true;
                self.way.extend_from_within(..);
            }
            Step::Insert(bytes) if !bytes.is_empty() => {
                self.is_damaged = true;
                self.way.extend_from_slice(bytes);
            }
            // Refused by TLS 1.2 and before the end of the handshake.
            Step::ChangeKeys => {
                self.key_changes += u32::from(self.client.refresh_traffic_keys().is_ok());
                // rustls takes 32 without a request between them.
                self.is_damaged |= self.key_changes > 32;
            }
            Step::Close if !self.client.is_handshaking() => {
                self.client.send_close_notify();
                self.is_closed = true;
            }
            Step::Reply(length) if !self.server.is_handshaking() => return self.reply(length),
            _ => {}
        }
        self.way.truncate(WAY_BYTES_MAX);
        Ok(())
    }

    /// Moves what the client sends to the way.
    fn take_from_client(&mut self) {
        while self.client.wants_write() {
            self.client.write_tls(&mut self.way).expect("it is memory");
        }
        if self.way.len() > WAY_BYTES_MAX {
            self.is_damaged = true;
        }
    }

    fn write(&mut self, length: usize) {
        if !self.is_closed {
            let bytes = self.from_client.next(length);
            // The client takes less before the end of the handshake, and nothing after an error.
            let taken = self.client.writer().write(&bytes);
            assert!(taken.is_ok() || self.is_damaged, "{taken:?}");
            self.from_client.sent += taken.unwrap_or(0);
        }
    }

    fn deliver(&mut self, pieces: usize) -> Result<(), TlsError> {
        let way = std::mem::take(&mut self.way);
        for piece in way.chunks(pieces) {
            let mut output = Vec::new();
            let start = self.server.begin_read(&mut self.buffer);
            assert!(start - self.start <= 64 << 10, "it keeps {start} bytes");
            let filled = start + piece.len();
            self.buffer[start..filled].copy_from_slice(piece);
            let received = self.server.receive(&mut self.buffer, filled, &mut output);
            assert!(
                output.len() <= 8192 + 4 * (filled - self.start),
                "much output"
            );
            if let Ok(count) = received {
                self.from_client.receive(&self.buffer[..count]);
            }
            self.give_to_client(&output);
            if let Err(error) = received {
                assert!(self.is_damaged, "{error}");
                return Err(error);
            }
        }
        Ok(())
    }

    fn reply(&mut self, length: usize) -> Result<(), TlsError> {
        let (bytes, mut output) = (self.from_server.next(length), Vec::new());
        self.from_server.sent += length;
        let encrypted = self.server.encrypt(&bytes, &mut output);
        self.give_to_client(&output);
        encrypted
    }

    /// Lets the client read what the server has sent.
    fn give_to_client(&mut self, mut output: &[u8]) {
        while !output.is_empty() {
            // After an error, the client takes no more.
            let read = self.client.read_tls(&mut output);
            if !matches!(read, Ok(1..)) || self.client.process_new_packets().is_err() {
                assert!(self.is_damaged, "the client refuses {output:?}");
                return;
            }
            let mut bytes = Vec::new();
            match self.client.reader().read_to_end(&mut bytes) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            self.from_server.receive(&bytes);
        }
    }

    /// Delivers everything that is left, if the server has not failed. Then the server closes.
    fn finish(mut self, mut played: Result<(), TlsError>) {
        self.take_from_client();
        while played.is_ok() && !self.way.is_empty() {
            played = self.deliver(4096);
            self.take_from_client();
        }
        let mut output = Vec::new();
        self.server.close(&mut output);
        self.give_to_client(&output);
        if !self.is_damaged {
            assert_eq!(self.from_client.received, self.from_client.sent);
            assert_eq!(self.from_server.received, self.from_server.sent);
        }
    }
}

/// Maximum bytes on the way, so that a script takes little memory.
const WAY_BYTES_MAX: usize = 256 * 1024;
