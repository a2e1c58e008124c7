//! Copies the pool from `src/pool`: once as it is, and once with each of the bugs.
//!
//! Replaces other crates and std's atomics by the stand-ins of this crate, and makes some constants
//! smaller so that runs are short. The build fails if a replacement does not fit.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/bugs.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "the crate has this module too, and uses all of it"
)]
mod bugs;

const FILES: &[&str] = &["mod.rs", "parking.rs", "queue.rs", "slot.rs"];

const STAND_INS: &[(&str, &str)] = &[
    ("use std::sync::atomic::", "use crate::memory::"),
    ("use crate::net::edge_poll::", "use crate::mio::"),
    ("use parking_lot::", "use crate::parking_lot::"),
    ("use crossbeam_channel::", "use crate::crossbeam_channel::"),
    (" crossbeam_channel::", " crate::crossbeam_channel::"),
    ("#[cfg(test)]\nmod tests;\n", ""),
    ("mod cpu_contention;\n", "use crate::cpu_contention;\n"),
    ("mod queue_wait;\n", "use crate::queue_wait;\n"),
    ("SPINS: u32 = 20;", "SPINS: u32 = 1;"),
    (
        "TURNS_BEFORE_HELPER: u32 = 64;",
        "TURNS_BEFORE_HELPER: u32 = 2;",
    ),
    (
        "TURNS_BETWEEN_POLLS: u32 = 64;",
        "TURNS_BETWEEN_POLLS: u32 = 4;",
    ),
    ("EVENTS_MAX: usize = 256;", "EVENTS_MAX: usize = 2;"),
];

fn main() {
    let source =
        Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../src/pool");
    let out = env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/bugs.rs");
    println!("cargo::rerun-if-changed={}", source.display());
    let mut fits = vec![false; STAND_INS.len()];
    let texts: Vec<String> = FILES
        .iter()
        .map(|file| {
            let mut text = fs::read_to_string(source.join(file)).expect("a file of the pool");
            for ((from, to), fits) in STAND_INS.iter().zip(&mut fits) {
                *fits |= text.contains(from);
                text = text.replace(from, to);
            }
            text
        })
        .collect();
    for ((from, _), fits) in STAND_INS.iter().zip(fits) {
        assert!(fits, "build.rs: the pool no longer contains `{from}`");
    }

    let mut list = String::from("/// All pools, by name.\npub const POOLS: &[(&str, Make)] = &[\n");
    let mut modules = String::new();
    let sound = ("sound", "", &[][..]);
    let buggy = bugs::BUGS.iter().map(|bug| (bug.name, bug.file, bug.edits));
    for (name, changed, edits) in [sound].into_iter().chain(buggy) {
        let folder = Path::new(&out).join(name);
        fs::create_dir_all(&folder).expect("OUT_DIR is writable");
        for (file, text) in FILES.iter().zip(&texts) {
            let mut text = text.clone();
            if *file == changed {
                for (from, to) in edits {
                    let count = text.matches(from).count();
                    assert!(
                        count == 1,
                        "the bug {name} does not fit: {file} contains `{from}` {count} times"
                    );
                    text = text.replace(from, to);
                }
            }
            fs::write(folder.join(file), text).expect("OUT_DIR is writable");
        }
        let path = format!("{:?}", folder.join("mod.rs").display().to_string());
        let _ = writeln!(
            modules,
            "#[allow(warnings, clippy::all, clippy::pedantic)]\n#[path = {path}]\nmod {name};\npool!({name});"
        );
        let _ = writeln!(
            list,
            "    ({name:?}, |slots| Arc::new({name}::Pool::new(slots, 2).expect(\"a poll\"))),"
        );
    }
    let text = format!("{modules}\n{list}];\n");
    fs::write(Path::new(&out).join("pools.rs"), text).expect("OUT_DIR is writable");
}
