//! What a folder of the view lists: what is in the folder, and the placeholders that stand beside it.

use std::collections::BTreeMap;

use crate::rules::OURS;

/// All names with what they are, in order. What is here stands before a placeholder of its name; names of ours are not shown.
pub(super) fn union<T>(
    here: impl IntoIterator<Item = (String, T)>,
    placeholders: impl IntoIterator<Item = (String, T)>,
) -> BTreeMap<String, T> {
    let mut all: BTreeMap<String, T> = placeholders.into_iter().collect();
    all.extend(here);
    all.retain(|name, _| !name.starts_with(OURS));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_here_stands_before_a_placeholder_and_our_own_names_are_not_shown() {
        let here = ["b", "a", ".syncline-new-0123", ".synclineignore"].map(|name| (name.to_owned(), "here"));
        let away = ["c", "a", ".syncline-x"].map(|name| (name.to_owned(), "away"));
        let all: Vec<_> = union(here, away).into_iter().collect();
        let expected = [(".synclineignore", "here"), ("a", "here"), ("b", "here"), ("c", "away")];
        assert_eq!(all, expected.map(|(name, what)| (name.to_owned(), what)));
    }
}
