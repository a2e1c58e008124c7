//! A balancer that runs with a file of `docs`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use respool_testing::balancer::clients_through;
use respool_testing::case::Outcome;
use respool_testing::process::{Ended, Process};
use respool_testing::setup::installed;
use respool_testing::{PATIENCE, Scratch};

pub(crate) struct Proxy {
    pub(crate) process: Process,
    /// Its configuration and its sockets.
    pub(crate) folder: Scratch,
}

impl Proxy {
    /// Starts `command` with the path of a file of this `text` appended.
    pub(crate) fn start(mut command: Command, text: &str) -> Self {
        let folder = Scratch::for_sockets();
        let text = text.replace(FOLDER, folder.arg());
        let file = folder.file_in(FILE, &text);
        Self {
            process: Process::start(command.arg(file)),
            folder,
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(self, signal: &str) -> Ended {
        self.process.signal(signal);
        self.process.ended(PATIENCE)
    }
}

/// Envoy wants this end of its name.
const FILE: &str = "configuration.yaml";

/// Stands for the folder of a [`Proxy`] in the text of its configuration.
pub(crate) const FOLDER: &str = "@folder@";

/// Returns a file of `docs` with its addresses and paths replaced. Each must be there.
pub(crate) fn recipe(name: &str, replacements: &[(&str, String)]) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    let text = fs::read_to_string(&file).expect("there is a recipe");
    replacements.iter().fold(text, |text, (shown, here)| {
        assert!(text.contains(shown), "{name} has no {shown:?}");
        text.replace(shown, here)
    })
}

/// Expects that clients are served through the balancer, and that the server shows their addresses.
pub(crate) fn shows_clients(balancer: SocketAddr) -> Outcome {
    clients_through(balancer, true);
    let (host, port) = (balancer.ip().to_string(), balancer.port().to_string());
    let mut cli = Command::new(installed("redis-cli")?);
    cli.args(["-h", &host, "-p", &port, "PING"]);
    let printed = Process::start(&mut cli).ended(PATIENCE).without_complaint();
    assert_eq!(printed, "PONG\n");
    Ok(())
}
