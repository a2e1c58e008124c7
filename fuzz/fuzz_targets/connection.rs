//! `respool::fuzz::connection`, which says what it promises.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| respool::fuzz::connection(bytes));
