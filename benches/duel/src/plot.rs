//! The results as a picture: SVG that needs nothing from elsewhere.

use std::fmt::Write;

use crate::loads::MARKED;
use crate::products::{BARE, MEMCACHED, REDIS, RESPOOL, VALKEY};
use crate::report::number;
use crate::results::{Figure, Measured, Spread};

/// Bars of the loads with marks: a panel for each of throughput, CPU and p99, relative to `base`.
/// `None` if none of these loads was measured with it.
pub(crate) fn plot(all: &[Measured], base: &str, caption: &[String]) -> Option<String> {
    let servers = || COLOURS.iter().map(|&(server, _)| server);
    let marked: Vec<_> = MARKED
        .iter()
        .filter_map(|load| all.iter().find(|measured| measured.load == *load))
        .collect();
    let shown: Vec<_> = servers()
        .filter(|server| {
            let ratio = |measured: &&Measured| measured.ratio(server, base, Figure::RequestsPerS);
            marked.iter().any(|measured| ratio(measured).is_some())
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    let mut picture = Picture::default();
    picture.text(
        MARGIN,
        28.0,
        TITLE_SIZE,
        "start",
        &format!("PINGs, relative to {base} = 1"),
    );
    picture.legend(&shown);
    for (index, (figure, title)) in PANELS.into_iter().enumerate() {
        let panel = Panel {
            top: HEAD + index as f64 * PANEL_HEIGHT,
            title,
            figure,
            base,
        };
        panel.draw(&mut picture, &marked, &shown);
    }
    let bottom = HEAD + PANELS.len() as f64 * PANEL_HEIGHT + 16.0;
    for (index, line) in caption.iter().enumerate() {
        picture.text(
            MARGIN,
            bottom + index as f64 * 16.0,
            TEXT_SIZE,
            "start",
            line,
        );
    }
    Some(picture.finish(bottom + caption.len() as f64 * 16.0))
}

const PANELS: [(Figure, &str); 3] = [
    (Figure::RequestsPerS, "Throughput: more is better"),
    (
        Figure::CpuNsPerRequest,
        "CPU of the server per PING: less is better",
    ),
    (Figure::P99Us, "p99 of the latency: less is better"),
];

/// From left to right. These colours differ for those too who do not see all colours.
const COLOURS: [(&str, &str); 5] = [
    (RESPOOL, "#0072b2"),
    (REDIS, "#8c8c8c"),
    (VALKEY, "#009e73"),
    (MEMCACHED, "#cc79a7"),
    (BARE, "#e69f00"),
];

const WIDTH: f64 = 880.0;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 64.0;
const PANEL_HEIGHT: f64 = 200.0;
/// Of the highest bar.
const BAR_HEIGHT: f64 = 120.0;
const TITLE_SIZE: f64 = 17.0;
const TEXT_SIZE: f64 = 12.0;

struct Panel<'a> {
    top: f64,
    title: &'a str,
    figure: Figure,
    base: &'a str,
}

impl Panel<'_> {
    fn draw(&self, picture: &mut Picture, loads: &[&Measured], servers: &[&str]) {
        picture.text(MARGIN, self.top + 22.0, 14.0, "start", self.title);
        let bottom = self.top + PANEL_HEIGHT - 26.0;
        let ratio = |load: &Measured, server: &str| load.ratio(server, self.base, self.figure);
        let ratios = loads
            .iter()
            .flat_map(|load| servers.iter().filter_map(|server| ratio(load, server)));
        let highest = ratios.map(|spread| spread.high).fold(1.0, f64::max);
        let unit = BAR_HEIGHT / highest;
        let one = bottom - unit;
        let dashed = "stroke=\"#444\" stroke-dasharray=\"2 3\"";
        picture.line([MARGIN, one, WIDTH - MARGIN, one], dashed);
        let group_width = (WIDTH - 2.0 * MARGIN) / loads.len() as f64;
        let bar_width = group_width * 0.9 / servers.len() as f64;
        for (group, load) in loads.iter().enumerate() {
            let left = MARGIN + group as f64 * group_width + group_width * 0.05;
            let middle = left + group_width * 0.45;
            picture.text(middle, bottom + 16.0, TEXT_SIZE, "middle", &load.load);
            for (index, server) in servers.iter().enumerate() {
                if let Some(spread) = ratio(load, server) {
                    let left = left + index as f64 * bar_width;
                    picture.bar([left, bottom, bar_width * 0.92], unit, spread, server);
                }
            }
        }
        picture.line([MARGIN, bottom, WIDTH - MARGIN, bottom], "stroke=\"#444\"");
    }
}

#[derive(Default)]
struct Picture {
    body: String,
}

impl Picture {
    fn text(&mut self, x: f64, y: f64, size: f64, anchor: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             paint-order=\"stroke\" stroke=\"#fff\" stroke-width=\"3\">{text}</text>"
        );
    }

    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], style: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
        );
    }

    fn rectangle(&mut self, [x, y, width, height]: [f64; 4], colour: &str) {
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }

    /// A bar of the median, with the quartiles as a line and the number above.
    fn bar(&mut self, [left, bottom, width]: [f64; 3], unit: f64, spread: Spread, server: &str) {
        let y = |value: f64| bottom - value * unit;
        let middle = left + width / 2.0;
        self.rectangle(
            [left, y(spread.median), width, spread.median * unit],
            colour(server),
        );
        self.line(
            [middle, y(spread.low), middle, y(spread.high)],
            "stroke=\"#000\"",
        );
        let above = y(spread.high) - 4.0;
        self.text(middle, above, TEXT_SIZE, "middle", &number(spread.median));
    }

    fn legend(&mut self, servers: &[&str]) {
        for (index, server) in servers.iter().enumerate() {
            let left = MARGIN + 140.0 * index as f64;
            self.rectangle([left, 42.0, 12.0, 12.0], colour(server));
            self.text(left + 18.0, 52.0, TEXT_SIZE, "start", server);
        }
    }

    fn finish(self, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" fill=\"#1a1a1a\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
            self.body
        )
    }
}

fn colour(server: &str) -> &'static str {
    let found = COLOURS.iter().find(|&&(name, _)| name == server);
    found.map_or("#000", |&(_, colour)| colour)
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

    fn measured(load: &str, values: &[(&str, f64)]) -> Measured {
        let samples = |&(server, value): &(&str, f64)| {
            let mut samples = Samples::of(server);
            samples.add(&[(Figure::RequestsPerS, value), (Figure::P99Us, f64::NAN)]);
            samples
        };
        Measured {
            load: load.to_owned(),
            servers: values.iter().map(samples).collect(),
        }
    }

    /// The heights of the bars, in their order.
    fn bars(svg: &str, server: &str) -> Vec<f64> {
        let fill = format!("fill=\"{}\"", colour(server));
        let rectangles = svg.lines().filter(|line| line.contains(&fill));
        let height = |line: &str| {
            let (_, rest) = line.split_once("height=\"")?;
            rest.split_once('"')?.0.parse().ok()
        };
        // The first is the legend's.
        rectangles.skip(1).filter_map(height).collect()
    }

    #[test]
    fn bars_are_as_high_as_the_ratios_and_missing_values_are_left_out() {
        let all = [
            measured(MARKED[0], &[(RESPOOL, 3.0), (REDIS, 2.0), (BARE, f64::NAN)]),
            measured(MARKED[1], &[(RESPOOL, 4.0), (REDIS, 1.0), (BARE, 2.0)]),
            measured("another", &[(RESPOOL, 1000.0), (REDIS, 1.0)]),
        ];
        let svg = plot(&all, REDIS, &["a < b & c".to_owned()]).expect("there is something");
        assert_eq!(bars(&svg, RESPOOL), [45.0, 120.0]);
        assert_eq!(bars(&svg, REDIS), [30.0, 30.0]);
        assert_eq!(bars(&svg, BARE), [60.0]);
        assert!(bars(&svg, VALKEY).is_empty() && !svg.contains(VALKEY));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c"));
    }

    #[test]
    fn there_is_no_plot_of_nothing() {
        assert_eq!(plot(&[], REDIS, &[]), None);
        let alone = [measured(MARKED[0], &[(RESPOOL, 1.0)])];
        assert_eq!(plot(&alone, REDIS, &[]), None);
        assert!(plot(&alone, RESPOOL, &[]).is_some());
    }
}
