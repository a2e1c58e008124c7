//! The results as files: JSON and a plot.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::cores::Cores;
use crate::document::Document;
use crate::machine::Machine;
use crate::marks::Judged;
use crate::options::Pace;
use crate::plot;
use crate::products::{BARE, REDIS};
use crate::results::Measured;

/// What the results are written with.
pub(crate) struct Bench {
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) cores: Cores,
    pub(crate) pace: Pace,
    pub(crate) out: PathBuf,
}

impl Bench {
    pub(crate) fn write(
        &self,
        name: &str,
        all: &[Measured],
        pairs: &[(&str, &str)],
        judged: &[Judged],
    ) -> io::Result<()> {
        let machine = Machine::here();
        let document = Document::new(&machine, &self.versions, &self.cores, self.pace)
            .with_results(all, pairs, judged);
        let json = serde_json::to_string_pretty(&document)?;
        self.save(&format!("{name}.json"), &json)
    }

    /// Nothing is drawn if none of the loads of the plot was measured.
    pub(crate) fn draw(&self, all: &[Measured]) -> io::Result<()> {
        let base = if self.versions.contains_key(REDIS) {
            REDIS
        } else {
            BARE
        };
        match plot::plot(all, base, &self.caption()) {
            Some(svg) => self.save("duel.svg", &svg),
            None => Ok(()),
        }
    }

    fn caption(&self) -> Vec<String> {
        let machine = Machine::here();
        let versions: Vec<_> = self
            .versions
            .iter()
            .filter(|(name, _)| *name != BARE)
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let place = if self.cores.servers == self.cores.load {
            "server and load on the same cores"
        } else {
            "server and load pinned to a core each"
        };
        vec![
            format!(
                "{}; {}, {} cores, {}; {}.",
                machine.date,
                machine.cpu,
                machine.cores,
                machine.kernel,
                versions.join(", "),
            ),
            format!(
                "One worker; {place}; {} rounds of slices of {} ms that take turns: medians \
                 of ratios; lines are quartiles.",
                self.pace.passes * self.pace.rounds,
                self.pace.slice.as_millis(),
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
            io::Error::new(
                error.kind(),
                format!("cannot write {}: {error}", path.display()),
            )
        })?;
        eprintln!("written: {}", path.display());
        Ok(())
    }
}
