//! Real clients against the program, with two workers and with one. They report no error and no
//! warning.
//!
//! ```console
//! $ cargo test --test interop                # all of them
//! $ cargo test --test interop -- ioredis     # the cases whose line has this word
//! ```
//!
//! Prints a line per case. A client that cannot be installed is `not run`, never `ok`. The exit
//! code is 1 if a case failed. Clients are installed below `~/.cache/respool/interop`.

mod balancers;
mod cookbook;
mod infrastructure;
mod languages;
mod page;
mod readme;
mod redis_tools;
mod tls_scan;
mod transactions;
mod transports;

use std::process::ExitCode;

use respool_testing::case;

fn main() -> ExitCode {
    let mut cases = redis_tools::cases();
    // Early, because these wait most of their time, and other cases run beside them.
    cases.push(tls_scan::case());
    cases.extend(page::cases());
    cases.extend(languages::cases());
    cases.extend(cookbook::cases());
    cases.extend(infrastructure::cases());
    cases.extend(transports::cases());
    cases.extend(transactions::cases());
    cases.extend(balancers::cases());
    let readme = readme::case(&cases);
    cases.push(readme);

    case::run("interop", LANES, case::chosen(cases))
}

/// Cases at the same time. They mostly wait.
const LANES: usize = 2;
