//! The bounds that respool should keep. Most come from measurements on one machine.

use std::fmt;

use serde::Serialize;

use crate::loads::{
    CONNECTING, DIFFERING, HANDSHAKES, IDLE, IDLE_TLS, MARKED, SUBSCRIBERS, TLS, UNIX,
};
use crate::products::{BARE_PAIR, REDIS, RESPOOL};
use crate::results::Figure::{
    self, CpuNsPerRequest, P99Us, RequestsPerS, ResidentBytesPerConnection,
};
use crate::results::Measured;

/// A bound on a figure of respool: a minimum of the requests, a maximum of everything else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    load: &'static str,
    figure: Figure,
    of: Of,
    bound: f64,
}

/// What the bound is on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    Value,
    /// The value. If the value of this server is larger than the bound, it takes its place.
    ValueOr(&'static str),
    /// The ratio to the value of this server.
    Ratio(&'static str),
    /// The ratio to the value of redis-server. The mark also holds if the ratio to the bare pair
    /// keeps this bound: no server with the same threads and system calls can be much faster.
    RatioOrNearPair(f64),
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
    /// Why the measurement says less than it seems, or what the other ratio is.
    pub(crate) remark: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Holds,
    Misses,
    NotMeasured,
}

pub(crate) const MARKS: [Mark; 41] = {
    let [p1, p16, p100, many] = MARKED;
    let [tls_p1, tls_p16, tls_p100] = TLS;
    let [unix_p1, unix_p16] = UNIX;
    let [d1, d16, d100] = DIFFERING;
    let [one, one_p16, hundred, thousand, ..] = SUBSCRIBERS;
    let [c0, c1, c2, c3, c4, c5] = CONNECTING;
    [
        single(p1, RequestsPerS, 1.05),
        single(p1, CpuNsPerRequest, 0.93),
        mark(p1, P99Us, REDIS, 0.9),
        mark(p1, RequestsPerS, BARE_PAIR, 0.95),
        pipeline(p16, RequestsPerS, 1.6),
        pipeline(p16, CpuNsPerRequest, 0.58),
        mark(p16, RequestsPerS, BARE_PAIR, 0.95),
        pipeline(p100, RequestsPerS, 4.0),
        pipeline(p100, CpuNsPerRequest, 0.25),
        mark(p100, RequestsPerS, BARE_PAIR, 0.90),
        single(many, RequestsPerS, 1.15),
        single(many, CpuNsPerRequest, 0.85),
        mark(many, RequestsPerS, BARE_PAIR, 0.95),
        idle(IDLE, 400.0),
        idle(IDLE_TLS, 12.0 * 1024.0),
        mark(tls_p1, RequestsPerS, REDIS, 1.0),
        mark(tls_p16, RequestsPerS, REDIS, 1.3),
        mark(tls_p100, RequestsPerS, REDIS, 1.3),
        single(unix_p1, RequestsPerS, 1.05),
        pipeline(unix_p16, RequestsPerS, 1.6),
        Mark {
            load: HANDSHAKES,
            figure: P99Us,
            of: Of::ValueOr(REDIS),
            bound: 5000.0,
        },
        single(d1, RequestsPerS, 1.15),
        pipeline(d16, RequestsPerS, 1.8),
        pipeline(d100, RequestsPerS, 3.5),
        connecting(c0, RequestsPerS),
        connecting(c0, CpuNsPerRequest),
        connecting(c1, RequestsPerS),
        connecting(c1, CpuNsPerRequest),
        connecting(c2, RequestsPerS),
        connecting(c2, CpuNsPerRequest),
        connecting(c3, RequestsPerS),
        connecting(c3, CpuNsPerRequest),
        connecting(c4, RequestsPerS),
        connecting(c4, CpuNsPerRequest),
        connecting(c5, RequestsPerS),
        connecting(c5, CpuNsPerRequest),
        // Both servers make the same system calls and wait for the load half of the time. So the
        // rates differ only by chance, and the CPU time says more.
        mark(one.0, RequestsPerS, REDIS, 0.97),
        mark(one.0, CpuNsPerRequest, REDIS, 1.0),
        mark(one_p16.0, RequestsPerS, REDIS, 1.0),
        mark(hundred.0, RequestsPerS, REDIS, 1.5),
        mark(thousand.0, RequestsPerS, REDIS, 1.5),
    ]
};

/// A server that is busy for less of the time waits for the load or for other programs.
pub(crate) const BUSY_PERCENT_MIN: f64 = 95.0;

const fn mark(load: &'static str, figure: Figure, rival: &'static str, bound: f64) -> Mark {
    Mark {
        load,
        figure,
        of: Of::Ratio(rival),
        bound,
    }
}

const fn idle(load: &'static str, bound: f64) -> Mark {
    Mark {
        load,
        figure: ResidentBytesPerConnection,
        of: Of::Value,
        bound,
    }
}

/// Returns a mark of a load with one request at a time for each client.
const fn single(load: &'static str, figure: Figure, bound: f64) -> Mark {
    let near_pair = match figure {
        RequestsPerS => 0.95,
        _ => 1.1,
    };
    mark_or_near_pair(load, figure, bound, near_pair)
}

/// Returns a mark of a load with several requests at a time for each client. Most of them need no
/// system call of their own.
const fn pipeline(load: &'static str, figure: Figure, bound: f64) -> Mark {
    let near_pair = match figure {
        RequestsPerS => 0.9,
        _ => 1.15,
    };
    mark_or_near_pair(load, figure, bound, near_pair)
}

/// Returns a mark of a load that connects for each request. To make and register a client takes
/// code that the bare pair does not have: 1.03 to 1.12 times its CPU time, by the machine.
const fn connecting(load: &'static str, figure: Figure) -> Mark {
    let (bound, near_pair) = match figure {
        RequestsPerS => (1.15, 0.9),
        _ => (0.85, 1.15),
    };
    mark_or_near_pair(load, figure, bound, near_pair)
}

const fn mark_or_near_pair(load: &'static str, figure: Figure, bound: f64, near_pair: f64) -> Mark {
    Mark {
        load,
        figure,
        of: Of::RatioOrNearPair(near_pair),
        bound,
    }
}

impl Mark {
    /// Compares the mark with what was measured.
    pub(crate) fn judge(&self, all: &[Measured]) -> Judged {
        let measured = all.iter().find(|measured| measured.load == self.load);
        let judged = self.judge_as_it_is(measured);
        let (Of::RatioOrNearPair(bound), Verdict::Misses) = (self.of, judged.verdict) else {
            return judged;
        };
        let near_pair = mark(self.load, self.figure, BARE_PAIR, bound).judge_as_it_is(measured);
        let (judged, other) = match near_pair.verdict {
            Verdict::Holds => (near_pair, judged),
            Verdict::Misses | Verdict::NotMeasured => (judged, near_pair),
        };
        let remarks = [judged.remark, other.as_remark()].into_iter().flatten();
        let remark = remarks.reduce(|one, other| format!("{one}; {other}"));
        Judged { remark, ..judged }
    }

    /// Compares the bound with what was measured.
    fn judge_as_it_is(&self, measured: Option<&Measured>) -> Judged {
        let median = measured.and_then(|measured| self.value(measured));
        let bound = measured.map_or(self.bound, |measured| self.bound(measured));
        let verdict = match median {
            None => Verdict::NotMeasured,
            Some(value) if self.holds(value, bound) => Verdict::Holds,
            Some(_) => Verdict::Misses,
        };
        let remark = measured.and_then(|measured| match verdict {
            Verdict::Misses => self
                .idleness(measured)
                .or_else(|| self.idleness_of(RESPOOL, measured)),
            Verdict::Holds | Verdict::NotMeasured => self.idleness(measured),
        });
        let rival = match self.of {
            Of::Value => String::new(),
            Of::ValueOr(rival) => format!(", or that of {rival}"),
            Of::Ratio(_) | Of::RatioOrNearPair(_) => {
                format!(" / {}", self.rival().unwrap_or_default())
            }
        };
        let sign = if self.is_minimum() { '≥' } else { '≤' };
        Judged {
            load: self.load,
            what: format!("{}{rival}", self.figure.title()),
            bound: format!("{sign} {bound}"),
            measured: median,
            verdict,
            remark,
        }
    }

    fn value(&self, measured: &Measured) -> Option<f64> {
        let spread = match self.of {
            Of::Value | Of::ValueOr(_) => measured.value(RESPOOL, self.figure),
            Of::Ratio(rival) => measured.ratio(RESPOOL, rival, self.figure),
            Of::RatioOrNearPair(_) => measured.ratio(RESPOOL, REDIS, self.figure),
        };
        spread.map(|spread| spread.median)
    }

    fn bound(&self, measured: &Measured) -> f64 {
        match self.of {
            Of::Value | Of::Ratio(_) | Of::RatioOrNearPair(_) => self.bound,
            Of::ValueOr(rival) => {
                let spread = measured.value(rival, self.figure);
                spread.map_or(self.bound, |spread| spread.median.round().max(self.bound))
            }
        }
    }

    /// Returns the server that the ratio is to.
    fn rival(&self) -> Option<&'static str> {
        match self.of {
            Of::Value | Of::ValueOr(_) => None,
            Of::Ratio(rival) => Some(rival),
            Of::RatioOrNearPair(_) => Some(REDIS),
        }
    }

    fn is_minimum(&self) -> bool {
        self.figure == RequestsPerS
    }

    fn holds(&self, value: f64, bound: f64) -> bool {
        if self.is_minimum() {
            value >= bound
        } else {
            value <= bound
        }
    }

    /// Says so if the rival was not busy all the time: then its throughput is not its maximum.
    fn idleness(&self, measured: &Measured) -> Option<String> {
        self.idleness_of(self.rival()?, measured)
    }

    fn idleness_of(&self, server: &str, measured: &Measured) -> Option<String> {
        let busy = measured.value(server, Figure::BusyPercent)?.median;
        (self.is_minimum() && busy < BUSY_PERCENT_MIN)
            .then(|| format!("{server} was busy for only {busy:.0} % of the time"))
    }
}

impl Judged {
    /// Returns the ratio and its bound, to stand beside another mark; `None` if it was not measured.
    fn as_remark(&self) -> Option<String> {
        let (what, bound) = (&self.what, &self.bound);
        let measured = self.measured?;
        Some(format!("{what}: {measured:.3}, {bound}"))
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
        let holds =
            |figure| [0.9, 1.0, 1.1].map(|value| mark("", figure, "", 1.0).holds(value, 1.0));
        assert_eq!(holds(RequestsPerS), [false, true, true]);
        assert_eq!(holds(P99Us), [true, true, false]);
    }

    #[test]
    fn larger_value_of_the_rival_replaces_the_bound() {
        let mark = MARKS[20];
        let judge = |respool: f64, redis: &[f64]| {
            let servers: [(_, &[f64]); 2] = [(RESPOOL, &[respool]), (REDIS, redis)];
            let judged = mark.judge(&[measured(HANDSHAKES, P99Us, &servers)]);
            (judged.bound, judged.verdict)
        };
        let at_most = |bound: &str| format!("≤ {bound}");
        assert_eq!(judge(5001.0, &[80.0]), (at_most("5000"), Verdict::Misses));
        assert_eq!(judge(5000.0, &[80.0]), (at_most("5000"), Verdict::Holds));
        assert_eq!(judge(5001.0, &[9e4]), (at_most("90000"), Verdict::Holds));
        assert_eq!(judge(5001.0, &[]), (at_most("5000"), Verdict::Misses));
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
        let remark = |busy: f64| {
            MARKS[3].idleness(&measured("", Figure::BusyPercent, &[(BARE_PAIR, &[busy])]))
        };
        assert_eq!(remark(95.0), None);
        assert!(
            remark(80.0).is_some_and(|text| text.starts_with("bare pair was busy for only 80 %"))
        );
    }

    #[test]
    fn load_that_limits_respool_is_reported() {
        let busy = [(RESPOOL, &[80.0][..]), (REDIS, &[99.0])];
        let rates = [(RESPOOL, &[12.0][..]), (REDIS, &[10.0])];
        let mut both = measured(TLS[1], RequestsPerS, &rates);
        both.extend(measured(TLS[1], Figure::BusyPercent, &busy).servers);
        let remark = MARKS[16].judge(&[both]).remark;
        let expected = "respool was busy for only 80 % of the time";
        assert_eq!(remark.as_deref(), Some(expected));
    }

    #[test]
    fn mark_holds_by_the_ratio_to_redis_or_to_the_pair() {
        let judge = |respool: f64, pair: f64| {
            let servers: [(_, &[f64]); 3] =
                [(RESPOOL, &[respool]), (REDIS, &[1.0]), (BARE_PAIR, &[pair])];
            let measured = measured(MARKED[1], RequestsPerS, &servers);
            let judged = MARKS[4].judge(&[measured]);
            (judged.what, judged.bound, judged.verdict, judged.remark)
        };
        let to_redis = ("requests/s / redis-server".to_owned(), "≥ 1.6".to_owned());
        let to_pair = ("requests/s / bare pair".to_owned(), "≥ 0.9".to_owned());
        let (what, bound, verdict, remark) = judge(1.6, 2.0);
        assert_eq!((what, bound), to_redis);
        assert_eq!((verdict, remark), (Verdict::Holds, None));
        let (what, bound, verdict, remark) = judge(1.44, 1.5);
        assert_eq!((what, bound), to_pair);
        let other = "requests/s / redis-server: 1.440, ≥ 1.6".to_owned();
        assert_eq!((verdict, remark), (Verdict::Holds, Some(other)));
        let (what, bound, verdict, remark) = judge(1.44, 1.8);
        assert_eq!((what, bound), to_redis);
        let other = "requests/s / bare pair: 0.800, ≥ 0.9".to_owned();
        assert_eq!((verdict, remark), (Verdict::Misses, Some(other)));
        let without_pair: [(_, &[f64]); 2] = [(RESPOOL, &[1.44]), (REDIS, &[1.0])];
        let judged = MARKS[4].judge(&[measured(MARKED[1], RequestsPerS, &without_pair)]);
        assert_eq!((judged.verdict, judged.remark), (Verdict::Misses, None));
    }

    #[test]
    fn the_median_of_load_and_rival_decides() {
        let servers: [(_, &[f64]); 3] = [
            (RESPOOL, &[10.0, 11.0, 99.0]),
            (REDIS, &[10.0, 10.0, 10.0]),
            (BARE_PAIR, &[20.0, 20.0, 20.0]),
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
