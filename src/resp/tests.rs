//! What the protocol promises of whole streams: which requests are in them, however they are cut,
//! and at which byte each limit is reached. A naive parser is the oracle.

use std::iter;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::limits::{ARGUMENTS_MAX, LINE_BYTES_MAX, REQUEST_BYTES_MAX};
use super::naive::{self, Words};
use super::{Limits, Parser, Protocol, ProtocolError, Reply};

/// What a peer said: its requests in order, and the error that ended them, if one did.
type ClientIdentity = (Vec<Words>, Option<ProtocolError>);

/// A bulk length that a small stream can reach.
pub(super) const LIMITS: Limits = Limits {
    bulk_bytes_max: 32,
    request_bytes_max: REQUEST_BYTES_MAX,
    unauthenticated: false,
};

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_stream_is_what_the_naive_parser_says(
        stream in nearly_valid_stream(),
        cuts in vec(0..100_usize, 0..6),
    ) {
        let identity = naive::parse(&stream, LIMITS);
        prop_assert_eq!(&parse(cut(&stream, cuts)), &identity);
        prop_assert_eq!(&parse([&*stream]), &identity, "whole");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn where_a_stream_is_cut_changes_nothing(stream in nearly_valid_stream()) {
        let identity = parse([&*stream]);
        prop_assert_eq!(&parse(stream.chunks(1)), &identity, "byte by byte");
        for offset in 0..=stream.len() {
            prop_assert_eq!(&parse(cut(&stream, [offset])), &identity, "cut at {}", offset);
        }
    }

    #[test]
    fn what_is_encoded_is_parsed_back(
        requests in vec(vec(vec(any::<u8>(), 0..=LIMITS.bulk_bytes_max), 1..6), 0..5),
        cuts in vec(0..400_usize, 0..6),
    ) {
        let arrays: Vec<u8> = requests.iter().flat_map(|words| array(words)).collect();
        prop_assert_eq!(parse(cut(&arrays, cuts.clone())), (requests.clone(), None));
        let lines: Vec<u8> = requests.iter().flat_map(|words| line(words)).collect();
        prop_assert_eq!(parse(cut(&lines, cuts)), (requests, None));
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn around_the_limit_of_a_line_the_naive_parser_agrees(
        opening in select(vec!["", "*", "*1\r\n", "*1\r\n$", "PING\r\n*1\r\n$", "\"", "\0"]),
        filler in select(b"a1 ".to_vec()),
        length in LINE_BYTES_MAX - 8..LINE_BYTES_MAX + 8,
        end in select(vec!["", "\n", "\r", "\r\n", "\"\r\n", "\0\n"]),
        cuts in vec(LINE_BYTES_MAX - 16..LINE_BYTES_MAX + 32, 0..4),
    ) {
        let filling = vec![filler; length];
        let stream = [opening.as_bytes(), &filling, end.as_bytes(), b"PING\r\n"].concat();
        let identity = naive::parse(&stream, LIMITS);
        // A failure is told by the few words above, not by 64 KiB of them.
        prop_assert!(parse(cut(&stream, cuts)) == identity);
    }
}

#[test]
fn what_is_not_resp_is_told_in_redis_words() {
    for (stream, text) in NOT_RESP {
        let (requests, error) = parse([&*spelled_out(stream)]);
        let mut reply = Vec::new();
        let error = error.expect("it is not RESP");
        let _ = Reply::new(&mut reply, Protocol::Resp2).protocol_error(error);
        assert_eq!(requests, Vec::<Words>::new(), "{text}");
        let reply = String::from_utf8(reply).expect("nothing above is not UTF-8");
        assert_eq!(reply, format!("-ERR Protocol error: {text}\r\n"));
    }
}

/// A worker goes on with the same parser after it has sent a client away.
#[test]
fn an_error_leaves_nothing_behind_for_the_next_client() {
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
fn an_inline_request_has_at_most_64_kib_before_its_lf() {
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

/// Within the limit a header is judged by what it says, beyond it by its length alone.
#[test]
fn a_header_has_at_most_64_kib_before_its_cr() {
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
fn a_line_without_an_end_is_too_big_at_the_first_byte_beyond_the_limit() {
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
fn a_bulk_string_has_at_most_as_many_bytes_as_the_operator_allows() {
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
fn a_request_has_at_most_2147483647_arguments() {
    assert_eq!(ARGUMENTS_MAX, 2_147_483_647);
    for count in ["2147483646", "2147483647"] {
        let stream = format!("*{count}\r\n$4\r\nPING\r\n");
        assert_eq!(parse([stream.as_bytes()]), (vec![], None), "{count}");
    }
    let error = Some(ProtocolError::InvalidMultibulkLength);
    assert_eq!(parse([&b"*2147483648\r\n"[..]]), (vec![], error));
}

/// The bytes behind the header are zeros that the system never has to bring: nobody looks at them.
#[test]
fn a_request_makes_us_hold_at_most_1_gib_with_its_table() {
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
    // Beside the request a span of 8 bytes is held.
    let request_bytes = REQUEST_BYTES_MAX - 8;
    let fits = request_bytes - "*1\r\n$1073741797\r\n\r\n".len();
    let too_big = Err(ProtocolError::TooBigRequest);
    assert_eq!(parse(fits, REQUEST_BYTES_MAX), Ok(Some(request_bytes)));
    assert_eq!(parse(fits + 1, REQUEST_BYTES_MAX), too_big);
    assert_eq!(parse(REQUEST_BYTES_MAX, REQUEST_BYTES_MAX), Ok(None));
    assert_eq!(parse(REQUEST_BYTES_MAX, REQUEST_BYTES_MAX + 1), too_big);
}

/// The fuzzer's first finding: whole, these streams were not RESP; in pieces, they were too big
/// before that was seen.
#[test]
fn where_a_request_that_is_too_big_and_not_resp_is_cut_changes_nothing() {
    let limits = Limits {
        request_bytes_max: 64,
        ..LIMITS
    };
    let too_big = Err(ProtocolError::TooBigRequest);
    let long = "a".repeat(64);
    for (stream, error) in [
        // The word is noted in 8 bytes, so these are 64 bytes in front of the last, and 65.
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
fn a_request_without_a_word_is_passed_over() {
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
        let identity = (vec![vec![b"PING".to_vec()]], None);
        assert_eq!(parse([stream.as_bytes()]), identity, "{nothing:?}");
    }
}

/// As in Redis.
#[test]
fn the_bytes_that_stand_for_line_ends_in_an_array_are_not_looked_at() {
    let identity = (vec![vec![b"PING".to_vec(), b"\r\n".to_vec()]], None);
    assert_eq!(parse([&b"*2\rx$4\rxPINGxx$2\rx\r\nxx"[..]]), identity);
}

/// The word `""` is none of Redis's commands, but it is a word.
#[test]
fn an_empty_word_is_a_request() {
    let identity = (vec![vec![vec![]], vec![vec![]]], None);
    assert_eq!(parse([&b"*1\r\n$0\r\n\r\n\"\"\r\n"[..]]), identity);
}

#[test]
fn a_request_gives_its_name_and_its_arguments() {
    let stream = array(&["ECHO", "", "a\r\n\0b"]);
    let mut parser = Parser::default();
    assert_eq!(parser.parse(&stream, LIMITS), Ok(Some(stream.len())));
    let request = parser.request(&stream).expect("it has words");
    assert_eq!(request.name(), b"ECHO");
    assert_eq!(request.word_count(), 3);
    assert_eq!(request.arguments().len(), 2);
    assert_eq!(request.argument(0), Some(&b""[..]));
    assert_eq!(request.argument(1), Some(&b"a\r\n\0b"[..]));
    assert_eq!(request.argument(2), None);
    assert_eq!(request.argument(usize::MAX), None);
    assert_eq!(format!("{request:?}"), r#"["ECHO", "", "a\\r\\n\\x00b"]"#);
}

// That a request in small pieces costs linear time is shown by spoiling the bytes that the parser
// has read: it must not notice, because it must not read them again.

#[test]
fn no_byte_of_a_long_bulk_string_is_read_twice() {
    let limits = Limits {
        bulk_bytes_max: 4 << 20,
        ..LIMITS
    };
    let stream = array(&[vec![b'a'; limits.bulk_bytes_max]]);
    // The header is in the first piece; behind it the parser reads nothing at all.
    let (parser, input) = parse_while_spoiling(&stream, limits, |arrived| arrived);
    let words = words(&parser, &input).expect("it has a word");
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
    let (parser, input) = parse_while_spoiling(&stream, LIMITS, |arrived| {
        let begun = starts.partition_point(|&start| start <= arrived);
        starts[begun - 1]
    });
    let words = words(&parser, &input).expect("it has words");
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
            // Whoever reads this again finds an end.
            input[start..].fill(end);
        }
    }
}

/// Parses one request that arrives in pieces of 1 KiB. Of the bytes that have arrived, as many as
/// `is_read` says are spoiled between two calls.
fn parse_while_spoiling(
    stream: &[u8],
    limits: Limits,
    is_read: impl Fn(usize) -> usize,
) -> (Parser, Vec<u8>) {
    let mut parser = Parser::default();
    let mut input = Vec::new();
    let mut parsed = Ok(None);
    let mut spoiled = 0;
    for piece in stream.chunks(1024) {
        assert_eq!(parsed, Ok(None), "at {} of {}", input.len(), stream.len());
        input.extend_from_slice(piece);
        parsed = parser.parse(&input, limits);
        let end = is_read(input.len());
        input[spoiled..end].fill(b'!');
        spoiled = end;
    }
    assert_eq!(parsed, Ok(Some(stream.len())));
    (parser, input)
}

/// Parses a stream that arrives in these pieces as a worker does: after each, as far as it goes.
fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> ClientIdentity {
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

/// The words of the request just parsed; `None` if it has none.
fn words(parser: &Parser, input: &[u8]) -> Option<Words> {
    let request = parser.request(input)?;
    let words = iter::once(request.name()).chain(request.arguments());
    Some(words.map(<[u8]>::to_vec).collect())
}

/// `stream` cut at `offsets`; those beyond its end cut nothing.
fn cut(stream: &[u8], offsets: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut ends = vec![0, stream.len()];
    ends.extend(offsets.into_iter().filter(|&offset| offset < stream.len()));
    ends.sort_unstable();
    ends.windows(2)
        .map(|ends| &stream[ends[0]..ends[1]])
        .collect()
}

/// A request as a client library sends it.
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

/// A request as a careful person types it.
fn line(words: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    [words.join(&b' '), b"\r\n".to_vec()].concat()
}

/// A word as a line can carry it, whatever bytes it has.
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

/// The stream that an entry of [`NOT_RESP`] stands for.
fn spelled_out(stream: &str) -> Vec<u8> {
    stream
        .replace('…', &"1".repeat(LINE_BYTES_MAX))
        .into_bytes()
}

/// Everything that is not RESP, and Redis's words for it. `…` stands for 64 KiB of digits.
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
    // The CR would end the reply, and is sent as a blank.
    ("*1\r\n\r\n", "expected '$', got ' '"),
    ("*1\r\n$\r\n", "invalid bulk length"),
    ("*1\r\n$x\r\n", "invalid bulk length"),
    ("*1\r\n$-1\r\n", "invalid bulk length"),
    ("*1\r\n$33\r\n", "invalid bulk length"),
    ("*1\r\n$9223372036854775808\r\n", "invalid bulk length"),
];

/// The stream of a peer that knows RESP but is not to be trusted: a few requests, most of them
/// right, with some damage done.
fn nearly_valid_stream() -> impl Strategy<Value = Vec<u8>> {
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

/// Where, how many bytes are lost, and what stands there instead.
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

/// Any byte, but those with a meaning more often.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), select(b"\r\n\0*$ \"'\\012".to_vec())]
}

/// A stream that fails becomes a test with a name, not a line in a file beside this one.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
