//! Who is measured, and how each is called.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::descriptors;
use crate::pings::{Dialect, Ping};

pub(crate) const RESPOOL: &str = "respool";
pub(crate) const BARE: &str = "bare";
pub(crate) const REDIS: &str = "redis-server";
pub(crate) const VALKEY: &str = "valkey-server";
pub(crate) const MEMCACHED: &str = "memcached";

/// The argument by which this program becomes the bare server.
pub(crate) const BARE_ARGUMENT: &str = "--bare-server";

/// respool and those that it is compared with. If not all have room, the first have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rival {
    Respool,
    Redis,
    /// Polls, reads and writes, and does not look at what it reads: the limit of what can be done.
    Bare,
    Valkey,
    Memcached,
}

/// A program, and the name by which it is called.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: OsString,
    pub(crate) name: &'static str,
}

impl Rival {
    pub(crate) const ALL: [Self; 5] = [
        Self::Respool,
        Self::Redis,
        Self::Bare,
        Self::Valkey,
        Self::Memcached,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Respool => RESPOOL,
            Self::Redis => REDIS,
            Self::Bare => BARE,
            Self::Valkey => VALKEY,
            Self::Memcached => MEMCACHED,
        }
    }

    pub(crate) fn dialect(self, version: &str) -> Dialect {
        match self {
            Self::Memcached => Dialect::Memcached {
                version: version.to_owned(),
            },
            Self::Respool | Self::Redis | Self::Bare | Self::Valkey => Dialect::Resp,
        }
    }

    /// The program and its version; `None` if it is not installed.
    pub(crate) fn find(self) -> io::Result<Option<(Program, String)>> {
        if self == Self::Bare {
            let path = std::env::current_exe()?.into();
            let name = BARE;
            return Ok(Some((Program { path, name }, "of this bench".to_owned())));
        }
        for path in self.paths() {
            let program = Program {
                path: path.into(),
                name: self.name(),
            };
            match program.command().arg("--version").output() {
                Ok(output) => {
                    let version = version(&String::from_utf8_lossy(&output.stdout));
                    return Ok(Some((program, version)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Where it may be. In Debian's package redis-tools a `redis-check-rdb` that is called by the
    /// name `redis-server` is one.
    fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Respool => &[env!("CARGO_BIN_EXE_respool")],
            Self::Redis => &["redis-server", "redis-check-rdb"],
            Self::Bare => &[],
            Self::Valkey => &["valkey-server", "valkey-check-rdb"],
            Self::Memcached => &["memcached"],
        }
    }

    /// Its arguments: one thread that serves, no file, no log, and room for the most clients of any
    /// load. `ping` is all that the bare one will ever be asked.
    pub(crate) fn arguments(self, port: u16, ping: Ping) -> Vec<String> {
        let port = port.to_string();
        // memcached does not start if it cannot have what it is told to.
        let clients = descriptors::room().map_or(CLIENTS_MAX, |room| room.min(CLIENTS_MAX));
        let clients = clients.to_string();
        let ping = ping.to_string();
        let arguments: &[&str] = match self {
            Self::Respool => &[
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--workers",
                "1",
                "--maxclients",
                &clients,
            ],
            Self::Bare => &[BARE_ARGUMENT, &port, &ping],
            // The empty directory is there, and nothing is read from it or written to it.
            Self::Redis | Self::Valkey => &[
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "no",
                "--io-threads",
                "1",
                "--maxclients",
                &clients,
                "--daemonize",
                "no",
            ],
            // It refuses to run as root unless it is told to.
            Self::Memcached => &[
                "-l",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "0",
                "-t",
                "1",
                "-c",
                &clients,
                "-u",
                "root",
            ],
        };
        arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect()
    }
}

/// More than any load has.
pub(crate) const CLIENTS_MAX: usize = 12_000;

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(self.name).stdin(Stdio::null());
        command
    }
}

/// The first number in what a program says of its version.
fn version(text: &str) -> String {
    let mut words = text
        .split_whitespace()
        .map(|word| word.trim_start_matches("v="));
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.unwrap_or("of unknown version").to_owned()
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_a_program_says() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64\n";
        assert_eq!(version(redis), "7.0.15");
        assert_eq!(version("memcached 1.6.18\n"), "1.6.18");
        assert_eq!(version("respool 0.1.0\n"), "0.1.0");
        assert_eq!(version("?"), "of unknown version");
    }

    #[test]
    fn respool_itself_is_there() {
        let found = Rival::Respool.find().expect("it runs");
        assert_eq!(found.expect("it is built").1, env!("CARGO_PKG_VERSION"));
    }
}
