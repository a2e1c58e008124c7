//! Transcripts: bytes sent and bytes received, with requests sent whole, byte by byte, split at
//! every position, and pipelined, over each transport.
//!
//! The replies are those of redis-server 7.0. Where Redis differs, a comment says how.

use std::io::{ErrorKind, Read, Write};
use std::iter;

use crate::stage::{Over, Stage};

/// A conversation: request bytes, reply bytes, and the state of the connection afterwards.
struct Transcript {
    request: Vec<u8>,
    reply: Vec<u8>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection stays open.
    Open,
    /// The connection stays open, within an incomplete request.
    Unfinished,
    /// The server closes after the reply, and discards further input.
    Closed,
    /// The server closes at once. Further input is answered with RST.
    Dropped,
}

#[test]
fn whole_requests_are_answered() {
    for_each_transcript(|stage, transcript| {
        play(stage, transcript, &[&transcript.request]);
    });
}

#[test]
fn requests_sent_byte_by_byte_are_answered() {
    for_each_transcript(|stage, transcript| {
        let piece_bytes = if transcript.is_short() { 1 } else { 1021 };
        let pieces: Vec<_> = transcript.request.chunks(piece_bytes).collect();
        play(stage, transcript, &pieces);
    });
}

#[test]
fn requests_split_at_any_byte_are_answered() {
    for_each_transcript(|stage, transcript| {
        // Its records come in pieces, however the request is split.
        if transcript.is_short() && stage.over != Over::TlsInPieces {
            for offset in 1..transcript.request.len() {
                let (front, rest) = transcript.request.split_at(offset);
                play(stage, transcript, &[front, rest]);
            }
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    for_each_transcript(|stage, transcript| {
        let mut pipeline = Transcript::new("PING\r\n", "+PONG\r\n", transcript.end);
        let times = if transcript.end == End::Open { 3 } else { 1 };
        for _ in 0..times {
            pipeline.append(transcript);
        }
        play(stage, &pipeline, &[&pipeline.request]);
    });
}

#[test]
fn all_requests_are_answered_on_one_connection() {
    let mut all = Transcript::new("", "", End::Open);
    for transcript in transcripts() {
        if transcript.end == End::Open {
            all.append(&transcript);
        }
    }
    for &over in Over::ALL {
        for &workers in over.workers() {
            play(&mut Stage::new(over, workers), &all, &[&all.request]);
        }
    }
}

/// Runs `test` over each transport.
fn for_each_transcript(mut test: impl FnMut(&mut Stage, &Transcript)) {
    for &over in Over::ALL {
        for &workers in over.workers() {
            let mut stage = Stage::new(over, workers);
            for transcript in transcripts() {
                test(&mut stage, &transcript);
            }
        }
    }
}

/// Sends the request in these pieces. Between two pieces the server answers the other client, so it
/// can read the first without the second.
fn play(stage: &mut Stage, transcript: &Transcript, pieces: &[&[u8]]) {
    let mut peer = stage.connect();
    for piece in pieces {
        match peer.socket.write_all(piece) {
            Err(error) if transcript.may_meet(error.kind()) => break,
            sent => sent.expect("the server takes the bytes"),
        }
        stage.other.ping();
    }
    let mut reply = transcript.reply.clone();
    if transcript.end == End::Open {
        peer.send("PING\r\n");
        reply.extend_from_slice(b"+PONG\r\n");
    }
    if matches!(transcript.end, End::Open | End::Unfinished) {
        peer.socket.end_sending();
    }
    let mut replied = Vec::new();
    let end = peer.socket.read_to_end(&mut replied);
    assert!(
        replied == reply,
        "got \"{}\", wanted \"{}\", for \"{}\" in pieces of {:?} bytes over {:?}",
        replied.escape_ascii(),
        reply.escape_ascii(),
        transcript.request.escape_ascii(),
        pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(),
        stage.over,
    );
    if let Err(error) = end {
        assert!(transcript.may_meet(error.kind()), "{error}");
    }
}

impl Transcript {
    fn new(request: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>, end: End) -> Self {
        Self {
            request: request.into(),
            reply: reply.into(),
            end,
        }
    }

    fn append(&mut self, other: &Self) {
        self.request.extend_from_slice(&other.request);
        self.reply.extend_from_slice(&other.reply);
    }

    fn is_short(&self) -> bool {
        self.request.len() < 200
    }

    /// Returns true if the peer may learn of the close by this error.
    fn may_meet(&self, error: ErrorKind) -> bool {
        self.end == End::Dropped
            && matches!(
                error,
                // The third: over TLS, an end without `close_notify`.
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
            )
    }
}

fn transcripts() -> Vec<Transcript> {
    let tables = [
        (PING, End::Open),
        (ECHO, End::Open),
        (UNKNOWN, End::Open),
        (NOTHING, End::Open),
        (REPEATED, End::Open),
        (UNFINISHED, End::Unfinished),
        (QUIT, End::Closed),
        (NOT_RESP, End::Closed),
        (HTTP, End::Dropped),
        (HTTP_REQUEST, End::Closed),
        (TLS, End::Closed),
    ];
    let rows = tables.iter().flat_map(|&(table, end)| {
        let rows = table.iter().copied();
        rows.map(move |(request, reply)| Transcript::new(request, reply, end))
    });
    rows.chain(quoted_in_part()).chain(long_lines()).collect()
}

/// The error of an unknown command quotes up to 128 bytes of its name, and of its arguments up to
/// 128 bytes, quotes and blanks included.
fn quoted_in_part() -> impl Iterator<Item = Transcript> {
    let a = |count| "a".repeat(count);
    let quoted = |count| format!("'{}' ", a(count));
    let names = [127, 128, 129, 1000].map(|count| (a(count), a(count.min(128)), String::new()));
    let arguments = [
        (a(127), quoted(127)),
        (a(128), quoted(128)),
        (a(129), quoted(128)),
        (a(125) + " b", quoted(125)),
        (a(124) + " bc d", quoted(124) + "'b' "),
        ("a ".repeat(31), quoted(1).repeat(31)),
        ("a ".repeat(32), quoted(1).repeat(32)),
        ("a ".repeat(33), quoted(1).repeat(32)),
    ]
    .map(|(sent, quoted)| (format!("foo {sent}"), "foo".into(), quoted));
    names
        .into_iter()
        .chain(arguments)
        .map(|(line, name, rest)| {
            let reply =
                format!("-ERR unknown command '{name}', with args beginning with: {rest}\r\n");
            Transcript::new(line + "\r\n", reply, End::Open)
        })
}

/// Lines of 64 KiB, which is the limit, and one byte more.
fn long_lines() -> impl Iterator<Item = Transcript> {
    let ones = |count| "1".repeat(count);
    let limit = 64 * 1024;
    let word = ones(limit - "PING ".len());
    let reply = format!("${}\r\n{word}\r\n", word.len());
    let answered = Transcript::new(format!("PING {word}\n"), reply, End::Open);
    let unfinished = [
        ones(limit),
        format!("\0\n{}", ones(limit - 2)),
        format!("*{}", ones(limit - 1)),
        format!("*1\r\n${}", ones(limit - 1)),
    ]
    .map(|request| Transcript::new(request, "", End::Unfinished));
    let errors = [
        // Redis replies this if the byte over the limit and LF arrive in one read.
        (format!("PING {word}1\n"), "too big inline request"),
        (ones(limit + 1), "too big inline request"),
        (format!("\0\n{}", ones(limit - 1)), "too big inline request"),
        (
            format!("*{}\r\n", ones(limit - 1)),
            "invalid multibulk length",
        ),
        (format!("*{}", ones(limit)), "too big mbulk count string"),
        (
            format!("*1\r\n${}\r\n", ones(limit - 1)),
            "invalid bulk length",
        ),
        (
            format!("*1\r\n${}", ones(limit)),
            "too big bulk count string",
        ),
    ]
    .map(|(request, text)| {
        let reply = format!("-ERR Protocol error: {text}\r\n");
        Transcript::new(request, reply, End::Closed)
    });
    iter::once(answered).chain(unfinished).chain(errors)
}

type Table = &'static [(&'static [u8], &'static [u8])];

const PING: Table = &[
    (b"PING\r\n", b"+PONG\r\n"),
    (b"PING\n", b"+PONG\r\n"),
    (b"ping\r\n", b"+PONG\r\n"),
    (b"pInG\r\n", b"+PONG\r\n"),
    (b" \tPING \r\n", b"+PONG\r\n"),
    (b"\"PING\"\r\n", b"+PONG\r\n"),
    (b"P\"ING\"\r\n", b"+PONG\r\n"),
    (b"'ping'\n", b"+PONG\r\n"),
    (b"\"\\x50ING\"\n", b"+PONG\r\n"),
    (b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"*1\r\n$4\r\nping\r\n", b"+PONG\r\n"),
    (b"*1\r\n$4\r\nPiNg\r\n", b"+PONG\r\n"),
    // In an array, the bytes in the place of CR LF are not checked.
    (b"*1\rx$4\rxPINGxx", b"+PONG\r\n"),
    (b"PING hello\r\n", b"$5\r\nhello\r\n"),
    (b"PING \"hello world\"\r\n", b"$11\r\nhello world\r\n"),
    (b"PING ''\r\n", b"$0\r\n\r\n"),
    (b"PING \"a\\x00b\\r\\n\"\r\n", b"$5\r\na\0b\r\n\r\n"),
    (b"*2\r\n$4\r\nPING\r\n$5\r\nhello\r\n", b"$5\r\nhello\r\n"),
    (b"*2\r\n$4\r\nPING\r\n$0\r\n\r\n", b"$0\r\n\r\n"),
    (
        b"*2\r\n$4\r\nPING\r\n$9\r\na\r\n\0*1\r\n\xff\r\n",
        b"$9\r\na\r\n\0*1\r\n\xff\r\n",
    ),
    (b"PING a b\r\n", WRONG_NUMBER_FOR_PING),
    (b"pinG a b c\r\n", WRONG_NUMBER_FOR_PING),
    (
        b"*3\r\n$4\r\nPING\r\n$0\r\n\r\n$0\r\n\r\n",
        WRONG_NUMBER_FOR_PING,
    ),
];

/// Within a batch, identical bytes are not parsed again. These requests only look identical.
const REPEATED: Table = &[
    (b"PING\r\nPING\r\nPING\r\n", b"+PONG\r\n+PONG\r\n+PONG\r\n"),
    (
        b"PING a\r\nPING a\r\nPING\r\n",
        b"$1\r\na\r\n$1\r\na\r\n+PONG\r\n",
    ),
    // The bytes before the second request are no request, but end like one.
    (
        b"PING\r\n\r\nNG\r\n\r\n",
        b"+PONG\r\n-ERR unknown command 'NG', with args beginning with: \r\n",
    ),
    (
        b"*1\r\n$4\r\nPING\r\n*0\r\n$4\r\nPING\r\n*0\r\n",
        b"+PONG\r\n-ERR unknown command '$4', with args beginning with: \r\n+PONG\r\n",
    ),
];

const WRONG_NUMBER_FOR_PING: &[u8] = b"-ERR wrong number of arguments for 'ping' command\r\n";

const ECHO: Table = &[
    (b"ECHO hello\r\n", b"$5\r\nhello\r\n"),
    (b"echo hello\n", b"$5\r\nhello\r\n"),
    (b"*2\r\n$4\r\nEcHo\r\n$5\r\nhello\r\n", b"$5\r\nhello\r\n"),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"$0\r\n\r\n"),
    (
        b"*2\r\n$4\r\nECHO\r\n$8\r\n\0\r\n+OK\r\n\r\n",
        b"$8\r\n\0\r\n+OK\r\n\r\n",
    ),
    (b"ECHO\r\n", WRONG_NUMBER_FOR_ECHO),
    (b"*1\r\n$4\r\nECHO\r\n", WRONG_NUMBER_FOR_ECHO),
    (b"eChO a b\r\n", WRONG_NUMBER_FOR_ECHO),
];

const WRONG_NUMBER_FOR_ECHO: &[u8] = b"-ERR wrong number of arguments for 'echo' command\r\n";

const UNKNOWN: Table = &[
    (
        b"foo\r\n",
        b"-ERR unknown command 'foo', with args beginning with: \r\n",
    ),
    (
        b"FoO bar \"b z\" ''\r\n",
        b"-ERR unknown command 'FoO', with args beginning with: 'bar' 'b z' '' \r\n",
    ),
    (
        b"*3\r\n$3\r\nfoo\r\n$3\r\nbar\r\n$0\r\n\r\n",
        b"-ERR unknown command 'foo', with args beginning with: 'bar' '' \r\n",
    ),
    (
        b"PIN\r\n",
        b"-ERR unknown command 'PIN', with args beginning with: \r\n",
    ),
    (
        b"PINGS\r\n",
        b"-ERR unknown command 'PINGS', with args beginning with: \r\n",
    ),
    (
        b"'PING '\r\n",
        b"-ERR unknown command 'PING ', with args beginning with: \r\n",
    ),
    (
        b"P\rING\r\n",
        b"-ERR unknown command 'P', with args beginning with: 'ING' \r\n",
    ),
    (
        b"''\r\n",
        b"-ERR unknown command '', with args beginning with: \r\n",
    ),
    (
        b"*1\r\n$0\r\n\r\n",
        b"-ERR unknown command '', with args beginning with: \r\n",
    ),
    // RESP types other than requests are ordinary words.
    (
        b"+PONG\r\n",
        b"-ERR unknown command '+PONG', with args beginning with: \r\n",
    ),
    (
        b"$4\r\n",
        b"-ERR unknown command '$4', with args beginning with: \r\n",
    ),
    (
        b"\xff\xfe \x80\r\n",
        b"-ERR unknown command '\xff\xfe', with args beginning with: '\x80' \r\n",
    ),
    // Bytes that would end the reply early are replaced by blanks.
    (
        b"\"f\\r\\no\" \"\\n+OK\\r\" bar\r\n",
        b"-ERR unknown command 'f  o', with args beginning with: ' +OK ' 'bar' \r\n",
    ),
    // A NUL ends a word, as in C.
    (
        b"*3\r\n$5\r\nPING\0\r\n$3\r\n\0a\n\r\n$3\r\nb\0c\r\n",
        b"-ERR unknown command 'PING', with args beginning with: '' 'b' \r\n",
    ),
];

/// Skipped without a reply.
const NOTHING: Table = &[
    (b"\r\n", b""),
    (b"\n", b""),
    (b"\r\r\n", b""),
    (b" \t\x0b\x0c \r\n", b""),
    (b"*0\r\n", b""),
    (b"*-1\r\n", b""),
    (b"*-10\r\n", b""),
    (b"*-9223372036854775808\r\n", b""),
    (b"\n*0\r\n\r\n*-1\r\nPING\r\n \n", b"+PONG\r\n"),
];

const UNFINISHED: Table = &[
    (b"PING", b""),
    (b"PING\r", b""),
    (b"PING\r\nPIN", b"+PONG\r\n"),
    (b"'PING ", b""),
    (b"*", b""),
    (b"*1\r", b""),
    (b"*1\r\n", b""),
    (b"*1\r\nx", b""),
    (b"*1\r\n$4\r\nPING", b""),
    (b"*1\r\n$4\r\nPING\r", b""),
    (b"*2\r\n$4\r\nPING\r\n", b""),
    (b"*2147483647\r\n$4\r\nPING\r\n", b""),
    (b"*1\r\n$536870912\r\nPING\r\n", b""),
    // No line end is found after a NUL, as with C's `strchr`.
    (b"PING\0\r\nPING\r\n", b""),
];

const QUIT: Table = &[
    (b"QUIT\r\n", b"+OK\r\n"),
    (b"quit\n", b"+OK\r\n"),
    (b"*1\r\n$4\r\nqUiT\r\n", b"+OK\r\n"),
    (b"QUIT now please\r\n", b"+OK\r\n"),
    (b"*2\r\n$4\r\nQUIT\r\n$3\r\nnow\r\n", b"+OK\r\n"),
    // No later request is run.
    (b"QUIT\r\nPING\r\n", b"+OK\r\n"),
    (
        b"PING 1\r\nQUIT\r\nPING 2\r\nPING 3\r\n",
        b"$1\r\n1\r\n+OK\r\n",
    ),
    (b"QUIT\r\n*x\r\n", b"+OK\r\n"),
];

const NOT_RESP: Table = &[
    (b"\"PING\r\n", UNBALANCED_QUOTES),
    (b"PING 'a\n", UNBALANCED_QUOTES),
    (b"PING \"a\"b\r\n", UNBALANCED_QUOTES),
    (b"*\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*x\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*01\r\n", INVALID_MULTIBULK_LENGTH),
    (b"* 1\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*2147483648\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*9223372036854775808\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*1\r\n$\r\n", INVALID_BULK_LENGTH),
    (b"*1\r\n$x\r\n", INVALID_BULK_LENGTH),
    (b"*1\r\n$+4\r\n", INVALID_BULK_LENGTH),
    (b"*1\r\n$-1\r\n", INVALID_BULK_LENGTH),
    (b"*1\r\n$536870913\r\n", INVALID_BULK_LENGTH),
    (
        b"*1\r\nPING\r\n",
        b"-ERR Protocol error: expected '$', got 'P'\r\n",
    ),
    (
        b"*1\r\n:4\r\n",
        b"-ERR Protocol error: expected '$', got ':'\r\n",
    ),
    (
        b"*2\r\n$4\r\nPING\r\n*0\r\n",
        b"-ERR Protocol error: expected '$', got '*'\r\n",
    ),
    (
        b"*1\r\n\xff\r\n",
        b"-ERR Protocol error: expected '$', got '\xff'\r\n",
    ),
    (
        b"*1\r\n\r\n",
        b"-ERR Protocol error: expected '$', got ' '\r\n",
    ),
    // Redis finds no CR after a NUL, and waits for 64 KiB before it replies.
    (b"*\x001\r\n", INVALID_MULTIBULK_LENGTH),
    (b"*1\r\n$4\0\r\n", INVALID_BULK_LENGTH),
    (
        b"*1\r\n\0\r\n",
        b"-ERR Protocol error: expected '$', got '\0'\r\n",
    ),
    // Earlier requests are answered, later ones are not run.
    (
        b"PING\r\n*x\r\nPING\r\n",
        b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
    ),
    // CLIENT REPLY concerns this error too.
    (b"CLIENT REPLY OFF\r\n\"\r\n", b""),
    (b"CLIENT REPLY SKIP\r\n*x\r\n", b""),
    (
        b"CLIENT REPLY SKIP\r\nPING\r\n*x\r\n",
        INVALID_MULTIBULK_LENGTH,
    ),
];

const UNBALANCED_QUOTES: &[u8] = b"-ERR Protocol error: unbalanced quotes in request\r\n";
const INVALID_MULTIBULK_LENGTH: &[u8] = b"-ERR Protocol error: invalid multibulk length\r\n";
const INVALID_BULK_LENGTH: &[u8] = b"-ERR Protocol error: invalid bulk length\r\n";

/// A web page that makes a browser connect gains nothing. Earlier requests are answered, although
/// Redis discards those replies.
const HTTP: Table = &[
    (b"post\n", b""),
    (b"POST /\r\n\r\nPING\r\n", b""),
    (b"*3\r\n$4\r\nPOST\r\n$1\r\n/\r\n$8\r\nHTTP/1.1\r\n", b""),
    (b"*1\r\n$4\r\nPOST\r\n", b""),
    (b"Host: a\r\n", b""),
    (b"HOST:\r\nPING\r\n", b""),
    (
        b"GET /\r\nHost: a\r\n\r\nPING\r\n",
        b"-ERR unknown command 'GET', with args beginning with: '/' \r\n",
    ),
];

/// A request of HTTP gets a response of HTTP. Nothing after its first line is run.
const HTTP_REQUEST: Table = &[
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_RESPONSE),
    (b"GET / HTTP/1.0\n\nPING\n", HTTP_RESPONSE),
    // Its quotes are not closed, so it has no arguments in RESP.
    (b"GET /?q=' HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_RESPONSE),
    (b"GET /?q=\"a HTTP/1.1\r\n\r\nPING\r\n", HTTP_RESPONSE),
    (
        b"HEAD /x?y=z HTTP/1.1\r\nUser-Agent: a b\r\n\r\n",
        HTTP_RESPONSE,
    ),
    (
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\nPING\r\nSHUTDOWN\r\n",
        HTTP_RESPONSE,
    ),
    (
        b"PUT /config HTTP/1.1\r\nA: b\r\n\r\n*1\r\n$4\r\nPING\r\n",
        HTTP_RESPONSE,
    ),
];

const HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Content-Length: 82\r\nConnection: close\r\n\r\n\
    This server speaks RESP, the protocol of Redis, and not HTTP. Try: redis-cli PING\n";

/// A TLS handshake is answered with the alert `handshake_failure`.
const TLS: Table = &[
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", TLS_ALERT),
    (b"\x16\x03\x03\0\nPING\r\nPING\r\n", TLS_ALERT),
    (b"\x16\x03\x04", TLS_ALERT),
];

const TLS_ALERT: &[u8] = b"\x15\x03\x01\0\x02\x02\x28";
