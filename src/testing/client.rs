//! A blocking client for tests.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::reader::{Front, read};

/// A blocking client for tests, of a [`TestServer`](super::TestServer), of an
/// [`Offline`](super::Offline), or of any server by [`Self::connect`].
///
/// No call waits for longer than 10 s: see [`Self::set_timeout`]. The error says what was awaited.
///
/// Messages are received apart from replies, in RESP2 and in RESP3: what is published to a channel
/// of this client, and all that the server pushes. The confirmations of `SUBSCRIBE` and its like
/// are replies, one for each channel. The lines of `MONITOR` are replies, too.
///
/// ```
/// use respool::testing;
/// use respool::Commands;
///
/// let server = testing::serve(Commands::builtin())?;
/// let (mut reader, mut writer) = (server.client()?, server.client()?);
/// assert_eq!(reader.call(["SUBSCRIBE", "news"])?, ("subscribe", "news", 1));
/// assert_eq!(writer.call(["PUBLISH", "news", "hello"])?, 1);
/// assert_eq!(reader.next_message()?, ("message", "news", "hello"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct TestClient {
    transport: Box<dyn Transport>,
    /// Received; those from `start` on were not read as an answer yet.
    bytes: Vec<u8>,
    start: usize,
    /// The bytes from `start` on that the next answer has at least. Fewer are not read: to read a
    /// long answer again after each packet would take minutes.
    length_min: usize,
    /// Replies that came before a message which was wanted.
    replies: VecDeque<Answer>,
    /// Messages that came before a reply which was wanted.
    messages: VecDeque<Answer>,
    /// The client is subscribed in RESP2, where messages are arrays.
    is_subscribed: bool,
    /// The last request, for errors.
    last_sent: String,
    timeout: Duration,
}

/// The way to a server.
pub(super) trait Transport: Send {
    /// Sends some of `bytes`. Fails by [`is_timeout`] if the server takes none within `wait`.
    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize>;

    /// Appends received bytes. Returns how many; 0 if the server has closed the connection. Fails
    /// by [`is_timeout`] if there are none within `wait`.
    fn receive(&mut self, bytes: &mut Vec<u8>, wait: Duration) -> io::Result<usize>;
}

impl Transport for TcpStream {
    fn send(&mut self, bytes: &[u8], wait: Duration) -> io::Result<usize> {
        self.set_write_timeout(Some(wait))?;
        self.write(bytes)
    }

    fn receive(&mut self, bytes: &mut Vec<u8>, wait: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(wait))?;
        let mut chunk = [0; CHUNK_BYTES];
        let count = self.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

impl TestClient {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// Returns the error of the system.
    pub fn connect(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&addr, TIMEOUT)?;
        socket.set_nodelay(true)?;
        Ok(Self::over(Box::new(socket)))
    }

    pub(super) fn over(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            bytes: Vec::new(),
            start: 0,
            length_min: 0,
            replies: VecDeque::new(),
            messages: VecDeque::new(),
            is_subscribed: false,
            last_sent: String::new(),
            timeout: TIMEOUT,
        }
    }

    /// Sets the maximum time that a call waits, in place of 10 s. More than a year is a year.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout.min(TIMEOUT_MAX);
    }

    /// Sends a request, and waits for its reply. The reply may be an [`Answer::Error`].
    ///
    /// # Errors
    ///
    /// Returns an error of [`Self::send`] or of [`Self::receive`].
    pub fn call(&mut self, words: impl IntoIterator<Item: AsRef<[u8]>>) -> io::Result<Answer> {
        self.send(words)?;
        self.receive()
    }

    /// Sends `HELLO` with the version of the protocol, 2 or 3.
    ///
    /// # Errors
    ///
    /// Returns an error of [`Self::call`], and one with the server's text if it refuses.
    pub fn hello(&mut self, protocol: u8) -> io::Result<()> {
        self.must(["HELLO", &protocol.to_string()])
    }

    /// Logs in by `AUTH user password`, for a server with
    /// [`Commands::on_auth`](crate::Commands::on_auth). The user of `requirepass` is `default`.
    ///
    /// # Errors
    ///
    /// Returns an error of [`Self::call`], and one with the server's text if it refuses.
    pub fn login(&mut self, user: &str, password: &str) -> io::Result<()> {
        self.must(["AUTH", user, password])
    }

    /// Sends a request that must not be refused.
    fn must<const N: usize>(&mut self, words: [&str; N]) -> io::Result<()> {
        match self.call(words)? {
            Answer::Error(text) => Err(io::Error::other(text)),
            _ => Ok(()),
        }
    }

    /// Sends a request without waiting for its reply. For a pipeline, send many, and then call
    /// [`Self::receive`] for each.
    ///
    /// # Errors
    ///
    /// Returns an error if the server takes the request neither at once nor within the timeout, or
    /// if it has closed the connection.
    pub fn send(&mut self, words: impl IntoIterator<Item: AsRef<[u8]>>) -> io::Result<()> {
        let mut count = 0;
        let mut items = Vec::new();
        self.last_sent.clear();
        for word in words {
            let word = word.as_ref();
            items.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            items.extend_from_slice(word);
            items.extend_from_slice(b"\r\n");
            count += 1;
            self.note_sent(word);
        }
        let mut request = format!("*{count}\r\n").into_bytes();
        request.append(&mut items);
        self.send_all(&request)
    }

    /// Sends bytes as they are: inline requests, parts of requests, or nonsense.
    ///
    /// # Errors
    ///
    /// As for [`Self::send`].
    pub fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.last_sent.clear();
        self.note_sent(bytes.as_ref());
        self.send_all(bytes.as_ref())
    }

    /// Waits for the next reply.
    ///
    /// # Errors
    ///
    /// Returns an error if no reply comes within the timeout, if the server closes the connection,
    /// or if its bytes are not RESP.
    pub fn receive(&mut self) -> io::Result<Answer> {
        self.wait("no reply", |client| {
            while client.replies.is_empty() && client.sort_answer()? {}
            Ok(client.replies.pop_front())
        })
    }

    /// Waits for the next message or push. Replies that come before it are kept.
    ///
    /// # Errors
    ///
    /// Returns an error if no message comes within the timeout, if the server closes the
    /// connection, or if its bytes are not RESP.
    pub fn next_message(&mut self) -> io::Result<Answer> {
        self.wait("no message", |client| {
            while client.messages.is_empty() && client.sort_answer()? {}
            Ok(client.messages.pop_front())
        })
    }

    /// Takes the messages that came before the replies received so far. To show that there is none,
    /// let the server answer a `PING` first.
    pub fn messages(&mut self) -> Vec<Answer> {
        self.messages.drain(..).collect()
    }

    /// Waits for `count` bytes as they are, after the answers received so far.
    ///
    /// # Errors
    ///
    /// As for [`Self::receive`].
    pub fn receive_bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.wait("too few bytes", |client| {
            let bytes = client.bytes[client.start..].get(..count);
            let bytes = bytes.map(<[u8]>::to_vec);
            client.start += bytes.as_ref().map_or(0, Vec::len);
            client.length_min = 0;
            Ok(bytes)
        })
    }

    /// Waits until the server closes the connection. Returns the bytes that come before that.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not closed within the timeout, or is reset.
    pub fn receive_close(&mut self) -> io::Result<Vec<u8>> {
        let closed: io::Result<()> = self.wait("no close", |_| Ok(None));
        match closed {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            closed => closed?,
        }
        let rest = self.bytes.split_off(mem::take(&mut self.start));
        self.bytes.clear();
        self.length_min = 0;
        Ok(rest)
    }

    fn note_sent(&mut self, word: &[u8]) {
        if self.last_sent.len() < SHOWN_BYTES {
            if !self.last_sent.is_empty() {
                self.last_sent.push(' ');
            }
            let word = &word[..word.len().min(SHOWN_BYTES)];
            self.last_sent.push_str(&word.escape_ascii().to_string());
        }
    }

    fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        while !bytes.is_empty() {
            match self.transport.send(bytes, TURN) {
                Ok(count) if Instant::now() < deadline || count == bytes.len() => {
                    bytes = &bytes[count..];
                }
                Err(error) if !is_timeout(&error) => {
                    return Err(self.error(error.kind(), &error.to_string()));
                }
                Ok(_) => return Err(self.takes_no_more()),
                Err(_) if Instant::now() >= deadline => return Err(self.takes_no_more()),
                // The server may take more after its replies are read.
                Err(_) => match self.receive_some(TURN) {
                    Err(error) if !is_timeout(&error) => return Err(error),
                    Ok(_) | Err(_) => {}
                },
            }
        }
        Ok(())
    }

    fn takes_no_more(&self) -> io::Error {
        self.error(ErrorKind::TimedOut, "the server takes no more bytes")
    }

    /// Receives until `take` returns something.
    fn wait<T>(
        &mut self,
        missing: &str,
        mut take: impl FnMut(&mut Self) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
        let deadline = Instant::now() + self.timeout;
        let mut is_over = false;
        loop {
            if let Some(taken) = take(self)? {
                return Ok(taken);
            }
            // Also if bytes have come: a server may send without end.
            if is_over {
                let text = format!("{missing} within {:?}", self.timeout);
                return Err(self.error(ErrorKind::TimedOut, &text));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            is_over = left.is_zero();
            if is_over {
                // What has come may be invalid.
                self.length_min = 0;
            }
            // A socket takes 0 for no timeout.
            match self.receive_some(left.max(TURN)) {
                Ok(0) => {
                    let text = format!("{missing}: the server closed the connection");
                    return Err(self.error(ErrorKind::UnexpectedEof, &text));
                }
                Err(error) if !is_timeout(&error) => {
                    return Err(self.error(error.kind(), &format!("{missing}: {error}")));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn receive_some(&mut self, wait: Duration) -> io::Result<usize> {
        // Seldom, so that a long pipeline of replies is not moved for each of them.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..mem::take(&mut self.start));
        }
        self.transport.receive(&mut self.bytes, wait)
    }

    /// Returns an error that shows the last request, and the start of the bytes that are no answer.
    fn error(&self, kind: ErrorKind, text: &str) -> io::Error {
        let rest = &self.bytes[self.start..];
        let rest = &rest[..rest.len().min(SHOWN_BYTES)];
        io::Error::new(
            kind,
            format!(
                "{text}; last sent: {:?}; received and not read: \"{}\"",
                self.last_sent,
                rest.escape_ascii()
            ),
        )
    }

    /// Reads an answer from the bytes received, as a reply or as a message. Returns whether there
    /// was a whole one.
    fn sort_answer(&mut self) -> io::Result<bool> {
        let bytes = &self.bytes[self.start..];
        if bytes.len() < self.length_min {
            return Ok(false);
        }
        let front = read(bytes).map_err(|problem| {
            self.error(ErrorKind::InvalidData, &format!("not RESP: {problem}"))
        })?;
        let (answer, length) = match front {
            Front::Whole(answer, length) => (answer, length),
            Front::Incomplete(missing) => {
                self.length_min = bytes.len().saturating_add(missing);
                return Ok(false);
            }
        };
        self.start += length;
        self.length_min = 0;
        if self.is_message(&answer) {
            self.messages.push_back(answer);
        } else {
            self.replies.push_back(answer);
        }
        Ok(true)
    }

    /// Whether `answer` is no reply. Follows whether the client is subscribed.
    fn is_message(&mut self, answer: &Answer) -> bool {
        let (items, is_push) = match answer {
            Answer::Push(items) => (items, true),
            Answer::Array(items) => (items, false),
            answer => {
                self.is_subscribed &= *answer != "RESET";
                return false;
            }
        };
        let kind = items.first().and_then(Answer::text).unwrap_or_default();
        let is_confirmation = CONFIRMATIONS.iter().any(|name| name.as_bytes() == kind);
        if let [_, _, Answer::Integer(count)] = &items[..]
            && is_confirmation
            && !is_push
        {
            self.is_subscribed = *count > 0;
        }
        // A subscribed client in RESP2 has no other arrays as replies.
        (is_push || (self.is_subscribed && kind != b"pong")) && !is_confirmation
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("last_sent", &self.last_sent)
            .finish_non_exhaustive()
    }
}

/// Whether nothing happened in the time that a [`Transport`] had.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// The kinds of answers to SUBSCRIBE and its like: one for each channel, and pushes in RESP3.
const CONFIRMATIONS: [&str; 6] = [
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
];

const TIMEOUT: Duration = Duration::from_secs(10);

/// So much that the clock has an instant for its end.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The time after which sending pauses for receiving.
const TURN: Duration = Duration::from_millis(1);

const CHUNK_BYTES: usize = 16 * 1024;

/// Maximum bytes of a request or of an answer in an error.
const SHOWN_BYTES: usize = 200;
