//! Fuzzes `respool::fuzz::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| respool::fuzz::config(bytes));
