//! The results as JSON, for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cores::Cores;
use crate::machine::Machine;
use crate::marks::Judged;
use crate::options::Pace;
use crate::results::{Figure, Measured, Spread};

/// All that is known when the bench ends. A value that could not be measured is null.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) versions: &'a BTreeMap<String, String>,
    pub(crate) passes: usize,
    pub(crate) rounds_per_pass: usize,
    pub(crate) slice_ms: u128,
    pub(crate) server_cpus: &'a [usize],
    pub(crate) load_cpus: &'a [usize],
    /// The value of each round.
    pub(crate) loads: &'a [Measured],
    /// The medians and quartiles of the rounds' ratios.
    pub(crate) ratios: Vec<Ratio<'a>>,
    pub(crate) marks: &'a [Judged],
}

#[derive(Debug, Serialize)]
pub(crate) struct Ratio<'a> {
    load: &'a str,
    of: &'a str,
    to: &'a str,
    figure: Figure,
    #[serde(flatten)]
    spread: Spread,
}

impl<'a> Document<'a> {
    pub(crate) fn new(
        machine: &'a Machine,
        versions: &'a BTreeMap<String, String>,
        cores: &'a Cores,
        pace: Pace,
    ) -> Self {
        Self {
            machine,
            versions,
            passes: pace.passes,
            rounds_per_pass: pace.rounds,
            slice_ms: pace.slice.as_millis(),
            server_cpus: &cores.servers,
            load_cpus: &cores.load,
            loads: &[],
            ratios: Vec::new(),
            marks: &[],
        }
    }

    pub(crate) fn with_results(
        self,
        loads: &'a [Measured],
        pairs: &[(&'a str, &'a str)],
        marks: &'a [Judged],
    ) -> Self {
        let ratios = |measured: &'a Measured| {
            let figures = measured.figures().into_iter();
            figures.flat_map(move |figure| {
                pairs.iter().filter_map(move |&(of, to)| {
                    Some(Ratio {
                        load: &measured.load,
                        of,
                        to,
                        figure,
                        spread: measured.ratio(of, to, figure)?,
                    })
                })
            })
        };
        Self {
            loads,
            ratios: loads.iter().flat_map(ratios).collect(),
            marks,
            ..self
        }
    }
}
