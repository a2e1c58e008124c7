//! Fuzzes `respool::fuzz::tls`.

#![no_main]

use std::sync::LazyLock;

use respool::fuzz::{TlsSettings, tls};
use respool_testing::certificates::Authority;

static SETTINGS: LazyLock<TlsSettings> = LazyLock::new(|| {
    let ca = Authority::new("the CA");
    let pair = ca.server();
    TlsSettings::new(&ca.certificate(), &pair.certificate, &pair.key)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tls(&SETTINGS, bytes));
