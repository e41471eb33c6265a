//! A graph as an SVG picture: in one file, readable on white and on black.
//!
//! Boxes bring their own background, and lines have a grey that both backgrounds show. The font has letters of one
//! width, so that what a text takes is known without asking a font.

mod layout;

use std::fmt::Write as _;

use self::layout::{BOX, Edge, Layout, Line};

/// The width of a letter, in pixels, at the size of [`STYLE`].
const LETTER: f64 = 7.25;
/// What is left free on both sides of a text.
const PADDING: f64 = 11.0;
/// Longer names are cut in the middle; the whole name is the box's title.
const MOST_LETTERS: usize = 42;
/// Around everything.
const MARGIN: f64 = 16.0;
/// The room of a line of text above and beneath the graph.
const TEXT: f64 = 30.0;
/// How long and how wide the tip of a line is.
const TIP: (f64, f64) = (7.0, 3.5);

const STYLE: &str = "text{font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#16202c}\
    .said{fill:#77828f}\
    rect{stroke:#5d6b7b;stroke-width:1.2}\
    .job{fill:#e9eff7}.hook{fill:#f8efdc;stroke-dasharray:4 3}.wait{fill:#e2f2e7}.absent{fill:#eceef0;stroke-dasharray:1.5 3}\
    .line{fill:none;stroke:#8592a1;stroke-width:1.3}.tip{fill:#8592a1}\
    .circle{stroke:#d0402b}.line.circle{stroke-width:2}.tip.circle{fill:#d0402b;stroke:none}rect.circle{stroke-width:2.2}";

/// One box.
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) look: Look,
    /// It is part of a circle.
    pub(super) is_marked: bool,
}

/// What a box looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Job,
    Hook,
    Wait,
    Absent,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Hook => "hook",
            Self::Wait => "wait",
            Self::Absent => "absent",
        }
    }

    /// How round its corners are.
    fn corner(self) -> f64 {
        if self == Self::Wait { BOX / 2.0 } else { 5.0 }
    }
}

/// Draws boxes, and an arrow from each box to those that need it: pairs of numbers of boxes, and whether it is part of
/// a circle.
pub(super) fn draw(title: &str, nodes: &[Node<'_>], arrows: &[(usize, usize, bool)]) -> String {
    let labels: Vec<String> = nodes.iter().map(|node| label(node.name)).collect();
    let widths: Vec<f64> = labels.iter().map(|label| width(label) + 2.0 * PADDING).collect();
    let edges =
        arrows.iter().map(|(from, to, is_marked)| Edge { from: *from, to: *to, is_marked: *is_marked });
    let layout = layout::layout(&widths, &edges.collect::<Vec<_>>());
    let title = in_one_line(title);
    let mut looks: Vec<Look> = nodes.iter().map(|node| node.look).collect();
    looks.sort_unstable();
    looks.dedup();
    let has_circle = arrows.iter().any(|(.., is_marked)| *is_marked);
    let has_legend = has_circle || looks.iter().any(|look| *look != Look::Job);
    let legend = if has_legend { legend(&looks, has_circle) } else { (String::new(), 0.0) };
    let wide = layout.width.max(width(&title)).max(legend.1) + 2.0 * MARGIN;
    let high = layout.height + TEXT + 2.0 * MARGIN + if has_legend { TEXT + BOX } else { 0.0 };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{wide:.0}\" height=\"{high:.0}\" viewBox=\"0 0 {wide:.0} {high:.0}\">\n\
         <title>{name}</title>\n<style>{STYLE}</style>\n<text class=\"said\" x=\"{MARGIN}\" y=\"{:.0}\">{name}</text>\n",
        MARGIN + 10.0,
        name = escaped(&title),
    );
    // Writing into a string cannot fail.
    let _ = writeln!(svg, "<g transform=\"translate({MARGIN} {:.0})\">", MARGIN + TEXT);
    lines(&mut svg, &layout);
    for ((node, label), ((x, y), wide)) in nodes.iter().zip(&labels).zip(layout.boxes.iter().zip(&widths)) {
        boxed(&mut svg, node, label, (*x, *y), *wide);
    }
    svg.push_str("</g>\n");
    if has_legend {
        let _ = writeln!(
            svg,
            "<g transform=\"translate({MARGIN} {:.0})\">{}</g>",
            layout.height + MARGIN + TEXT + BOX / 2.0 + TEXT,
            legend.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn lines(svg: &mut String, layout: &Layout) {
    for Line { is_marked, curves, straights, tips } in &layout.lines {
        let class = if *is_marked { " circle" } else { "" };
        let _ = write!(svg, "<path class=\"line{class}\" d=\"");
        for [(x, y), (to_x, to_y)] in curves {
            let half = (to_x - x) / 2.0;
            let _ = write!(
                svg,
                "M{x:.1} {y:.1}C{:.1} {y:.1} {:.1} {to_y:.1} {to_x:.1} {to_y:.1}",
                x + half,
                to_x - half
            );
        }
        for [(x, y), (to_x, _)] in straights.iter().filter(|[(x, _), (to_x, _)]| to_x > x) {
            let _ = write!(svg, "M{x:.1} {y:.1}H{to_x:.1}");
        }
        let _ = write!(svg, "\"/><path class=\"tip{class}\" d=\"");
        for (x, y, is_from_right) in tips {
            let (long, wide) = TIP;
            let back = if *is_from_right { long } else { -long };
            let _ = write!(svg, "M{x:.1} {y:.1}l{back:.1} {wide:.1}v{:.1}z", -2.0 * wide);
        }
        svg.push_str("\"/>\n");
    }
}

fn boxed(svg: &mut String, node: &Node<'_>, label: &str, (x, y): (f64, f64), wide: f64) {
    let class = node.look.class();
    let mark = if node.is_marked { " circle" } else { "" };
    let _ = writeln!(
        svg,
        "<g><title>{}</title><rect class=\"{class}{mark}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{wide:.1}\" height=\"{BOX}\" rx=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
        escaped(&in_one_line(node.name)),
        y - BOX / 2.0,
        node.look.corner(),
        x + wide / 2.0,
        y + 4.0,
        escaped(label)
    );
}

/// What the looks mean, and how wide that is.
fn legend(looks: &[Look], has_circle: bool) -> (String, f64) {
    let (mut svg, mut x) = (String::new(), 0.0);
    for look in looks {
        let word = look.class();
        let wide = width(word) + 2.0 * PADDING;
        let node = Node { name: word, look: *look, is_marked: false };
        boxed(&mut svg, &node, word, (x, 0.0), wide);
        x += wide + PADDING;
    }
    if has_circle {
        let word = "circle: these wait for each other";
        let _ = write!(
            svg,
            "<path class=\"line circle\" d=\"M{x:.1} 0h24\"/><text class=\"said\" x=\"{:.1}\" y=\"4\">{word}</text>",
            x + 32.0
        );
        x += 32.0 + width(word);
    }
    (svg, x)
}

/// A name as its box shows it.
fn label(name: &str) -> String {
    let letters: Vec<char> = in_one_line(name).chars().collect();
    if letters.len() <= MOST_LETTERS {
        return letters.into_iter().collect();
    }
    let half = MOST_LETTERS / 2;
    let begin = letters.iter().take(half);
    begin.chain([&'…']).chain(letters.iter().skip(letters.len() - half + 1)).collect()
}

/// How wide a text is, in pixels. Letters of most scripts beyond Greek and Cyrillic count twice: no font has all of them
/// in one width.
fn width(text: &str) -> f64 {
    text.chars().map(|letter| if letter < '\u{590}' || letter == '…' { LETTER } else { 2.0 * LETTER }).sum()
}

fn in_one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
