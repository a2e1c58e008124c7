//! The curves as a picture in SVG.

use std::fmt::Write;

use crate::curves::{CORES, Curve, relative};

/// One for each curve. They differ for colour-blind readers too.
const COLOURS: [&str; 6] = [
    "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#d55e00", "#8c8c8c",
];

const PANEL: f64 = 280.0;
const GAP: f64 = 60.0;
const HEIGHT: f64 = 220.0;
const HEAD: f64 = 130.0;

/// Draws the throughput, relative to one core, and the p99 of the curves of each kind of work. Both
/// axes are logarithmic.
pub(crate) fn plot(all: &[(&str, Vec<Curve>)], caption: &str) -> String {
    let mut svg = Svg::default();
    svg.text(
        [GAP, 28.0],
        17,
        "start",
        "The pool and other designs, simulated",
    );
    svg.text([GAP, 48.0], 12, "start", caption);
    let names = all.first().into_iter().flat_map(|(_, curves)| curves);
    for (index, (curve, colour)) in names.zip(COLOURS).enumerate() {
        let [x, y] = [
            GAP + 300.0 * (index % 3) as f64,
            70.0 + 16.0 * (index / 3) as f64,
        ];
        svg.line(&[[x, y - 4.0], [x + 16.0, y - 4.0]], colour);
        svg.text([x + 22.0, y], 12, "start", curve.design);
    }
    for (column, (work, curves)) in all.iter().enumerate() {
        let left = GAP + (PANEL + GAP) * column as f64;
        let throughput = curves.iter().map(|curve| relative(curves, curve));
        let throughput: Vec<_> = throughput.collect();
        svg.panel(
            [left, HEAD],
            &format!("{work}: throughput, one core = 1"),
            &throughput,
        );
        let p99 = |curve: &Curve| {
            let outcomes = curve.outcomes.iter();
            outcomes.map(|outcome| outcome.p99_us).collect::<Vec<_>>()
        };
        let title = format!("{work}: p99, µs");
        let top = HEAD + HEIGHT + GAP;
        let p99: Vec<_> = curves.iter().map(p99).collect();
        svg.panel([left, top], &title, &p99);
    }
    let width = GAP + (PANEL + GAP) * all.len() as f64;
    let height = HEAD + 2.0 * (HEIGHT + GAP);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" fill=\"#1a1a1a\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        svg.0
    )
}

/// The elements of the SVG.
#[derive(Default)]
struct Svg(String);

impl Svg {
    fn panel(&mut self, [left, top]: [f64; 2], title: &str, curves: &[Vec<f64>]) {
        let all = || curves.iter().flatten();
        let low = all().copied().fold(f64::MAX, f64::min).log2().floor();
        let high = all()
            .copied()
            .fold(0.0, f64::max)
            .log2()
            .ceil()
            .max(low + 1.0);
        let y = |value: f64| top + HEIGHT * (high - value.log2()) / (high - low);
        let x = |index: usize| left + PANEL * index as f64 / (CORES.len() - 1) as f64;
        self.text([left, top - 8.0], 13, "start", title);
        let step = ((high - low) / 6.0).ceil().max(1.0);
        let mut level = low;
        while level <= high {
            let value = level.exp2();
            self.line(&[[left, y(value)], [left + PANEL, y(value)]], "#ddd");
            self.text(
                [left - 4.0, y(value) + 4.0],
                10,
                "end",
                &format!("{value:.0}"),
            );
            level += step;
        }
        for (index, cores) in CORES.iter().enumerate() {
            self.text(
                [x(index), top + HEIGHT + 14.0],
                10,
                "middle",
                &cores.to_string(),
            );
        }
        self.text([left + PANEL, top + HEIGHT + 28.0], 10, "end", "cores");
        for (values, colour) in curves.iter().zip(COLOURS) {
            let points = values.iter().enumerate();
            let points: Vec<_> = points.map(|(index, &value)| [x(index), y(value)]).collect();
            self.line(&points, colour);
        }
    }

    fn line(&mut self, points: &[[f64; 2]], colour: &str) {
        let points: Vec<_> = points
            .iter()
            .map(|[x, y]| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            self.0,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
    }

    fn text(&mut self, [x, y]: [f64; 2], size: u32, anchor: &str, text: &str) {
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" \
             text-anchor=\"{anchor}\">{text}</text>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::params::Outcome;

    #[test]
    fn each_curve_is_a_line_in_each_panel() {
        let outcome = |turns_per_s| Outcome {
            turns_per_s,
            p50_us: 200.0,
            p99_us: 300.0,
            watch_held: 0.0,
            asleep: 0.0,
            in_flight: 0,
        };
        let curve = |factor: f64| Curve {
            design: "a design",
            outcomes: CORES.map(|cores| outcome(factor * cores as f64)).into(),
        };
        let svg = plot(&[("P=1", vec![curve(1.0), curve(0.5)])], "of a test");
        for colour in &COLOURS[..2] {
            // The legend and two panels.
            assert_eq!(svg.matches(colour).count(), 3, "{svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
