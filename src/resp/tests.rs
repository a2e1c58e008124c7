//! Tests of whole streams: the requests in them, however they are cut, and the byte at which each
//! limit is reached. `src/fuzz/naive.rs` compares the parser with a naive one.

use std::iter;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::limits::{ARGUMENTS_MAX, LINE_BYTES_MAX, REQUEST_BYTES_MAX};
use super::{Limits, Parser, Protocol, ProtocolError, Reply};

/// The words of a request.
type Words = Vec<Vec<u8>>;

/// The requests of a stream in order, and the error after them, if there is one.
pub(crate) type Parsed = (Vec<Words>, Option<ProtocolError>);

/// Limits with a bulk length that a small stream can reach.
pub(crate) const LIMITS: Limits = Limits {
    bulk_bytes_max: 32,
    request_bytes_max: REQUEST_BYTES_MAX,
    unauthenticated: false,
};

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn cuts_do_not_change_the_result(stream in nearly_valid_stream()) {
        let expected = parse([&*stream]);
        prop_assert_eq!(&parse(stream.chunks(1)), &expected, "byte by byte");
        for offset in 0..=stream.len() {
            prop_assert_eq!(&parse(cut(&stream, [offset])), &expected, "cut at {}", offset);
        }
    }

    #[test]
    fn encoded_requests_are_parsed_back(
        requests in vec(vec(vec(any::<u8>(), 0..=LIMITS.bulk_bytes_max), 1..6), 0..5),
        cuts in vec(0..400_usize, 0..6),
    ) {
        let arrays: Vec<u8> = requests.iter().flat_map(|words| array(words)).collect();
        prop_assert_eq!(parse(cut(&arrays, cuts.clone())), (requests.clone(), None));
        let lines: Vec<u8> = requests.iter().flat_map(|words| line(words)).collect();
        prop_assert_eq!(parse(cut(&lines, cuts)), (requests, None));
    }
}

#[test]
fn protocol_errors_have_the_texts_of_redis() {
    for (stream, text) in NOT_RESP {
        let (requests, error) = parse([&*spelled_out(stream)]);
        let mut reply = Vec::new();
        let error = error.expect("a protocol error");
        let _ = Reply::new(&mut reply, Protocol::Resp2).protocol_error(error);
        assert_eq!(requests, Vec::<Words>::new(), "{text}");
        let reply = String::from_utf8(reply).expect("UTF-8");
        assert_eq!(reply, format!("-ERR Protocol error: {text}\r\n"));
    }
}

/// A worker uses the same parser for the next client.
#[test]
fn error_resets_the_parser_for_the_next_client() {
    for (stream, text) in NOT_RESP {
        let mut parser = Parser::default();
        assert!(
            parser.parse(&spelled_out(stream), LIMITS).is_err(),
            "{text}"
        );
        for next in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n"] {
            assert_eq!(parser.parse(next, LIMITS), Ok(Some(next.len())), "{text}");
            assert_eq!(words(&parser, next), Some(vec![b"PING".to_vec()]), "{text}");
        }
    }
}

#[test]
fn inline_request_has_at_most_64_kib_before_its_lf() {
    for (end, rest) in [("\n", LINE_BYTES_MAX), ("\r\n", LINE_BYTES_MAX - 1)] {
        for length in [rest - 1, rest] {
            let word = vec![b'a'; length];
            let stream = [&word, end.as_bytes()].concat();
            assert!(
                parse([&*stream]) == (vec![vec![word]], None),
                "{length} and {end:?}"
            );
        }
        let stream = [&vec![b'a'; rest + 1], end.as_bytes()].concat();
        let error = Some(ProtocolError::TooBigInlineRequest);
        assert_eq!(parse([&*stream]), (vec![], error), "{end:?}");
    }
}

/// Up to the limit, the content of a header is checked; beyond it, only its length.
#[test]
fn header_has_at_most_64_kib_before_its_cr() {
    use ProtocolError::{
        InvalidBulkLength, InvalidMultibulkLength, TooBigBulkCount, TooBigMultibulkCount,
    };
    for (before, kind, invalid, too_big) in [
        ("", "*", InvalidMultibulkLength, TooBigMultibulkCount),
        ("*1\r\n", "$", InvalidBulkLength, TooBigBulkCount),
    ] {
        for (length, error) in [
            (LINE_BYTES_MAX - 1, invalid),
            (LINE_BYTES_MAX, invalid),
            (LINE_BYTES_MAX + 1, too_big),
        ] {
            let digits = "1".repeat(length - kind.len());
            let stream = [before, kind, &digits, "\r\n"].concat();
            assert_eq!(
                parse([stream.as_bytes()]),
                (vec![], Some(error)),
                "{kind}, {length}"
            );
        }
    }
}

#[test]
fn endless_line_is_too_big_one_byte_beyond_the_limit() {
    for (before, kind, too_big) in [
        ("", "a", ProtocolError::TooBigInlineRequest),
        ("", "\0\n", ProtocolError::TooBigInlineRequest),
        ("", "*", ProtocolError::TooBigMultibulkCount),
        ("*1\r\n", "$", ProtocolError::TooBigBulkCount),
        ("*1\r\n", "x", ProtocolError::TooBigBulkCount),
    ] {
        let digits = "1".repeat(LINE_BYTES_MAX - kind.len());
        let stream = [before, kind, &digits].concat();
        assert_eq!(parse([stream.as_bytes()]), (vec![], None), "{kind:?}");
        assert_eq!(
            parse([stream.as_bytes(), b"1"]),
            (vec![], Some(too_big)),
            "{kind:?}"
        );
    }
}

#[test]
fn bulk_string_has_at_most_the_configured_length() {
    for length in [LIMITS.bulk_bytes_max - 1, LIMITS.bulk_bytes_max] {
        let words = vec![vec![b'a'; length]];
        assert_eq!(parse([&*array(&words)]), (vec![words], None));
    }
    let stream = array(&[[b'a'; LIMITS.bulk_bytes_max + 1]]);
    let error = Some(ProtocolError::InvalidBulkLength);
    assert_eq!(parse([&*stream]), (vec![], error));
    // The header is enough.
    assert_eq!(parse([&b"*1\r\n$33\r\n"[..]]), (vec![], error));
}

#[test]
fn request_has_at_most_2147483647_arguments() {
    assert_eq!(ARGUMENTS_MAX, 2_147_483_647);
    for count in ["2147483646", "2147483647"] {
        let stream = format!("*{count}\r\n$4\r\nPING\r\n");
        assert_eq!(parse([stream.as_bytes()]), (vec![], None), "{count}");
    }
    let error = Some(ProtocolError::InvalidMultibulkLength);
    assert_eq!(parse([&b"*2147483648\r\n"[..]]), (vec![], error));
}

/// The bytes after the header are zeros, in pages that are never touched.
#[test]
fn request_takes_at_most_1_gib_with_its_table() {
    let limits = Limits {
        bulk_bytes_max: REQUEST_BYTES_MAX,
        ..LIMITS
    };
    let mut input = vec![0; REQUEST_BYTES_MAX + 1];
    let mut parse = |bulk_length: usize, arrived: usize| {
        let header = format!("*1\r\n${bulk_length}\r\n");
        input[..header.len()].copy_from_slice(header.as_bytes());
        Parser::default().parse(&input[..arrived], limits)
    };
    // The span of the request takes 8 bytes.
    let request_bytes = REQUEST_BYTES_MAX - 8;
    let fits = request_bytes - "*1\r\n$1073741797\r\n\r\n".len();
    let too_big = Err(ProtocolError::TooBigRequest);
    assert_eq!(parse(fits, REQUEST_BYTES_MAX), Ok(Some(request_bytes)));
    assert_eq!(parse(fits + 1, REQUEST_BYTES_MAX), too_big);
    assert_eq!(parse(REQUEST_BYTES_MAX, REQUEST_BYTES_MAX), Ok(None));
    assert_eq!(parse(REQUEST_BYTES_MAX, REQUEST_BYTES_MAX + 1), too_big);
}

/// Regression, found by the fuzzer: whole, these streams were not RESP; in pieces, they were too
/// big before that was found.
#[test]
fn cuts_do_not_change_the_error_of_a_large_request() {
    let limits = Limits {
        request_bytes_max: 64,
        ..LIMITS
    };
    let too_big = Err(ProtocolError::TooBigRequest);
    let long = "a".repeat(64);
    for (stream, error) in [
        // The word's span takes 8 bytes. So there are 64 bytes before the last byte, and then 65.
        (
            format!("*2\r\n$32\r\n{}\r\n$01234567890\r\n", &long[..32]),
            Err(ProtocolError::InvalidBulkLength),
        ),
        (
            format!("*2\r\n$32\r\n{}\r\n$012345678901\r\n", &long[..32]),
            too_big,
        ),
        (format!("*{long}\r\n"), too_big),
        (format!("\"{long}\n"), too_big),
    ] {
        let stream = stream.as_bytes();
        let whole = Parser::default().parse(stream, limits);
        assert_eq!(whole, error, "{}", stream.escape_ascii());
        for offset in 0..stream.len() {
            let mut parser = Parser::default();
            let early = parser.parse(&stream[..offset], limits);
            let cut = early.and_then(|_| parser.parse(stream, limits));
            assert_eq!(cut, error, "{} cut at {offset}", stream.escape_ascii());
        }
    }
}

#[test]
fn request_without_a_word_is_skipped() {
    let nothing = [
        "\n",
        "\r\n",
        "\r\r\n",
        " \t\x0b\x0c \r\n",
        "*0\r\n",
        "*-1\r\n",
        "*-10\r\n",
    ];
    for nothing in nothing {
        let stream = [nothing, "PING\r\n"].concat();
        let expected = (vec![vec![b"PING".to_vec()]], None);
        assert_eq!(parse([stream.as_bytes()]), expected, "{nothing:?}");
    }
}

/// As in Redis.
#[test]
fn line_ends_in_an_array_may_be_any_bytes() {
    let expected = (vec![vec![b"PING".to_vec(), b"\r\n".to_vec()]], None);
    assert_eq!(parse([&b"*2\rx$4\rxPINGxx$2\rx\r\nxx"[..]]), expected);
}

/// The word `""` is not a command of Redis, but it is a word.
#[test]
fn empty_word_is_a_request() {
    let expected = (vec![vec![vec![]], vec![vec![]]], None);
    assert_eq!(parse([&b"*1\r\n$0\r\n\r\n\"\"\r\n"[..]]), expected);
}

#[test]
fn request_has_a_name_and_arguments() {
    let stream = array(&["ECHO", "", "a\r\n\0b"]);
    let mut parser = Parser::default();
    assert_eq!(parser.parse(&stream, LIMITS), Ok(Some(stream.len())));
    let request = parser.request(&stream).expect("a request with words");
    assert_eq!(request.name(), b"ECHO");
    assert_eq!(request.word_count(), 3);
    assert_eq!(request.arguments().len(), 2);
    assert_eq!(request.argument(0), Some(&b""[..]));
    assert_eq!(request.argument(1), Some(&b"a\r\n\0b"[..]));
    assert_eq!(request.argument(2), None);
    assert_eq!(request.argument(usize::MAX), None);
    assert_eq!(format!("{request:?}"), r#"["ECHO", "", "a\\r\\n\\x00b"]"#);
}

// A request in small pieces takes linear time: these tests overwrite the bytes that the parser has
// read, because it must not read them again.

#[test]
fn no_byte_of_a_long_bulk_string_is_read_twice() {
    let limits = Limits {
        bulk_bytes_max: 4 << 20,
        ..LIMITS
    };
    let stream = array(&[vec![b'a'; limits.bulk_bytes_max]]);
    // The headers are in the first piece. The parser reads nothing after them.
    let headers = stream.len() - limits.bulk_bytes_max - 2;
    let (parser, input) = parse_while_overwriting(&stream, limits, |arrived| headers..arrived);
    let words = words(&parser, &input).expect("a request with a word");
    assert_eq!(words[0].len(), limits.bulk_bytes_max);
}

#[test]
fn no_argument_of_many_is_read_twice() {
    let mut stream = b"*100000\r\n".to_vec();
    let mut starts = Vec::new();
    for index in 0..100_000 {
        starts.push(stream.len());
        append_bulk(&mut stream, &b"abcdefghi"[..index % 10]);
    }
    let (parser, input) = parse_while_overwriting(&stream, LIMITS, |arrived| {
        let begun = starts.partition_point(|&start| start <= arrived);
        0..starts[begun - 1]
    });
    let words = words(&parser, &input).expect("a request with words");
    assert_eq!(words.len(), 100_000);
    for (index, word) in words.iter().enumerate() {
        assert_eq!(word.len(), index % 10, "argument {index}");
    }
}

#[test]
fn no_byte_of_a_long_line_is_searched_twice() {
    for (opening, end) in [("", b'\n'), ("\0", b'\n'), ("*", b'\r'), ("*1\r\n$", b'\r')] {
        let mut parser = Parser::default();
        let mut input = opening.as_bytes().to_vec();
        for _ in 0..LINE_BYTES_MAX / 1024 - 1 {
            let start = input.len();
            input.resize(start + 1024, b'1');
            assert_eq!(parser.parse(&input, LIMITS), Ok(None), "{opening:?}");
            // If the parser reads this again, it finds a line end.
            input[start..].fill(end);
        }
    }
}

/// Parses one request that arrives in pieces of 1 KiB. Between two calls, overwrites the bytes in
/// the range that `read_bytes` returns for the number of bytes so far.
fn parse_while_overwriting(
    stream: &[u8],
    limits: Limits,
    read_bytes: impl Fn(usize) -> Range<usize>,
) -> (Parser, Vec<u8>) {
    let mut parser = Parser::default();
    let mut input = Vec::new();
    let mut parsed = Ok(None);
    let mut overwritten = 0;
    for piece in stream.chunks(1024) {
        assert_eq!(parsed, Ok(None), "at {} of {}", input.len(), stream.len());
        input.extend_from_slice(piece);
        parsed = parser.parse(&input, limits);
        let Range { start, end } = read_bytes(input.len());
        input[overwritten.max(start)..end].fill(b'!');
        overwritten = end;
    }
    assert_eq!(parsed, Ok(Some(stream.len())));
    (parser, input)
}

/// Parses a stream in pieces as a worker does: after each piece, all whole requests.
pub(crate) fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Parsed {
    let mut parser = Parser::default();
    let mut input = Vec::new();
    let mut requests = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match parser.parse(&input, LIMITS) {
                Ok(Some(length)) => {
                    requests.extend(words(&parser, &input));
                    input.drain(..length);
                }
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

/// Returns the words of the request just parsed; `None` if it has none.
fn words(parser: &Parser, input: &[u8]) -> Option<Words> {
    let request = parser.request(input)?;
    let words = iter::once(request.name()).chain(request.arguments());
    Some(words.map(<[u8]>::to_vec).collect())
}

/// Cuts `stream` at `offsets`, except for those after its end.
pub(crate) fn cut(stream: &[u8], offsets: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut ends = vec![0, stream.len()];
    ends.extend(offsets.into_iter().filter(|&offset| offset < stream.len()));
    ends.sort_unstable();
    ends.windows(2)
        .map(|ends| &stream[ends[0]..ends[1]])
        .collect()
}

/// Encodes a request as a client library does.
fn array(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut stream = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        append_bulk(&mut stream, word.as_ref());
    }
    stream
}

fn append_bulk(stream: &mut Vec<u8>, bytes: &[u8]) {
    stream.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    stream.extend_from_slice(bytes);
    stream.extend_from_slice(b"\r\n");
}

/// Encodes a request as an inline request.
fn line(words: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    [words.join(&b' '), b"\r\n".to_vec()].concat()
}

/// Quotes a word of any bytes for an inline request.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in word {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b' '..=b'~' => text.push(byte),
            _ => text.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    text.push(b'"');
    text
}

/// Expands an entry of [`NOT_RESP`].
fn spelled_out(stream: &str) -> Vec<u8> {
    stream
        .replace('…', &"1".repeat(LINE_BYTES_MAX))
        .into_bytes()
}

/// Streams that are not RESP, and Redis's error texts. `…` stands for 64 KiB of digits.
const NOT_RESP: [(&str, &str); 27] = [
    ("a…", "too big inline request"),
    ("\0\n…", "too big inline request"),
    ("\"PING\r\n", "unbalanced quotes in request"),
    ("'PING\n", "unbalanced quotes in request"),
    ("PING 'a'b\r\n", "unbalanced quotes in request"),
    ("PING \"a\\\"\r\n", "unbalanced quotes in request"),
    ("*…", "too big mbulk count string"),
    ("*\r\n", "invalid multibulk length"),
    ("*x\r\n", "invalid multibulk length"),
    ("*1x\r\n", "invalid multibulk length"),
    ("* 1\r\n", "invalid multibulk length"),
    ("*+1\r\n", "invalid multibulk length"),
    ("*01\r\n", "invalid multibulk length"),
    ("*-0\r\n", "invalid multibulk length"),
    ("*2147483648\r\n", "invalid multibulk length"),
    ("*9223372036854775808\r\n", "invalid multibulk length"),
    ("*1\r\n$…", "too big bulk count string"),
    ("*1\r\nfoo\r\n", "expected '$', got 'f'"),
    ("*1\r\n:1\r\n", "expected '$', got ':'"),
    ("*1\r\n*1\r\n", "expected '$', got '*'"),
    ("*2\r\n$4\r\nPING\r\nPING\r\n", "expected '$', got 'P'"),
    // The CR would end the reply, so it is sent as a blank.
    ("*1\r\n\r\n", "expected '$', got ' '"),
    ("*1\r\n$\r\n", "invalid bulk length"),
    ("*1\r\n$x\r\n", "invalid bulk length"),
    ("*1\r\n$-1\r\n", "invalid bulk length"),
    ("*1\r\n$33\r\n", "invalid bulk length"),
    ("*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
];

/// Generates streams of a few requests, most of them valid, with some damage.
pub(crate) fn nearly_valid_stream() -> impl Strategy<Value = Vec<u8>> {
    (vec(piece(), 0..8), vec(damage(), 0..2)).prop_map(|(pieces, damages)| {
        let mut stream = pieces.concat();
        for (start, length, instead) in damages {
            let start = stream.len().min(start);
            let end = stream.len().min(start + length);
            stream.splice(start..end, instead);
        }
        stream
    })
}

/// Generates a damage: an offset, the number of bytes removed, and the bytes inserted.
fn damage() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    (0..100_usize, 0..3_usize, vec(byte(), 0..2))
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(word(), 0..4).prop_map(|words| array(&words)),
        6 => (inline(), select(vec!["\n", "\r\n"]))
            .prop_map(|(line, end)| [&line, end.as_bytes()].concat()),
        1 => header("*"),
        1 => header("*1\r\n$"),
        1 => vec(byte(), 0..6),
    ]
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let length_max = LIMITS.bulk_bytes_max;
    prop_oneof![8 => vec(byte(), 0..6), 1 => vec(byte(), length_max - 1..length_max + 2)]
}

fn inline() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(word(), 0..4).prop_map(|words| line(&words)),
        4 => vec(select(b"  ab\t\x0b\x0c\r\"'".to_vec()), 0..8),
        3 => (
            select(vec!["\"", "'"]),
            vec(select(b"\\\\\\'\"x4fFnrtbag+ ".to_vec()), 0..8)
        )
            .prop_map(|(quote, text)| [quote.as_bytes(), &text, quote.as_bytes()].concat()),
    ]
}

fn header(opening: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let small = vec![
        "", "-10", "-1", "-0", "0", "00", "+1", "01", "1", " 1", "1 ", "1.0", "0x1", "2", "32",
        "33",
    ];
    let large = vec![
        "2147483647",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
    ];
    let number = prop_oneof![4 => select(small), 1 => select(large)];
    let end = select(vec!["\r\n", "\r\n", "\rx", "\r", "\n"]);
    (number, end).prop_map(move |(number, end)| [opening, number, end].concat().into_bytes())
}

/// Generates any byte, and those with a meaning more often.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), select(b"\r\n\0*$ \"'\\012".to_vec())]
}

/// Without a file of failures: a stream that fails becomes a test with a name.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
