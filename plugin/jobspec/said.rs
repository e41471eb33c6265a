//! What Nomad's parser says of a jobspec, as problems that name the author's file and say what to do.

use crate::manifest::{Problem, Problems};

/// The name that Nomad has for every jobspec it is sent.
const FILE: &str = "input.hcl:";

/// How many lines are kept of one jobspec: who mends twenty mistakes looks again.
const MAX_LINES: usize = 20;

/// Adds each line that Nomad `said` of the jobspec at `path`, which the block `place` names.
pub(super) fn problems(place: &str, path: &str, said: &str, problems: &mut Problems) {
    let said = said.trim();
    let said = said.strip_prefix("Failed to parse job:").unwrap_or(said);
    let is_known = |line: &&str| !line.contains("value must be known");
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    // What follows from another mistake is left out, unless it stands alone.
    let kept: Vec<&str> = lines().filter(is_known).collect();
    let kept = if kept.is_empty() { lines().collect() } else { kept };
    if kept.is_empty() {
        problems.push(Problem::new(place, format!("Nomad refuses {path} and does not say why")));
    }
    for line in kept.iter().take(MAX_LINES) {
        problems.push(problem(place, path, line));
    }
    if let Some(more) = kept.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        problems.push(Problem::new(place, format!("{path}: and {more} more")));
    }
}

fn problem(place: &str, path: &str, line: &str) -> Problem {
    let of_vars = |text: &str| Problem::new(place, format!("vars: {}", without_position(text)));
    if let Some(text) = line.strip_prefix("unable to parse var content: ") {
        return of_vars(text).with_help("the value is an HCL expression, because its variable is no string");
    }
    if line.contains("Invalid value for variable") {
        return of_vars(line);
    }
    if line.contains("Variables may not be used here") {
        return of_vars(line).with_help("a text in a list or a map is written in quotes: `[\"a\"]`");
    }
    let line = line.strip_prefix("<nil>: ").unwrap_or(line);
    if let Some(name) = quoted_after(line, "Unset variable ") {
        return Problem::new(place, format!("variable {name:?} of {path} has no value"))
            .with_help(format!("write `vars = {{ {name} = \"…\" }}`"));
    }
    let text = match line.strip_prefix(FILE) {
        Some(rest) => format!("{path}:{rest}"),
        None => format!("{path}: {line}"),
    };
    let problem = Problem::new(place, text);
    if line.contains("filesystem function disabled") {
        return problem.with_help(
            "Nomad's server parses it, which does not see your files: bring the text in with a `template` block or with vars",
        );
    }
    if let Some(name) = quoted_after(line, "There is no function named ") {
        return problem.with_help(match name {
            "timestamp" | "uuidv4" | "uuidv5" => {
                "its result would make the job another one in each run: give the value with vars".to_owned()
            }
            _ => format!("Nomad has no `{name}` where it parses: give the value with vars"),
        });
    }
    problem
}

/// The text in quotes that follows `before` in `line`.
fn quoted_after<'a>(line: &'a str, before: &str) -> Option<&'a str> {
    let (_, after) = line.split_once(before)?;
    Some(after.strip_prefix('"')?.split_once('"')?.0)
}

/// What follows `input.hcl:1,5-9: `: a place in a text that the author never saw.
fn without_position(line: &str) -> &str {
    match line.strip_prefix(FILE).and_then(|rest| rest.split_once(": ")) {
        Some((_, text)) => text,
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of Nomad 1.11.3.
    #[test]
    fn each_line_names_the_authors_file_and_what_to_do() {
        let mut told = Problems::default();
        for said in [
            "Failed to parse job: input.hcl:3,2-5: Unsupported argument; An argument named \"bar\" is not expected here.\ninput.hcl:2,2-5: Unsupported argument; An argument named \"foo\" is not expected here.",
            "Failed to parse job: input.hcl:18,9-14: Error in function call; Call to function \"file\" failed: filesystem function disabled.\ninput.hcl:18,6-20: Unsuitable value type; Unsuitable value: value must be known",
            "Failed to parse job: input.hcl:18,9-18: Call to unknown function; There is no function named \"timestamp\".",
            "Failed to parse job: input.hcl:18,9-18: Call to unknown function; There is no function named \"uper\".",
            "Failed to parse job: <nil>: Unset variable \"img\"; A used variable must be set or have a default value; see https://developer.hashicorp.com/nomad/docs/reference/hcl2/variables  for details.",
            "Failed to parse job: input.hcl:1,5-9: Invalid value for variable; The value for x is not compatible with the variable's type constraint: a number is required.",
            "Failed to parse job: input.hcl:1,5-7: Variables not allowed; Variables may not be used here.",
            "Failed to parse job: unable to parse var content: input.hcl:1,10-11: Unbalanced parentheses; Expected a closing parenthesis to terminate the expression.",
            "Job spec is empty",
            "Failed to parse job: ",
        ] {
            problems("job \"api\"", "local/api.hcl", said, &mut told);
        }
        insta::assert_snapshot!(told, @r#"
        11 problems:
        job "api": local/api.hcl:3,2-5: Unsupported argument; An argument named "bar" is not expected here.
        job "api": local/api.hcl:2,2-5: Unsupported argument; An argument named "foo" is not expected here.
        job "api": local/api.hcl:18,9-14: Error in function call; Call to function "file" failed: filesystem function disabled. (Nomad's server parses it, which does not see your files: bring the text in with a `template` block or with vars)
        job "api": local/api.hcl:18,9-18: Call to unknown function; There is no function named "timestamp". (its result would make the job another one in each run: give the value with vars)
        job "api": local/api.hcl:18,9-18: Call to unknown function; There is no function named "uper". (Nomad has no `uper` where it parses: give the value with vars)
        job "api": variable "img" of local/api.hcl has no value (write `vars = { img = "…" }`)
        job "api": vars: Invalid value for variable; The value for x is not compatible with the variable's type constraint: a number is required.
        job "api": vars: Variables not allowed; Variables may not be used here. (a text in a list or a map is written in quotes: `["a"]`)
        job "api": vars: Unbalanced parentheses; Expected a closing parenthesis to terminate the expression. (the value is an HCL expression, because its variable is no string)
        job "api": local/api.hcl: Job spec is empty
        job "api": Nomad refuses local/api.hcl and does not say why
        "#);
    }

    #[test]
    fn a_thousand_lines_are_cut() {
        let mut told = Problems::default();
        problems("job \"a\"", "x", &"input.hcl:1: y\n".repeat(1000), &mut told);
        assert!(told.to_string().ends_with("job \"a\": x: and 980 more"));
    }
}
