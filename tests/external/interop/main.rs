//! Real clients against the real program, with two workers and with one: what they say, in which
//! versions, goes through without an error and without a warning.
//!
//! ```console
//! $ cargo test --test interop                # all of them
//! $ cargo test --test interop -- ioredis     # the cases whose line has this word
//! ```
//!
//! It prints a line for each case. A client that cannot be installed here is `not run`, and never
//! `ok`. The exit code is 1 if a case failed. What it installs is under `~/.cache/respool/interop`.

mod case;
mod infrastructure;
mod languages;
mod readme;
mod redis_tools;
mod setup;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut cases = redis_tools::cases();
    cases.extend(languages::cases());
    cases.extend(infrastructure::cases());
    let readme = readme::case(&cases);
    cases.push(readme);

    // Flags are for the test harness that this is not.
    let words: Vec<String> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    cases.retain(|case| words.iter().all(|word| case.title().contains(word)));
    case::run(cases)
}
