//! Fuzzes `respool::fuzz::connection`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| respool::fuzz::connection(bytes));
