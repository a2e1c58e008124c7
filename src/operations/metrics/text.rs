//! Prometheus's text format, version 0.0.4.

use std::fmt::{Display, Write};

/// Metrics in their text format.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// The type of a family of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that grows, except when it begins at 0 again.
    Counter,
    Gauge,
    Histogram,
}

/// Names and values of labels.
pub(super) type Labels<'a> = [(&'a str, &'a str)];

impl Text {
    /// Begins a family. All of its samples follow at once.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = Escaped(help, false);
        // Writing to a string does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            let text = Escaped(text, true);
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
            before = ',';
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// Adds a counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(name, &[], value);
    }

    /// Adds a gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(name, &[], value);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A text with backslashes before backslashes, newlines and, in the value of a label, quotes.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.1 => f.write_str("\\\""),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_help_and_type_with_escaped_labels() {
        let mut text = Text::default();
        text.gauge("up", "Says \"yes\"\\\nor no.", 1);
        text.family("calls_total", Kind::Counter, "Calls.");
        text.sample("calls_total", &[("cmd", "a\"b\\c\nd"), ("x", "")], 2.5);
        let lines = [
            r#"# HELP up Says "yes"\\\nor no."#,
            "# TYPE up gauge",
            "up 1",
            "# HELP calls_total Calls.",
            "# TYPE calls_total counter",
            r#"calls_total{cmd="a\"b\\c\nd",x=""} 2.5"#,
            "",
        ];
        assert_eq!(text.finish(), lines.join("\n"));
    }
}
