//! The one verdict on JSON text that every build and every store shares.
//!
//! JSON keeps its exact text. It is checked, not parsed into a tree: a document that two readers could understand
//! differently (a repeated key, a lone surrogate, a number beyond a double, blanks around it) is refused before it is
//! stored; one that is merely unusual (U+0000 in a string, −0, an integer past 2^53) is kept as written.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits;

/// Why a text is not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// Not JSON, or JSON that readers understand differently.
    #[error("not acceptable JSON: {0}")]
    Malformed(String),
    /// Nested too deeply.
    #[error("JSON is nested deeper than {} levels", limits::JSON_DEPTH_MAX)]
    TooDeep,
    /// Too many keys and elements.
    #[error("JSON has more than {max} keys and elements")]
    TooManyNodes {
        /// How many are allowed.
        max: usize,
    },
}

/// Reads a field that may be left out, and is there: `null` says neither that it is left out nor what it is. A token whose
/// logs are `null` must not be one for all logs.
pub(crate) fn there<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<T>, D::Error> {
    T::deserialize(input).map(Some)
}

/// Checks JSON text in one pass: syntax, UTF-8, no repeated keys, no lone surrogates, every number within a
/// double's range, depth and node count within limits. Memory is bounded by the keys of the open objects.
///
/// # Errors
/// The first fault found.
pub fn check_json(text: &[u8], nodes_max: usize) -> Result<(), JsonFault> {
    // A document inside another one cannot show where its own blanks end, and the text must survive that to the byte.
    let blank = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    if blank(text.first()) || blank(text.last()) {
        return Err(JsonFault::Malformed("blanks around the document".to_owned()));
    }
    let mut walk = Walk { nodes_left: nodes_max, fault: None };
    let mut parser = serde_json::Deserializer::from_slice(text);
    let outcome = Node { walk: &mut walk, depth: 0 }.deserialize(&mut parser).and_then(|()| parser.end());
    match (walk.fault, outcome) {
        (Some(Fault::Depth), _) => Err(JsonFault::TooDeep),
        (Some(Fault::Nodes), _) => Err(JsonFault::TooManyNodes { max: nodes_max }),
        (None, Err(error)) => Err(JsonFault::Malformed(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

enum Fault {
    Depth,
    Nodes,
}

struct Walk {
    nodes_left: usize,
    fault: Option<Fault>,
}

impl Walk {
    fn count<E: Error>(&mut self) -> Result<(), E> {
        match self.nodes_left.checked_sub(1) {
            Some(left) => {
                self.nodes_left = left;
                Ok(())
            }
            None => {
                self.fault = Some(Fault::Nodes);
                Err(E::custom("too many nodes"))
            }
        }
    }
}

struct Node<'w> {
    walk: &'w mut Walk,
    depth: usize,
}

impl Node<'_> {
    /// One level down; recursion is bounded by [`limits::JSON_DEPTH_MAX`], itself below the parser's own bound.
    fn enter<E: Error>(&mut self) -> Result<usize, E> {
        if self.depth >= limits::JSON_DEPTH_MAX {
            self.walk.fault = Some(Fault::Depth);
            return Err(E::custom("too deep"));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.enter()?;
        while seq.next_element_seed(Node { walk: self.walk, depth })?.is_some() {
            self.walk.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let depth = self.enter()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            self.walk.count()?;
            if !keys.insert(key) {
                return Err(A::Error::custom("an object repeats a key"));
            }
            map.next_value_seed(Node { walk: self.walk, depth })?;
        }
        Ok(())
    }
}

/// A key as it stands in the text; only one with escapes is copied.
pub(crate) struct Key<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The keys of one open object. Few are compared one by one, which is cheaper than hashing them.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    more: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    /// Whether the key is new.
    fn insert(&mut self, key: Cow<'de, str>) -> bool {
        if self.few.contains(&key) {
            return false;
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return true;
        }
        self.more.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_found_among_few_and_many_and_in_any_spelling() {
        let object = |keys: &[String]| {
            let fields: Vec<String> = keys.iter().map(|key| format!(r#""{key}":1"#)).collect();
            format!("{{{}}}", fields.join(","))
        };
        for count in [1, Keys::FEW - 1, Keys::FEW, Keys::FEW + 1, 100] {
            let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
            check_json(object(&keys).as_bytes(), 1_000).unwrap();
            for again in [0, count / 2, count - 1] {
                for spelling in [format!("k{again}"), format!("\\u006b{again}")] {
                    let text = object(&[keys.clone(), vec![spelling]].concat());
                    assert!(matches!(check_json(text.as_bytes(), 1_000), Err(JsonFault::Malformed(_))), "{text}");
                }
            }
        }
    }
}
