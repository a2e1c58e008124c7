//! README.md lists every client that is tested.

use std::fs;
use std::path::Path;

use respool_testing::case::Case;

/// Checks that the table of clients in README.md has every client of `cases` with its versions.
pub(crate) fn case(cases: &[Case]) -> Case {
    let mut clients: Vec<(&str, String)> = cases
        .iter()
        .map(|case| (case.client, case.version.clone()))
        .collect();
    clients.dedup();
    Case::without_server(
        "README.md",
        "",
        "its table names these clients",
        move || {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
            let text = fs::read_to_string(file).expect("there is a README");
            for (client, version) in &clients {
                let head = format!("| {client} | ");
                let row = text.lines().find_map(|line| line.strip_prefix(&head));
                let row = row.unwrap_or_else(|| panic!("no row {head:?}"));
                let versions = row.split(" | ").next().unwrap_or_default();
                let named = versions.split(", ").any(|one| one == version);
                assert!(
                    named || TOOLS.contains(client),
                    "{head}{versions}: no {version}"
                );
            }
            Ok(())
        },
    )
}

/// Their versions depend on the machine, and are not compared.
const TOOLS: [&str; 8] = [
    "Chromium",
    "redis-cli",
    "redis-benchmark",
    "HAProxy",
    "nginx",
    "redis-sentinel",
    "stunnel",
    "testssl.sh",
];
