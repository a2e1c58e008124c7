//! Measures parsing a request and writing a reply, without sockets and threads.
//!
//! ```console
//! $ cargo bench --bench micro             # some seconds
//! $ cargo bench --bench micro -- parse    # cases with this word in their name
//! ```

// `resp` is private, but needs only std, so this bench compiles it again. Exporting it for the
// bench would take a public feature, and wrappers in `src` for its `pub(crate)` items.
#[allow(
    dead_code,
    unfulfilled_lint_expectations,
    unreachable_pub,
    unused_imports,
    reason = "here it is not public, and not all of it is used"
)]
#[path = "../src/resp/mod.rs"]
mod resp;

use std::env;
use std::hint::black_box;
use std::time::{Duration, Instant};

use resp::{Limits, Parser, Protocol, Replied, Reply};

const ROUNDS: usize = 41;

/// The time of a case in a round: long compared with reading the clock, short compared with a time
/// slice of the scheduler.
const SLICE: Duration = Duration::from_millis(2);

/// The program's defaults.
const LIMITS: Limits = Limits {
    request_bytes_max: 1024 * 1024 * 1024,
    bulk_bytes_max: 512 * 1024 * 1024,
    unauthenticated: false,
};

fn main() {
    let mut cases = parsing();
    cases.extend(replying());
    // cargo adds flags.
    if let Some(word) = env::args().skip(1).find(|word| !word.starts_with('-')) {
        cases.retain(|case| case.name.contains(&word));
    }
    // The cases take turns, so that a disturbance hits all of them.
    for _ in 0..ROUNDS {
        cases.iter_mut().for_each(Case::time);
    }
    println!("ns per item: median (quartiles) of {ROUNDS} rounds");
    cases.iter_mut().for_each(Case::report);
}

/// Code to be timed. Its maker has asserted that it works.
struct Case {
    name: String,
    /// Items in a pass.
    items: usize,
    pass: Box<dyn FnMut()>,
    /// Passes that take about [`SLICE`].
    passes: u32,
    ns_per_item: Vec<f64>,
}

impl Case {
    fn new(name: String, items: usize, pass: impl FnMut() + 'static) -> Self {
        let mut case = Self {
            name,
            items,
            pass: Box::new(pass),
            passes: 1,
            ns_per_item: Vec::new(),
        };
        while case.run() < SLICE {
            case.passes *= 2;
        }
        case
    }

    fn time(&mut self) {
        let items = f64::from(self.passes) * self.items as f64;
        let ns = self.run().as_nanos() as f64;
        self.ns_per_item.push(ns / items);
    }

    fn run(&mut self) -> Duration {
        let start = Instant::now();
        for _ in 0..self.passes {
            (self.pass)();
        }
        start.elapsed()
    }

    fn report(&mut self) {
        self.ns_per_item.sort_unstable_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|part| self.ns_per_item[part * (ROUNDS - 1) / 4]);
        println!("{:32} {median:7.1} ({low:.1}-{high:.1})", self.name);
    }
}

fn parsing() -> Vec<Case> {
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let long = [b"*2\r\n$4\r\nPING\r\n$1024\r\n", &[b'x'; 1024][..], b"\r\n"].concat();
    [
        ("parse: array", ping.to_vec(), 1, 1),
        ("parse: inline", b"PING\r\n".to_vec(), 1, 1),
        ("parse: array with 1 KiB", long, 1, 2),
        ("parse: pipeline of 100 arrays", ping.repeat(100), 100, 100),
    ]
    .map(|(name, bytes, requests, words)| {
        let mut parser = Parser::default();
        assert_eq!(parse_all(&mut parser, &bytes), (requests, words), "{name}");
        Case::new(name.to_owned(), requests, move || {
            black_box(parse_all(&mut parser, black_box(&bytes)));
        })
    })
    .into()
}

/// Parses all requests in `bytes`. Returns the number of requests and of their words.
fn parse_all(parser: &mut Parser, mut bytes: &[u8]) -> (usize, usize) {
    let (mut requests, mut words) = (0, 0);
    while !bytes.is_empty() {
        let length = parser.parse(bytes, LIMITS).expect("it is RESP");
        let request = parser.request(bytes).expect("it has a word");
        assert!(request.name() == b"PING");
        requests += 1;
        words += request.word_count();
        bytes = &bytes[length.expect("it is whole")..];
    }
    (requests, words)
}

fn replying() -> [Case; 4] {
    let text = || black_box("hello, world");
    let bulk = "$12\r\nhello, world\r\n";
    [
        reply("simple", "+PONG\r\n", |reply| reply.simple("PONG")),
        reply("bulk of 12 bytes", bulk, move |reply| reply.bulk(text())),
        reply("integer", ":1234567890\r\n", |reply| {
            reply.integer(black_box(1_234_567_890))
        }),
        reply(
            "array of 10 bulks",
            &format!("*10\r\n{}", bulk.repeat(10)),
            move |reply| {
                reply.array(10, |items| {
                    for _ in 0..10 {
                        items.add(|item| item.bulk(text()));
                    }
                })
            },
        ),
    ]
}

/// Returns a case of a hundred replies in a row, as to a pipeline.
fn reply(name: &str, wire: &str, write: impl Fn(Reply<'_>) -> Replied + 'static) -> Case {
    let write_all = move |out: &mut Vec<u8>| {
        out.clear();
        for _ in 0..100 {
            let _ = write(Reply::new(out, black_box(Protocol::Resp2)));
        }
    };
    let mut out = Vec::new();
    write_all(&mut out);
    assert!(out == wire.repeat(100).as_bytes(), "{name}");
    Case::new(format!("reply: {name}"), 100, move || {
        write_all(black_box(&mut out));
    })
}
