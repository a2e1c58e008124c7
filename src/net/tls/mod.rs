//! TLS of one connection, in bytes: the caller has the socket.
//!
//! rustls's unbuffered API keeps no buffers between calls. So an idle client has its keys and
//! little else: 3.2 KiB.

use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;

use rustls::server::{ServerConfig, ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};

/// The TLS state of one connection. After an error, only [`Self::close`] may be called.
pub(crate) struct TlsState {
    session: UnbufferedServerConnection,
    /// Bytes of an incomplete record, or of records with an incomplete handshake message. Without
    /// memory if there are none.
    partial: Vec<u8>,
    /// Plaintext that came with the last bytes of the handshake. Without memory afterwards.
    early: Vec<u8>,
    /// Whether the first byte was checked: it must begin a handshake record.
    first_byte_checked: bool,
    /// An error that `Connection` has not reported yet.
    pub(crate) error: Option<TlsError>,
    /// Bytes of a read that were not plaintext: see `Connection::take_overhead`.
    pub(crate) overhead: usize,
    /// Whether the peer has sent `close_notify`.
    peer_closed: bool,
    /// Whether a read has failed or panicked. Nothing is encrypted after that.
    has_failed: bool,
}

/// Why TLS cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("the client does not speak TLS")]
    NotTls,
    #[error("an incomplete message is too long")]
    TooLong,
    #[error("the keys are used up, and TLS 1.2 cannot renew them")]
    KeysUsedUp,
    #[error("the server has no certificate")]
    NoCertificate,
    #[error("TLS has failed before")]
    Failed,
    #[error("unexpected state of TLS: {0}")]
    Unexpected(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] rustls::Error),
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Io(error) => error,
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl TlsState {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self {
            session: UnbufferedServerConnection::new(config)?,
            partial: Vec::new(),
            early: Vec::new(),
            first_byte_checked: false,
            error: None,
            overhead: 0,
            peer_closed: false,
            has_failed: false,
        })
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the peer has sent `close_notify`, so that no plaintext follows.
    pub(crate) fn has_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the rest of a record is missing.
    pub(crate) fn is_mid_record(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Returns the memory of the bytes that are kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.partial.capacity() + self.early.capacity()
    }

    /// Copies an incomplete record into `buffer`. Returns the position for the next bytes of the
    /// peer. `buffer` is longer than [`BUFFER_BYTES_MIN`].
    pub(crate) fn begin_read(&self, buffer: &mut [u8]) -> usize {
        debug_assert!(buffer.len() > BUFFER_BYTES_MIN);
        let end = GAP_BYTES + self.partial.len();
        buffer[GAP_BYTES..end].copy_from_slice(&self.partial);
        end
    }

    /// Decrypts the bytes that [`Self::begin_read`] and the peer put into `buffer`, which end at
    /// `filled`. Moves the plaintext to the front of `buffer` and returns its length. Appends to
    /// `output` what must be sent, also after an error: handshake, tickets, alerts.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        filled: usize,
        output: &mut Vec<u8>,
    ) -> Result<usize, TlsError> {
        // Set meanwhile: after a panic, nothing is sent any more.
        self.has_failed = true;
        let result = self.decrypt(&mut buffer[..filled], output);
        match result {
            Ok(_) => self.has_failed = false,
            Err(_) => self.take_alert(output),
        }
        result
    }

    fn decrypt(&mut self, buffer: &mut [u8], output: &mut Vec<u8>) -> Result<usize, TlsError> {
        if !mem::replace(&mut self.first_byte_checked, true) && buffer[GAP_BYTES] != HANDSHAKE {
            return Err(TlsError::NotTls);
        }
        let (mut plaintext, mut taken) = (0, GAP_BYTES);
        loop {
            // The gap, and the room of earlier records, is enough for the plaintext of a record.
            let (front, records) = buffer.split_at_mut(taken);
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(records);
            let (mut is_blocked, mut discard) = (false, discard);
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        let bytes = record.payload;
                        discard += record.discard;
                        front[plaintext..][..bytes.len()].copy_from_slice(bytes);
                        plaintext += bytes.len();
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, output),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::Closed => is_blocked = true,
                other => return Err(TlsError::Unexpected(format!("{other:?}"))),
            }
            taken += discard;
            if is_blocked {
                self.keep_partial(&buffer[taken..])?;
                return Ok(plaintext);
            }
        }
    }

    /// Keeps an incomplete record until more of it comes.
    fn keep_partial(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        if bytes.is_empty() || self.peer_closed {
            self.partial = Vec::new();
            return Ok(());
        }
        if bytes.len() > PARTIAL_BYTES_MAX {
            return Err(TlsError::TooLong);
        }
        self.partial.clear();
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends `plaintext` to `output` as records. The handshake must be done.
    pub(crate) fn encrypt(
        &mut self,
        plaintext: &[u8],
        output: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        if self.has_failed {
            return Err(TlsError::Failed);
        }
        self.with_traffic(output, |mut traffic, output| {
            // A record has at most 29 bytes besides its plaintext.
            let records = plaintext.len() / RECORD_PLAINTEXT_MAX + 1;
            let bytes = plaintext.len() + records * 32;
            encrypt(output, bytes, |room| traffic.encrypt(plaintext, room))
        })
    }

    /// Appends `close_notify` to `output` if the connection can still be closed in order.
    pub(crate) fn close(&mut self, output: &mut Vec<u8>) {
        if self.has_failed || self.is_handshaking() {
            return;
        }
        // Ignored: without it the peer sees FIN alone.
        let _ = self.with_traffic(output, |mut traffic, output| {
            encrypt(output, 64, |room| traffic.queue_close_notify(room))
        });
    }

    /// Calls `write` once the session has nothing else to send.
    fn with_traffic(
        &mut self,
        output: &mut Vec<u8>,
        write: impl FnOnce(WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> Result<(), TlsError>,
    ) -> Result<(), TlsError> {
        loop {
            // With the partial bytes: the session knows positions in them.
            let status = self.session.process_tls_records(&mut self.partial);
            match status.state? {
                ConnectionState::WriteTraffic(traffic) => return write(traffic, output),
                ConnectionState::EncodeTlsData(data) => encode(data, output),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                other => return Err(TlsError::Unexpected(format!("{other:?}"))),
            }
        }
    }

    /// Appends the alert of a failed session to `output`. Processes no more records: the session
    /// would fail again.
    fn take_alert(&mut self, output: &mut Vec<u8>) {
        while self.session.wants_write() {
            match self.session.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, output),
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while traffic.next_record().is_some() {}
                }
                _ => return,
            }
        }
    }

    /// Keeps plaintext that came with the last bytes of the handshake.
    pub(crate) fn keep_plaintext(&mut self, plaintext: &[u8]) {
        self.early = plaintext.to_vec();
    }

    /// Moves the plaintext that was kept to the front of `buffer`. Returns its length.
    pub(crate) fn take_plaintext(&mut self, buffer: &mut [u8]) -> usize {
        let early = mem::take(&mut self.early);
        buffer[..early.len()].copy_from_slice(&early);
        early.len()
    }
}

impl fmt::Debug for TlsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsState").finish_non_exhaustive()
    }
}

/// Appends a record of the session to `output`.
fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, output: &mut Vec<u8>) {
    let start = output.len();
    while let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
        data.encode(&mut output[start..])
    {
        output.resize(start + required_size, 0);
    }
}

/// Appends what `write` makes to `output`. Offers it `bytes` bytes of room, then as many as it
/// requires.
fn encrypt(
    output: &mut Vec<u8>,
    bytes: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = output.len();
    let mut room = bytes;
    loop {
        output.resize(start + room, 0);
        match write(&mut output[start..]) {
            Ok(written) => {
                output.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(EncryptError::EncryptExhausted) => {
                output.truncate(start);
                return Err(TlsError::KeysUsedUp);
            }
        }
    }
}

/// The first byte of a handshake record.
const HANDSHAKE: u8 = 22;

/// Maximum plaintext bytes of a record.
const RECORD_PLAINTEXT_MAX: usize = 16 * 1024;

/// Bytes at the front of a buffer for the plaintext of the first record.
const GAP_BYTES: usize = RECORD_PLAINTEXT_MAX;

/// Maximum bytes that are kept until more comes. A record has up to 18 KiB. A handshake message may
/// extend over records: a client's chain of certificates has a few KiB.
const PARTIAL_BYTES_MAX: usize = 32 * 1024;

/// A buffer must be longer than this.
const BUFFER_BYTES_MIN: usize = GAP_BYTES + PARTIAL_BYTES_MAX;

#[cfg(test)]
mod tests;
