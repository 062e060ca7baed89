//! What the sources say: which tests there are, and which of them are run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::root;

/// Every test of the repository by name, and whether it is ignored. A conformance case is one where its list names it.
pub(crate) fn tests() -> BTreeMap<String, bool> {
    let listed = super::read("core/src/conformance/mod.rs");
    let mut tests = BTreeMap::new();
    each_source(&root(), &mut |path, text| {
        let cases = path.components().any(|part| part.as_os_str() == "conformance");
        let mut attributes = String::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") || line.is_empty() {
                continue;
            }
            if line.starts_with("#[") {
                attributes.push_str(line);
                continue;
            }
            let tried = attributes.contains("test]") || attributes.contains("test(");
            if let Some(name) = function(line)
                && (tried || (cases && listed.split_whitespace().any(|word| word == name)))
            {
                *tests.entry(name.to_owned()).or_default() |= attributes.contains("#[ignore");
            }
            attributes.clear();
        }
    });
    tests
}

/// The function that begins in this line.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()
}

fn each_source(folder: &Path, read: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            each_source(&path, read);
        } else if name.ends_with(".rs") {
            read(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
