//! Names of files and folders: which there may be, and when two are the same.
//!
//! A [`Name`] is kept as it was typed, in NFC. Two siblings have the same name when their [`NameKey`]s are equal:
//! `NFC(fold(NFD(name)))` with Unicode's full case folding, at least as wide as what Windows and macOS take for equal. What
//! must hold: a name that was refused comes back with one that is not. Nothing here knows a tree.
//!
//! Next: `copy` makes the names of conflict copies.

use std::fmt;

use caseless::Caseless as _;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::id::EntityId;
use crate::limits::NAME_BYTES_MAX;

/// What a tree takes for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "a name fits every device or only some")]
pub enum NamePolicy {
    /// What every device can hold.
    #[default]
    Strict,
    /// What some device can hold; others keep it under [`Name::local`].
    Lenient,
}

/// The rule that a name breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// There is none.
    #[error("a name is not empty")]
    Empty,
    /// It means a folder itself or the one above.
    #[error("`.` and `..` are no names")]
    Dots,
    /// One of `< > : " / \ | ? *`, or a control character of ASCII.
    #[error("a name does not contain {0:?}")]
    Character(char),
    /// Windows cuts these off.
    #[error("a name does not end in a space or a period")]
    Ending,
    /// Some programs cut these off.
    #[error("a name does not begin with a space")]
    Beginning,
    /// A device of Windows, with any extension: `CON`, `PRN`, `AUX`, `NUL`, `COM0` to `COM9`, `LPT0` to `LPT9`.
    #[error("the name is that of a device on Windows")]
    Device,
    /// Ours, for files that are being written: it begins with `.syncline-`.
    #[error("names that begin with `.syncline-` are kept for files that are being written")]
    Ours,
    /// Longer than [`NAME_BYTES_MAX`] bytes in NFC.
    #[error("a name has at most {NAME_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
}

/// A name that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}; how about {suggested:?}?")]
#[non_exhaustive]
pub struct NameError {
    /// The first rule it breaks.
    pub fault: NameFault,
    /// One like it that breaks none.
    pub suggested: Name,
}

/// The name of a file or folder, in NFC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// What siblings must not share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameKey(String);

/// What begins the names of our own files.
const OURS: &str = ".syncline-";

impl Name {
    /// The name that was typed.
    ///
    /// # Errors
    /// The first rule of the policy that it breaks, with a name that breaks none.
    pub fn new(typed: &str, policy: NamePolicy) -> Result<Self, NameError> {
        let name = composed(typed);
        match fault(&name, policy) {
            None => Ok(Self(name)),
            Some(fault) => Err(NameError { fault, suggested: suggest(&name) }),
        }
    }

    /// A name made of checked ones by rules that keep them good.
    pub(super) const fn made(name: String) -> Self {
        Self(name)
    }

    /// A name that some tree took, as it is kept; `None` when none took it.
    pub(crate) fn kept(text: &str) -> Option<Self> {
        Self::new(text, NamePolicy::Lenient).ok().filter(|name| name.as_str() == text)
    }

    /// As typed, in NFC.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it shares with the names that count as the same.
    #[must_use]
    pub fn key(&self) -> NameKey {
        if self.0.is_ascii() {
            return NameKey(self.0.to_ascii_lowercase());
        }
        NameKey(self.0.nfd().default_case_fold().nfc().collect())
    }

    /// Whether it begins as the names of our own files do, which no folder shows.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.0.starts_with(OURS)
    }

    /// Under what a device keeps the node that can hold [`NamePolicy::Strict`] names only: the name itself if it is one, else
    /// with `_` for what offends and, so that two do not meet, `~` and four digits of the node's id.
    #[must_use]
    pub fn local(&self, node: EntityId) -> Self {
        if fault(&self.0, NamePolicy::Strict).is_none() {
            return self.clone();
        }
        let [.., high, low] = node.as_bytes();
        let suffix = format!("~{high:02x}{low:02x}");
        let mut name = mended(&self.0);
        cut(&mut name, NAME_BYTES_MAX - suffix.len());
        Self(name + &suffix)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl NameKey {
    /// A place in the order of folded names, for listings that go on behind it; `None` for what no name contains.
    #[must_use]
    pub fn place(text: &str) -> Option<Self> {
        (!text.contains(['\0', '/'])).then(|| Self(text.to_owned()))
    }

    /// As a store indexes it; compared as bytes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn composed(typed: &str) -> String {
    if is_nfc(typed) { typed.to_owned() } else { typed.nfc().collect() }
}

/// Cuts to at most `bytes`, between two characters.
pub(super) fn cut(name: &mut String, bytes: usize) {
    name.truncate(name.floor_char_boundary(bytes));
}

fn fault(name: &str, policy: NamePolicy) -> Option<NameFault> {
    let strict = policy == NamePolicy::Strict;
    let bad = |c: char| if strict { is_bad(c) } else { c == '/' || c == '\0' };
    match name {
        "" => return Some(NameFault::Empty),
        "." | ".." => return Some(NameFault::Dots),
        _ => {}
    }
    if let Some(found) = name.chars().find(|c| bad(*c)) {
        return Some(NameFault::Character(found));
    }
    if strict && name.ends_with([' ', '.']) {
        return Some(NameFault::Ending);
    }
    if strict && name.starts_with(' ') {
        return Some(NameFault::Beginning);
    }
    if strict && is_device(name) {
        return Some(NameFault::Device);
    }
    if strict && name.starts_with(OURS) {
        return Some(NameFault::Ours);
    }
    (name.len() > NAME_BYTES_MAX).then_some(NameFault::TooLong(name.len()))
}

/// Whether no name on every device may contain it.
pub(super) const fn is_bad(c: char) -> bool {
    matches!(c, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*' | '\0'..='\x1f' | '\x7f')
}

/// Windows looks at what is before the first period, and ignores spaces behind it; it takes the superscripts for digits.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") {
        return true;
    }
    let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut rest = number.unwrap_or("").chars();
    let digit = rest.next().is_some_and(|c| c.is_ascii_digit() || matches!(c, '¹' | '²' | '³'));
    digit && rest.next().is_none()
}

/// With `_` for what must not be there, and no longer a device's or one of ours.
fn mended(name: &str) -> String {
    let mut name: String = name.chars().map(|c| if is_bad(c) { '_' } else { c }).collect();
    if name.starts_with(' ') || name.starts_with(OURS) {
        name.replace_range(..1, "_");
    }
    if is_device(&name) {
        let stem = name.find('.').unwrap_or(name.len());
        name.insert(stem, '_');
    }
    name
}

fn suggest(name: &str) -> Name {
    let trimmed = name.trim_start_matches(' ').trim_end_matches([' ', '.']);
    let mut name = mended(if trimmed.is_empty() { "unnamed" } else { trimmed });
    if name.len() > NAME_BYTES_MAX {
        let (stem, extension) = super::copy::split(&name);
        let (mut stem, extension) = (stem.to_owned(), extension.to_owned());
        cut(&mut stem, NAME_BYTES_MAX - extension.len());
        name = stem + &extension;
        name.truncate(name.trim_end_matches([' ', '.']).len());
        // What is left may be nothing, or a device that what went had hidden.
        if name.is_empty() {
            name.push_str("unnamed");
        } else if is_device(&name) {
            let (stem, rest) = name.split_at(name.find('.').unwrap_or(name.len()));
            name = format!("{}_{rest}", stem.trim_end_matches(' '));
        }
    }
    Name(name)
}
