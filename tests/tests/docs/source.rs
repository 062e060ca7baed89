//! What the sources say: which tests there are, and which of them are run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::root;

/// Every test of the repository by name, and whether it is ignored. A conformance case is one where its list names it; so is a
/// story of the client's conversation, which is a file beside that list.
pub(crate) fn tests() -> BTreeMap<String, bool> {
    let listed = super::read("core/src/conformance/mod.rs");
    let told = super::read("core/tests/session/main.rs");
    let stories = told.lines().filter_map(|line| line.trim().strip_suffix(';'));
    let mut tests: BTreeMap<String, bool> =
        stories.filter(|name| is_story(name)).map(|name| (name.to_owned(), false)).collect();
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

fn is_story(name: &str) -> bool {
    root().join("core/tests/session").join(format!("{name}.script")).is_file()
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
