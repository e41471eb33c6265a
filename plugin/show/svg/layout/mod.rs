//! Where the boxes and lines of a graph go: in columns, from what is needed to what needs it.
//!
//! ```text
//!   edges ──▶ circles cut ──▶ columns ──▶ bends ──▶ order in each column ──▶ heights ──▶ Layout
//! ```
//!
//! A line that passes a column has a *bend* there, which takes room as a box does: so no line runs behind a box. All
//! lines that begin at one box share their bends.
//!
//! It is our own, because it is small, needs a few milliseconds for a thousand boxes, and says the same each time; what
//! there is as a library gives lines no room of their own.

mod columns;
mod heights;

use std::collections::BTreeMap;

use self::columns::backwards;

/// The height of a box, in pixels.
pub(super) const BOX: f64 = 28.0;
/// What is between two of them in a column.
const BETWEEN: f64 = 12.0;

/// A finished layout, in pixels from its upper left corner.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// By node: the left edge and the middle of its box.
    pub(super) boxes: Vec<(f64, f64)>,
    pub(super) lines: Vec<Line>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// All lines that begin at one box, and are marked alike.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) is_marked: bool,
    /// From the end of one box or bend to the begin of the next.
    pub(super) curves: Vec<[(f64, f64); 2]>,
    /// Along the bends.
    pub(super) straights: Vec<[(f64, f64); 2]>,
    /// Where they end, and whether they come from the right.
    pub(super) tips: Vec<(f64, f64, bool)>,
}

/// An edge, from what is needed to what needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    /// It is drawn for itself, in a colour of its own.
    pub(super) is_marked: bool,
}

/// A box, or a bend of a line.
#[derive(Clone, Debug)]
struct Vertex {
    column: usize,
    width: f64,
    is_bend: bool,
    /// The middle.
    y: f64,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// Lays out boxes of these widths.
pub(super) fn layout(widths: &[f64], edges: &[Edge]) -> Layout {
    let mut is_linked = vec![false; widths.len()];
    for edge in edges {
        for end in [edge.from, edge.to] {
            if let Some(is_linked) = is_linked.get_mut(end) {
                *is_linked = true;
            }
        }
    }
    let mut field = Field::new(widths, edges, &is_linked);
    field.order();
    field.even_out();
    let mut layout = field.place(widths.len());
    layout.add_loose(widths, &is_linked);
    layout
}

/// The vertices in their columns.
struct Field<'e> {
    edges: &'e [Edge],
    /// By edge, whether it closes a circle: it counts backwards.
    is_back: Vec<bool>,
    vertices: Vec<Vertex>,
    columns: Vec<Vec<usize>>,
    /// The bends of the lines from a box, by box, mark and column.
    bends: BTreeMap<(usize, bool, usize), usize>,
}

impl<'e> Field<'e> {
    fn new(widths: &[f64], edges: &'e [Edge], is_linked: &[bool]) -> Self {
        let is_back = backwards(widths.len(), edges);
        let mut field =
            Self { edges, is_back, vertices: Vec::new(), columns: Vec::new(), bends: BTreeMap::new() };
        let columns = field.assign(widths.len());
        field.vertices = widths
            .iter()
            .zip(&columns)
            .map(|(width, column)| Vertex {
                column: *column,
                width: *width,
                is_bend: false,
                y: 0.0,
                before: Vec::new(),
                after: Vec::new(),
            })
            .collect();
        field.columns = vec![Vec::new(); columns.iter().max().map_or(0, |last| last + 1)];
        field.bend();
        let linked: Vec<usize> =
            is_linked.iter().enumerate().filter_map(|(node, is_linked)| is_linked.then_some(node)).collect();
        field.walk(&linked);
        field
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of boxes")]
fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges(pairs: &[(usize, usize)]) -> Vec<Edge> {
        pairs.iter().map(|(from, to)| Edge { from: *from, to: *to, is_marked: false }).collect()
    }

    #[test]
    fn a_tree_is_drawn_without_a_crossing_and_each_box_right_of_what_it_needs() {
        let pairs: Vec<(usize, usize)> = (1..31).map(|node| ((node - 1) / 2, node)).collect();
        let edges = edges(&pairs);
        let mut field = Field::new(&[40.0; 31], &edges, &[true; 31]);
        field.order();
        assert_eq!(field.crossings(), 0);
        let layout = layout(&[40.0; 31], &edges);
        assert!(pairs.iter().all(|(from, to)| layout.boxes[*from].0 < layout.boxes[*to].0));
    }

    #[test]
    fn a_circle_is_drawn_and_a_box_alone_stands_beneath() {
        let layout = layout(&[40.0; 4], &edges(&[(0, 1), (1, 2), (2, 0), (1, 1)]));
        let tips: Vec<bool> = layout.lines.iter().flat_map(|line| &line.tips).map(|tip| tip.2).collect();
        assert_eq!(tips.iter().filter(|is_from_right| **is_from_right).count(), 1);
        assert!((0..3).all(|node| layout.boxes[node].1 + BOX < layout.boxes[3].1));
        assert!(layout.height >= layout.boxes[3].1 + BOX / 2.0);
    }

    proptest! {
        /// Whatever the graph: no two boxes overlap, no line runs through a box, and nothing is outside of the picture.
        #[test]
        fn boxes_and_lines_keep_out_of_each_others_way(
            widths in proptest::collection::vec(20.0..300.0_f64, 1..30),
            pairs in proptest::collection::vec((0..30_usize, 0..30_usize), 0..80),
        ) {
            let pairs: Vec<_> = pairs.into_iter().filter(|(from, to)| *from < widths.len() && *to < widths.len()).collect();
            let layout = layout(&widths, &edges(&pairs));
            let all: Vec<(f64, f64, f64)> = layout.boxes.iter().zip(&widths).map(|((x, y), wide)| (*x, *y, *wide)).collect();
            for (n, (x, y, wide)) in all.iter().enumerate() {
                prop_assert!(*x >= 0.0 && x + wide <= layout.width + 0.1);
                prop_assert!(*y >= BOX / 2.0 - 0.1 && y + BOX / 2.0 <= layout.height + 0.1);
                for (other_x, other_y, other_wide) in &all[..n] {
                    let is_apart = (y - other_y).abs() >= BOX || x + wide <= *other_x || other_x + other_wide <= *x;
                    prop_assert!(is_apart, "{x} {y} {wide} and {other_x} {other_y} {other_wide}");
                }
                for [(from, height), (to, _)] in layout.lines.iter().flat_map(|line| &line.straights) {
                    let is_apart = (y - height).abs() > BOX / 2.0 || x + wide <= *from || to <= x;
                    prop_assert!(is_apart, "a line at {height} through the box at {x} {y}");
                }
            }
        }
    }
}
