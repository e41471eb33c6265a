//! Names that are nearly the same: one of them is often a slip of the finger.

/// The candidate that `wanted` was probably meant to be, if one is near enough to be a slip of the finger.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wanted, candidate), candidate))
        .filter(|(distance, _)| (1..=limit).contains(distance))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_proposed_and_a_far_one_is_not() {
        assert_eq!(nearest("postgers", ["redis", "postgres"]), Some("postgres"));
        assert_eq!(nearest("postgress", ["postgres", "postgres-setup"]), Some("postgres"));
        assert_eq!(nearest("bd", ["db"]), Some("db"));
        assert_eq!(nearest("api", ["apt"]), Some("apt"));
        assert_eq!(nearest("api", ["nginx", "api"]), None);
        assert_eq!(nearest("abcdef", ["abxxef"]), Some("abxxef"));
        assert_eq!(nearest("abcdef", ["axxxef"]), None);
    }
}
