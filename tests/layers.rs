//! Arrows between modules go down only: `lib.rs` says which.

use std::fs;
use std::path::Path;

/// The text of every file of a module, without its tests and its comments.
fn code(module: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(module);
    let files: Vec<_> = if path.is_dir() {
        let entries = fs::read_dir(&path).expect("a folder");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    } else {
        vec![path]
    };
    let texts = files
        .iter()
        .map(|file| fs::read_to_string(file).expect("a source file"));
    let code: String = texts
        .map(|text| {
            text.split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[track_caller]
fn assert_never_names(module: &str, words: &[&str]) {
    let code = code(module);
    assert!(!code.is_empty());
    for word in words {
        assert!(!code.contains(word), "{module} names {word}");
    }
}

#[test]
fn the_protocol_knows_no_socket_no_command_and_no_other_crate() {
    let others = [
        "mio",
        "crossbeam",
        "parking_lot",
        "log::",
        "std::net",
        "socket",
        "crate::command",
    ];
    assert_never_names("resp", &others);
    assert_never_names(
        "resp",
        &["crate::client::session", "crate::client", "crate::server"],
    );
}

#[test]
fn commands_name_no_socket() {
    assert_never_names(
        "command",
        &[
            "mio",
            "std::net",
            "TcpStream",
            "crate::connection",
            "crate::client",
        ],
    );
    assert_never_names(
        "client/session.rs",
        &["mio", "TcpStream", "crate::connection", "crate::client"],
    );
}

#[test]
fn a_batch_names_no_socket_and_no_server() {
    assert_never_names(
        "dispatch/batch.rs",
        &["mio", "std::net", "crate::connection", "crate::server"],
    );
}

#[test]
fn a_connection_names_no_command_and_no_protocol() {
    assert_never_names(
        "net/connection.rs",
        &["crate::command", "crate::resp", "crate::client::session"],
    );
}

#[test]
fn the_pool_knows_no_server() {
    assert_never_names(
        "pool",
        &[
            "crate::server",
            "crate::worker",
            "crate::acceptor",
            "crate::command",
        ],
    );
}
