//! Several variants against sparsity: one line each, with its deviation over seeds.

use core::fmt;

use super::peer::Peer;
use super::spread::Spread;
use super::summary::{DenseRow, Row, Summary};
use crate::charts::axis::Axis;
use crate::numbers::real;

/// The picture, in its own units.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 260.0;
/// The plot within.
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = HEIGHT - 38.0;
/// Between the ends of the plot and the outermost sparsities.
const INSET: f64 = 16.0;
/// Colours there are; then they come again, dashed.
const COLOURS: usize = 8;
/// Between the marks of two variants at the same sparsity.
const ASIDE: f64 = 2.6;

/// One quantity of all variants over sparsity. Displays as SVG.
pub(super) struct Comparison {
    /// What is drawn.
    pub(super) title: &'static str,
    /// What there is to know about it.
    pub(super) note: &'static str,
    unit: &'static str,
    series: Vec<Series>,
    /// The dense networks, where the quantity is theirs too.
    dense: Vec<Spread>,
    /// What others reached, likewise.
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
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let values = values.filter(|value| value.is_finite());
            values.fold(
                (f64::INFINITY, f64::NEG_INFINITY),
                |(least, most), value| (least.min(value), most.max(value)),
            )
        };
        let peers = self.peers.iter().filter_map(|peer| peer.sparsity);
        let sparsities = points().map(|point| point.sparsity);
        let (least, most) = range(&mut sparsities.chain(peers.map(|share| 100.0 * share)));
        let sparsity = match most > least {
            true => Axis::covering(least, most, 5.0),
            // One alone stands in the middle.
            false => Axis::covering(least - 2.0, (least + 2.0).min(100.0), 5.0),
        };
        let (least, most) = range(&mut ends.into_iter());
        (sparsity, Axis::covering(least, most, 5.0))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (across, up) = self.axes();
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{} against sparsity">"#,
            self.title
        )?;
        for tick in up.ticks() {
            let y = up.place(tick, BOTTOM, TOP);
            write!(
                f,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}{}</text>"#,
                LEFT - 6.0,
                y + 3.5,
                up.label(tick),
                self.unit
            )?;
        }
        for tick in across.ticks() {
            write!(
                f,
                r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{} %</text>"#,
                across.place(tick, LEFT + INSET, RIGHT - INSET),
                BOTTOM + 15.0,
                across.label(tick)
            )?;
        }
        for dense in &self.dense {
            let (above, below) = (dense.mean + dense.deviation, lower(dense));
            let [y, top, bottom] =
                [dense.mean, above, below].map(|value| up.place(value, BOTTOM, TOP));
            write!(
                f,
                r#"<rect class="band" x="{LEFT}" y="{top:.1}" width="{:.1}" height="{:.1}"/><line class="reference" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"><title>dense: {}</title></line>"#,
                RIGHT - LEFT,
                bottom - top,
                dense.show(2)
            )?;
        }
        self.write_peers(f, across, up)?;
        let middle = (real(self.series.len()) - 1.0) / 2.0;
        for (index, series) in self.series.iter().enumerate() {
            let aside = (real(index) - middle) * ASIDE;
            let place = |point: &Point| {
                let x = across.place(point.sparsity, LEFT + INSET, RIGHT - INSET) + aside;
                (
                    x.clamp(LEFT, RIGHT),
                    up.place(point.value.mean, BOTTOM, TOP),
                )
            };
            series.write(f, &class(index), place, |value| {
                up.place(value, BOTTOM, TOP)
            })?;
        }
        write!(
            f,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">encoder weights that are zero</text></svg>"#,
            f64::midpoint(LEFT, RIGHT),
            HEIGHT - 5.0
        )
    }
}

impl Comparison {
    fn write_peers(&self, f: &mut fmt::Formatter<'_>, across: Axis, up: Axis) -> fmt::Result {
        for peer in &self.peers {
            let y = up.place(peer.accuracy, BOTTOM, TOP);
            let name = escaped(&peer.name);
            match peer.sparsity {
                Some(share) => {
                    let x = across.place(100.0 * share, LEFT + INSET, RIGHT - INSET);
                    write!(
                        f,
                        r#"<rect class="peer" x="{:.1}" y="{:.1}" width="6" height="6"><title>{name}: {}</title></rect><text x="{:.1}" y="{:.1}" text-anchor="{}">{name}</text>"#,
                        x - 3.0,
                        y - 3.0,
                        peer.accuracy,
                        // Towards the middle, where there is room.
                        if x > f64::midpoint(LEFT, RIGHT) {
                            x - 6.0
                        } else {
                            x + 6.0
                        },
                        y + 3.5,
                        if x > f64::midpoint(LEFT, RIGHT) {
                            "end"
                        } else {
                            "start"
                        },
                    )?;
                }
                None => write!(
                    f,
                    r#"<line class="peer" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/><text x="{RIGHT}" y="{:.1}" text-anchor="end">{name}</text>"#,
                    y - 3.0
                )?,
            }
        }
        Ok(())
    }
}

impl Series {
    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        class: &str,
        place: impl Fn(&Point) -> (f64, f64),
        height: impl Fn(f64) -> f64,
    ) -> fmt::Result {
        let points: Vec<&Point> = self
            .points
            .iter()
            .filter(|point| point.value.mean.is_finite())
            .collect();
        write!(f, r#"<polyline class="{class}" points=""#)?;
        for point in &points {
            let (x, y) = place(point);
            write!(f, "{x:.1},{y:.1} ")?;
        }
        f.write_str("\"/>")?;
        for point in points {
            let (x, y) = place(point);
            let value = &point.value;
            let (top, bottom) = (height(value.mean + value.deviation), height(lower(value)));
            write!(
                f,
                r#"<line class="{class}" x1="{x:.1}" y1="{top:.1}" x2="{x:.1}" y2="{bottom:.1}"/><circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="2.6"><title>{} at {} %: {}</title></circle>"#,
                escaped(&self.name),
                point.sparsity,
                point.value.show(2)
            )?;
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
    use crate::ablation::Finished;
    use crate::charts::svg_check::{assert_balanced, assert_inside};
    use crate::report::outcome_of_golden;

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
