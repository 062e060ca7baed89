//! What the served document says there is to be called.

use std::collections::BTreeMap;

use serde_json::Value;

/// One operation of the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Operation {
    /// Its name.
    pub id: String,
    /// How it is called: `"GET"`.
    pub method: String,
    /// Where, with parameters in braces.
    pub path: String,
}

impl Operation {
    /// Its path with these parameters put in.
    ///
    /// # Panics
    /// When a parameter has no value: a new one needs a value before anything can be said of its route.
    #[must_use]
    pub fn target(&self, values: &BTreeMap<&str, String>) -> String {
        let mut target = String::new();
        for part in self.path.split_inclusive('}') {
            let Some((before, name)) = part.split_once('{') else {
                target.push_str(part);
                continue;
            };
            let name = name.trim_end_matches('}');
            target.push_str(before);
            target.push_str(values.get(name).unwrap_or_else(|| panic!("{}: no value for {{{name}}}", self.id)));
        }
        target
    }
}

/// All operations of an OpenAPI document.
///
/// # Panics
/// When it is no document, or an operation has no name.
#[must_use]
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an operation's name").to_owned();
            all.push(Operation { id, method: method.to_uppercase(), path: path.clone() });
        }
    }
    all.sort();
    all
}
