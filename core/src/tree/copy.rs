//! Names of conflict copies: `<stem> (conflict <device> <YYYY-MM-DD HHMMSS>)[ <n>]<extension>`.
//!
//! The time is the server's, in UTC. What must hold: a copy of a copy is named after the file, not after the copy, and every
//! name fits [`NAME_BYTES_MAX`]. Who is free to have a name is asked elsewhere.
//!
//! Next: `settle` gives these names to who came later.

use super::name::{Name, cut, is_bad};
use crate::limits::{LABEL_BYTES_MAX, NAME_BYTES_MAX};
use crate::time::Timestamp;

/// What a device is called in the names of conflict copies: 1 to [`LABEL_BYTES_MAX`] bytes that a name may contain, no
/// parentheses, no space at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

/// Why a device cannot be called that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// There is none.
    #[error("a label is not empty")]
    Empty,
    /// Longer than [`LABEL_BYTES_MAX`].
    #[error("a label has at most {LABEL_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// A parenthesis, or what no name contains.
    #[error("a label does not contain {0:?}")]
    Character(char),
    /// A space where it would not be seen.
    #[error("a label does not begin or end with a space")]
    Space,
}

impl Label {
    /// The label that was typed.
    ///
    /// # Errors
    /// The first rule it breaks.
    pub fn new(typed: &str) -> Result<Self, LabelError> {
        let bad = typed.chars().find(|c| matches!(c, '(' | ')') || is_bad(*c));
        match typed {
            "" => Err(LabelError::Empty),
            _ if typed.len() > LABEL_BYTES_MAX => Err(LabelError::TooLong(typed.len())),
            _ if typed.starts_with(' ') || typed.ends_with(' ') => Err(LabelError::Space),
            _ => bad.map_or_else(|| Ok(Self(typed.to_owned())), |bad| Err(LabelError::Character(bad))),
        }
    }

    /// As typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The names that a file's conflict copy may have.
#[derive(Debug, Clone)]
pub struct ConflictName {
    stem: String,
    group: String,
    extension: String,
}

impl ConflictName {
    /// The names for a copy of what is called `name`, made by the device called `label`, accepted at that time.
    #[must_use]
    pub fn of(name: &Name, label: &Label, accepted_at: Timestamp) -> Self {
        let (stem, extension) = split(name.as_str());
        let group = format!(" (conflict {} {})", label.as_str(), civil(accepted_at));
        Self { stem: original(stem).to_owned(), group, extension: extension.to_owned() }
    }

    /// The first one, and from 2 on those with a number.
    #[must_use]
    pub fn nth(&self, number: u32) -> Name {
        let number = if number < 2 { String::new() } else { format!(" {number}") };
        let room = NAME_BYTES_MAX.saturating_sub(self.group.len() + number.len() + self.extension.len());
        let mut name = self.stem.clone();
        cut(&mut name, room);
        Name::made(name + &self.group + &number + &self.extension)
    }
}

/// Whether a name is one that a conflict made, for whatever device and at whatever time.
#[must_use]
pub fn is_conflict_name(name: &Name) -> bool {
    let (stem, _) = split(name.as_str());
    original(stem).len() < stem.len()
}

/// The names that a conflict copy may have once somebody decided to keep it: the name it is a copy of, and from 2 on that with
/// a number.
#[must_use]
pub fn kept_name(copy: &Name, number: u32) -> Name {
    let (stem, extension) = split(copy.as_str());
    let number = if number < 2 { String::new() } else { format!(" {number}") };
    let mut name = original(stem).to_owned();
    cut(&mut name, NAME_BYTES_MAX.saturating_sub(number.len() + extension.len()));
    Name::made(name + &number + extension)
}

/// Stem and extension, its period included. A period at the front begins no extension, nor does one before more than 16
/// bytes or before a space; a compressed archive has one extension of two parts.
pub(super) fn split(name: &str) -> (&str, &str) {
    const ARCHIVES: [&str; 4] = [".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst"];
    for archive in ARCHIVES {
        let at = name.len().saturating_sub(archive.len());
        if at > 0 && name.get(at..).is_some_and(|tail| tail.eq_ignore_ascii_case(archive)) {
            return name.split_at(at);
        }
    }
    match name.rfind('.') {
        None | Some(0) => (name, ""),
        Some(at) if name.len() - at - 1 > 16 || name[at..].contains(' ') => (name, ""),
        Some(at) => name.split_at(at),
    }
}

/// The stem without what a conflict put there.
fn original(stem: &str) -> &str {
    const OPENING: &str = " (conflict ";
    let numbered = stem.rsplit_once(' ').filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let group = numbered.map_or(stem, |(before, _)| before);
    let Some((before, inside)) = group.strip_suffix(')').and_then(|group| group.rsplit_once(OPENING)) else {
        return stem;
    };
    let mut parts = inside.rsplitn(3, ' ');
    let (time, day, label) = (parts.next(), parts.next(), parts.next());
    let good = time.is_some_and(|time| fits(time, "000000"))
        && day.is_some_and(|day| fits(day, "0000-00-00"))
        && label.is_some_and(|label| Label::new(label).is_ok())
        && !before.is_empty();
    if good { before } else { stem }
}

/// Whether a text has digits where the pattern has them, and elsewhere what the pattern has.
fn fits(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(b, p)| if p == b'0' { b.is_ascii_digit() } else { b == p })
}

/// `YYYY-MM-DD HHMMSS` in UTC. The year of the last times there can be has five digits.
fn civil(at: Timestamp) -> String {
    let seconds = at.ms() / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March put the leap day last, and 400 of them are always 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}{minute:02}{second:02}")
}
