//! Fuzzes `respool::fuzz::proxy_header`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| respool::fuzz::proxy_header(bytes));
