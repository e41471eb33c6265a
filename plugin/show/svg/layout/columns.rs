//! Which box stands in which column, and in which order there: circles are cut, lines get their bends, and few of them cross.

use std::collections::BTreeSet;

use super::{Edge, Field, Vertex, number};

/// How often the order in the columns is bettered, at most.
const ORDERINGS: usize = 16;
/// After how many of these without success it is left.
const PATIENCE: usize = 4;
/// In a larger graph neighbours are not exchanged one by one.
const MOST_EXCHANGED: usize = 3000;

impl Field<'_> {
    /// An edge in the direction of the columns.
    pub(super) fn ends(&self, n: usize) -> Option<(usize, usize)> {
        let edge = self.edges.get(n)?;
        let is_back = self.is_back.get(n).copied().unwrap_or(false);
        Some(if is_back { (edge.to, edge.from) } else { (edge.from, edge.to) })
    }

    /// A column for each node: right of all it needs, and as near as can be to what needs it where that is more.
    pub(super) fn assign(&self, nodes: usize) -> Vec<usize> {
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
    pub(super) fn bend(&mut self) {
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
    pub(super) fn walk(&mut self, linked: &[usize]) {
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
    pub(super) fn order(&mut self) {
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
    pub(super) fn crossings(&self) -> usize {
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
}

/// How far a walk is with a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    No,
    Open,
    Done,
}

/// By edge: whether it leads back to where a walk along the edges came from.
pub(super) fn backwards(nodes: usize, edges: &[Edge]) -> Vec<bool> {
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
