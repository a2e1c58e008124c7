//! The results as tables to read.

use std::fmt::Write;

use crate::marks::{Judged, Verdict};
use crate::results::{Figure, Measured, Spread};

/// A table of one load: what `subject` did, and the ratio of each of `pairs` to each other.
pub(crate) fn table(measured: &Measured, subject: &str, pairs: &[(&str, &str)]) -> String {
    let mut table = format!("\n{}\n", measured.load);
    line(&mut table, "", &heads(subject, pairs));
    for figure in measured.figures() {
        let value = cell(measured.value(subject, figure));
        let against = |(ours, theirs): (&str, &str)| {
            if !figure.is_share() {
                return cell(measured.ratio(ours, theirs, figure));
            }
            // The one of the two that is not known yet.
            let other = if theirs == subject { ours } else { theirs };
            let value = measured.value(other, figure);
            let value = value.map(|value| number(value.median));
            value.map_or("-".to_owned(), |value| format!("{other}: {value}"))
        };
        let ratios = pairs.iter().map(|&pair| against(pair));
        let cells: Vec<_> = [value].into_iter().chain(ratios).collect();
        line(&mut table, figure.title(), &cells);
    }
    table
}

/// Columns are as wide as most of what stands in them.
fn line(table: &mut String, title: &str, cells: &[String]) {
    let mut line = format!("  {title:<16}");
    for cell in cells {
        let _ = write!(line, "  {cell:<26}");
    }
    table.push_str(line.trim_end());
    table.push('\n');
}

fn heads(subject: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let ratios = pairs.iter().map(|(ours, theirs)| {
        if *ours == subject {
            format!("/ {theirs}")
        } else {
            format!("{ours} / {theirs}")
        }
    });
    [subject.to_owned()].into_iter().chain(ratios).collect()
}

/// The median, and the quartiles behind it.
fn cell(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return "-".to_owned();
    };
    let [median, low, high] = [spread.median, spread.low, spread.high].map(number);
    format!("{median} ({low} to {high})")
}

/// A number with three digits that count, in thousands or millions where it is high.
pub(crate) fn number(value: f64) -> String {
    match value {
        value if value >= 999_500.0 => format!("{} M", number(value / 1e6)),
        value if value >= 9_995.0 => format!("{} k", number(value / 1e3)),
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.0995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

/// All marks, each beside what was measured.
pub(crate) fn marks(judged: &[Judged]) -> String {
    let mut table = "\nMarks\n".to_owned();
    for mark in judged {
        let measured = mark
            .measured
            .map_or("-".to_owned(), |value| format!("{value:.3}"));
        let (load, what, bound) = (mark.load, &mark.what, &mark.bound);
        let verdict = mark.verdict;
        let remark = mark.remark.as_deref().map(|text| format!(": {text}"));
        let remark = remark.unwrap_or_default();
        let _ = writeln!(
            table,
            "  {load:<23} {what:<30} {bound:<7} {measured:<8} {verdict}{remark}"
        );
    }
    let count = |verdict| judged.iter().filter(|mark| mark.verdict == verdict).count();
    let _ = writeln!(
        table,
        "  {} hold, {} missed, {} not measured",
        count(Verdict::Holds),
        count(Verdict::Misses),
        count(Verdict::NotMeasured),
    );
    table
}

/// A warning if something else ran where the servers were to run alone.
pub(crate) fn disturbance(all: &[Measured]) -> Option<String> {
    const PERCENT_MAX: f64 = 3.0;
    let shares = all.iter().flat_map(|measured| {
        let figure = Figure::WaitingPercent;
        let servers = measured.servers.iter();
        servers.filter_map(move |samples| measured.value(&samples.server, figure))
    });
    // A quarter of the loads is enough to spoil a table.
    let percent = Spread::of(shares.map(|share| share.median))?.high;
    (percent > PERCENT_MAX).then(|| {
        format!(
            "\nThe machine was not quiet: in a quarter of the cases or more, server or load waited \
             for a CPU for {percent:.0} % of the time. Measure again.\n"
        )
    })
}

#[cfg(test)]
#[allow(
    dead_code,
    unused_imports,
    reason = "cargo sets `test` for a bench, without tests"
)]
mod tests {
    use super::*;
    use crate::results::Samples;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let numbers = [
            0.01234,
            0.0996,
            0.5,
            9.99,
            9.996,
            99.94,
            99.96,
            9_994.0,
            9_996.0,
            1_234_567.8,
        ]
        .map(number);
        let texts = [
            "0.012", "0.10", "0.50", "9.99", "10.0", "99.9", "100", "9994", "10.0 k", "1.23 M",
        ];
        assert_eq!(numbers, texts);
    }

    #[test]
    fn a_machine_that_is_not_quiet_is_told() {
        let told = |percent| {
            let mut samples = Samples::of("a");
            samples.add(&[(Figure::WaitingPercent, percent)]);
            disturbance(&[Measured {
                load: String::new(),
                servers: vec![samples],
            }])
        };
        assert_eq!(told(2.9), None);
        assert!(told(12.3).is_some_and(|text| text.contains("12 %")));
        assert_eq!(disturbance(&[]), None);
    }

    #[test]
    fn a_table_has_a_line_for_each_figure_and_a_column_for_each_pair() {
        let samples = |server, value| {
            let mut samples = Samples::of(server);
            samples.add(&[(Figure::RequestsPerS, value), (Figure::BusyPercent, 50.0)]);
            samples
        };
        let measured = Measured {
            load: "a load".to_owned(),
            servers: vec![samples("a", 3000.0), samples("b", 2000.0)],
        };
        let table = table(&measured, "a", &[("a", "b"), ("b", "a"), ("a", "c")]);
        let words: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let heads = ["a", "/", "b", "b", "/", "a", "/", "c"];
        assert_eq!(words[1..3], [vec!["a", "load"], heads.to_vec()]);
        let throughput = "requests/s 3000 (3000 to 3000) 1.50 (1.50 to 1.50) 0.67 (0.67 to 0.67) -";
        assert_eq!(words[3].join(" "), throughput);
        assert_eq!(
            words[4].join(" "),
            "busy % 50.0 (50.0 to 50.0) b: 50.0 b: 50.0 -"
        );
        assert_eq!(words.len(), 5);
    }
}
