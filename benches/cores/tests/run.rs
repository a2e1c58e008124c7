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

#[test]
fn unusable_options_are_refused_before_measuring() {
    let max = u64::MAX.to_string();
    let file = env!("CARGO_BIN_EXE_respool-cores");
    let refused: [(&[&str], &str); 7] = [
        (&["--transfer", "-1"], "-1"),
        (&["--transfer", "fast"], "--transfer"),
        (&["--transfer", ""], "--transfer"),
        (&["--transfer", &max], "--transfer"),
        (&["--validate", "--transfer", "50"], "--transfer"),
        (&["--validate", "--out", "."], "--out"),
        (&["--out", file], file),
    ];
    for (options, named) in refused {
        let output = Command::new(file).args(options).output().expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(stderr.contains(named), "{options:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{options:?}: {stderr}");
    }
}
