//! Which weights are left: a picture of a matrix with a mark for each.
//!
//! Marks are one path per sign. A run of adjacent weights is one stroke, and strokes are relative
//! to each other, so a mark among many empty cells takes about seven bytes.

use core::fmt::{self, Write};

use neuroprune_format::tensor::Matrix;

/// Rows left empty between the parts of a head.
const GAP: usize = 2;

/// The nonzeros of a matrix, `[rows, cols]`. Displays as SVG, one unit per weight.
#[derive(Clone, Debug)]
pub(crate) struct TopologyMap {
    /// Inputs.
    pub(crate) cols: usize,
    /// Outputs, part by part: Q, K and V of a head, everything of other matrices.
    parts: Vec<usize>,
    positive: Strokes,
    negative: Strokes,
    /// Nonzeros of each row.
    pub(crate) degrees: Vec<usize>,
}

impl TopologyMap {
    /// Of every row of `matrix`.
    pub(crate) fn new(matrix: &Matrix<'_>) -> Self {
        let parts = match matrix.query_rows() {
            0 => vec![matrix.rows()],
            query => vec![query, query, matrix.value_rows()],
        };
        let mut map = Self {
            cols: matrix.cols(),
            parts,
            positive: Strokes::default(),
            negative: Strokes::default(),
            degrees: Vec::with_capacity(matrix.rows()),
        };
        let tops = map.row_places();
        for (row, y) in matrix.iter().zip(tops) {
            let mut degree = 0;
            for (column, weight) in row.weights.nonzeros() {
                let strokes = match weight {
                    ..0 => &mut map.negative,
                    0.. => &mut map.positive,
                };
                strokes.mark(column, y);
                degree += 1;
            }
            map.degrees.push(degree);
        }
        map.positive.end_run();
        map.negative.end_run();
        map
    }

    /// Whether there is nothing to draw on.
    pub(crate) fn is_empty(&self) -> bool {
        self.cols == 0 || self.degrees.is_empty()
    }

    /// Height in units.
    fn height(&self) -> usize {
        let parts = self.parts.iter().filter(|&&rows| rows > 0);
        let (count, rows) = parts.fold((0, 0), |(count, sum), &rows| (count + 1, sum + rows));
        rows + GAP * usize::saturating_sub(count, 1)
    }

    /// First unit and rows of each part that has rows.
    fn part_places(&self) -> Vec<(usize, usize)> {
        let mut top = 0;
        let mut places = Vec::new();
        for &rows in self.parts.iter().filter(|&&rows| rows > 0) {
            places.push((top, rows));
            top += rows + GAP;
        }
        places
    }

    /// Unit of each row.
    fn row_places(&self) -> Vec<usize> {
        let parts = self.part_places();
        let rows = parts.into_iter().flat_map(|(top, rows)| top..top + rows);
        rows.collect()
    }
}

impl fmt::Display for TopologyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = (self.cols, self.height());
        write!(
            f,
            r#"<svg class="map" viewBox="0 0 {width} {height}" shape-rendering="crispEdges" role="img" aria-label="{} nonzeros of {} rows and {width} columns">"#,
            self.degrees.iter().sum::<usize>(),
            self.degrees.len()
        )?;
        for (top, rows) in self.part_places() {
            write!(f, r#"<rect y="{top}" width="{width}" height="{rows}"/>"#)?;
        }
        // A stroke is on the middle of its row.
        for (class, strokes) in [("positive", &self.positive), ("negative", &self.negative)] {
            if !strokes.path.is_empty() {
                write!(
                    f,
                    r#"<path class="{class}" transform="translate(0 .5)" d="{}"/>"#,
                    strokes.path
                )?;
            }
        }
        f.write_str("</svg>")
    }
}

/// Path data of horizontal strokes, each begun relative to the end of the one before.
#[derive(Clone, Debug, Default)]
struct Strokes {
    path: String,
    /// Where the pen is.
    pen: (usize, usize),
    /// The run that still grows: its first cell and its length.
    run: Option<(usize, usize, usize)>,
}

impl Strokes {
    fn mark(&mut self, column: usize, row: usize) {
        match &mut self.run {
            Some((first, y, length)) if *y == row && *first + *length == column => *length += 1,
            _ => {
                self.end_run();
                self.run = Some((column, row, 1));
            }
        }
    }

    /// Writes the run down.
    fn end_run(&mut self) {
        let Some((x, y, length)) = self.run.take() else {
            return;
        };
        let (pen_x, pen_y) = self.pen;
        let left = if x < pen_x { "-" } else { "" };
        let written = write!(
            self.path,
            "m{left}{} {}h{length}",
            x.abs_diff(pen_x),
            y.abs_diff(pen_y)
        );
        debug_assert!(written.is_ok(), "a string takes everything");
        self.pen = (x + length, y);
    }
}

#[cfg(test)]
mod tests {
    use neuroprune_format::Model;

    use super::super::svg_check::{assert_balanced, assert_inside};
    use super::*;

    const GOLDEN: &[u8] = include_bytes!("../../../format/tests/golden/v2.neuro");

    /// Cells of a path, by walking it.
    fn cells(path: &str) -> Vec<(i64, i64)> {
        let (mut x, mut y) = (0, 0);
        let mut cells = Vec::new();
        for stroke in path.split('m').skip(1) {
            let (to, length) = stroke.split_once('h').unwrap();
            let (dx, dy) = to.split_once(' ').unwrap();
            x += dx.parse::<i64>().unwrap();
            y += dy.parse::<i64>().unwrap();
            for _ in 0..length.parse::<usize>().unwrap() {
                cells.push((x, y));
                x += 1;
            }
        }
        cells
    }

    #[test]
    fn every_nonzero_is_drawn_once_and_where_it_is() {
        let model = Model::open(GOLDEN).unwrap();
        let tensors = model.tensors();
        let mut drawn = 0;
        for matrix in tensors.records().filter_map(|r| tensors.matrix(&r)) {
            let map = TopologyMap::new(&matrix);
            let rows = map.row_places();
            let mut expected = [Vec::new(), Vec::new()];
            for (row, y) in matrix.iter().zip(rows) {
                for (column, weight) in row.weights.nonzeros() {
                    let cell = (i64::try_from(column).unwrap(), i64::try_from(y).unwrap());
                    expected[usize::from(weight < 0)].push(cell);
                }
            }
            assert_eq!(cells(&map.positive.path), expected[0]);
            assert_eq!(cells(&map.negative.path), expected[1]);
            let count = expected[0].len() + expected[1].len();
            assert_eq!(count, matrix.count_nonzeros());
            assert_eq!(map.degrees.iter().sum::<usize>(), count);
            drawn += count;

            let svg = map.to_string();
            assert_balanced(&svg);
            assert_inside(&svg);
            let (width, height) = (map.cols, map.height());
            for (x, y) in expected.concat() {
                assert!(usize::try_from(x).unwrap() < width);
                assert!(usize::try_from(y).unwrap() < height);
            }
        }
        assert!(drawn > 100);
    }

    #[test]
    fn adjacent_weights_are_one_stroke() {
        let mut strokes = Strokes::default();
        for (column, row) in [(2, 0), (3, 0), (4, 0), (6, 0), (7, 1), (0, 2)] {
            strokes.mark(column, row);
        }
        strokes.end_run();
        assert_eq!(strokes.path, "m2 0h3m1 0h1m0 1h1m-8 1h1");
    }

    #[test]
    fn a_mark_among_empty_cells_takes_few_bytes() {
        let mut strokes = Strokes::default();
        let (mut state, mut marks) = (1_u32, 0);
        for cell in 0..512 * 768 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if state >> 16 < u32::from(u16::MAX) / 20 {
                strokes.mark(cell % 768, cell / 768);
                marks += 1;
            }
        }
        strokes.end_run();
        assert!(marks > 15_000 && strokes.path.len() < 9 * marks, "{marks}");
    }

    #[test]
    fn a_matrix_without_cells_is_empty() {
        let map = TopologyMap {
            cols: 0,
            parts: vec![6],
            positive: Strokes::default(),
            negative: Strokes::default(),
            degrees: vec![0; 6],
        };
        assert!(map.is_empty());
        assert_balanced(&map.to_string());
    }
}
