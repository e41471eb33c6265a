//! Names of the user's making in paths, queries and filters: encoded so that they stay names.

use std::fmt::Write as _;

use crate::cluster::{JobId, Namespace};
pub(super) use crate::http::encode;

/// More jobs than this are not named in a filter: Nomad's parser would take longer than the list is worth. The list
/// is then read whole and sifted here.
pub(super) const MAX_FILTERED: usize = 500;

/// `path`, asked in `namespace`.
pub(super) fn within(path: &str, namespace: &Namespace) -> String {
    format!("{path}?namespace={}", encode(namespace.as_str()))
}

/// `path`, asked in `namespace`, for what carries one of `jobs` in its `field`.
pub(super) fn filtered<'a>(
    path: &str,
    namespace: &Namespace,
    field: &str,
    jobs: impl ExactSizeIterator<Item = &'a JobId>,
) -> String {
    let mut target = within(path, namespace);
    if jobs.len() <= MAX_FILTERED {
        let terms: Vec<String> = jobs.map(|job| format!("{field} == {}", quote(job.as_str()))).collect();
        target.push_str("&filter=");
        target.push_str(&encode(&terms.join(" or ")));
    }
    target
}

/// `text` as a string of Nomad's filter language, which reads escapes but ends a string at any quotation mark.
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\x22"),
            '\\' => quoted.push_str("\\\\"),
            // Writing to a string cannot fail.
            c if c.is_control() => _ = write!(quoted, "\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_stays_one_segment_of_the_path() {
        assert_eq!(encode("db/dispatch-1 ü?&%"), "db%2Fdispatch-1%20%C3%BC%3F%26%25");
        assert_eq!(encode(".."), "%2E%2E");
    }

    #[test]
    fn a_job_id_stays_one_string_of_the_filter() {
        assert_eq!(quote("a\" or true == \"b\\\n"), r#""a\x22 or true == \x22b\\\u000a""#);
    }

    #[test]
    fn a_filter_names_each_job_until_there_are_too_many() {
        let jobs: Vec<JobId> = vec!["a".into(), "b".into()];
        assert_eq!(
            filtered("/v1/allocations", &"default".into(), "JobID", jobs.iter()),
            "/v1/allocations?namespace=default&filter=JobID%20%3D%3D%20%22a%22%20or%20JobID%20%3D%3D%20%22b%22"
        );
        let jobs: Vec<JobId> = (0..=MAX_FILTERED).map(|n| n.to_string().into()).collect();
        assert_eq!(
            filtered("/v1/allocations", &"default".into(), "JobID", jobs.iter()),
            "/v1/allocations?namespace=default"
        );
    }
}
