//! Fuzzes `respool::fuzz::parser`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| respool::fuzz::parser(bytes));
