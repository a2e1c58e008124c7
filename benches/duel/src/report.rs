//! The results as text.

use std::fmt::Write;

use crate::marks::{BUSY_PERCENT_MIN, Judged, Verdict};
use crate::results::{Figure, Measured, Spread};

/// Which way the ratios of a table go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ratios {
    /// The first server to each other.
    OfFirst,
    /// Each other server to the first.
    ToFirst,
}

/// Returns the table of one load: the values of the first server, and its ratios with the others.
pub(crate) fn table(measured: &Measured, ratios: Ratios) -> String {
    let mut table = format!("\n{}\n", measured.load);
    let Some((first, others)) = measured.servers.split_first() else {
        return table + "  not measured\n";
    };
    let first_name = &first.server;
    let head = |other: &str| match ratios {
        Ratios::OfFirst => format!("/ {other}"),
        Ratios::ToFirst => format!("{other} / {first_name}"),
    };
    let heads = others.iter().map(|other| head(&other.server));
    line(
        &mut table,
        "",
        [first_name.clone()].into_iter().chain(heads),
    );
    for &figure in first.rounds.keys() {
        let cells = others.iter().map(|other| match ratios {
            _ if figure.is_share() => share(measured.value(&other.server, figure), &other.server),
            Ratios::OfFirst => cell(measured.ratio(first_name, &other.server, figure)),
            Ratios::ToFirst => cell(measured.ratio(&other.server, first_name, figure)),
        });
        let value = cell(measured.value(first_name, figure));
        line(&mut table, figure.title(), [value].into_iter().chain(cells));
    }
    if let Some(names) = waiting(measured) {
        let _ = writeln!(
            table,
            "  could have answered more than the load sent: {names}"
        );
    }
    table
}

/// Names the servers that waited for the load.
fn waiting(measured: &Measured) -> Option<String> {
    let names = measured.servers.iter().map(|samples| &samples.server);
    let waits = |name: &&String| {
        let busy = measured.value(name, Figure::BusyPercent);
        busy.is_some_and(|busy| busy.median < BUSY_PERCENT_MIN)
    };
    let names: Vec<_> = names.filter(waits).map(String::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn line(table: &mut String, title: &str, cells: impl Iterator<Item = String>) {
    let mut line = format!("  {title:<16}");
    for cell in cells {
        let _ = write!(line, "  {cell:<26}");
    }
    table.push_str(line.trim_end());
    table.push('\n');
}

/// Formats the median and the quartiles.
fn cell(spread: Option<Spread>) -> String {
    let Some(spread) = spread else {
        return "-".to_owned();
    };
    let [median, low, high] = [spread.median, spread.low, spread.high].map(number);
    format!("{median} ({low} to {high})")
}

/// Formats the share of the time of another server.
fn share(spread: Option<Spread>, server: &str) -> String {
    spread.map_or("-".to_owned(), |spread| {
        format!("{server}: {}", number(spread.median))
    })
}

/// Formats a number with three significant digits, in thousands or millions if it is large.
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

/// Returns the table of the marks.
pub(crate) fn marks(judged: &[Judged]) -> String {
    let mut table = "\nMarks\n".to_owned();
    for mark in judged {
        let Judged {
            load,
            what,
            bound,
            verdict,
            ..
        } = mark;
        let measured = mark
            .measured
            .map_or("-".to_owned(), |value| format!("{value:.3}"));
        let remark = mark.remark.as_deref().map(|text| format!(": {text}"));
        let remark = remark.unwrap_or_default();
        let _ = writeln!(
            table,
            "  {load:<32} {what:<31} {bound:<7} {measured:<8} {verdict}{remark}"
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

/// Names the servers that were not run because they are not installed.
pub(crate) fn not_run(servers: &[&str]) -> Option<String> {
    let names = servers.join(", ");
    (!servers.is_empty()).then(|| format!("\nNot run, because not installed: {names}\n"))
}

/// Returns a warning if other programs used the CPUs of the servers or of the load.
pub(crate) fn disturbance(all: &[Measured]) -> Option<String> {
    const PERCENT_MAX: f64 = 3.0;
    let shares = all.iter().flat_map(|measured| {
        let servers = measured.servers.iter();
        servers.filter_map(|samples| measured.value(&samples.server, Figure::WaitingPercent))
    });
    // The upper quartile: a quarter of the values is enough to spoil a table.
    let percent = Spread::of(shares.map(|share| share.median))?.high;
    (percent > PERCENT_MAX).then(|| {
        format!(
            "\nThe machine was not quiet: in a quarter of the cases or more, server or load waited \
             for a CPU for {percent:.0} % of the time. Measure again.\n"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::measured;

    #[test]
    fn numbers_have_three_significant_digits() {
        for (value, text) in [
            (0.01234, "0.012"),
            (0.0996, "0.10"),
            (0.5, "0.50"),
            (9.99, "9.99"),
            (9.996, "10.0"),
            (99.94, "99.9"),
            (99.96, "100"),
            (9_994.0, "9994"),
            (9_996.0, "10.0 k"),
            (1_234_567.8, "1.23 M"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn servers_that_are_not_installed_are_named() {
        assert_eq!(not_run(&[]), None);
        assert!(not_run(&["a", "b"]).is_some_and(|text| text.contains("installed: a, b")));
    }

    #[test]
    fn a_busy_machine_is_reported() {
        let warning =
            |percent| disturbance(&[measured("", Figure::WaitingPercent, &[("a", &[percent])])]);
        assert_eq!(warning(2.9), None);
        assert!(warning(12.3).is_some_and(|text| text.contains("12 %")));
        assert_eq!(disturbance(&[]), None);
    }

    #[test]
    fn a_table_has_a_line_a_figure_and_a_column_a_server() {
        let servers: [(_, &[f64]); 3] = [("a", &[3000.0]), ("b", &[2000.0]), ("c", &[f64::NAN])];
        let mut measured = measured("a load", Figure::RequestsPerS, &servers);
        for (samples, busy) in measured.servers.iter_mut().zip([50.0, 50.0, 95.0]) {
            samples.add(&[(Figure::BusyPercent, busy)]);
        }
        let lines = |ratios| -> Vec<String> {
            let table = table(&measured, ratios);
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
            table.lines().skip(1).map(words).collect()
        };
        let of_first = [
            "a load",
            "a / b / c",
            "requests/s 3000 (3000 to 3000) 1.50 (1.50 to 1.50) -",
            "busy % 50.0 (50.0 to 50.0) b: 50.0 c: 95.0",
            "could have answered more than the load sent: a, b",
        ];
        assert_eq!(lines(Ratios::OfFirst), of_first);
        let to_first = lines(Ratios::ToFirst);
        assert_eq!(to_first[1], "a b / a c / a");
        assert_eq!(
            to_first[2],
            "requests/s 3000 (3000 to 3000) 0.67 (0.67 to 0.67) -"
        );
    }
}
