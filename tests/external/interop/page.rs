//! The live page of the operations listener in Chromium, by `page.mjs`.
//!
//! ```console
//! $ RESPOOL_SCREENSHOT=docs/live-page.png cargo test --release --test interop -- "is drawn"
//! ```
//!
//! takes the picture of README.md, in two minutes.

use std::env;
use std::path::Path;
use std::time::Duration;

use crate::languages;
use respool_testing::case::{Case, Outcome};
use respool_testing::target::program;
use respool_testing::{free_port, setup};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("computes rates, percentiles and axes", || run(&["figures"])),
        case(
            "moves under load, rests, obeys keys, fits a phone, notices a restart",
            || in_browser("browser", &[]),
        ),
    ];
    if let Some(file) = env::var_os("RESPOOL_SCREENSHOT") {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let file = file.to_string_lossy().into_owned();
        cases.push(case("is drawn", move || {
            in_browser("screenshot", &[file.as_str()])
        }));
    }
    cases
}

fn case(does: &str, run: impl Fn() -> Outcome + Send + 'static) -> Case {
    let version = setup::version("chromium", "--version");
    Case::without_server("Chromium", version, format!("live page: {does}"), run)
}

/// The script starts the program itself, because it kills it and starts it again.
fn in_browser(way: &str, more: &[&str]) -> Outcome {
    let chromium = setup::installed("chromium")?;
    let [port, http_port] = [free_port(), free_port()].map(|port| port.to_string());
    let [chromium, program] = [chromium, program()].map(|file| file.display().to_string());
    run(&[&[way, &chromium, &program, &port, &http_port], more].concat())
}

fn run(args: &[&str]) -> Outcome {
    languages::run_in_node("page.mjs", args, PATIENCE)
}

/// Longer than the screenshot takes, and than any wait in the script.
const PATIENCE: Duration = Duration::from_secs(180);
