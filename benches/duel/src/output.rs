//! The results as files: JSON and a plot.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::process::Command;

use procfs::{CpuInfo, Current};
use serde_json::json;

use crate::context;
use crate::marks::Judged;
use crate::plot;
use crate::products::{BARE, Product, REDIS};
use crate::results::Measured;
use crate::setup::Setup;

impl Setup {
    /// Writes all rounds of all loads as JSON. A value that could not be measured is null.
    pub(crate) fn write(&self, name: &str, all: &[Measured], judged: &[Judged]) -> io::Result<()> {
        let specs = self.specs.iter();
        let versions: BTreeMap<_, _> = specs.map(|spec| (&spec.name, &spec.version)).collect();
        let document = json!({
            "machine": machine(),
            "versions": versions,
            "not_installed": self.not_installed,
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
        let has_redis = self.specs.iter().any(|spec| spec.product == Product::Redis);
        let base = if has_redis { REDIS } else { BARE };
        match plot::plot(all, base, &self.caption()) {
            Some(svg) => self.save("duel.svg", &svg),
            None => Ok(()),
        }
    }

    fn caption(&self) -> [String; 4] {
        let versions = self
            .specs
            .iter()
            .filter(|spec| !matches!(spec.product, Product::Bare | Product::BarePair))
            .map(|spec| format!("{} {}", spec.name, spec.version));
        let versions: Vec<_> = versions.collect();
        let place = if self.cores.servers == self.cores.load {
            "server and load on the same cores"
        } else {
            "server and load pinned to a core each"
        };
        let rounds = self.pace.passes * self.pace.rounds;
        let slice_ms = self.pace.slice.as_millis();
        [
            format!("{}; {}.", machine(), versions.join(", ")),
            format!(
                "One worker; {place}; {rounds} rounds of slices of {slice_ms} ms that take turns: \
                 medians of ratios; lines are quartiles."
            ),
            "PING as an array (memcached: version); P: how many each client has in flight; bare: \
             polls, reads, writes, and looks at nothing."
                .to_owned(),
            "*: one of the two servers could have answered more than the load sent.".to_owned(),
        ]
    }

    fn save(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.out.join(name);
        let saved = fs::create_dir_all(&self.out).and_then(|()| fs::write(&path, text));
        saved.map_err(context(&format!("cannot write {}", path.display())))?;
        eprintln!("written: {}", path.display());
        Ok(())
    }
}

/// Returns the date, the CPU and the kernel of this run.
fn machine() -> String {
    let date = Command::new("date").args(["-u", "+%F"]).output();
    let date = date.map_or_else(|_| "unknown date".into(), |output| output.stdout);
    let date = String::from_utf8_lossy(date.trim_ascii());
    let cpus = CpuInfo::current().ok();
    let cores = cpus.as_ref().map_or(0, CpuInfo::num_cores);
    let cpu = cpus.as_ref().and_then(|cpus| cpus.model_name(0));
    let cpu = cpu.unwrap_or("unknown CPU");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{date}; {cpu}, {cores} cores, Linux {}", kernel.trim())
}
