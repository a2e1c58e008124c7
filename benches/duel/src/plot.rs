//! The results as a picture in SVG.

use std::fmt::Write;

use crate::loads::MARKED;
use crate::products::{BARE, MEMCACHED, REDIS, RESPOOL, VALKEY};
use crate::report::number;
use crate::results::{Figure, Measured, Spread};

const PANELS: [(Figure, &str); 3] = [
    (Figure::RequestsPerS, "Throughput: more is better"),
    (
        Figure::CpuNsPerRequest,
        "CPU of the server per PING: less is better",
    ),
    (Figure::P99Us, "p99 of the latency: less is better"),
];

/// The servers from left to right. The colours differ for colour-blind readers too.
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
/// Height of the highest bar of a panel.
const BAR_HEIGHT: f64 = 120.0;

/// Draws a panel of bars for each of throughput, CPU time and p99, relative to the server `base`.
/// Returns `None` if `base` was not measured under a load that the plot shows.
pub(crate) fn plot(all: &[Measured], base: &str, caption: &[String]) -> Option<String> {
    let loads: Vec<_> = MARKED
        .iter()
        .filter_map(|load| all.iter().find(|measured| measured.load == *load))
        .collect();
    let is_shown = |server: &str| {
        let ratio = |load: &&Measured| load.ratio(server, base, Figure::RequestsPerS);
        loads.iter().find_map(ratio).is_some()
    };
    let servers: Vec<_> = COLOURS
        .into_iter()
        .filter(|(server, _)| is_shown(server))
        .collect();
    if servers.is_empty() {
        return None;
    }
    let mut picture = Picture::default();
    picture.text(
        [MARGIN, 28.0],
        17,
        "start",
        &format!("PINGs, relative to {base} = 1"),
    );
    for (index, &(server, colour)) in servers.iter().enumerate() {
        let left = MARGIN + 140.0 * index as f64;
        picture.rectangle([left, 42.0, 12.0, 12.0], colour);
        picture.text([left + 18.0, 52.0], 12, "start", server);
    }
    let mut top = HEAD;
    for (figure, title) in PANELS {
        picture.text([MARGIN, top + 22.0], 14, "start", title);
        top += PANEL_HEIGHT;
        picture.panel(top - 26.0, &loads, &servers, |load, server| {
            load.ratio(server, base, figure)
        });
    }
    for line in caption {
        top += 16.0;
        picture.text([MARGIN, top], 12, "start", line);
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" \
         font-family=\"sans-serif\" fill=\"#1a1a1a\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        top + 16.0,
        picture.0
    ))
}

/// The elements of the SVG.
#[derive(Default)]
struct Picture(String);

impl Picture {
    /// Draws the bars of all servers under each load, standing on `bottom`.
    fn panel(
        &mut self,
        bottom: f64,
        loads: &[&Measured],
        servers: &[(&str, &str)],
        ratio: impl Fn(&Measured, &str) -> Option<Spread>,
    ) {
        let ratios = loads
            .iter()
            .flat_map(|load| servers.iter().filter_map(|(server, _)| ratio(load, server)));
        let unit = BAR_HEIGHT / ratios.map(|spread| spread.high).fold(1.0, f64::max);
        let dashed = "stroke=\"#444\" stroke-dasharray=\"2 3\"";
        self.line(
            [MARGIN, bottom - unit, WIDTH - MARGIN, bottom - unit],
            dashed,
        );
        let load_width = (WIDTH - 2.0 * MARGIN) / loads.len() as f64;
        let bar_width = load_width * 0.9 / servers.len() as f64;
        for (index, load) in loads.iter().enumerate() {
            let mut left = MARGIN + load_width * (index as f64 + 0.05);
            let middle = left + load_width * 0.45;
            self.text([middle, bottom + 16.0], 12, "middle", &load.load);
            for (server, colour) in servers {
                if let Some(spread) = ratio(load, server) {
                    self.bar([left, bottom, bar_width * 0.92], unit, spread, colour);
                }
                left += bar_width;
            }
        }
        self.line([MARGIN, bottom, WIDTH - MARGIN, bottom], "stroke=\"#444\"");
    }

    /// Draws the median as a bar, the quartiles as a line, and the number above them.
    fn bar(&mut self, [left, bottom, width]: [f64; 3], unit: f64, spread: Spread, colour: &str) {
        let y = |value: f64| bottom - value * unit;
        let middle = left + width / 2.0;
        self.rectangle(
            [left, y(spread.median), width, spread.median * unit],
            colour,
        );
        self.line(
            [middle, y(spread.low), middle, y(spread.high)],
            "stroke=\"#000\"",
        );
        let above = y(spread.high) - 4.0;
        self.text([middle, above], 12, "middle", &number(spread.median));
    }

    fn text(&mut self, [x, y]: [f64; 2], size: u32, anchor: &str, text: &str) {
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             paint-order=\"stroke\" stroke=\"#fff\" stroke-width=\"3\">{text}</text>"
        );
    }

    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], style: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>"
        );
    }

    fn rectangle(&mut self, [x, y, width, height]: [f64; 4], colour: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::measured;

    /// Returns the heights of a server's bars, from left to right.
    fn bars(svg: &str, server: &str) -> Vec<f64> {
        let colour = COLOURS.iter().find(|(name, _)| *name == server);
        let fill = format!("fill=\"{}\"", colour.expect("it has a colour").1);
        let rectangles = svg.lines().filter(|line| line.contains(&fill));
        let height = |line: &str| {
            let (_, rest) = line.split_once("height=\"")?;
            rest.split_once('"')?.0.parse().ok()
        };
        // The first is the legend's.
        rectangles.skip(1).filter_map(height).collect()
    }

    #[test]
    fn bars_show_the_ratios_and_omit_missing_values() {
        let load = |name, respool: f64, redis: f64, bare: f64| {
            let servers: [(_, &[f64]); 3] =
                [(RESPOOL, &[respool]), (REDIS, &[redis]), (BARE, &[bare])];
            let mut measured = measured(name, Figure::RequestsPerS, &servers);
            measured.servers[0].add(&[(Figure::P99Us, f64::NAN)]);
            measured
        };
        let all = [
            load(MARKED[0], 3.0, 2.0, f64::NAN),
            load(MARKED[1], 4.0, 1.0, 2.0),
            load("another", 1000.0, 1.0, 1.0),
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
    fn nothing_measured_gives_no_plot() {
        assert_eq!(plot(&[], REDIS, &[]), None);
        let alone = [measured(
            MARKED[0],
            Figure::RequestsPerS,
            &[(RESPOOL, &[1.0])],
        )];
        assert_eq!(plot(&alone, REDIS, &[]), None);
        assert!(plot(&alone, RESPOOL, &[]).is_some());
    }
}
