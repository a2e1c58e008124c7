//! The results as files: JSON and a plot.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use procfs::{CpuInfo, Current};
use serde::Serialize;
use serde_json::json;

use crate::cores::Cores;
use crate::marks::Judged;
use crate::options::Pace;
use crate::plot;
use crate::products::{BARE, REDIS};
use crate::results::Measured;

/// What a reader needs to know about a run.
pub(crate) struct Setup {
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    pub(crate) out: PathBuf,
}

/// Where and when a run was made.
#[derive(Debug, Serialize)]
struct Machine {
    /// In UTC, as 2026-01-31.
    date: String,
    cpu: String,
    cores: usize,
    kernel: String,
}

impl Setup {
    /// Writes all rounds of all loads as JSON. A value that could not be measured is null.
    pub(crate) fn write(&self, name: &str, all: &[Measured], judged: &[Judged]) -> io::Result<()> {
        let document = json!({
            "machine": Machine::here(),
            "versions": self.versions,
            "passes": self.pace.passes,
            "rounds_per_pass": self.pace.rounds,
            "slice_ms": self.pace.slice.as_millis() as u64,
            "server_cpus": self.cores.servers,
            "load_cpus": self.cores.load,
            "loads": all,
            "marks": judged,
        });
        self.save(name, &serde_json::to_string_pretty(&document)?)
    }

    /// Draws the loads of the plot, if any was measured.
    pub(crate) fn draw(&self, all: &[Measured]) -> io::Result<()> {
        let has_redis = self.versions.contains_key(REDIS);
        let base = if has_redis { REDIS } else { BARE };
        match plot::plot(all, base, &self.caption()) {
            Some(svg) => self.save("duel.svg", &svg),
            None => Ok(()),
        }
    }

    fn caption(&self) -> [String; 3] {
        let Machine {
            date,
            cpu,
            cores,
            kernel,
        } = Machine::here();
        let versions = self.versions.iter().filter(|(name, _)| *name != BARE);
        let versions: Vec<_> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let place = if self.cores.servers == self.cores.load {
            "server and load on the same cores"
        } else {
            "server and load pinned to a core each"
        };
        let rounds = self.pace.passes * self.pace.rounds;
        let slice_ms = self.pace.slice.as_millis();
        [
            format!(
                "{date}; {cpu}, {cores} cores, {kernel}; {}.",
                versions.join(", ")
            ),
            format!(
                "One worker; {place}; {rounds} rounds of slices of {slice_ms} ms that take turns: \
                 medians of ratios; lines are quartiles."
            ),
            "PING as an array (memcached: version); P: how many each client has in flight; bare: \
             polls, reads, writes, and looks at nothing."
                .to_owned(),
        ]
    }

    fn save(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.out.join(name);
        let saved = fs::create_dir_all(&self.out).and_then(|()| fs::write(&path, text));
        saved.map_err(|error| {
            let text = format!("cannot write {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        eprintln!("written: {}", path.display());
        Ok(())
    }
}

impl Machine {
    fn here() -> Self {
        let date = Command::new("date").args(["-u", "+%F"]).output();
        let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let cpus = CpuInfo::current().ok();
        let cpu = cpus.as_ref().and_then(|cpus| cpus.model_name(0));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            date: date.unwrap_or_else(|_| "unknown date".to_owned()),
            cpu: cpu.unwrap_or("unknown CPU").to_owned(),
            cores: cpus.as_ref().map_or(0, CpuInfo::num_cores),
            kernel: format!("Linux {}", kernel.trim()),
        }
    }
}
