//! The seeds of the fuzzers, and tens of thousands of mutations of them: not to find much, but so
//! that the functions and the seeds stay as right as they are, on the stable toolchain and in
//! seconds.
//!
//! `RESPOOL_FUZZ_INPUTS=1000000 cargo test --release --lib fuzz::` tries so many of each kind.

use std::fs;
use std::path::Path;

use super::{connection, parser};

#[test]
fn the_parser_holds_its_promises() {
    smoke("parser", 100_000, parser);
}

#[test]
fn a_connection_holds_its_promises() {
    smoke("connection", 40_000, connection);
}

#[test]
#[cfg(feature = "cli")]
fn a_configuration_holds_its_promises() {
    smoke("config", 30_000, super::config);
}

/// Tries every seed and `count` mutations, always the same.
fn smoke(target: &str, count: usize, promises: fn(&[u8])) {
    let count = std::env::var("RESPOOL_FUZZ_INPUTS").map_or(count, |count| {
        count.parse().expect("RESPOOL_FUZZ_INPUTS is a number")
    });
    let seeds = seeds(target);
    for seed in &seeds {
        let _shown = ShownInPanic(seed);
        promises(seed);
    }
    let mut chance = Chance(1);
    for _ in 0..count {
        let mutant = chance.mutant(&seeds);
        let _shown = ShownInPanic(&mutant);
        promises(&mutant);
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if root.join("Cargo.toml.orig").exists() {
        // A package of the crate has no seeds. The mutations of nothing at all remain.
        return vec![Vec::new()];
    }
    let folder = root.join("fuzz/seeds").join(target);
    let infos = fs::read_dir(folder).expect("a folder of seeds");
    let mut files: Vec<_> = infos.map(|info| info.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
        .iter()
        .map(|file| fs::read(file).expect("a seed"))
        .collect()
}

/// Numbers that look like chance: Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `bound`, which is not 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 32) as usize % bound
    }

    fn one_of<'a>(&mut self, seeds: &'a [Vec<u8>]) -> &'a [u8] {
        &seeds[self.below(seeds.len())]
    }

    /// A few bytes of `bytes`, somewhere.
    fn part_of<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len() + 1);
        let length = self.below((bytes.len() - start).min(PART_BYTES_MAX) + 1);
        &bytes[start..start + length]
    }

    /// A seed with some damage.
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

/// Bytes that one damage takes or brings.
const PART_BYTES_MAX: usize = 32;

/// Says for which input a promise was broken.
struct ShownInPanic<'a>(&'a [u8]);

impl Drop for ShownInPanic<'_> {
    #[expect(clippy::print_stderr, reason = "the test has failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("for the input b\"{}\"", self.0.escape_ascii());
        }
    }
}
