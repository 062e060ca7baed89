//! A planted bug: what it is, and where it goes.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// What stands for the switch in a text that is put in place verbatim.
const SWITCH: &str = "PLANTED";

/// A bug that somebody once had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "an entry of a file")]
pub struct Bug {
    /// What goes wrong, in a few words.
    pub name: String,
    /// Whose it was, and what it did there.
    pub source: String,
    /// Seeds within which it must be found.
    pub seeds: u64,
    /// Where it goes: usually one place; several where we guard twice against it.
    pub edit: Vec<Edit>,
}

/// A place in the sources.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "an entry of a file")]
pub struct Edit {
    /// The file, from the repository's root.
    pub file: String,
    /// A text that occurs in it exactly once.
    pub find: String,
    /// What it says with the bug.
    pub put: String,
    /// What both texts are.
    pub form: Form,
}

/// What an edit's texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "a word of a file")]
pub enum Form {
    /// Expressions of one type.
    Expression,
    /// Statements.
    Statements,
    /// Neither: the text that is put has the word `PLANTED` where it asks for the switch.
    Text,
}

impl Edit {
    /// What stands in the copy: both texts, and the switch of this number.
    #[must_use]
    pub fn switched(&self, number: usize) -> String {
        let on = format!("crate::planted::on({number})");
        let Self { find, put, .. } = self;
        match self.form {
            Form::Expression => format!("(if {on} {{ {put} }} else {{ {find} }})"),
            Form::Statements => format!("if {on} {{ {put} }} else {{ {find} }}"),
            Form::Text => put.replace(SWITCH, &on),
        }
    }

    /// How often the text occurs in its file.
    ///
    /// # Errors
    /// The file does not read.
    pub fn occurs(&self, root: &Path) -> anyhow::Result<usize> {
        let text = fs::read_to_string(root.join(&self.file)).with_context(|| self.file.clone())?;
        Ok(text.matches(self.find.as_str()).count())
    }
}

impl Bug {
    /// Why it cannot be planted, if it cannot.
    #[must_use]
    pub fn unfit(&self, root: &Path) -> Option<String> {
        self.edit.iter().find_map(|edit| match edit.occurs(root) {
            Ok(1) => None,
            Ok(times) => Some(format!("{}: in {} the text occurs {times} times: {}", self.name, edit.file, edit.find)),
            Err(error) => Some(format!("{}: {error:#}", self.name)),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bug: Vec<Bug>,
}

/// All of them, file by file.
///
/// # Errors
/// A file does not read.
pub fn all() -> anyhow::Result<Vec<Bug>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("bugs"))? {
        files.push(entry?.path());
    }
    files.sort();
    let mut bugs = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let File { bug } = toml::from_str(&text).with_context(|| file.display().to_string())?;
        bugs.extend(bug);
    }
    Ok(bugs)
}
