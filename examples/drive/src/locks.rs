//! Who has a file open: programs say so with a file beside it, and an update waits until that is gone.
//!
//! Word writes `~$port.docx` or `~$report.docx` beside `report.docx`, LibreOffice `.~lock.report.odt#`. What must hold: a lock
//! that its program left behind holds nothing up for longer than [`HOLDS_NS`].

use std::collections::HashMap;

/// For how long a lock counts after it was last written: 30 minutes.
pub const HOLDS_NS: i64 = 30 * 60 * 1_000_000_000;

/// The lock files of a folder and all below it, by the number that their folder has in the scan.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    inside: HashMap<Option<usize>, Vec<Lock>>,
}

#[derive(Debug, Clone)]
enum Lock {
    /// Of the file with this name.
    Of(String, i64),
    /// Of a file whose name is this, or this behind two other characters.
    Ending(String, i64),
}

impl Locks {
    /// Takes note of an entry, if it is a lock.
    pub(crate) fn see(&mut self, folder: Option<usize>, name: &str, modified_ns: i64) {
        let office = name.strip_prefix("~$").map(|rest| Lock::Ending(rest.to_owned(), modified_ns));
        let libre = name.strip_prefix(".~lock.").and_then(|rest| rest.strip_suffix('#'));
        let lock = office.or_else(|| libre.map(|of| Lock::Of(of.to_owned(), modified_ns)));
        if let Some(lock) = lock {
            self.inside.entry(folder).or_default().push(lock);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inside.is_empty()
    }

    /// Whether a program has this file of a folder open. The folder is that of the scan, `None` for the root.
    #[must_use]
    pub fn hold(&self, folder: Option<usize>, name: &str, now_ns: i64) -> bool {
        let counts = |since: i64| now_ns.saturating_sub(since) < HOLDS_NS;
        self.inside.get(&folder).into_iter().flatten().any(|lock| match lock {
            Lock::Of(of, since) => of == name && counts(*since),
            Lock::Ending(rest, since) => {
                let shortened = name.char_indices().nth(2).map_or("", |(at, _)| &name[at..]);
                (rest == name || (rest == shortened && !rest.is_empty())) && counts(*since)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e16_a_file_that_a_program_has_open_waits_but_not_for_ever() {
        let mut locks = Locks::default();
        for name in ["~$report.docx", "~$tter.docx", ".~lock.table.ods#", "~$", "notes.txt"] {
            locks.see(Some(3), name, 0);
        }
        for (name, held) in [
            ("report.docx", true),
            ("letter.docx", true),
            ("table.ods", true),
            ("shatter.docx", false),
            ("notes.txt", false),
            ("ab", false),
            ("é", false),
        ] {
            assert_eq!(locks.hold(Some(3), name, 0), held, "{name}");
            assert!(!locks.hold(None, name, 0), "{name} is in another folder");
            assert!(!locks.hold(Some(3), name, HOLDS_NS), "{name}: 30 minutes later");
        }
        assert!(locks.hold(Some(3), "table.ods", HOLDS_NS - 1));
    }
}
