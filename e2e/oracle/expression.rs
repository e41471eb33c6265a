//! What a `when` comes to, read by a reader of the oracle's own.

use super::Need;

/// The names in an expression, in order.
pub(super) fn names(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || "()!&|".contains(c));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Gives each wait with a `when` the waits that it names.
pub(super) fn joined(waits: &[Need]) -> Vec<Need> {
    let of = |need: &Need| {
        let named = names(need.text("when").unwrap_or_default());
        let parts: Vec<Need> = waits.iter().filter(|other| named.contains(&other.label)).cloned().collect();
        Need { parts, ..need.clone() }
    };
    let once: Vec<Need> = waits.iter().map(of).collect();
    once.iter().map(|need| Need { parts: need.parts.iter().map(of).collect(), ..need.clone() }).collect()
}

/// Whether it holds: first what stands between `||`, then between `&&`, parentheses replaced from the inside.
pub(super) fn holds(text: &str, is_so: &dyn Fn(&str) -> bool) -> bool {
    let mut text = text.to_owned();
    while let Some(close) = text.find(')') {
        let open = text[..close].rfind('(').expect("the plugin has read it");
        let inside = if holds(&text[open + 1..close], is_so) { " TRUE " } else { " FALSE " };
        text.replace_range(open..=close, inside);
    }
    text.split("||").any(|all| {
        all.split("&&").all(|one| {
            let name = one.replace('!', " ");
            let value = match name.trim() {
                "TRUE" => true,
                "FALSE" => false,
                name => is_so(name),
            };
            value != (one.matches('!').count() % 2 == 1)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_read() {
        let so = |text: &str| holds(text, &|name| name == "yes");
        for good in ["yes", "!no", "yes || no", "yes && (no || !(no && yes))", "!(no) && !!yes"] {
            assert!(so(good), "{good}");
        }
        for bad in ["no", "!yes", "yes && no", "!(yes || no)", "no || yes && no"] {
            assert!(!so(bad), "{bad}");
        }
        assert_eq!(names("a&&(b-1 || !c)"), ["a", "b-1", "c"]);
    }
}
