//! The smallest run of the whole program.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_quick_run_prints_tables_and_draws() {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        eprintln!("left out: there is one core");
        return;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cores");
    let output = Command::new(env!("CARGO_BIN_EXE_respool-cores"))
        .args(["--quick", "--out"])
        .arg(&out)
        .output()
        .expect("it runs");
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stderr}");
    for text in ["the channel: send", "the pool as it is", "a poll for each"] {
        assert!(stdout.contains(text), "{text}: {stdout}");
    }
    assert!(!stdout.contains("NaN"), "{stdout}");
    let svg = fs::read_to_string(out.join("cores.svg")).expect("it is written");
    assert!(svg.starts_with("<svg"), "{svg}");
}
