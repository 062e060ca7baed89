//! A walk through the folder: what is there, asked of each entry once, nothing read.
//!
//! What must hold: a folder comes before what is in it; a link is never followed; what cannot be looked at is said, so that
//! nobody takes it for deleted; what is left out by a rule is found all the same when the device holds it, wherever it lies
//! now.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::RawDir;
use syncline::EntityId;
use syncline::files::{Base, Found, Scan, What};
use syncline::limits::TREE_DEPTH_MAX;
use syncline::tree::Kind;

use crate::folder::{Folder, child};
use crate::locks::Locks;
use crate::looks::{self, Looks};
use crate::rules::{OURS, Rules};
use crate::temp::UNFINISHED;

/// What a walk found.
#[derive(Debug, Clone, Default)]
#[allow(clippy::exhaustive_structs, reason = "what a walk finds")]
pub struct Walk {
    /// What is synced.
    pub scan: Scan,
    /// Which files are open in programs.
    pub locks: Locks,
    /// What cannot be synced.
    pub left_out: Vec<LeftOut>,
    /// Files of ours that somebody did not finish writing, by the number of their folder.
    pub unfinished: Vec<(Option<usize>, String)>,
}

/// An entry that cannot be synced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what somebody should mend")]
pub struct LeftOut {
    /// Where, from the root down.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why an entry cannot be synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// Its name is not UTF-8: no other system could hold it.
    #[error("its name is not UTF-8")]
    NotText,
    /// It is a folder that we may not look into.
    #[error("it cannot be read: {0}")]
    Unread(io::ErrorKind),
    /// It is a folder too many levels below the root.
    #[error("it is more than {TREE_DEPTH_MAX} levels down")]
    TooDeep,
}

/// Walks through the folder.
///
/// # Errors
/// When the root cannot be read.
pub fn walk(folder: &Folder, rules: &Rules, base: &Base) -> io::Result<Walk> {
    let mut walker = Walker {
        rules,
        base,
        by_identity: OnceCell::new(),
        walk: Walk::default(),
        path: PathBuf::new(),
        buffer: Vec::with_capacity(64 << 10),
    };
    let root = Open { number: None, held: Some(base.root()), only_held: false };
    // Opened anew: who reads the entries of an open folder goes on where the last one stopped.
    let top = child(folder.root(), ".")?;
    let mut below = walker.list(top.as_fd(), &root)?;
    below.reverse();
    let mut around = vec![(None, below)];
    loop {
        let depth = around.len();
        let Some((within, below)) = around.last_mut() else { break };
        let Some(next) = below.pop() else {
            around.pop();
            walker.path.pop();
            continue;
        };
        let within = within.as_ref().map_or_else(|| folder.root(), AsFd::as_fd);
        let name = next.number.and_then(|number| walker.walk.scan.found.get(number)).map(|found| found.name.clone());
        let (Some(number), Some(name)) = (next.number, name) else { continue };
        walker.path.push(&name);
        match walker.enter(within, &name, &next, depth) {
            Ok((opened, mut inside)) => {
                inside.reverse();
                around.push((Some(opened), inside));
            }
            Err(why) => {
                walker.walk.scan.unread.push(number);
                walker.walk.left_out.push(LeftOut { path: walker.path.clone(), why });
                walker.path.pop();
            }
        }
    }
    Ok(walker.walk)
}

/// A folder to look into.
struct Open {
    /// Its number; `None`: the root.
    number: Option<usize>,
    /// The node that is held at its path.
    held: Option<EntityId>,
    /// It is left out by a rule, and found because it is held: so is what is in it.
    only_held: bool,
}

struct Walker<'a> {
    rules: &'a Rules,
    base: &'a Base,
    /// Who is held, by device and number: made when it is first needed.
    by_identity: OnceCell<HashMap<(u64, u64), EntityId>>,
    walk: Walk,
    /// The folder that is being looked into.
    path: PathBuf,
    buffer: Vec<u8>,
}

impl Walker<'_> {
    fn enter(
        &mut self,
        within: BorrowedFd<'_>,
        name: &str,
        open: &Open,
        depth: usize,
    ) -> Result<(OwnedFd, Vec<Open>), Why> {
        if depth > TREE_DEPTH_MAX {
            return Err(Why::TooDeep);
        }
        let unread = |error: io::Error| Why::Unread(error.kind());
        let opened = child(within, name).map_err(unread)?;
        let inside = self.list(opened.as_fd(), open).map_err(unread)?;
        Ok((opened, inside))
    }

    /// Takes note of what is in a folder; gives the folders among it.
    fn list(&mut self, folder: BorrowedFd<'_>, of: &Open) -> io::Result<Vec<Open>> {
        let mut below = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            // Gone since it was listed: not there.
            let Some(looks) = looks::entry(folder, name)? else { continue };
            match name.to_str() {
                Ok(name) => below.extend(self.see(of, name, &looks)),
                Err(_) => {
                    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes());
                    self.walk.left_out.push(LeftOut { path: self.path.join(name), why: Why::NotText });
                }
            }
        }
        self.buffer = buffer;
        Ok(below)
    }

    /// Takes note of an entry; gives it back if it is a folder to look into.
    fn see(&mut self, of: &Open, name: &str, looks: &Looks) -> Option<Open> {
        let what = looks.what?;
        let is_folder = what == What::Folder;
        self.walk.locks.see(of.number, name, looks.print.modified_ns);
        let ours = name.starts_with(OURS);
        let only_held = of.only_held || ours || self.is_left_out(name, is_folder);
        // A held file that was renamed to a name that is left out is a backup of it, and not synced; one under a name of ours
        // was moved aside, and a folder that was renamed is still the folder.
        let at_place = || of.held.and_then(|folder| self.base.at(folder, name));
        let held = || at_place().or_else(|| if ours || is_folder || !only_held { self.held_as(looks) } else { None });
        if only_held && held().is_none() {
            if name.starts_with(UNFINISHED) && !is_folder {
                self.walk.unfinished.push((of.number, name.to_owned()));
            }
            return None;
        }
        let number = self.walk.scan.found.len();
        let open = is_folder.then(|| Open { number: Some(number), held: held(), only_held });
        // What is in a mount is another tree's.
        let open = open.filter(|open| !open.held.is_some_and(|id| self.is_mount(id, looks)));
        self.walk.scan.found.push(Found { parent: of.number, name: name.to_owned(), what, print: looks.print });
        open
    }

    fn is_mount(&self, id: EntityId, looks: &Looks) -> bool {
        self.base.get(id).is_some_and(|held| {
            matches!(held.kind, Kind::Mount(_)) && held.print.is_some_and(|print| print.is_same_file(&looks.print))
        })
    }

    fn is_left_out(&mut self, name: &str, is_folder: bool) -> bool {
        self.path.push(name);
        let left_out = self.rules.leave_out(&self.path, is_folder);
        self.path.pop();
        left_out
    }

    /// The node that is held under another name or in another folder.
    fn held_as(&self, looks: &Looks) -> Option<EntityId> {
        let by_identity = self.by_identity.get_or_init(|| {
            let prints = self.base.iter().filter_map(|(id, held)| Some((id, held.print?)));
            prints.map(|(id, print)| ((print.identity.device, print.identity.inode), id)).collect()
        });
        let id = *by_identity.get(&(looks.print.identity.device, looks.print.identity.inode))?;
        let held = self.base.get(id)?.print?;
        held.is_same_file(&looks.print).then_some(id)
    }
}

/// Where an entry of a walk lies, from the root down.
#[must_use]
pub fn path_of(scan: &Scan, folder: Option<usize>, name: &str) -> PathBuf {
    let above = folder.map(|number| scan.path(number)).unwrap_or_default();
    above.iter().map(Path::new).chain([Path::new(name)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use syncline::files::{Body, Held};
    use syncline::seq::Seq;
    use syncline::tree::{Name, NamePolicy};

    use crate::rules::RULES;

    use super::*;

    const ROOT: EntityId = EntityId::from_bytes([0; 16]);

    struct Disk {
        dir: tempfile::TempDir,
    }

    impl Disk {
        fn new(files: &[&str]) -> Self {
            let disk = Self { dir: tempfile::tempdir().unwrap() };
            files.iter().for_each(|file| disk.put(file));
            disk
        }

        fn put(&self, file: &str) {
            let path = self.dir.path().join(file);
            if file.ends_with('/') {
                return fs::create_dir_all(path).unwrap();
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }

        fn walk(&self, base: &Base) -> Walk {
            let folder = Folder::open(self.dir.path()).unwrap().unwrap();
            let (rules, bad) = Rules::load(&folder).unwrap();
            assert_eq!(bad, []);
            walk(&folder, &rules, base).unwrap()
        }

        fn hold(&self, base: &mut Base, id: u8, parent: EntityId, path: &str, kind: Kind) -> EntityId {
            let at = path.rsplit('/').next().unwrap().to_owned();
            let folder = Folder::open(self.dir.path()).unwrap().unwrap();
            let looks = folder.looks(&path.split('/').collect::<Vec<_>>()).unwrap().unwrap();
            let held = Held {
                parent,
                name: Name::new(&at, NamePolicy::Lenient).unwrap(),
                at,
                kind,
                content: None,
                content_seq: Seq::FIRST,
                parent_seq: Seq::FIRST,
                name_seq: Seq::FIRST,
                print: Some(looks.print),
                body: Body::Here,
            };
            let id = EntityId::from_bytes([id; 16]);
            base.hold(id, held);
            id
        }
    }

    fn paths(walk: &Walk) -> BTreeMap<String, What> {
        let found = walk.scan.found.iter().enumerate();
        found.map(|(number, found)| (walk.scan.path(number).join("/"), found.what)).collect()
    }

    fn names(walk: &Walk) -> Vec<String> {
        paths(walk).into_keys().collect()
    }

    #[test]
    fn everything_is_found_folders_first() {
        let disk = Disk::new(&["a", "d/b", "d/e/c", "empty/"]);
        symlink("/etc", disk.dir.path().join("d/l")).unwrap();
        fs::set_permissions(disk.dir.path().join("a"), fs::Permissions::from_mode(0o755)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(disk.dir.path().join("socket")).unwrap();
        let walk = disk.walk(&Base::new(ROOT));
        let (file, folder) = (What::File { executable: false }, What::Folder);
        let expected = [
            ("a", What::File { executable: true }),
            ("d", folder),
            ("d/b", file),
            ("d/e", folder),
            ("d/e/c", file),
            ("d/l", What::Symlink),
            ("empty", folder),
        ];
        assert_eq!(paths(&walk), expected.map(|(path, what)| (path.to_owned(), what)).into());
        for (number, found) in walk.scan.found.iter().enumerate() {
            assert!(found.parent.is_none_or(|parent| parent < number), "{found:?}");
        }
        assert_eq!((walk.scan.unread.len(), walk.left_out.len()), (0, 0));
    }

    #[test]
    fn a_second_walk_through_an_open_folder_finds_the_same() {
        let disk = Disk::new(&["a", "d/b"]);
        let folder = Folder::open(disk.dir.path()).unwrap().unwrap();
        let (rules, base) = (Rules::of("").0, Base::new(ROOT));
        let first = walk(&folder, &rules, &base).unwrap();
        disk.put("c");
        assert_eq!((names(&first), first.scan.found.len()), (vec!["a".into(), "d".into(), "d/b".into()], 3));
        assert_eq!(names(&walk(&folder, &rules, &base).unwrap()), ["a", "c", "d", "d/b"]);
    }

    #[test]
    fn what_is_left_out_by_a_rule_is_not_found_nor_what_is_in_it() {
        let disk = Disk::new(&["a.tmp", "build/x", "d/a.log", "d/b", ".synclineignore"]);
        fs::write(disk.dir.path().join(RULES), "build/\n*.log\n").unwrap();
        assert_eq!(names(&disk.walk(&Base::new(ROOT))), [".synclineignore", "d", "d/b"]);
    }

    #[test]
    fn what_is_held_is_found_whatever_the_rules_say_and_wherever_it_lies_now() {
        let disk = Disk::new(&["build/x/kept", "build/x/other", "build/y", "d/.syncline-away-1", "d/.syncline-new-2"]);
        fs::write(disk.dir.path().join(RULES), "build/\n.synclineignore").unwrap();
        let mut base = Base::new(ROOT);
        let build = disk.hold(&mut base, 1, ROOT, "build", Kind::Folder);
        let x = disk.hold(&mut base, 2, build, "build/x", Kind::Folder);
        disk.hold(&mut base, 3, x, "build/x/kept", Kind::File);
        let d = disk.hold(&mut base, 4, ROOT, "d", Kind::Folder);
        disk.hold(&mut base, 5, d, "d/.syncline-away-1", Kind::File);
        let found = disk.walk(&base);
        assert_eq!(names(&found), ["build", "build/x", "build/x/kept", "d", "d/.syncline-away-1"]);
        let unfinished: Vec<_> =
            found.unfinished.iter().map(|(folder, name)| path_of(&found.scan, *folder, name)).collect();
        assert_eq!(unfinished, [Path::new("d/.syncline-new-2")]);

        fs::rename(disk.dir.path().join("build/x"), disk.dir.path().join("d/x.tmp")).unwrap();
        assert_eq!(names(&disk.walk(&base)), ["build", "d", "d/.syncline-away-1", "d/x.tmp", "d/x.tmp/kept"]);
    }

    #[test]
    fn what_cannot_be_synced_is_said() {
        let disk = Disk::new(&["d/x"]);
        fs::write(disk.dir.path().join("d").join(OsStr::from_bytes(b"caf\xe9")), b"").unwrap();
        let walk = disk.walk(&Base::new(ROOT));
        assert_eq!(names(&walk), ["d", "d/x"]);
        let path = Path::new("d").join(OsStr::from_bytes(b"caf\xe9"));
        assert_eq!(walk.left_out, [LeftOut { path, why: Why::NotText }]);
    }

    #[test]
    fn a_folder_that_is_too_deep_is_unread_and_not_empty() {
        let levels = "d/".repeat(TREE_DEPTH_MAX);
        let disk = Disk::new(&[&format!("{levels}deeper/x")]);
        let walk = disk.walk(&Base::new(ROOT));
        assert_eq!(walk.scan.found.len(), TREE_DEPTH_MAX + 1);
        assert_eq!(walk.scan.unread, [TREE_DEPTH_MAX]);
        assert_eq!(walk.left_out.iter().map(|left| left.why).collect::<Vec<_>>(), [Why::TooDeep]);
    }

    #[test]
    fn locks_are_seen_though_they_are_not_synced() {
        let disk = Disk::new(&["d/~$report.docx", "d/report.docx"]);
        let walk = disk.walk(&Base::new(ROOT));
        assert_eq!(names(&walk), ["d", "d/report.docx"]);
        let (folder, now) = (walk.scan.found[1].parent, walk.scan.found[1].print.modified_ns);
        assert!(walk.locks.hold(folder, "report.docx", now));
    }
}
