//! What is not synced: what systems and programs leave lying about, and what `.synclineignore` names.
//!
//! Its lines are those of a `.gitignore` and come after the rules that are always there, so `!*.tmp` takes one of them back.
//! A line that begins with `(?keep)` leaves out as well, and what it names is never taken away: a folder that is deleted
//! elsewhere stays here as long as something of that kind is in it. What must hold: a file of ours that is being written is never synced, whatever the lines say.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::folder::Folder;

/// The file with a user's rules, in the root. It is synced itself.
pub const RULES: &str = ".synclineignore";
/// What begins the names of our own files.
pub const OURS: &str = ".syncline-";
/// What begins a line about what is left out and never taken away.
const KEEP: &str = "(?keep)";
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
    kept: Gitignore,
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
        let (mut all, mut kept, mut bad) = (GitignoreBuilder::new(""), GitignoreBuilder::new(""), Vec::new());
        for line in ALWAYS.into_iter().chain(lines.lines()) {
            let keep = line.strip_prefix(KEEP);
            let pattern = keep.unwrap_or(line);
            // What is taken back from what is left out is not kept either: it is synced.
            let also = keep.is_some() || line.starts_with('!');
            let added = if also { kept.add_line(None, pattern).map(drop) } else { Ok(()) };
            if let Err(error) = all.add_line(None, pattern).map(drop).and(added) {
                bad.push(BadLine { line: line.to_owned(), why: error.to_string() });
            }
        }
        let [all, kept] = [all, kept].map(|builder| {
            builder.build().unwrap_or_else(|error| {
                bad.push(BadLine { line: String::new(), why: error.to_string() });
                Gitignore::empty()
            })
        });
        (Self { all, kept }, bad)
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

impl Rules {
    /// Whether an entry that is left out must not be taken away. What is in a folder is asked about by itself.
    #[must_use]
    pub fn keep(&self, path: &Path, is_folder: bool) -> bool {
        self.kept.matched(path, is_folder).is_ignore()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn keep_nothing(&self) -> bool {
        self.kept.num_ignores() == 0
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
    fn what_is_kept_is_left_out_and_taken_back_by_a_later_line() {
        let (rules, bad) = Rules::of("*.log\n(?keep)*.key\n(?keep)/own/\n!public.key\n(?keep)*~\n");
        assert_eq!(bad, []);
        let rows = [
            ("a.key", true, true),
            ("d/a.key", true, true),
            ("public.key", false, false),
            ("own/", true, true),
            ("d/own/", false, false),
            ("own", false, false),
            ("a.log", true, false),
            ("a~", true, true),
            ("(?keep)x", false, false),
        ];
        for (path, left_out, kept) in rows {
            let is_kept = rules.keep(Path::new(path.trim_end_matches('/')), path.ends_with('/'));
            assert_eq!((out(&rules, path), is_kept), (left_out, kept), "{path}");
        }
        assert!(Rules::of("*.log\n!x\n").0.keep_nothing() && !rules.keep_nothing());
        assert_eq!(Rules::of("(?keep)a{b\n").1.len(), 1, "a line is said once");
    }

    #[test]
    fn a_line_that_does_not_read_is_said_and_the_others_count() {
        let (rules, bad) = Rules::of("a{b\n*.log\n");
        assert_eq!(bad.iter().map(|bad| bad.line.as_str()).collect::<Vec<_>>(), ["a{b"]);
        assert!(out(&rules, "x.log"));
    }
}
