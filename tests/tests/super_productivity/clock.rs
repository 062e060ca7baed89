//! Vector clocks as the app's devices keep them: a missing entry is zero.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

/// A clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Clock(pub(crate) BTreeMap<String, u64>);

impl Clock {
    /// Of a JSON object; what is no number counts as missing.
    pub(crate) fn of(value: &Value) -> Self {
        let entries = value.as_object().into_iter().flatten();
        Self(entries.filter_map(|(id, count)| Some((id.clone(), count.as_u64()?))).collect())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::to_value(&self.0).expect("plain")
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (id, &count) in &other.0 {
            let ours = self.0.entry(id.clone()).or_default();
            *ours = count.max(*ours);
        }
    }

    pub(crate) fn increment(&mut self, id: &str) {
        *self.0.entry(id.to_owned()).or_default() += 1;
    }

    /// `None` when each is ahead of the other somewhere.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        let ahead = |left: &Self, right: &Self| {
            left.0.iter().any(|(id, &count)| count > right.0.get(id).copied().unwrap_or_default())
        };
        match (ahead(self, other), ahead(other, self)) {
            (true, true) => None,
            (true, false) => Some(Ordering::Greater),
            (false, true) => Some(Ordering::Less),
            (false, false) => Some(Ordering::Equal),
        }
    }
}

/// Section 12.3, each answer once.
#[test]
fn clocks_compare_as_both_sides_of_the_contract_do() {
    let clock = |text: &str| Clock::of(&serde_json::from_str(text).unwrap());
    let rows = [
        (r#"{"a":1}"#, r#"{"a":1,"b":0}"#, Some(Ordering::Equal)),
        (r#"{"a":2}"#, r#"{"a":1}"#, Some(Ordering::Greater)),
        (r#"{}"#, r#"{"a":1}"#, Some(Ordering::Less)),
        (r#"{"a":1}"#, r#"{"b":1}"#, None),
    ];
    for (left, right, expected) in rows {
        assert_eq!(clock(left).compare(&clock(right)), expected, "{left} {right}");
    }
}
