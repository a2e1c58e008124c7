//! The servers that are measured: where their programs are, and how they are started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::descriptors;
use crate::loads::{Kind, Manner, Service, Transport};

pub(crate) const RESPOOL: &str = "respool";
pub(crate) const BARE: &str = "bare";
pub(crate) const BARE_PAIR: &str = "bare pair";
pub(crate) const REDIS: &str = "redis-server";
pub(crate) const VALKEY: &str = "valkey-server";
pub(crate) const MEMCACHED: &str = "memcached";

/// A product. If there are too few descriptors for all, the first ones are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Respool,
    Redis,
    /// The bare server, which is the limit of what can be done with one thread.
    Bare,
    /// The bare server with a thread of its own that accepts: the limit for the threads of respool.
    BarePair,
    Valkey,
    Memcached,
}

impl Product {
    pub(crate) const ALL: [Self; 6] = [
        Self::Respool,
        Self::Redis,
        Self::Bare,
        Self::BarePair,
        Self::Valkey,
        Self::Memcached,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Respool => RESPOOL,
            Self::Redis => REDIS,
            Self::Bare => BARE,
            Self::BarePair => BARE_PAIR,
            Self::Valkey => VALKEY,
            Self::Memcached => MEMCACHED,
        }
    }

    /// Finds the program and its version; `None` if it is not installed.
    pub(crate) fn find(self) -> io::Result<Option<(OsString, String)>> {
        for program in self.programs()? {
            let mut command = Command::new(&program);
            command.arg0(self.name()).arg("--version");
            match command.stdin(Stdio::null()).output() {
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

    /// Returns the places to look at. In Debian's package redis-tools, `redis-check-rdb` is a
    /// redis-server if its name is `redis-server`.
    fn programs(self) -> io::Result<Vec<OsString>> {
        Ok(match self {
            Self::Respool => vec![build_respool()?.into()],
            Self::Redis => vec![REDIS.into(), "redis-check-rdb".into()],
            Self::Bare | Self::BarePair => vec![std::env::current_exe()?.into()],
            Self::Valkey => vec![VALKEY.into(), "valkey-check-rdb".into()],
            Self::Memcached => vec![MEMCACHED.into()],
        })
    }

    /// Returns whether it listens there. memcached is not worth its other options.
    pub(crate) fn listens_on(self, transport: Transport) -> bool {
        match self {
            Self::Respool | Self::Redis | Self::Valkey => true,
            Self::Bare | Self::BarePair => transport != Transport::Tls,
            Self::Memcached => transport == Transport::Tcp,
        }
    }

    /// Returns whether it is measured under a load of this kind.
    pub(crate) fn takes_part_in(self, kind: Kind) -> bool {
        let manner = match kind {
            Kind::Talk(talk) => Some(talk.manner),
            Kind::Idle(..) | Kind::Start => None,
        };
        match self {
            Self::Respool | Self::Redis | Self::Valkey => true,
            Self::Bare | Self::Memcached => manner != Some(Manner::Subscribing),
            Self::BarePair => manner.is_some_and(|manner| manner != Manner::Subscribing),
        }
    }

    /// Returns the arguments for plain TCP, no file, no log, and enough clients for every load.
    /// Only respool has workers; the others have one serving thread. The bare server is asked
    /// nothing but one kind of PING.
    pub(crate) fn arguments(self, port: u16, service: Service) -> Vec<String> {
        // memcached does not start if the limit on descriptors is lower.
        let room = descriptors::make_room(CLIENTS_MAX).unwrap_or(CLIENTS_MAX);
        let clients = room.min(CLIENTS_MAX);
        let Service { ping, workers, .. } = service;
        let arguments = match self {
            Self::Respool => {
                format!("--bind 127.0.0.1 --port {port} --workers {workers} --maxclients {clients}")
            }
            Self::Bare => format!("--bare-port {port} --bare-ping {ping}"),
            Self::BarePair => format!("--bare-port {port} --bare-ping {ping} --bare-pair"),
            // The protected mode of 7.0 refuses 127.0.0.2.
            Self::Redis | Self::Valkey => format!(
                "--bind 127.0.0.1 --port {port} --save '' --appendonly no --io-threads 1 \
                 --maxclients {clients} --daemonize no --protected-mode no"
            ),
            // It runs as root only with this option.
            Self::Memcached => format!("-l 127.0.0.1 -p {port} -U 0 -t 1 -c {clients} -u root"),
        };
        let words = arguments.split(' ');
        words
            .map(|word| word.trim_matches('\'').to_owned())
            .collect()
    }
}

/// More clients than any load has.
const CLIENTS_MAX: usize = 12_000;

/// Builds respool in the target directory of this program, unless it is up to date there.
fn build_respool() -> io::Result<PathBuf> {
    let target = target_dir()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // A build script that asks for these would see other values than in a build by hand, and each
    // would compile ring, rustls and respool again.
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| is_of_this_crate(&name.to_string_lossy())) {
        build.env_remove(name);
    }
    let status = build
        .args("build --release --locked --bin respool".split(' '))
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()?;
    if !status.success() {
        return Err(io::Error::other("respool cannot be built"));
    }
    Ok(target.join("release").join(RESPOOL))
}

/// Returns whether `cargo run` and `cargo test` set this variable: it describes the crate.
fn is_of_this_crate(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Returns the directory `target` of `target/release/respool-duel`.
pub(crate) fn target_dir() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("target"))
        .to_owned())
}

/// Returns the first number in a program's output.
fn version(text: &str) -> String {
    let mut words = text
        .split_whitespace()
        .map(|word| word.trim_start_matches("v="));
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    number.unwrap_or("of unknown version").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_output() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64\n";
        assert_eq!(version(redis), "7.0.15");
        assert_eq!(version("memcached 1.6.18\n"), "1.6.18");
        assert_eq!(version("respool 0.1.0\n"), "0.1.0");
        assert_eq!(version("?"), "of unknown version");
    }

    #[test]
    fn an_argument_may_be_empty() {
        let arguments = Product::Redis.arguments(1, Service::over(Transport::Tcp));
        assert_eq!(arguments[4..6], ["--save", ""]);
    }
}
