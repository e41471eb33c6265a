//! How far down everything stands, and where that is in pixels.

use std::collections::{BTreeMap, BTreeSet};

use super::{BETWEEN, BOX, Field, Layout, Line, Vertex, number};

/// The room that a bend takes.
const BEND: f64 = 6.0;
/// The least that is between two columns.
const GUTTER: f64 = 44.0;
/// The most by which a gutter is widened where many lines cross it.
const WIDER: f64 = 130.0;
/// How often heights are evened out.
const EVENINGS: usize = 12;

impl Field<'_> {
    /// Gives each vertex a height as near as can be to that of its neighbours, and lines as few corners as can be.
    pub(super) fn even_out(&mut self) {
        for column in &self.columns {
            let mut y = 0.0;
            let mut last: Option<bool> = None;
            for at in column {
                let Some(vertex) = self.vertices.get_mut(*at) else { continue };
                if let Some(last) = last {
                    y += distance(last, vertex.is_bend);
                }
                vertex.y = y;
                last = Some(vertex.is_bend);
            }
        }
        let count = self.columns.len();
        for round in 0..EVENINGS {
            for n in 0..count {
                let at = if round % 2 == 0 { n } else { count - 1 - n };
                self.even_out_column(at, round % 2 == 0, round + 2 >= EVENINGS);
            }
        }
    }

    /// The heights of one column that are nearest to what its vertices want, in their order and with room between them.
    fn even_out_column(&mut self, at: usize, is_rightwards: bool, is_last: bool) {
        let Some(column) = self.columns.get(at) else { return };
        // Blocks of vertices that touch: the sum of what they want, of how much they want it, and their number.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        let mut offsets = Vec::with_capacity(column.len());
        let (mut offset, mut last): (f64, Option<bool>) = (0.0, None);
        for vertex in column {
            let Some(vertex) = self.vertices.get(*vertex) else { continue };
            if let Some(last) = last {
                offset += distance(last, vertex.is_bend);
            }
            last = Some(vertex.is_bend);
            offsets.push(offset);
            let (near, far) =
                if is_rightwards { (&vertex.before, &vertex.after) } else { (&vertex.after, &vertex.before) };
            let both = near.iter().chain(far).filter(|_| is_last);
            let one = if near.is_empty() { far } else { near }.iter().filter(|_| !is_last);
            let (mut sum, mut weight) = (0.0, 0.0);
            for neighbour in both.chain(one).filter_map(|neighbour| self.vertices.get(*neighbour)) {
                let pull = match (vertex.is_bend, neighbour.is_bend) {
                    (true, true) => 8.0,
                    (false, false) => 1.0,
                    _ => 2.0,
                };
                sum += pull * neighbour.y;
                weight += pull;
            }
            let (wanted, weight) = if weight > 0.0 { (sum / weight, weight) } else { (vertex.y, 0.1) };
            let mut block = ((wanted - offset) * weight, weight, 1);
            while let Some((sum, weight, count)) = blocks.last().copied()
                && sum / weight >= block.0 / block.1
            {
                blocks.pop();
                block = (block.0 + sum, block.1 + weight, block.2 + count);
            }
            blocks.push(block);
        }
        let heights =
            blocks.iter().flat_map(|(sum, weight, count)| std::iter::repeat_n(sum / weight, *count));
        let heights: Vec<f64> = heights.zip(offsets).map(|(base, offset)| base + offset).collect();
        for (vertex, y) in column.iter().zip(heights) {
            if let Some(vertex) = self.vertices.get_mut(*vertex) {
                vertex.y = y;
            }
        }
    }

    /// Everything in pixels.
    pub(super) fn place(&self, nodes: usize) -> Layout {
        let drawn = || self.columns.iter().flatten().filter_map(|vertex| self.vertices.get(*vertex));
        let top = drawn().map(|vertex| vertex.y - room(vertex.is_bend) / 2.0).fold(f64::INFINITY, f64::min);
        let bottom = drawn().map(|vertex| vertex.y + room(vertex.is_bend) / 2.0).fold(0.0, f64::max);
        let top = if top.is_finite() { top } else { 0.0 };
        let mut lefts = Vec::new();
        let mut x = 0.0;
        for column in &self.columns {
            let widths =
                column.iter().filter_map(|vertex| self.vertices.get(*vertex)).map(|vertex| vertex.width);
            let width = widths.fold(0.0, f64::max);
            lefts.push((x, x + width));
            // Lines that have far to go up or down need room to do so.
            let steep = column.iter().filter_map(|vertex| self.vertices.get(*vertex)).flat_map(|vertex| {
                let ends = vertex.after.iter().filter_map(|after| self.vertices.get(*after));
                ends.map(|after| (after.y - vertex.y).abs())
            });
            x += width + GUTTER + (steep.fold(0.0, f64::max) / 6.0).min(WIDER);
        }
        let edge = |vertex: &Vertex, is_right: bool| {
            let (left, right) = lefts.get(vertex.column).copied().unwrap_or_default();
            let x = match (is_right, vertex.is_bend) {
                (false, _) => left,
                (true, true) => right,
                (true, false) => left + vertex.width,
            };
            (x, vertex.y - top)
        };
        let boxes = self.vertices.iter().take(nodes).map(|vertex| edge(vertex, false)).collect();
        let width = lefts.iter().map(|(_, right)| *right).fold(0.0, f64::max);
        let height = if bottom > top { bottom - top } else { 0.0 };
        Layout { boxes, lines: self.lines(&edge), width, height }
    }

    fn lines(&self, edge: &impl Fn(&Vertex, bool) -> (f64, f64)) -> Vec<Line> {
        // With what of each is drawn already.
        type Drawn = BTreeMap<(usize, bool), (Line, BTreeSet<(usize, usize)>)>;
        let mut lines = Drawn::new();
        for n in 0..self.edges.len() {
            let Some((from, to)) = self.ends(n).filter(|(from, to)| from != to) else { continue };
            let is_marked = self.edges.get(n).is_some_and(|edge| edge.is_marked);
            let is_back = self.is_back.get(n).copied().unwrap_or(false);
            let (Some(first), Some(last)) = (self.vertices.get(from), self.vertices.get(to)) else {
                continue;
            };
            let (line, drawn) = lines.entry((from, is_marked)).or_insert_with(|| {
                let line = Line { is_marked, curves: Vec::new(), straights: Vec::new(), tips: Vec::new() };
                (line, BTreeSet::new())
            });
            let bends = first.column + 1..last.column;
            let bends = bends.filter_map(|column| self.bends.get(&(from, is_marked, column)).copied());
            let mut at = from;
            for next in bends.chain([to]) {
                if let (Some(left), Some(right)) = (self.vertices.get(at), self.vertices.get(next))
                    && drawn.insert((at, next))
                {
                    line.curves.push([edge(left, true), edge(right, false)]);
                    let along = [edge(right, false), edge(right, true)];
                    if right.is_bend && drawn.insert((next, next)) {
                        line.straights.push(along);
                    }
                }
                at = next;
            }
            let (x, y) = if is_back { edge(first, true) } else { edge(last, false) };
            line.tips.push((x, y, is_back));
        }
        lines.into_values().map(|(line, _)| line).collect()
    }
}

impl Layout {
    /// Puts the boxes that no line leads to beneath the others, in rows.
    pub(super) fn add_loose(&mut self, widths: &[f64], is_linked: &[bool]) {
        let loose: Vec<(usize, f64)> = widths
            .iter()
            .enumerate()
            .filter(|(node, _)| is_linked.get(*node) == Some(&false))
            .map(|(node, width)| (node, *width))
            .collect();
        if loose.is_empty() {
            return;
        }
        let widest = loose.iter().map(|(_, width)| *width).fold(0.0, f64::max) + BETWEEN;
        let row = BOX + BETWEEN;
        // As wide as the others, or twice as wide as high.
        let square = (number(loose.len()) * row * widest * 2.0).sqrt();
        let width = self.width.max(square).max(widest);
        let top = if self.height > 0.0 { self.height + 2.0 * BETWEEN } else { 0.0 };
        let (mut x, mut y) = (0.0, top + BOX / 2.0);
        for (node, own) in loose {
            if x > 0.0 && x + widest > width + BETWEEN {
                (x, y) = (0.0, y + row);
            }
            if let Some(place) = self.boxes.get_mut(node) {
                *place = (x, y);
            }
            self.width = self.width.max(x + own);
            x += widest;
        }
        self.height = y + BOX / 2.0;
    }
}

fn room(is_bend: bool) -> f64 {
    if is_bend { BEND } else { BOX }
}

/// Between the middles of two that stand one above the other.
fn distance(upper: bool, lower: bool) -> f64 {
    let between = if upper && lower { BEND } else { BETWEEN };
    f64::midpoint(room(upper), room(lower)) + between
}
