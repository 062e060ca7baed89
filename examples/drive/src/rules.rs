//! What is not synced: what systems and programs leave lying about, and what `.synclineignore` names.
//!
//! Its lines are those of a `.gitignore` and come after the rules that are always there, so `!*.tmp` takes one of them back.
//! What must hold: a file of ours that is being written is never synced, whatever the lines say.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::folder::Folder;

/// The file with a user's rules, in the root. It is synced itself.
pub const RULES: &str = ".synclineignore";
/// What begins the names of our own files.
pub const OURS: &str = ".syncline-";
/// More than this is no list that somebody wrote.
const RULES_BYTES_MAX: u64 = 1 << 20;

/// Left by systems, by editors and office programs, and by downloads: what Seafile and Nextcloud leave out.
const ALWAYS: [&str; 28] = [
    ".syncline*",
    "!.synclineignore",
    ".DS_Store",
    "._*",
    // The name ends in a carriage return.
    "Icon[\r]",
    ".Spotlight-V100",
    ".Trashes",
    ".fseventsd",
    ".TemporaryItems",
    ".apdisk",
    "Thumbs.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "~$*",
    ".~lock.*#",
    ".~*",
    "*.tmp",
    "*~",
    "*.swp",
    ".*.sw?",
    "\\#*#",
    ".#*",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.filepart",
    "*.download",
    "lost+found/",
];

/// What is not synced.
#[derive(Debug, Clone)]
pub struct Rules {
    all: Gitignore,
}

/// A line of a user's rules that does not read. The others count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what somebody should mend")]
pub struct BadLine {
    /// The line.
    pub line: String,
    /// What is wrong with it.
    pub why: String,
}

impl Rules {
    /// The rules that are always there, then these lines.
    #[must_use]
    pub fn of(lines: &str) -> (Self, Vec<BadLine>) {
        let (mut builder, mut bad) = (GitignoreBuilder::new(""), Vec::new());
        for line in ALWAYS.into_iter().chain(lines.lines()) {
            if let Err(error) = builder.add_line(None, line) {
                bad.push(BadLine { line: line.to_owned(), why: error.to_string() });
            }
        }
        let all = builder.build().unwrap_or_else(|error| {
            bad.push(BadLine { line: String::new(), why: error.to_string() });
            Gitignore::empty()
        });
        (Self { all }, bad)
    }

    /// The rules of a folder.
    ///
    /// # Errors
    /// When its list is there and cannot be read: to go on without it would sync what was not to be.
    pub fn load(folder: &Folder) -> io::Result<(Self, Vec<BadLine>)> {
        let mut lines = Vec::new();
        match folder.file(&[RULES]) {
            Ok((file, _)) => read(file, &mut lines)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self::of(&String::from_utf8_lossy(&lines)))
    }

    /// Whether an entry is left out. What is in a folder that is left out is left out, too; it is not asked about here.
    #[must_use]
    pub fn leave_out(&self, path: &Path, is_folder: bool) -> bool {
        self.all.matched(path, is_folder).is_ignore()
    }
}

fn read(file: File, lines: &mut Vec<u8>) -> io::Result<()> {
    file.take(RULES_BYTES_MAX).read_to_end(lines).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(rules: &Rules, path: &str) -> bool {
        rules.leave_out(Path::new(path.trim_end_matches('/')), path.ends_with('/'))
    }

    #[test]
    fn what_programs_leave_lying_about_is_left_out() {
        let (rules, bad) = Rules::of("");
        assert_eq!(bad, []);
        for name in [
            ".DS_Store",
            "d/._x",
            "Icon\r",
            "Thumbs.db",
            "$RECYCLE.BIN/",
            "~$report.docx",
            ".~lock.report.odt#",
            "a.tmp",
            "a~",
            ".a.swp",
            ".a.swo",
            "#a#",
            ".#a",
            "film.mkv.part",
            "x.crdownload",
            ".syncline-tmp-0",
            "lost+found/",
        ] {
            assert!(out(&rules, name), "{name}");
        }
        for name in ["Icon", "Icons", "a", ".bashrc", "report.docx", "a#b", ".synclineignore", "tmp", "desktop", "~"] {
            assert_eq!(out(&rules, name), name == "~", "{name}");
        }
    }

    #[test]
    fn a_users_rules_are_those_of_a_gitignore_and_come_last() {
        let (rules, bad) = Rules::of("# mine\n/build/\n*.log\n!keep.log\n!*.tmp\nsub/x\n");
        assert_eq!(bad, []);
        for (path, left_out) in [
            ("build/", true),
            ("d/build/", false),
            ("build", false),
            ("d/a.log", true),
            ("d/keep.log", false),
            ("a.tmp", false),
            ("sub/x", true),
            ("x", false),
        ] {
            assert_eq!(out(&rules, path), left_out, "{path}");
        }
    }

    #[test]
    fn a_line_that_does_not_read_is_said_and_the_others_count() {
        let (rules, bad) = Rules::of("a{b\n*.log\n");
        assert_eq!(bad.iter().map(|bad| bad.line.as_str()).collect::<Vec<_>>(), ["a{b"]);
        assert!(out(&rules, "x.log"));
    }
}
