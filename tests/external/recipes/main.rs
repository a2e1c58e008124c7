//! The recipes of `docs`, which put balancers in front of several servers. Each runs as it stands
//! there, except for its addresses and paths.
//!
//! ```console
//! $ cargo test --test recipes                # all of them
//! $ cargo test --test recipes -- HAProxy     # the cases whose line has this word
//! $ RESPOOL_ROUNDS=20 cargo test --test recipes -- rolling     # more restarts
//! ```
//!
//! Prints a line per case. A balancer that cannot be installed is `not run`, never `ok`. The exit
//! code is 1 if a case failed. Envoy is installed below `~/.cache/respool/interop`.

mod envoy;
mod fleet;
mod haproxy;
mod kv;
mod nginx;
mod proxy;
mod rolling;

use std::process::ExitCode;

use respool_testing::case;

fn main() -> ExitCode {
    // Rolling restarts first: they wait most of their time, and the others run beside them.
    let mut cases = haproxy::cases();
    cases.extend(envoy::cases());
    cases.extend(nginx::cases());
    cases.push(kv::case());
    case::run("recipes", LANES, case::chosen(cases))
}

/// Cases at the same time. They mostly wait.
const LANES: usize = 4;
