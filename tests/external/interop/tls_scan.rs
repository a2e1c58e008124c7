//! testssl.sh, which looks for weak protocols, weak ciphers and known vulnerabilities.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::transports::{ANONYMOUS, Stage};
use respool_testing::Scratch;
use respool_testing::case::{Case, Outcome};
use respool_testing::process::Process;
use respool_testing::setup::{installed, version};

pub(crate) fn case() -> Case {
    let testssl = version("testssl", "--version");
    let does = "finds nothing of severity MEDIUM or above in protocols, ciphers, vulnerabilities";
    Case::without_server("testssl.sh", testssl, does, || {
        let stage = Stage::start(2, ANONYMOUS);
        scan(stage.tls_port)?;
        // It tries HTTP, too, which is worth a warning.
        stage.server.stop();
        Ok(())
    })
}

/// The certificate is not looked at: its CA is ours.
fn scan(port: u16) -> Outcome {
    let testssl = installed("testssl")?;
    let folder = Scratch::for_sockets();
    let file = folder.path().join("findings.csv");
    let mut command = Command::new(testssl);
    command
        .args(["--quiet", "--color", "0", "--nodns", "none"])
        .args(["--warnings", "off", "--protocols", "--std", "--pfs"])
        .args(["--server-preference", "--vulnerable", "--csvfile"])
        .arg(&file)
        .arg(format!("localhost:{port}"))
        .current_dir(folder.path());
    // Its exit code is not 0 even if all is well.
    let ended = Process::start(&mut command).ended(SCAN_PATIENCE);
    let findings = fs::read_to_string(file).unwrap_or_default();
    let findings: Vec<Finding> = findings.lines().filter_map(Finding::read).collect();
    for id in LOOKED_AT {
        let is_there = findings.iter().any(|finding| finding.id == id);
        assert!(is_there, "nothing about {id}: {}", ended.stdout);
    }
    let serious: Vec<_> = findings.iter().filter(|one| one.is_serious()).collect();
    assert!(serious.is_empty(), "{serious:?}");
    Ok(())
}

/// A line of the file.
#[derive(Debug)]
#[allow(dead_code, reason = "`what` is for the message of a failure")]
struct Finding<'a> {
    id: &'a str,
    severity: &'a str,
    what: &'a str,
}

impl<'a> Finding<'a> {
    /// Reads `"id","host","port","severity","finding","cve","cwe"`.
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split("\",\"");
        let id = fields.next()?.trim_start_matches('"');
        let severity = fields.nth(2)?;
        let what = fields.next()?;
        Some(Self { id, severity, what })
    }

    fn is_serious(&self) -> bool {
        matches!(self.severity, "MEDIUM" | "HIGH" | "CRITICAL" | "FATAL")
    }
}

/// The scan ended too early if one of these is missing.
const LOOKED_AT: [&str; 10] = [
    "SSLv3",
    "TLS1_2",
    "TLS1_3",
    "cipherlist_NULL",
    "cipherlist_STRONG",
    "PFS",
    "cipher_order",
    "heartbleed",
    "secure_client_renego",
    "RC4",
];

/// It takes 40 s, most of which it waits.
const SCAN_PATIENCE: Duration = Duration::from_secs(300);
