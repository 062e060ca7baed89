//! A disk in memory: files by number, with the times and births that tell one from another.

use std::collections::BTreeMap;

use syncline::files::{Fingerprint, Found, Identity, Scan, What};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) parent: u64,
    pub(crate) name: String,
    /// A file's content; `None` for a folder.
    pub(crate) value: Option<u64>,
    modified: i64,
    changed: i64,
    born: i64,
}

/// The folder's own number.
pub(crate) const TOP: u64 = 1;

#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<u64, File>,
    now: i64,
    /// Numbers are given out again, as file systems do.
    free: Vec<u64>,
    last: u64,
    /// Whether the time of birth is known.
    pub(crate) knows_births: bool,
}

impl Disk {
    pub(crate) fn new(knows_births: bool) -> Self {
        Self { last: TOP, knows_births, ..Self::default() }
    }

    fn tick(&mut self) -> i64 {
        self.now += 1;
        self.now
    }

    pub(crate) fn child(&self, parent: u64, name: &str) -> Option<u64> {
        self.files.iter().find(|(_, file)| file.parent == parent && file.name == name).map(|(number, _)| *number)
    }

    pub(crate) fn at(&self, path: &[&str]) -> Option<u64> {
        path.iter().try_fold(TOP, |folder, name| self.child(folder, name))
    }

    pub(crate) fn find(&self, path: &str) -> Option<u64> {
        self.at(&path.split('/').collect::<Vec<_>>())
    }

    /// The folder of a path and its last name.
    fn place<'a>(&self, path: &'a str) -> Option<(u64, &'a str)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = if folder.is_empty() { TOP } else { self.find(folder)? };
        (folder == TOP || self.files[&folder].value.is_none()).then_some((folder, name))
    }

    pub(crate) fn make(&mut self, parent: u64, name: &str, value: Option<u64>) -> u64 {
        assert!(self.child(parent, name).is_none(), "{name} is there");
        let now = self.tick();
        let number = self.free.pop().unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        let file = File { parent, name: name.to_owned(), value, modified: now, changed: now, born: now };
        self.files.insert(number, file);
        number
    }

    pub(crate) fn fill(&mut self, number: u64, value: u64) {
        let now = self.tick();
        let file = self.files.get_mut(&number).unwrap();
        (file.value, file.modified, file.changed) = (Some(value), now, now);
    }

    pub(crate) fn shift(&mut self, number: u64, parent: u64, name: &str) {
        let now = self.tick();
        let file = self.files.get_mut(&number).unwrap();
        (file.parent, file.changed) = (parent, now);
        name.clone_into(&mut file.name);
    }

    pub(crate) fn inside(&self, folder: u64) -> Vec<u64> {
        self.files.iter().filter(|(_, file)| file.parent == folder).map(|(number, _)| *number).collect()
    }

    pub(crate) fn below(&self, number: u64) -> Vec<u64> {
        let (mut found, mut next) = (vec![number], 0);
        while next < found.len() {
            found.extend(self.inside(found[next]));
            next += 1;
        }
        found
    }

    pub(crate) fn drop_all(&mut self, number: u64) {
        for number in self.below(number) {
            self.files.remove(&number);
            self.free.push(number);
        }
    }

    pub(crate) fn path(&self, number: u64) -> String {
        let file = &self.files[&number];
        if file.parent == TOP { file.name.clone() } else { format!("{}/{}", self.path(file.parent), file.name) }
    }

    pub(crate) fn print(&self, number: u64) -> Fingerprint {
        let file = &self.files[&number];
        let born_ns = self.knows_births.then_some(file.born);
        let identity = Identity { device: 7, inode: number, born_ns };
        match file.value {
            Some(value) => Fingerprint { size: value, modified_ns: file.modified, changed_ns: file.changed, identity },
            None => Fingerprint { size: 0, modified_ns: 0, changed_ns: 0, identity },
        }
    }

    pub(crate) fn scan(&self) -> (Scan, Vec<u64>) {
        let (mut scan, mut numbers) = (Scan::default(), Vec::new());
        let mut open = vec![(TOP, None)];
        while let Some((folder, entry)) = open.pop() {
            let mut inside = self.inside(folder);
            inside.sort_by_key(|number| self.files[number].name.clone());
            for number in inside {
                let file = &self.files[&number];
                let what = file.value.map_or(What::Folder, |_| What::File { executable: false });
                scan.found.push(Found { parent: entry, name: file.name.clone(), what, print: self.print(number) });
                numbers.push(number);
                if what == What::Folder {
                    open.push((number, Some(numbers.len() - 1)));
                }
            }
        }
        (scan, numbers)
    }

    // What a user does.

    /// Writes a file in place, or makes it.
    pub(crate) fn write(&mut self, path: &str, value: u64) -> bool {
        if let Some(number) = self.find(path) {
            let is_file = self.files[&number].value.is_some();
            if is_file {
                self.fill(number, value);
            }
            return is_file;
        }
        let Some((folder, name)) = self.place(path) else { return false };
        self.make(folder, name, Some(value));
        true
    }

    /// Writes a new file beside the old one and renames it over that.
    pub(crate) fn save(&mut self, path: &str, value: u64) -> bool {
        let Some((folder, name)) = self.place(path) else { return false };
        match self.child(folder, name) {
            Some(old) if self.files[&old].value.is_none() => return false,
            old => {
                let new = self.make(folder, "saving", Some(value));
                old.into_iter().for_each(|old| self.drop_all(old));
                self.shift(new, folder, name);
            }
        }
        true
    }

    pub(crate) fn make_folder(&mut self, path: &str) -> bool {
        let Some((folder, name)) = self.place(path).filter(|_| self.find(path).is_none()) else { return false };
        self.make(folder, name, None);
        true
    }

    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let Some(number) = self.find(path) else { return false };
        self.drop_all(number);
        true
    }

    /// Moves or renames; over a file if it is one.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        let (Some(number), Some((folder, name))) = (self.find(from), self.place(to)) else { return false };
        if self.below(number).contains(&folder) {
            return false;
        }
        match self.child(folder, name) {
            Some(there) if there == number => return false,
            Some(there) if self.files[&there].value.is_none() || self.files[&number].value.is_none() => return false,
            Some(there) => self.drop_all(there),
            None => {}
        }
        self.shift(number, folder, name);
        true
    }
}
