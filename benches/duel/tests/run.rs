//! The smallest run of the whole program. It builds respool for release, unless that is built.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_run_measures_and_writes_its_results() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("duel");
    let output = Command::new(env!("CARGO_BIN_EXE_respool-duel"))
        .args([
            "--quick",
            "--rounds",
            "1",
            "--slice",
            "10",
            "--only",
            "1 client, P=1",
        ])
        .arg("--out")
        .arg(&out)
        .output()
        .expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.lines().any(|line| line.starts_with("respool 0.")),
        "{stderr}"
    );
    for text in ["1 client, P=1\n", "CPU ns/request", "/ bare", "Marks"] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    let json = fs::read(out.join("duel.json")).expect("it is written");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("it is JSON");
    let p50 = &json["loads"][0]["servers"][0]["rounds"]["p50_us"][0];
    assert!(p50.as_f64().is_some_and(|p50| p50 > 0.0), "{p50}");
}
