//! The smallest run of the whole program. It builds respool for release, unless that is built.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// Measures one round of these loads. Returns what is printed, and the JSON.
fn run(only: &str) -> (String, serde_json::Value) {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(only);
    let output = Command::new(env!("CARGO_BIN_EXE_respool-duel"))
        .args("--quick --rounds 1 --slice 10 --only".split(' '))
        .arg(only)
        .arg("--out")
        .arg(&out)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.lines().any(|line| line.starts_with("respool 0.")),
        "{stderr}"
    );
    let json = fs::read(out.join("duel.json")).expect("it is written");
    let stdout = String::from_utf8_lossy(&output.stdout);
    (
        stdout.into_owned(),
        serde_json::from_slice(&json).expect("it is JSON"),
    )
}

/// Checks that respool was measured first, under the first load. Its CPU time is measured even if a
/// busy machine lets no reply come in the short time that counts for the others.
fn expect_respool(json: &serde_json::Value) {
    let first = &json["loads"][0]["servers"][0];
    assert_eq!(first["server"], "respool");
    let cpu_ns = &first["rounds"]["cpu_ns_per_request"][0];
    assert!(cpu_ns.as_f64().is_some_and(|ns| ns > 0.0), "{first}");
}

#[test]
fn a_run_measures_and_writes_its_results() {
    let (stdout, json) = run("1 client, P=1");
    for text in ["1 client, P=1\n", "CPU ns/request", "/ bare", "Marks"] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    expect_respool(&json);
}

#[test]
fn respool_is_measured_under_loads_of_other_kinds() {
    for only in [
        "8 clients, connect, PING, RST",
        "50 clients, P=16, differing",
        "50 clients, P=1, mixed",
        "1 subscriber, P=16",
    ] {
        let (_, json) = run(only);
        expect_respool(&json);
        assert!(json["not_installed"].is_array(), "{only}");
    }
}

#[test]
fn respool_is_measured_over_tls_and_unix_sockets() {
    for only in ["50 TLS clients, P=100", "50 Unix clients, P=100"] {
        let (_, json) = run(only);
        expect_respool(&json);
    }
}
