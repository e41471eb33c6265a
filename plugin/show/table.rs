//! The steps of a run in columns that fit into a terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::engine::{NodeStatus, Spoken, Status};

/// The least that a detail is shown of.
const LEAST: usize = 10;

/// A line of a table: what comes before the word of a state, that word, and what comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The step, with the space behind it.
    pub before: String,
    /// The word of its state; empty in a line that is about no step.
    pub state: &'static str,
    /// The rest.
    pub after: String,
}

/// The steps in columns of at most `width`, in at most `height` lines: where there are more, those that are done and those
/// whose turn is still to come are only counted.
pub fn table(status: &Status, width: usize, height: usize) -> Vec<Row> {
    let room = height.saturating_sub(1).max(1);
    let (shown, left): (Vec<&NodeStatus>, Vec<&NodeStatus>) = if status.nodes.len() <= room {
        (status.nodes.iter().collect(), Vec::new())
    } else {
        let is_open = |node: &&NodeStatus| matches!(node.state, "working" | "gated" | "failed");
        let mut open: Vec<&NodeStatus> = status.nodes.iter().filter(is_open).collect();
        open.truncate(room.saturating_sub(1).max(1));
        let is_shown = |node: &&NodeStatus| !open.iter().any(|shown| std::ptr::eq(*shown, *node));
        let left = status.nodes.iter().filter(is_shown).collect();
        (open, left)
    };
    let name = shown.iter().map(|node| node.name.width()).max().unwrap_or_default().max("Step".len());
    let name = name.min((width / 3).max(LEAST));
    let line = |step: &str, state: &'static str, since: &str, detail: &str| {
        let before = format!("{}  ", padded(step, name));
        let used = name + 2 + 9 + 2 + 8 + 2;
        let detail = fit(detail, width.saturating_sub(used + 1).max(LEAST));
        let gap = " ".repeat(9_usize.saturating_sub(state.len()) + 2);
        Row { before, state, after: format!("{gap}{}  {detail}", padded(since, 8)) }
    };
    let mut rows = vec![line("Step", "State", "Since", "Detail")];
    for node in shown {
        let since = Spoken(status.now.since(node.since)).to_string();
        let until = node.gives_up.map(|at| format!("; gives up in {}", Spoken(at.since(status.now))));
        let until = until.filter(|_| matches!(node.state, "working" | "gated")).unwrap_or_default();
        rows.push(line(&node.name, node.state, &since, &format!("{}{until}", node.detail)));
    }
    if !left.is_empty() {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for node in &left {
            match counts.iter_mut().find(|(state, _)| *state == node.state) {
                Some((_, count)) => *count += 1,
                None => counts.push((node.state, 1)),
            }
        }
        let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let text = fit(&format!("and {}", counts.join(", ")), width.saturating_sub(1));
        rows.push(Row { before: text, state: "", after: String::new() });
    }
    rows.into_iter().map(|row| narrowed(row, width.saturating_sub(1))).collect()
}

/// A line of at most so many columns.
fn narrowed(Row { before, state, after }: Row, columns: usize) -> Row {
    let before = fit(&before, columns);
    let left = columns - before.width();
    match left.checked_sub(state.len()) {
        Some(left) => Row { before, state, after: fit(&after, left) },
        None => Row { before, state: "", after: String::new() },
    }
}

/// `text` in exactly so many columns.
fn padded(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let gap = columns.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(gap))
}

/// `text` in one line of at most so many columns; what does not fit is cut off, which an ellipsis says.
pub fn fit(text: &str, columns: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.width() <= columns {
        return text;
    }
    if columns == 0 {
        return String::new();
    }
    let mut fitted = String::new();
    let mut used = 0;
    for c in text.chars() {
        let width = c.width().unwrap_or_default();
        if used + width + 1 > columns {
            break;
        }
        used += width;
        fitted.push(c);
    }
    fitted.push('…');
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Time;

    fn node(name: &str, state: &'static str, detail: &str) -> NodeStatus {
        NodeStatus {
            name: name.to_owned(),
            wanted: String::new(),
            state,
            detail: detail.to_owned(),
            seen: Vec::new(),
            since: Time::from_unix_millis(100_000),
            gives_up: (state == "gated").then(|| Time::from_unix_millis(400_000)),
            on_timeout: "fail",
            depends_on: Vec::new(),
            hint: None,
        }
    }

    fn drawn(nodes: Vec<NodeStatus>, width: usize, height: usize) -> String {
        let status = Status {
            now: Time::from_unix_millis(150_000),
            began: Time::from_unix_millis(90_000),
            run: None,
            task: String::new(),
            alloc: String::new(),
            nodes: nodes.into(),
            notes: Vec::new(),
            ending: None,
        };
        let rows = table(&status, width, height);
        let lines: Vec<String> =
            rows.iter().map(|row| format!("{}{}{}", row.before, row.state, row.after)).collect();
        assert!(lines.len() <= height.max(2), "{lines:?}");
        assert!(lines.iter().all(|line| line.width() < width), "{lines:?}");
        lines.join("\n")
    }

    fn shop() -> Vec<NodeStatus> {
        vec![
            node("postgres", "satisfied", "deployment 7c41f0ab, 2 of 2 healthy"),
            node("api", "gated", "version 3: 1 of 3 healthy"),
            node("nginx-データ", "blocked", "waits for api"),
        ]
    }

    #[test]
    fn a_table_fits_into_any_terminal() {
        insta::assert_snapshot!(drawn(shop(), 100, 20), @"
        Step          State      Since     Detail
        postgres      satisfied  50s       deployment 7c41f0ab, 2 of 2 healthy
        api           gated      50s       version 3: 1 of 3 healthy; gives up in 4m 10s
        nginx-データ  blocked    50s       waits for api
        ");
        insta::assert_snapshot!(drawn(shop(), 50, 20), @"
        Step          State      Since     Detail
        postgres      satisfied  50s       deployment 7c…
        api           gated      50s       version 3: 1 …
        nginx-データ  blocked    50s       waits for api
        ");
        insta::assert_snapshot!(drawn(shop(), 20, 3), @"
        Step  State      S…
        api   gated      5…
        and 1 satisfied, 1…
        ");
    }

    #[test]
    fn of_many_steps_those_are_shown_that_are_under_way() {
        let mut nodes: Vec<NodeStatus> = (0..500).map(|n| node(&format!("a{n}"), "satisfied", "")).collect();
        nodes.extend((0..5).map(|n| node(&format!("b{n}"), "gated", "0 of 1 healthy")));
        nodes.extend((0..500).map(|n| node(&format!("c{n}"), "blocked", "")));
        insta::assert_snapshot!(drawn(nodes, 80, 6), @"
        Step  State      Since     Detail
        b0    gated      50s       0 of 1 healthy; gives up in 4m 10s
        b1    gated      50s       0 of 1 healthy; gives up in 4m 10s
        b2    gated      50s       0 of 1 healthy; gives up in 4m 10s
        b3    gated      50s       0 of 1 healthy; gives up in 4m 10s
        and 500 satisfied, 1 gated, 500 blocked
        ");
    }
}
