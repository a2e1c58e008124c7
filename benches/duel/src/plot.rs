//! The results as a picture in SVG.

use std::fmt::Write;

use crate::loads::PLOTTED;
use crate::marks::BUSY_PERCENT_MIN;
use crate::products::{BARE, MEMCACHED, REDIS, RESPOOL, VALKEY};
use crate::report::number;
use crate::results::{Figure, Measured, Spread};

/// From left to right.
const PANELS: [(Figure, &str); 3] = [
    (Figure::RequestsPerS, "Throughput: more is better"),
    (Figure::CpuNsPerRequest, "CPU per request: less is better"),
    (Figure::P99Us, "p99 of the latency: less is better"),
];

/// The servers in their order. The colours differ for colour-blind readers too.
const COLOURS: [(&str, &str); 5] = [
    (RESPOOL, "#0072b2"),
    (REDIS, "#8c8c8c"),
    (VALKEY, "#009e73"),
    (MEMCACHED, "#cc79a7"),
    (BARE, "#e69f00"),
];

const WIDTH: f64 = 880.0;
const MARGIN: f64 = 12.0;
/// Height of the title, the legend and the titles of the panels.
const HEAD: f64 = 92.0;
/// Width of the names of the loads.
const NAMES: f64 = 196.0;
const PANEL_GAP: f64 = 12.0;
const BAR_HEIGHT: f64 = 11.0;
const ROW_GAP: f64 = 9.0;
/// Room for the number at the end of a bar.
const NUMBER: f64 = 36.0;

/// Draws a row for each load, with the bars of all servers but `base`, to which they are relative:
/// throughput, CPU time and p99. A bar begins at 1, and the scale is logarithmic: twice as much is
/// as long as half. Returns `None` if `base` and another server were not measured under a load
/// that the plot shows.
pub(crate) fn plot(all: &[Measured], base: &str, caption: &[String]) -> Option<String> {
    let loads = PLOTTED.iter();
    let loads = loads.filter_map(|load| all.iter().find(|measured| measured.load == *load));
    let mut plot = Plot {
        base,
        loads: loads.collect(),
        servers: Vec::new(),
    };
    let servers = COLOURS
        .into_iter()
        .filter(|(server, _)| plot.is_shown(server));
    plot.servers = servers.collect();
    if plot.servers.is_empty() {
        return None;
    }
    let mut picture = Picture::default();
    plot.draw_head(&mut picture);
    plot.draw_names(&mut picture);
    for (index, (figure, title)) in PANELS.into_iter().enumerate() {
        let panel = Panel::new(index, figure, &plot);
        picture.text([panel.left, HEAD - 22.0], 13, "start", title);
        panel.draw(&plot, &mut picture);
    }
    let mut top = plot.bottom() + 12.0;
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

/// What all panels show.
struct Plot<'a> {
    base: &'a str,
    loads: Vec<&'a Measured>,
    servers: Vec<(&'static str, &'static str)>,
}

impl Plot<'_> {
    fn is_shown(&self, server: &str) -> bool {
        let is_measured = |load: &&Measured| self.ratio(load, server, Figure::RequestsPerS);
        server != self.base && self.loads.iter().find_map(is_measured).is_some()
    }

    fn ratio(&self, load: &Measured, server: &str, figure: Figure) -> Option<Spread> {
        let spread = load.ratio(server, self.base, figure)?;
        (spread.low > 0.0).then_some(spread)
    }

    /// Returns whether the load, or the machine, was the limit of one of the two servers.
    fn is_limited(&self, load: &Measured, server: &str) -> bool {
        [server, self.base].into_iter().any(|server| {
            let busy = load.value(server, Figure::BusyPercent);
            busy.is_some_and(|busy| busy.median < BUSY_PERCENT_MIN)
        })
    }

    fn row_height(&self) -> f64 {
        self.servers.len() as f64 * BAR_HEIGHT + ROW_GAP
    }

    fn row_top(&self, row: usize) -> f64 {
        HEAD + self.row_height() * row as f64 + ROW_GAP / 2.0
    }

    fn bottom(&self) -> f64 {
        HEAD + self.row_height() * self.loads.len() as f64
    }

    fn draw_head(&self, picture: &mut Picture) {
        let title = format!("Relative to {} = 1", self.base);
        picture.text([MARGIN, 26.0], 17, "start", &title);
        for (index, &(server, colour)) in self.servers.iter().enumerate() {
            let left = MARGIN + 140.0 * index as f64;
            picture.rectangle([left, 38.0, 12.0, 12.0], colour);
            picture.text([left + 18.0, 48.0], 12, "start", server);
        }
    }

    fn draw_names(&self, picture: &mut Picture) {
        let bars = self.row_height() - ROW_GAP;
        for (row, load) in self.loads.iter().enumerate() {
            let baseline = self.row_top(row) + bars / 2.0 + 4.0;
            picture.text([MARGIN, baseline], 12, "start", &load.load);
        }
    }
}

/// A column of bars, and its scale.
struct Panel {
    figure: Figure,
    left: f64,
    width: f64,
    /// The logarithms of the ratios at both ends of the scale.
    low: f64,
    high: f64,
}

impl Panel {
    fn new(index: usize, figure: Figure, plot: &Plot<'_>) -> Self {
        let panels = PANELS.len() as f64;
        let all = WIDTH - 2.0 * MARGIN - NAMES;
        let width = (all - PANEL_GAP * (panels - 1.0)) / panels;
        let ratios = plot.loads.iter().flat_map(|load| {
            let servers = plot.servers.iter();
            servers.filter_map(|(server, _)| plot.ratio(load, server, figure))
        });
        // Half and twice are always on the scale.
        let ends = ratios.fold((0.5_f64, 2.0_f64), |(low, high), spread| {
            (low.min(spread.low), high.max(spread.high))
        });
        Self {
            figure,
            left: MARGIN + NAMES + (width + PANEL_GAP) * index as f64,
            width,
            low: ends.0.ln(),
            high: ends.1.ln(),
        }
    }

    /// Returns where a ratio is on the scale.
    fn x(&self, ratio: f64) -> f64 {
        let part = (ratio.ln() - self.low) / (self.high - self.low);
        self.left + NUMBER + part * (self.width - 2.0 * NUMBER)
    }

    fn draw(&self, plot: &Plot<'_>, picture: &mut Picture) {
        self.draw_scale(picture, plot.bottom());
        for (row, load) in plot.loads.iter().enumerate() {
            let mut top = plot.row_top(row);
            for (server, colour) in &plot.servers {
                if let Some(spread) = plot.ratio(load, server, self.figure) {
                    let is_minimum = self.figure == Figure::RequestsPerS;
                    let is_limited = is_minimum && plot.is_limited(load, server);
                    let star = if is_limited { "*" } else { "" };
                    let text = format!("{}{star}", number(spread.median));
                    self.draw_bar(picture, top, spread, colour, &text);
                }
                top += BAR_HEIGHT;
            }
        }
    }

    fn draw_scale(&self, picture: &mut Picture, bottom: f64) {
        for exponent in -8..=8 {
            let ratio = 2.0_f64.powi(exponent);
            if !(self.low..=self.high).contains(&ratio.ln()) {
                continue;
            }
            let style = match exponent {
                0 => "stroke=\"#444\"",
                _ => "stroke=\"#ddd\"",
            };
            let x = self.x(ratio);
            picture.line([x, HEAD, x, bottom], style);
            picture.text([x, HEAD - 5.0], 10, "middle", &ratio.to_string());
        }
    }

    /// Draws the median as a bar, the quartiles as a line, and the text at the end.
    fn draw_bar(&self, picture: &mut Picture, top: f64, spread: Spread, colour: &str, text: &str) {
        let [one, median] = [1.0, spread.median].map(|ratio| self.x(ratio));
        let size = [(median - one).abs(), BAR_HEIGHT - 1.5];
        picture.rectangle([median.min(one), top, size[0], size[1]], colour);
        let middle = top + size[1] / 2.0;
        let [low, high] = [spread.low, spread.high].map(|ratio| self.x(ratio));
        picture.line([low, middle, high, middle], "stroke=\"#000\"");
        let (x, anchor) = if spread.median < 1.0 {
            (low.min(one) - 3.0, "end")
        } else {
            (high.max(one) + 3.0, "start")
        };
        picture.text([x, middle + 3.5], 10, anchor, text);
    }
}

/// The elements of the SVG.
#[derive(Default)]
struct Picture(String);

impl Picture {
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

    /// Returns left end and width of a server's bars, row by row.
    fn bars(svg: &str, server: &str) -> Vec<(f64, f64)> {
        let colour = COLOURS.iter().find(|(name, _)| *name == server);
        let fill = format!("fill=\"{}\"", colour.expect("it has a colour").1);
        let rectangles = svg.lines().filter(|line| line.contains(&fill));
        let value = |line: &str, name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}=\""))?;
            rest.split_once('"')?.0.parse().ok()
        };
        // The first is the legend's.
        let bars = rectangles.skip(1);
        bars.filter_map(|line| Some((value(line, "x")?, value(line, "width")?)))
            .collect()
    }

    fn load(name: &str, respool: f64, redis: f64, bare: f64) -> Measured {
        let servers: [(_, &[f64]); 3] = [(RESPOOL, &[respool]), (REDIS, &[redis]), (BARE, &[bare])];
        let mut measured = measured(name, Figure::RequestsPerS, &servers);
        measured.servers[0].add(&[(Figure::P99Us, f64::NAN)]);
        measured
    }

    #[test]
    fn bars_show_the_ratios_and_omit_missing_values() {
        let all = [
            load(PLOTTED[0], 3.0, 1.5, f64::NAN),
            load(PLOTTED[1], 4.0, 1.0, 0.5),
            load("another", 1000.0, 1.0, 1.0),
        ];
        let svg = plot(&all, REDIS, &["a < b & c".to_owned()]).expect("there is something");
        // Four times as much is twice as far from 1 as twice as much, and half is on the other side.
        let [(one, twice), (same, four_times)] = bars(&svg, RESPOOL)[..] else {
            panic!("{svg}");
        };
        assert!((same - one).abs() < 0.2 && (four_times / twice - 2.0).abs() < 0.01);
        let [(left, half)] = bars(&svg, BARE)[..] else {
            panic!("{svg}");
        };
        assert!((left + half - one).abs() < 0.2 && (half / twice - 1.0).abs() < 0.01);
        assert!(bars(&svg, REDIS).is_empty() && !svg.contains(VALKEY));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c"));
    }

    #[test]
    fn throughput_that_the_load_limits_has_a_star() {
        let star = |busy: [f64; 2]| {
            let mut all = load(PLOTTED[0], 3.0, 2.0, f64::NAN);
            for (samples, busy) in all.servers.iter_mut().zip(busy) {
                samples.add(&[(Figure::BusyPercent, busy)]);
            }
            plot(&[all], REDIS, &[]).is_some_and(|svg| svg.contains(">1.50*<"))
        };
        assert!(!star([95.0, 95.0]));
        assert!(star([95.0, 94.0]) && star([94.0, 95.0]));
    }

    #[test]
    fn nothing_measured_gives_no_plot() {
        assert_eq!(plot(&[], REDIS, &[]), None);
        let alone = [measured(
            PLOTTED[0],
            Figure::RequestsPerS,
            &[(RESPOOL, &[1.0])],
        )];
        assert_eq!(plot(&alone, REDIS, &[]), None);
        assert_eq!(plot(&alone, RESPOOL, &[]), None);
    }
}
