//! Runs the seeds of the fuzzers and tens of thousands of mutations, on the stable toolchain and in
//! seconds. This keeps the functions and the seeds correct; it is not meant to find much.
//!
//! `RESPOOL_FUZZ_INPUTS=1000000 cargo test --release --lib fuzz::` tries that many of each kind.

use std::fs;
use std::path::Path;
use std::thread;

use super::{connection, parser, proxy_header};

#[test]
fn parser_properties_hold() {
    smoke("parser", 100_000, parser);
}

#[test]
fn connection_properties_hold() {
    smoke("connection", 20_000, connection);
}

#[test]
fn proxy_header_properties_hold() {
    smoke("proxy_header", 30_000, proxy_header);
}

#[test]
#[cfg(feature = "tls")]
fn tls_properties_hold() {
    let ca = respool_testing::certificates::Authority::new("the CA");
    let pair = ca.server();
    let settings = super::TlsSettings::new(&ca.certificate(), &pair.certificate, &pair.key);
    smoke("tls", 500, |bytes| super::tls(&settings, bytes));
}

#[test]
#[cfg(feature = "cli")]
fn config_properties_hold() {
    smoke("config", 30_000, super::config);
}

/// Tries every seed and `count` mutations, always the same ones.
///
/// On threads, because the slowest takes half a minute of processor time.
fn smoke(target: &str, count: usize, property: impl Fn(&[u8]) + Sync) {
    let count = std::env::var("RESPOOL_FUZZ_INPUTS").map_or(count, |count| {
        count.parse().expect("RESPOOL_FUZZ_INPUTS is a number")
    });
    let seeds = seeds(target);
    for seed in &seeds {
        let _shown = ShownInPanic(seed);
        property(seed);
    }
    let try_mutants = |first_state| {
        let mut random = Random(first_state);
        for _ in 0..count / THREADS {
            let mutant = random.mutant(&seeds);
            let _shown = ShownInPanic(&mutant);
            property(&mutant);
        }
    };
    thread::scope(|scope| {
        for number in 1..=THREADS {
            let try_mutants = &try_mutants;
            scope.spawn(move || try_mutants(number as u64));
        }
    });
}

/// Not the number of processors: the inputs are the same on all machines.
const THREADS: usize = 4;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if root.join("Cargo.toml.orig").exists() {
        // A published package has no seeds: mutates the empty input.
        return vec![Vec::new()];
    }
    let folder = root.join("fuzz/seeds").join(target);
    let entries = fs::read_dir(folder).expect("a folder of seeds");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .map(|file| fs::read(file).expect("a seed"))
        .collect()
}

/// Pseudo-random numbers: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 32) as usize % bound
    }

    fn one_of<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a [u8] {
        &seeds[self.below(seeds.len())]
    }

    /// Returns a few consecutive bytes of `bytes`.
    fn part_of<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len() + 1);
        let length = self.below((bytes.len() - start).min(PART_BYTES_MAX) + 1);
        &bytes[start..start + length]
    }

    /// Returns a damaged seed.
    fn mutant(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one_of(seeds).to_vec();
        for _ in 0..=self.below(4) {
            let start = self.below(bytes.len() + 1);
            let rest = bytes.len() - start;
            let lost = self.below(rest.min(PART_BYTES_MAX) + 1);
            let byte = [self.next() as u8];
            let other = self.one_of(seeds);
            let (lost, new) = match self.below(5) {
                0 => (rest.min(1), &byte[..]),
                1 => (0, &byte[..]),
                2 => (lost, &[][..]),
                3 => (0, self.part_of(other)),
                _ => (lost, self.part_of(other)),
            };
            bytes.splice(start..start + lost, new.iter().copied());
        }
        bytes
    }
}

/// Maximum bytes that one damage removes or inserts.
const PART_BYTES_MAX: usize = 32;

/// Prints the input if a property does not hold.
struct ShownInPanic<'a>(&'a [u8]);

impl Drop for ShownInPanic<'_> {
    #[expect(clippy::print_stderr, reason = "the test has failed")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("for the input b\"{}\"", self.0.escape_ascii());
        }
    }
}
