//! What `when` holds: names of waits, `&&`, `||`, `!` and parentheses.
//!
//! ```text
//!   any  = all { "||" all }      all = one { "&&" one }      one = "!" one | "(" any ")" | name
//! ```
//!
//! # Invariants
//!
//! * What cannot be seen is *unknown*, and an expression is true only if it is true whatever the unknown turns out to be
//!   (more carefully even: `a || !a` is unknown while `a` is).
//! * It is kept as the author wrote it, and read anew from a handle.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// The longest text of an expression.
const MAX_TEXT: usize = 1 << 10;
/// How deep parentheses may be nested.
const MAX_DEPTH: usize = 32;

/// An expression over the names of waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: Box<str>,
    root: Term,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Name(Box<str>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Expression {
    /// How many waits it may name: all their values are tried.
    pub const MAX_NAMES: usize = 16;

    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// What is wrong with it: what may follow `when` in a sentence, with the place where there is one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("has {} bytes, and may have {MAX_TEXT}", text.len()));
        }
        if text.trim().is_empty() {
            return Err("is empty: name other waits in it, like `db && (redis || cache)`".to_owned());
        }
        let root = Parser::new(text).and_then(Parser::whole).map_err(|slip| slip.told(text))?;
        Ok(Self { text: text.into(), root })
    }

    /// The waits that it names.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.root.names(&mut names);
        names
    }

    /// What it comes to; `None` stands for what is not known.
    pub fn value(&self, value: impl Fn(&str) -> Option<bool>) -> Option<bool> {
        self.root.value(&value)
    }

    /// Whether it can become true when what is not `fixed` may take any value.
    pub fn can_hold(&self, fixed: impl Fn(&str) -> Option<bool>) -> bool {
        self.can_become(true, fixed)
    }

    /// Whether it can become false when what is not `fixed` may take any value.
    pub fn can_fail(&self, fixed: impl Fn(&str) -> Option<bool>) -> bool {
        self.can_become(false, fixed)
    }

    fn can_become(&self, wanted: bool, fixed: impl Fn(&str) -> Option<bool>) -> bool {
        let free: Vec<&str> = self.names().into_iter().filter(|name| fixed(name).is_none()).collect();
        // There are no more than `MAX_NAMES`; if there were, it would count as possible.
        let Some(n_all) = u32::try_from(free.len()).ok().and_then(|n| 1_u32.checked_shl(n)) else {
            return true;
        };
        (0..n_all).any(|values| {
            let value = |name: &str| {
                let at = free.iter().position(|other| *other == name);
                at.map_or_else(|| fixed(name), |at| Some(values >> at & 1 == 1))
            };
            self.root.value(&value) == Some(wanted)
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text.into()
    }
}

impl TryFrom<String> for Expression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl Term {
    fn names<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Self::Name(name) => _ = names.insert(name),
            Self::Not(term) => term.names(names),
            Self::All(terms) | Self::Any(terms) => terms.iter().for_each(|term| term.names(names)),
        }
    }

    fn value(&self, value: &dyn Fn(&str) -> Option<bool>) -> Option<bool> {
        // The first that decides it, else unknown if any is.
        let decided = |terms: &[Self], by: bool| {
            let mut result = Some(!by);
            for term in terms {
                match term.value(value) {
                    Some(it) if it == by => return Some(by),
                    Some(_) => {}
                    None => result = None,
                }
            }
            result
        };
        match self {
            Self::Name(name) => value(name),
            Self::Not(term) => term.value(value).map(|it| !it),
            Self::All(terms) => decided(terms, false),
            Self::Any(terms) => decided(terms, true),
        }
    }
}

/// What is wrong, and at which letter.
struct Slip {
    at: usize,
    why: &'static str,
}

impl Slip {
    fn told(&self, text: &str) -> String {
        let line: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        let width = self.at + 1;
        format!("cannot be read: {}\n    {}\n    {:>width$}", self.why, line.trim_end(), '^')
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    And,
    Or,
    Not,
    Open,
    Close,
    Name(&'a str),
}

struct Parser<'a> {
    /// Each with the number of its first letter.
    tokens: std::iter::Peekable<std::vec::IntoIter<(usize, Token<'a>)>>,
    end: usize,
    depth: usize,
}

const NO_OPERAND: &str = "the name of a wait, `!` or `(` is missing here";

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Slip> {
        let mut tokens = Vec::new();
        let mut letters = text.char_indices().enumerate().peekable();
        while let Some((at, (from, letter))) = letters.next() {
            let token = match letter {
                _ if letter.is_whitespace() => continue,
                '!' => Token::Not,
                '(' => Token::Open,
                ')' => Token::Close,
                '&' | '|' => {
                    if letters.next_if(|(_, (_, next))| *next == letter).is_none() {
                        let why =
                            if letter == '&' { "`and` is written `&&`" } else { "`or` is written `||`" };
                        return Err(Slip { at, why });
                    }
                    if letter == '&' { Token::And } else { Token::Or }
                }
                _ => {
                    let mut until = from + letter.len_utf8();
                    let is_of_name = |c: char| !c.is_whitespace() && !"!()&|".contains(c);
                    while let Some((_, (from, next))) = letters.next_if(|(_, (_, next))| is_of_name(*next)) {
                        until = from + next.len_utf8();
                    }
                    Token::Name(text.get(from..until).unwrap_or_default())
                }
            };
            tokens.push((at, token));
        }
        let end = text.trim_end().chars().count();
        Ok(Self { tokens: tokens.into_iter().peekable(), end, depth: 0 })
    }

    fn whole(mut self) -> Result<Term, Slip> {
        let term = self.any()?;
        match self.tokens.next() {
            None => Ok(term),
            Some((at, Token::Close)) => Err(Slip { at, why: "nothing was opened that this `)` could close" }),
            Some((at, _)) => Err(Slip { at, why: "`&&` or `||` is missing here" }),
        }
    }

    fn any(&mut self) -> Result<Term, Slip> {
        let mut terms = vec![self.all()?];
        while self.tokens.next_if(|(_, token)| *token == Token::Or).is_some() {
            terms.push(self.all()?);
        }
        Ok(only(terms, Term::Any))
    }

    fn all(&mut self) -> Result<Term, Slip> {
        let mut terms = vec![self.one()?];
        while self.tokens.next_if(|(_, token)| *token == Token::And).is_some() {
            terms.push(self.one()?);
        }
        Ok(only(terms, Term::All))
    }

    fn one(&mut self) -> Result<Term, Slip> {
        let mut is_not = false;
        while self.tokens.next_if(|(_, token)| *token == Token::Not).is_some() {
            is_not = !is_not;
        }
        let term = match self.tokens.next() {
            Some((_, Token::Name(name))) => Term::Name(name.into()),
            Some((at, Token::Open)) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Slip { at, why: "parentheses are nested too deep" });
                }
                let term = self.any()?;
                match self.tokens.next_if(|(_, token)| *token == Token::Close) {
                    Some(_) => self.depth -= 1,
                    None if self.tokens.peek().is_some() => {
                        let at = self.tokens.peek().map_or(self.end, |(at, _)| *at);
                        return Err(Slip { at, why: "`&&`, `||` or `)` is missing here" });
                    }
                    None => return Err(Slip { at, why: "this `(` is never closed" }),
                }
                term
            }
            Some((at, Token::And | Token::Or | Token::Close | Token::Not)) => {
                return Err(Slip { at, why: NO_OPERAND });
            }
            None => return Err(Slip { at: self.end, why: NO_OPERAND }),
        };
        Ok(if is_not { Term::Not(Box::new(term)) } else { term })
    }
}

/// The only one of `terms`, or all of them as one.
fn only(mut terms: Vec<Term>, join: fn(Vec<Term>) -> Term) -> Term {
    match terms.pop() {
        Some(term) if terms.is_empty() => term,
        last => {
            terms.extend(last);
            join(terms)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Expression {
        Expression::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    /// `t`, `f` and `u` stand for true, false and unknown.
    fn of(text: &str) -> char {
        let value = read(text).value(|name| match name {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        });
        value.map_or('u', |it| if it { 't' } else { 'f' })
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        assert_eq!(
            ["t || f && f", "(t || f) && f", "!f && t", "!(t && f)", "!!t"].map(of),
            ['t', 'f', 't', 't', 't']
        );
        assert_eq!(
            read("db-1.x&&(a||b)\n&& !c").names().into_iter().collect::<Vec<_>>(),
            ["a", "b", "c", "db-1.x"]
        );
    }

    #[test]
    fn what_is_unknown_is_neither_true_nor_false() {
        let table = ["u && t", "u && f", "u || t", "u || f", "!u", "u || !u", "u && !u"].map(of);
        assert_eq!(table, ['u', 'f', 't', 'u', 'u', 'u', 'u']);
    }

    #[test]
    fn what_is_wrong_is_shown_with_its_place() {
        let wrong = [
            "db && || cache",
            "db cache",
            "db &&",
            "(db || cache",
            "(db cache)",
            "db)",
            "db & cache",
            "a | b",
            "()",
            "!",
            "ü && ",
            " ",
            &"(".repeat(33),
            &"a".repeat(1025),
        ];
        let told: Vec<String> = wrong.iter().map(|text| Expression::parse(text).unwrap_err()).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        cannot be read: the name of a wait, `!` or `(` is missing here
            db && || cache
                  ^
        cannot be read: `&&` or `||` is missing here
            db cache
               ^
        cannot be read: the name of a wait, `!` or `(` is missing here
            db &&
                 ^
        cannot be read: this `(` is never closed
            (db || cache
            ^
        cannot be read: `&&`, `||` or `)` is missing here
            (db cache)
                ^
        cannot be read: nothing was opened that this `)` could close
            db)
              ^
        cannot be read: `and` is written `&&`
            db & cache
               ^
        cannot be read: `or` is written `||`
            a | b
              ^
        cannot be read: the name of a wait, `!` or `(` is missing here
            ()
             ^
        cannot be read: the name of a wait, `!` or `(` is missing here
            !
             ^
        cannot be read: the name of a wait, `!` or `(` is missing here
            ü &&
                ^
        is empty: name other waits in it, like `db && (redis || cache)`
        cannot be read: parentheses are nested too deep
            (((((((((((((((((((((((((((((((((
                                            ^
        has 1025 bytes, and may have 1024
        ");
    }

    #[test]
    fn what_can_never_hold_is_found_by_trying_all_values() {
        let anything = |_: &str| None;
        for (text, can_hold, can_fail) in [
            ("a", true, true),
            ("a && !a", false, true),
            ("a || !a", true, false),
            ("(a || b) && !a && !b", false, true),
            ("a && (b || !b)", true, true),
        ] {
            assert_eq!(
                (read(text).can_hold(anything), read(text).can_fail(anything)),
                (can_hold, can_fail),
                "{text}"
            );
        }
        let lost = |name: &str| (name == "a").then_some(false);
        assert!(!read("a && b").can_hold(lost) && read("a || b").can_hold(lost) && read("!a").can_hold(lost));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_too_much_for_it(text in "[ab!()&| ü]{0,40}") {
            if let Ok(read) = Expression::parse(&text) {
                prop_assert_eq!(Expression::parse(&read.to_string()), Ok(read));
            }
        }
    }
}
