//! The frame of a chart, and the marks in it.

use core::fmt::{self, Display, Formatter};

use super::axis::Axis;

/// Width of every picture, in its own units.
const WIDTH: f64 = 340.0;
/// From the bottom of the plot to that of the picture: numbers, and a line of text.
const BELOW: f64 = 38.0;
/// Radius of a dot.
const DOT: f64 = 2.5;

/// Where the plot is within the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    height: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
    pub(crate) bottom: f64,
}

impl Plot {
    /// A picture of this height, with these margins around its plot.
    pub(crate) const fn new(height: f64, top: f64, left: f64, right: f64) -> Self {
        Self {
            height,
            left,
            right: WIDTH - right,
            top,
            bottom: height - BELOW,
        }
    }

    /// Between both sides.
    pub(crate) fn middle(self) -> f64 {
        f64::midpoint(self.left, self.right)
    }

    /// From a mark at `x` to a text about it, and the end of the text that is there: towards the
    /// middle, where there is room.
    pub(crate) fn beside(self, x: f64) -> (f64, &'static str) {
        match x > self.middle() {
            true => (-6.0, "end"),
            false => (6.0, "start"),
        }
    }

    /// How high `value` is drawn.
    pub(crate) fn y(self, axis: Axis, value: f64) -> f64 {
        axis.place(value, self.bottom, self.top)
    }

    /// The beginning of the picture; `label` is for readers who do not see it.
    pub(crate) fn open(self, f: &mut Formatter<'_>, label: impl Display) -> fmt::Result {
        write!(
            f,
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {}" role="img" aria-label="{label}">"#,
            self.height
        )
    }

    /// The name of the horizontal axis, and the end of the picture.
    pub(crate) fn close(self, f: &mut Formatter<'_>, over: &str) -> fmt::Result {
        let y = self.height - 5.0;
        text(f, (self.middle(), y), "middle", over)?;
        f.write_str("</svg>")
    }

    /// Lines and numbers of the values.
    pub(crate) fn grid(self, f: &mut Formatter<'_>, axis: Axis, unit: &str) -> fmt::Result {
        for tick in axis.ticks() {
            let y = self.y(axis, tick);
            self.across(f, "grid", y, "")?;
            let label = format_args!("{}{unit}", axis.label(tick));
            text(f, (self.left - 6.0, y + 3.5), "end", label)?;
        }
        Ok(())
    }

    /// A line from side to side; `title` is shown while the pointer rests on it.
    pub(crate) fn across(
        self,
        f: &mut Formatter<'_>,
        class: &str,
        y: f64,
        title: impl Display,
    ) -> fmt::Result {
        line(f, class, (self.left, y), (self.right, y), title)
    }

    /// A number below the plot.
    pub(crate) fn number(
        self,
        f: &mut Formatter<'_>,
        x: f64,
        anchor: &str,
        number: impl Display,
    ) -> fmt::Result {
        text(f, (x, self.bottom + 15.0), anchor, number)
    }
}

/// Text that begins, ends or has its middle there.
pub(crate) fn text(
    f: &mut Formatter<'_>,
    (x, y): (f64, f64),
    anchor: &str,
    text: impl Display,
) -> fmt::Result {
    write!(
        f,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
    )
}

/// A straight line.
pub(crate) fn line(
    f: &mut Formatter<'_>,
    class: &str,
    from: (f64, f64),
    to: (f64, f64),
    title: impl Display,
) -> fmt::Result {
    let ((x1, y1), (x2, y2)) = (from, to);
    write!(
        f,
        r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}""#
    )?;
    end(f, "line", title)
}

/// A rectangle from its upper left corner.
pub(crate) fn rectangle(
    f: &mut Formatter<'_>,
    class: &str,
    (x, y): (f64, f64),
    (width, height): (f64, f64),
    title: impl Display,
) -> fmt::Result {
    write!(
        f,
        r#"<rect class="{class}" x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}""#
    )?;
    end(f, "rect", title)
}

/// A line from point to point.
pub(crate) fn polyline(
    f: &mut Formatter<'_>,
    class: &str,
    points: impl Iterator<Item = (f64, f64)>,
) -> fmt::Result {
    write!(f, r#"<polyline class="{class}" points=""#)?;
    for (x, y) in points {
        write!(f, "{x:.1},{y:.1} ")?;
    }
    f.write_str("\"/>")
}

/// A point.
pub(crate) fn dot(
    f: &mut Formatter<'_>,
    class: &str,
    (x, y): (f64, f64),
    title: impl Display,
) -> fmt::Result {
    write!(
        f,
        r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{DOT}""#
    )?;
    end(f, "circle", title)
}

/// The end of a mark, with what is shown while the pointer rests on it, if anything.
fn end(f: &mut Formatter<'_>, mark: &str, title: impl Display) -> fmt::Result {
    match title.to_string().as_str() {
        "" => f.write_str("/>"),
        title => write!(f, "><title>{title}</title></{mark}>"),
    }
}
