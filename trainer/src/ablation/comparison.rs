//! Several variants against sparsity: one line each, with its deviation over seeds.

use core::fmt;

use super::peer::Peer;
use super::spread::Spread;
use super::summary::{DenseRow, Row, Summary};
use crate::charts::axis::{Axis, extremes};
use crate::charts::plot::{Plot, dot, line, polyline, rectangle, text};
use crate::numbers::real;

const PLOT: Plot = Plot::new(260.0, 12.0, 46.0, 12.0);
/// Between the ends of the plot and the outermost sparsities.
const INSET: f64 = 16.0;
/// Number of colours; after that they repeat, dashed.
const COLOURS: usize = 8;
/// Between the marks of two variants at the same sparsity.
const ASIDE: f64 = 2.6;

/// One quantity of all variants over sparsity. Displays as SVG.
pub(super) struct Comparison {
    /// What is drawn.
    pub(super) title: &'static str,
    /// A note on it.
    pub(super) note: &'static str,
    unit: &'static str,
    series: Vec<Series>,
    /// The dense networks, where they have the quantity too.
    dense: Vec<Spread>,
    /// What other models reached, likewise.
    peers: Vec<Peer>,
}

struct Series {
    name: String,
    points: Vec<Point>,
}

struct Point {
    /// In per cent.
    sparsity: f64,
    value: Spread,
}

/// A variant and the look of its line.
pub(super) struct Key {
    /// Its name.
    pub(super) name: String,
    /// Its class.
    pub(super) class: String,
}

/// The look of line number `index`.
fn class(index: usize) -> String {
    let dashed = if index / COLOURS % 2 == 1 {
        " dashed"
    } else {
        ""
    };
    format!("line-{}{dashed}", index % COLOURS)
}

/// The variants, in the order of their colours.
pub(super) fn keys(summary: &Summary) -> Vec<Key> {
    let series = series(summary, |row| row.int8).into_iter().enumerate();
    let key = |(index, series): (usize, Series)| Key {
        name: series.name,
        class: class(index),
    };
    series.map(key).collect()
}

/// Accuracy, bytes and spread of connections.
pub(super) fn charts(summary: &Summary) -> [Comparison; 3] {
    let dense = |value: fn(&DenseRow) -> Spread| summary.dense.iter().map(value).collect();
    [
        Comparison {
            title: "Accuracy of the int8 file",
            note: "in the runtime; the grey line is the dense float network, squares and dotted lines \
                   are peers",
            unit: " %",
            series: series(summary, |row| row.int8),
            dense: dense(|row| row.float),
            peers: summary.peers.clone(),
        },
        Comparison {
            title: "Size of the file",
            note: "in kilobytes",
            unit: "",
            series: series(summary, |row| Spread {
                mean: row.bytes.mean / 1000.0,
                deviation: row.bytes.deviation / 1000.0,
                ..row.bytes
            }),
            dense: Vec::new(),
            peers: Vec::new(),
        },
        Comparison {
            title: "Spread of connections",
            note: "standard deviation over the neurons of L_in; the grey line is the dense network",
            unit: "",
            series: series(summary, |row| row.degrees),
            dense: dense(|row| row.degrees),
            peers: Vec::new(),
        },
    ]
}

fn series(summary: &Summary, value: fn(&Row) -> Spread) -> Vec<Series> {
    let mut list: Vec<Series> = Vec::new();
    for row in &summary.rows {
        let point = Point {
            sparsity: 100.0 * row.target_sparsity,
            value: value(row),
        };
        match list.iter_mut().find(|series| series.name == row.variant) {
            Some(series) => series.points.push(point),
            None => list.push(Series {
                name: row.variant.clone(),
                points: vec![point],
            }),
        }
    }
    for series in &mut list {
        let sparsity = |a: &Point, b: &Point| a.sparsity.total_cmp(&b.sparsity);
        series.points.sort_by(sparsity);
    }
    list
}

impl Comparison {
    /// Axes of sparsity and value around everything that is drawn.
    fn axes(&self) -> (Axis, Axis) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let values = points().map(|point| &point.value).chain(&self.dense);
        let ends = values.flat_map(|v| [lower(v), v.mean + v.deviation]);
        let ends = ends.chain(self.peers.iter().map(|peer| peer.accuracy));
        let peers = self.peers.iter().filter_map(|peer| peer.sparsity);
        let sparsities = points().map(|point| point.sparsity);
        let (least, most) = extremes(sparsities.chain(peers.map(|share| 100.0 * share)));
        let sparsity = match most > least {
            true => Axis::covering(least, most, 5.0),
            // A single one is in the middle.
            false => Axis::covering(least - 2.0, (least + 2.0).min(100.0), 5.0),
        };
        let (least, most) = extremes(ends);
        let values = match self.unit {
            " %" => Axis::of_shares(least, most, 5.0),
            _ => Axis::covering(least, most, 5.0),
        };
        (sparsity, values)
    }
}

/// Where a sparsity is.
fn place(axis: Axis, sparsity: f64) -> f64 {
    axis.place(sparsity, PLOT.left + INSET, PLOT.right - INSET)
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (across, up) = self.axes();
        PLOT.open(f, format_args!("{} against sparsity", self.title))?;
        PLOT.grid(f, up, self.unit)?;
        for tick in across.ticks() {
            let label = format_args!("{} %", across.label(tick));
            PLOT.number(f, place(across, tick), "middle", label)?;
        }
        for dense in &self.dense {
            let ends = [dense.mean + dense.deviation, lower(dense)];
            let [top, bottom] = ends.map(|value| PLOT.y(up, value));
            let size = (PLOT.right - PLOT.left, bottom - top);
            rectangle(f, "band", (PLOT.left, top), size, "")?;
            let title = format_args!("dense: {}", dense.show(2));
            PLOT.across(f, "reference", PLOT.y(up, dense.mean), title)?;
        }
        for peer in &self.peers {
            write_peer(f, peer, across, up)?;
        }
        let middle = (real(self.series.len()) - 1.0) / 2.0;
        for (index, series) in self.series.iter().enumerate() {
            let aside = (real(index) - middle) * ASIDE;
            let x = |point: &Point| {
                let x = place(across, point.sparsity) + aside;
                x.clamp(PLOT.left, PLOT.right)
            };
            series.write(f, &class(index), x, |value| PLOT.y(up, value))?;
        }
        PLOT.close(f, "encoder weights that are zero")
    }
}

fn write_peer(f: &mut fmt::Formatter<'_>, peer: &Peer, across: Axis, up: Axis) -> fmt::Result {
    let y = PLOT.y(up, peer.accuracy);
    let name = escaped(&peer.name);
    let Some(share) = peer.sparsity else {
        PLOT.across(f, "peer", y, "")?;
        return text(f, (PLOT.right, y - 3.0), "end", name);
    };
    let x = place(across, 100.0 * share);
    let title = format_args!("{name}: {}", peer.accuracy);
    rectangle(f, "peer", (x - 3.0, y - 3.0), (6.0, 6.0), title)?;
    let (aside, anchor) = PLOT.beside(x);
    text(f, (x + aside, y + 3.5), anchor, name)
}

impl Series {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        class: &str,
        x: impl Fn(&Point) -> f64,
        y: impl Fn(f64) -> f64,
    ) -> fmt::Result {
        let points = self.points.iter();
        let points = points.filter(|point| point.value.mean.is_finite());
        let at = |point: &Point| (x(point), y(point.value.mean));
        polyline(f, class, points.clone().map(at))?;
        for point in points {
            let (x, value) = (x(point), &point.value);
            let ends = [value.mean + value.deviation, lower(value)];
            let [top, bottom] = ends.map(|end| (x, y(end)));
            line(f, class, top, bottom, "")?;
            let (name, shown) = (escaped(&self.name), value.show(2));
            let title = format_args!("{name} at {} %: {shown}", point.sparsity);
            dot(f, class, at(point), title)?;
        }
        Ok(())
    }
}

/// One deviation below the mean. Nothing that is drawn can be below zero.
fn lower(value: &Spread) -> f64 {
    (value.mean - value.deviation).max(0.0)
}

/// Names of variants are the user's.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::page;
    use super::*;
    use crate::charts::svg_check::{assert_balanced, assert_inside};
    use crate::report::outcome_of_golden;
    use crate::sweep::Finished;

    fn summary(variants: usize) -> Summary {
        let mut cells = Vec::new();
        for variant in 0..variants {
            for (sparsity, accuracy) in [(0.95, 80.0), (0.8, 91.0), (0.9, 88.5)] {
                for seed in 0..3_u8 {
                    let mut run = outcome_of_golden().run;
                    run.recipe.seed = seed.into();
                    run.target_sparsity = sparsity;
                    run.accuracy.sparse_int8 = accuracy + f64::from(seed) - real(variant);
                    cells.push(Finished {
                        variant: format!("<{variant}> & more"),
                        model: "model.neuro".into(),
                        run,
                        bytes: 30_000,
                    });
                }
            }
        }
        let peers = ["dense & old=84.5", "sparse=70@0.97"].map(|text| text.parse().unwrap());
        Summary::new("grid", &cells, &peers)
    }

    #[test]
    fn every_variant_is_a_line_with_its_deviations() {
        let summary = summary(10);
        for chart in charts(&summary) {
            let svg = chart.to_string();
            assert_balanced(&svg);
            assert_inside(&svg);
            assert_eq!(svg.matches("<polyline").count(), 10);
            assert_eq!(svg.matches("<circle").count(), 30);
        }
        let accuracy = charts(&summary)[0].to_string();
        assert!(
            accuracy.contains("&lt;0&gt; &amp; more at 95 %: 81.00 ± 1.00"),
            "{accuracy}"
        );
        assert_eq!(accuracy.matches("class=\"reference\"").count(), 1);
        assert_eq!(accuracy.matches("class=\"peer\"").count(), 2);
        assert!(accuracy.contains(">dense &amp; old</text>"), "{accuracy}");
        assert!(keys(&summary)[9].class.contains("line-1 dashed"));
    }

    #[test]
    fn the_page_stands_alone_also_without_cells() {
        for variants in [0, 1, 3] {
            let page = page::render(&summary(variants)).unwrap();
            assert_balanced(&page);
            for outside in [
                "http:", "https:", "<script", "src=", "@import", "url(", "NaN",
            ] {
                assert!(!page.contains(outside), "{outside}");
            }
        }
    }
}
