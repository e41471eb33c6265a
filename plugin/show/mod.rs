//! Pictures and tables of a run: pure text from a [`Status`].
//!
//! The look is that of Nomad's own commands: columns without frames, four spaces, understandable without colour.

use crate::engine::{NodeStatus, Spoken, Status};

/// The steps as a tree: each under what it depends on.
pub fn tree(status: &Status) -> String {
    let mut text = format!("{}\n", status.task);
    for node in status.nodes.iter().filter(|node| node.depends_on.is_empty()) {
        branch(status, node, 1, &mut text);
    }
    text
}

fn branch(status: &Status, node: &NodeStatus, depth: usize, text: &mut String) {
    let indent = "    ".repeat(depth);
    text.push_str(&indent);
    text.push_str(&node.name);
    text.push_str(": ");
    text.push_str(node.state);
    text.push_str(": ");
    text.push_str(&node.detail);
    text.push('\n');
    for next in status.nodes.iter().filter(|next| next.depends_on.last() == Some(&node.name)) {
        branch(status, next, depth + 1, text);
    }
}

/// For each step that holds the run up: what is awaited, what is seen, since when, until when, what helps.
pub fn why(status: &Status) -> String {
    let mut lines = Vec::new();
    if let Some(ending) = &status.ending {
        lines.push(ending.clone());
    }
    let holding: Vec<&NodeStatus> = status.nodes.iter().filter(|node| node.state != "satisfied").collect();
    if holding.is_empty() && status.ending.is_none() {
        lines.push("nothing is awaited any more".to_owned());
    }
    for node in holding {
        lines.push(format!("{}: {}", node.name, node.state));
        lines.push(format!("    awaited   {}", node.wanted));
        lines.push(format!("    seen      {}", node.detail));
        lines.push(format!("    since     {} ago", Spoken(status.now.since(node.since))));
        if let Some(gives_up) = node.gives_up {
            let left = Spoken(gives_up.since(status.now));
            lines.push(format!("    until     {left} from now, then {}", node.on_timeout));
        }
        lines.extend(node.hint.iter().map(|hint| format!("    help      {hint}")));
    }
    lines.extend(status.notes.iter().map(|note| format!("note: {note}")));
    lines.push(String::new());
    lines.join("\n")
}

/// All steps in columns.
pub fn status(status: &Status) -> String {
    let header = ["Wait", "State", "Since", "Detail"].map(str::to_owned);
    let rows = status.nodes.iter().map(|node| {
        let detail = match node.gives_up {
            Some(gives_up) => {
                format!("{}; until {} from now", node.detail, Spoken(gives_up.since(status.now)))
            }
            None => node.detail.clone(),
        };
        [node.name.clone(), node.state.to_owned(), Spoken(status.now.since(node.since)).to_string(), detail]
    });
    let rows: Vec<[String; 4]> = std::iter::once(header).chain(rows).collect();
    let widths = rows.iter().fold([0; 4], |widths: [usize; 4], row| {
        let mut cells = row.iter().map(|cell| cell.chars().count());
        widths.map(|width| width.max(cells.next().unwrap_or_default()))
    });
    let ending =
        status.ending.as_ref().map_or_else(String::new, |ending| format!("Ended         = {ending}\n"));
    let mut text = format!(
        "Task          = {}\nAllocation    = {}\nWaiting for   = {}\n{ending}\n",
        status.task,
        status.alloc,
        Spoken(status.now.since(status.began)),
    );
    for row in &rows {
        let mut cells = row.iter().zip(widths).peekable();
        while let Some((cell, width)) = cells.next() {
            text.push_str(cell);
            if cells.peek().is_some() {
                text.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count()));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
