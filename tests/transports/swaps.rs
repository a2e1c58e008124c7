//! Certificates that are swapped while clients are connected and connect.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use respool_testing::certificates::Pair;
use respool_testing::tls::{TlsClients, der};
use respool_testing::{Scratch, eventually};

use crate::secure::Secure;

/// How a pair is swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Sighup,
    ConfigSet,
    /// The server looks at the files by itself, once a second.
    ChangedFile,
}

/// The third way takes a second each time.
const SWAPS: [(Way, usize); 3] = [
    (Way::Sighup, 49),
    (Way::ConfigSet, 49),
    (Way::ChangedFile, 2),
];

#[test]
fn no_client_notices_100_swaps_of_the_certificate() {
    let file = Scratch::file("");
    let secure = Secure::start(&[file.arg(), "--workers", "2"]);
    let clients = secure.clients();
    let is_over = AtomicBool::new(false);
    let newcomers = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Ends the load if a swap fails, too.
        let over = Over(&is_over);
        for _ in 0..3 {
            scope.spawn(|| stays_and_pings(&clients, &secure, &is_over));
        }
        for _ in 0..2 {
            scope.spawn(|| comes_pings_and_leaves(&clients, &secure, &is_over, &newcomers));
        }
        for (way, times) in SWAPS {
            if way == Way::ChangedFile {
                // Not before: then no other way finds the files half written.
                let mut control = secure.server.connect();
                control.ask("CONFIG SET tls-auto-reload-interval 1\r\n", "+OK\r\n");
            }
            for _ in 0..times {
                swap(&secure, way);
            }
        }
        drop(over);
    });
    assert!(newcomers.into_inner() >= 100, "some came at every swap");
    let log = secure.server.stop();
    let mut warnings = log.lines().filter(|line| line.contains("[warning]"));
    // Once a second the server looks at the files, which may be half written.
    let is_between =
        |line: &str| line.contains("the changed certificates cannot be used, the old ones stay");
    assert!(warnings.all(is_between), "{log}");
}

/// Sets the flag on drop.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn stays_and_pings(clients: &TlsClients, secure: &Secure, is_over: &AtomicBool) {
    let mut peer = clients.connect(secure.tls);
    while !is_over.load(Ordering::Relaxed) {
        peer.ping();
    }
}

fn comes_pings_and_leaves(
    clients: &TlsClients,
    secure: &Secure,
    is_over: &AtomicBool,
    count: &AtomicUsize,
) {
    while !is_over.load(Ordering::Relaxed) {
        clients.connect(secure.tls).ask("QUIT\r\n", "+OK\r\n");
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes a new pair and has it loaded. Returns when new clients see it.
fn swap(secure: &Secure, way: Way) {
    let pair = secure.authority.server();
    secure.files.write_server(&pair);
    match way {
        Way::Sighup => secure.server.signal("HUP"),
        Way::ConfigSet => assert_eq!(set(secure), "+OK"),
        Way::ChangedFile => {}
    }
    eventually("a new client sees the new certificate", || {
        shown(secure) == der(&pair.certificate)
    });
}

/// Sets the files by CONFIG SET and returns the reply.
fn set(secure: &Secure) -> String {
    let [certificate, key] = [secure.files.server_certificate(), secure.files.server_key()];
    let set = format!(
        "CONFIG SET tls-cert-file {} tls-key-file {}\r\n",
        certificate.display(),
        key.display()
    );
    let mut peer = secure.server.connect();
    peer.send(set);
    peer.line()
}

/// Returns the certificate that the server shows to a new client.
fn shown(secure: &Secure) -> Vec<u8> {
    secure.clients().connect(secure.tls).server_certificate()
}

#[test]
fn mismatched_pair_is_refused_and_changes_nothing() {
    for way in [Way::Sighup, Way::ConfigSet, Way::ChangedFile] {
        let interval_s = u32::from(way == Way::ChangedFile);
        let file = Scratch::file(&format!("tls-auto-reload-interval = {interval_s}\n"));
        let secure = Secure::start(&[file.arg()]);
        let before = shown(&secure);
        let pair = Pair {
            key: secure.authority.server().key,
            ..secure.authority.server()
        };
        secure.files.write_server(&pair);
        match way {
            Way::Sighup => secure.server.signal("HUP"),
            Way::ConfigSet => {
                let reply = set(&secure);
                assert!(reply.starts_with("-ERR CONFIG SET failed"), "{reply}");
            }
            Way::ChangedFile => {}
        }
        secure.server.wait_for_log("[warning]");
        secure.server.wait_for_log("is not the key of");
        assert_eq!(shown(&secure), before, "{way:?}");
        secure.server.stop();
    }
}
