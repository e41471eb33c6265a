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

use std::collections::{BTreeMap, BTreeSet};

/// The height of a box, in pixels.
pub(super) const BOX: f64 = 28.0;
/// The room that a bend takes.
const BEND: f64 = 6.0;
/// What is between two of them in a column.
const BETWEEN: f64 = 12.0;
/// The least that is between two columns.
const GUTTER: f64 = 44.0;
/// The most by which a gutter is widened where many lines cross it.
const WIDER: f64 = 130.0;
/// How often the order in the columns is bettered, at most.
const ORDERINGS: usize = 16;
/// After how many of these without success it is left.
const PATIENCE: usize = 4;
/// How often heights are evened out.
const EVENINGS: usize = 12;
/// In a larger graph neighbours are not exchanged one by one.
const MOST_EXCHANGED: usize = 3000;

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

    /// An edge in the direction of the columns.
    fn ends(&self, n: usize) -> Option<(usize, usize)> {
        let edge = self.edges.get(n)?;
        let is_back = self.is_back.get(n).copied().unwrap_or(false);
        Some(if is_back { (edge.to, edge.from) } else { (edge.from, edge.to) })
    }

    /// A column for each node: right of all it needs, and as near as can be to what needs it where that is more.
    fn assign(&self, nodes: usize) -> Vec<usize> {
        let mut before = vec![Vec::new(); nodes];
        let mut after = vec![Vec::new(); nodes];
        for n in 0..self.edges.len() {
            let Some((from, to)) = self.ends(n).filter(|(from, to)| from != to) else { continue };
            if let Some(after) = after.get_mut(from) {
                after.push(to);
            }
            if let Some(before) = before.get_mut(to) {
                before.push(from);
            }
        }
        // Each after all that it needs.
        let mut waiting: Vec<usize> = before.iter().map(Vec::len).collect();
        let mut sorted: Vec<usize> = (0..nodes).filter(|node| waiting.get(*node) == Some(&0)).collect();
        let mut at = 0;
        while let Some(node) = sorted.get(at).copied() {
            at += 1;
            for next in after.get(node).into_iter().flatten() {
                if let Some(waiting) = waiting.get_mut(*next) {
                    *waiting -= 1;
                    if *waiting == 0 {
                        sorted.push(*next);
                    }
                }
            }
        }
        let mut columns = vec![0; nodes];
        let of = |columns: &[usize], node: &usize| columns.get(*node).copied().unwrap_or_default();
        for node in &sorted {
            let needs = before.get(*node).into_iter().flatten();
            let column = needs.map(|needed| of(&columns, needed) + 1).max().unwrap_or_default();
            if let Some(slot) = columns.get_mut(*node) {
                *slot = column;
            }
        }
        for node in sorted.iter().rev() {
            let (needs, needing) = (before.get(*node).map_or(0, Vec::len), after.get(*node));
            let nearest = needing.into_iter().flatten().map(|next| of(&columns, next)).min();
            if let (Some(nearest), Some(slot)) = (nearest, columns.get_mut(*node))
                && needing.is_some_and(|needing| needing.len() > needs)
            {
                *slot = nearest.saturating_sub(1).max(*slot);
            }
        }
        columns
    }

    /// Gives lines that pass columns their bends, and links all neighbours.
    fn bend(&mut self) {
        let mut links: BTreeSet<(usize, usize)> = BTreeSet::new();
        for n in 0..self.edges.len() {
            let Some((from, to)) = self.ends(n).filter(|(from, to)| from != to) else { continue };
            let is_marked = self.edges.get(n).is_some_and(|edge| edge.is_marked);
            let column =
                |node: usize, vertices: &[Vertex]| vertices.get(node).map_or(0, |vertex| vertex.column);
            let (first, last) = (column(from, &self.vertices), column(to, &self.vertices));
            let mut at = from;
            for column in first + 1..last {
                let vertices = &mut self.vertices;
                let bend = *self.bends.entry((from, is_marked, column)).or_insert_with(|| {
                    vertices.push(Vertex {
                        column,
                        width: 0.0,
                        is_bend: true,
                        y: 0.0,
                        before: Vec::new(),
                        after: Vec::new(),
                    });
                    vertices.len() - 1
                });
                links.insert((at, bend));
                at = bend;
            }
            links.insert((at, to));
        }
        for (from, to) in links {
            if let Some(vertex) = self.vertices.get_mut(from) {
                vertex.after.push(to);
            }
            if let Some(vertex) = self.vertices.get_mut(to) {
                vertex.before.push(from);
            }
        }
    }

    /// Fills the columns in the order in which one comes by, so that what hangs together begins together.
    fn walk(&mut self, linked: &[usize]) {
        let mut seen = vec![false; self.vertices.len()];
        for root in linked {
            let mut next = vec![*root];
            while let Some(at) = next.pop() {
                let Some(vertex) = self.vertices.get(at) else { continue };
                match seen.get_mut(at) {
                    Some(seen) if !*seen => *seen = true,
                    _ => continue,
                }
                if let Some(column) = self.columns.get_mut(vertex.column) {
                    column.push(at);
                }
                next.extend(vertex.before.iter().rev());
                next.extend(vertex.after.iter().rev());
            }
        }
    }

    /// Orders each column so that few lines cross.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.columns.clone());
        let mut failures = 0;
        for round in 0..ORDERINGS {
            if best.0 == 0 || failures >= PATIENCE {
                break;
            }
            self.sweep(round % 2 == 0);
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.columns.clone());
                failures = 0;
            } else {
                failures += 1;
            }
        }
        self.columns = best.1;
        if best.0 > 0 && self.vertices.len() <= MOST_EXCHANGED {
            self.exchange();
        }
    }

    /// The place of each vertex in its column.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.vertices.len()];
        for column in &self.columns {
            for (place, vertex) in column.iter().enumerate() {
                if let Some(slot) = places.get_mut(*vertex) {
                    *slot = place;
                }
            }
        }
        places
    }

    /// Puts each vertex in the middle of its neighbours, column by column, to the right or to the left.
    fn sweep(&mut self, is_rightwards: bool) {
        let mut places = self.places();
        let count = self.columns.len();
        for n in 1..count {
            let at = if is_rightwards { n } else { count - 1 - n };
            let vertices = &self.vertices;
            let Some(column) = self.columns.get_mut(at) else { continue };
            let mut keyed: Vec<(f64, usize)> = column
                .iter()
                .enumerate()
                .map(|(place, vertex)| {
                    let neighbours = vertices
                        .get(*vertex)
                        .map(|vertex| if is_rightwards { &vertex.before } else { &vertex.after });
                    let found: Vec<f64> = neighbours
                        .into_iter()
                        .flatten()
                        .filter_map(|neighbour| places.get(*neighbour))
                        .map(|place| number(*place))
                        .collect();
                    let key = if found.is_empty() {
                        number(place)
                    } else {
                        found.iter().sum::<f64>() / number(found.len())
                    };
                    (key, *vertex)
                })
                .collect();
            keyed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            *column = keyed.into_iter().map(|(_, vertex)| vertex).collect();
            for (place, vertex) in column.iter().enumerate() {
                if let Some(slot) = places.get_mut(*vertex) {
                    *slot = place;
                }
            }
        }
    }

    /// How many pairs of lines cross.
    fn crossings(&self) -> usize {
        let places = self.places();
        let place = |vertex: &usize| places.get(*vertex).copied().unwrap_or_default();
        let mut count = 0;
        for pair in self.columns.windows(2) {
            let [left, right] = pair else { continue };
            // Each line crosses those before it that end below it: a tree of sums counts them.
            let mut sums = vec![0_usize; right.len() + 1];
            let mut so_far = 0;
            for vertex in left {
                let after =
                    self.vertices.get(*vertex).map(|vertex| vertex.after.as_slice()).unwrap_or_default();
                let mut ends: Vec<usize> = after.iter().map(place).collect();
                ends.sort_unstable();
                for end in &ends {
                    let (mut at, mut above) = (end + 1, 0);
                    while at > 0 {
                        above += sums.get(at).copied().unwrap_or_default();
                        at &= at - 1;
                    }
                    count += so_far - above;
                }
                for end in ends {
                    so_far += 1;
                    let mut at = end + 1;
                    while let Some(sum) = sums.get_mut(at) {
                        *sum += 1;
                        at += at & at.wrapping_neg();
                    }
                }
            }
        }
        count
    }

    /// Exchanges neighbours where that makes fewer lines cross.
    fn exchange(&mut self) {
        let mut places = self.places();
        for _ in 0..ORDERINGS {
            let mut is_better = false;
            for column in &mut self.columns {
                for n in 1..column.len() {
                    let (Some(above), Some(below)) = (column.get(n - 1).copied(), column.get(n).copied())
                    else {
                        continue;
                    };
                    let pair = |vertex: usize| self.vertices.get(vertex);
                    let (Some(upper), Some(lower)) = (pair(above), pair(below)) else { continue };
                    let (now, then) = [(&upper.before, &lower.before), (&upper.after, &lower.after)]
                        .into_iter()
                        .map(|(upper, lower)| crossed(upper, lower, &places))
                        .fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
                    if then < now {
                        is_better = true;
                        column.swap(n - 1, n);
                        for (vertex, place) in [(above, n), (below, n - 1)] {
                            if let Some(slot) = places.get_mut(vertex) {
                                *slot = place;
                            }
                        }
                    }
                }
            }
            if !is_better {
                return;
            }
        }
    }

    /// Gives each vertex a height as near as can be to that of its neighbours, and lines as few corners as can be.
    fn even_out(&mut self) {
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
    fn place(&self, nodes: usize) -> Layout {
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
    fn add_loose(&mut self, widths: &[f64], is_linked: &[bool]) {
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

/// How far a walk is with a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    Open,
    Done,
}

/// By edge: whether it leads back to where a walk along the edges came from.
fn backwards(nodes: usize, edges: &[Edge]) -> Vec<bool> {
    let mut after: Vec<Vec<(usize, usize)>> = vec![Vec::new(); nodes];
    for (n, edge) in edges.iter().enumerate() {
        if let Some(after) = after.get_mut(edge.from) {
            after.push((edge.to, n));
        }
    }
    let mut seen = vec![Seen::No; nodes];
    let mut is_back = vec![false; edges.len()];
    for root in 0..nodes {
        // A node, and how many of its edges were taken.
        let mut way = vec![(root, 0)];
        if seen.get(root) != Some(&Seen::No) {
            continue;
        }
        if let Some(seen) = seen.get_mut(root) {
            *seen = Seen::Open;
        }
        while let Some((node, taken)) = way.last_mut() {
            let node = *node;
            let Some((next, edge)) = after.get(node).and_then(|after| after.get(*taken)).copied() else {
                if let Some(seen) = seen.get_mut(node) {
                    *seen = Seen::Done;
                }
                way.pop();
                continue;
            };
            *taken += 1;
            match seen.get(next) {
                Some(Seen::Open) => {
                    if let Some(is_back) = is_back.get_mut(edge) {
                        *is_back = true;
                    }
                }
                Some(Seen::No) => {
                    if let Some(seen) = seen.get_mut(next) {
                        *seen = Seen::Open;
                    }
                    way.push((next, 0));
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
    is_back
}

/// How many lines of two neighbours cross as they stand, and the other way round.
fn crossed(upper: &[usize], lower: &[usize], places: &[usize]) -> (usize, usize) {
    let sorted = |ends: &[usize]| {
        let mut ends: Vec<usize> = ends.iter().filter_map(|end| places.get(*end)).copied().collect();
        ends.sort_unstable();
        ends
    };
    let (upper, lower) = (sorted(upper), sorted(lower));
    let (mut now, mut then) = (0, 0);
    for end in &upper {
        now += lower.partition_point(|other| other < end);
        then += lower.len() - lower.partition_point(|other| other <= end);
    }
    (now, then)
}

fn room(is_bend: bool) -> f64 {
    if is_bend { BEND } else { BOX }
}

/// Between the middles of two that stand one above the other.
fn distance(upper: bool, lower: bool) -> f64 {
    let between = if upper && lower { BEND } else { BETWEEN };
    f64::midpoint(room(upper), room(lower)) + between
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
