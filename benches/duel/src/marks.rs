//! The bounds that respool should keep. They come from measurements of a first prototype.

use std::fmt;

use serde::Serialize;

use crate::loads::{IDLE, MARKED};
use crate::products::{BARE, REDIS, RESPOOL};
use crate::results::Figure::{self, CpuNsPerRequest, P99Us, RequestsPerS};
use crate::results::Measured;

/// A bound on a figure of respool: a minimum of the requests, a maximum of everything else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    load: &'static str,
    figure: Figure,
    /// The bound is on the ratio to this server; without one, on the value itself.
    rival: Option<&'static str>,
    bound: f64,
}

/// A mark and the measurement.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Judged {
    pub(crate) load: &'static str,
    pub(crate) what: String,
    pub(crate) bound: String,
    /// The median.
    pub(crate) measured: Option<f64>,
    pub(crate) verdict: Verdict,
    /// Why the measurement says less than it seems, or that no server could have kept the bound.
    pub(crate) remark: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Holds,
    Misses,
    NotMeasured,
}

pub(crate) const MARKS: [Mark; 14] = {
    let [p1, p16, p100, many] = MARKED;
    [
        mark(p1, RequestsPerS, REDIS, 1.05),
        mark(p1, CpuNsPerRequest, REDIS, 0.93),
        mark(p1, P99Us, REDIS, 0.9),
        mark(p1, RequestsPerS, BARE, 0.97),
        mark(p16, RequestsPerS, REDIS, 1.6),
        mark(p16, CpuNsPerRequest, REDIS, 0.58),
        mark(p16, RequestsPerS, BARE, 0.95),
        mark(p100, RequestsPerS, REDIS, 4.0),
        mark(p100, CpuNsPerRequest, REDIS, 0.25),
        mark(p100, RequestsPerS, BARE, 0.90),
        mark(many, RequestsPerS, REDIS, 1.15),
        mark(many, CpuNsPerRequest, REDIS, 0.85),
        mark(many, RequestsPerS, BARE, 0.97),
        Mark {
            load: IDLE,
            figure: Figure::ResidentBytesPerConnection,
            rival: None,
            bound: 400.0,
        },
    ]
};

/// A server that is busy for less of the time waits for the load or for other programs.
const BUSY_PERCENT_MIN: f64 = 95.0;

const fn mark(load: &'static str, figure: Figure, rival: &'static str, bound: f64) -> Mark {
    Mark {
        load,
        figure,
        rival: Some(rival),
        bound,
    }
}

impl Mark {
    /// Compares the mark with what was measured.
    pub(crate) fn judge(&self, all: &[Measured]) -> Judged {
        let measured = all.iter().find(|measured| measured.load == self.load);
        let spread = measured.and_then(|measured| match self.rival {
            Some(rival) => measured.ratio(RESPOOL, rival, self.figure),
            None => measured.value(RESPOOL, self.figure),
        });
        let median = spread.map(|spread| spread.median);
        let verdict = match median {
            None => Verdict::NotMeasured,
            Some(value) if self.holds(value) => Verdict::Holds,
            Some(_) => Verdict::Misses,
        };
        let remark = measured.and_then(|measured| match verdict {
            Verdict::Misses => self.limit(measured).or_else(|| self.idleness(measured)),
            Verdict::Holds | Verdict::NotMeasured => self.idleness(measured),
        });
        let rival = self.rival.map(|rival| format!(" / {rival}"));
        let sign = if self.is_minimum() { '≥' } else { '≤' };
        Judged {
            load: self.load,
            what: format!("{}{}", self.figure.title(), rival.unwrap_or_default()),
            bound: format!("{sign} {}", self.bound),
            measured: median,
            verdict,
            remark,
        }
    }

    fn is_minimum(&self) -> bool {
        self.figure == RequestsPerS
    }

    fn holds(&self, value: f64) -> bool {
        if self.is_minimum() {
            value >= self.bound
        } else {
            value <= self.bound
        }
    }

    /// Says so if the bare server misses the bound too: a server that does more cannot keep it.
    fn limit(&self, measured: &Measured) -> Option<String> {
        let rival = self.rival.filter(|&rival| rival != BARE)?;
        let bare = measured.ratio(BARE, rival, self.figure)?.median;
        (!self.holds(bare)).then(|| format!("so does bare, {bare:.3}"))
    }

    /// Says so if the rival was not busy all the time: then its throughput is not its maximum.
    fn idleness(&self, measured: &Measured) -> Option<String> {
        let rival = self.rival.filter(|_| self.is_minimum())?;
        let busy = measured.value(rival, Figure::BusyPercent)?.median;
        (busy < BUSY_PERCENT_MIN)
            .then(|| format!("{rival} was busy for only {busy:.0} % of the time"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Holds => "holds",
            Self::Misses => "MISSES",
            Self::NotMeasured => "not measured",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loads;
    use crate::results::measured;

    #[test]
    fn a_bound_includes_its_value() {
        let holds = |figure| [0.9, 1.0, 1.1].map(|value| mark("", figure, "", 1.0).holds(value));
        assert_eq!(holds(RequestsPerS), [false, true, true]);
        assert_eq!(holds(P99Us), [true, true, false]);
    }

    #[test]
    fn every_mark_has_a_load() {
        let loads = loads::all();
        for mark in MARKS {
            assert!(loads.iter().any(|load| load.name == mark.load), "{mark:?}");
        }
    }

    #[test]
    fn a_rival_with_time_to_spare_is_reported() {
        let remark =
            |busy: f64| MARKS[3].idleness(&measured("", Figure::BusyPercent, &[(BARE, &[busy])]));
        assert_eq!(remark(95.0), None);
        assert!(remark(80.0).is_some_and(|text| text.starts_with("bare was busy for only 80 %")));
    }

    #[test]
    fn a_mark_that_bare_misses_too_is_reported() {
        let remark = |bare: f64, respool: f64| {
            let servers: [(_, &[f64]); 3] =
                [(RESPOOL, &[respool]), (REDIS, &[1.0]), (BARE, &[bare])];
            let measured = measured(MARKED[1], RequestsPerS, &servers);
            MARKS[4].judge(&[measured]).remark
        };
        assert_eq!(remark(1.59, 1.57).as_deref(), Some("so does bare, 1.590"));
        assert_eq!(remark(1.61, 1.57), None);
        assert_eq!(remark(1.59, 1.60), None);
    }

    #[test]
    fn the_median_of_load_and_rival_decides() {
        let servers: [(_, &[f64]); 3] = [
            (RESPOOL, &[10.0, 11.0, 99.0]),
            (REDIS, &[10.0, 10.0, 10.0]),
            (BARE, &[20.0, 20.0, 20.0]),
        ];
        let measured = [measured(MARKED[0], RequestsPerS, &servers)];
        let judged = MARKS.map(|mark| mark.judge(&measured));
        assert_eq!(judged[0].measured, Some(1.1));
        assert_eq!(judged[0].verdict, Verdict::Holds);
        assert_eq!(judged[3].measured, Some(0.55));
        assert_eq!(judged[3].verdict, Verdict::Misses);
        // No CPU time was measured, and no other load.
        assert_eq!(judged[1].verdict, Verdict::NotMeasured);
        assert_eq!(judged[13].verdict, Verdict::NotMeasured);
    }
}
