//! The numbers by which the kernel knows what it has seen, and what they stand for.
//!
//! A number stands for an entry of a folder: the name in it, and who it was. What must hold: a number never stands for two files
//! of different bytes, for the kernel keeps what it read of a file by its number; a placeholder keeps its number when its bytes
//! come; what the kernel has forgotten is forgotten here.

use std::collections::HashMap;

use syncline::EntityId;
use syncline::files::Identity;

/// The number of the root.
pub(super) const ROOT: u64 = 1;

/// Who an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// A file or folder that is here.
    Here(Identity),
    /// A file that is at the server only.
    Placeholder(EntityId),
}

#[derive(Debug)]
struct Entry {
    folder: u64,
    name: String,
    who: Who,
    /// How often the kernel was told of it.
    told: u64,
    /// It is where its name says.
    linked: bool,
}

/// What numbers stand for.
#[derive(Debug)]
pub(super) struct Inodes {
    entries: HashMap<u64, Entry>,
    names: HashMap<(u64, String), u64>,
    placeholders: HashMap<EntityId, u64>,
    next: u64,
}

impl Inodes {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), names: HashMap::new(), placeholders: HashMap::new(), next: ROOT }
    }

    /// The number of an entry, which the kernel is told now.
    pub(super) fn tell(&mut self, folder: u64, name: &str, who: Who) -> u64 {
        let place = (folder, name.to_owned());
        if let Some(number) = self.names.get(&place).copied()
            && let Some(entry) = self.entries.get_mut(&number)
        {
            if entry.who == who {
                entry.told += 1;
                return number;
            }
            entry.linked = false;
        }
        self.next += 1;
        if let Who::Placeholder(id) = who {
            self.placeholders.insert(id, self.next);
        }
        self.entries.insert(self.next, Entry { folder, name: name.to_owned(), who, told: 1, linked: true });
        self.names.insert(place, self.next);
        self.next
    }

    /// The kernel has forgotten so many times that it was told of an entry.
    pub(super) fn forget(&mut self, number: u64, times: u64) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        entry.told = entry.told.saturating_sub(times);
        if entry.told == 0
            && let Some(entry) = self.entries.remove(&number)
        {
            if let Who::Placeholder(id) = entry.who
                && self.placeholders.get(&id) == Some(&number)
            {
                self.placeholders.remove(&id);
            }
            if entry.linked {
                self.names.remove(&(entry.folder, entry.name));
            }
        }
    }

    /// The names from the root down to an entry; `None`: it is nowhere any more.
    pub(super) fn path(&self, number: u64) -> Option<Vec<String>> {
        let (mut path, mut at) = (Vec::new(), number);
        while at != ROOT {
            let entry = self.entries.get(&at).filter(|entry| entry.linked)?;
            path.push(entry.name.clone());
            at = entry.folder;
        }
        path.reverse();
        Some(path)
    }

    /// The folder an entry is in, and its name.
    pub(super) fn place(&self, number: u64) -> Option<(u64, &str)> {
        self.entries.get(&number).filter(|entry| entry.linked).map(|entry| (entry.folder, entry.name.as_str()))
    }

    /// Who an entry is.
    pub(super) fn who(&self, number: u64) -> Option<Who> {
        self.entries.get(&number).map(|entry| entry.who)
    }

    /// A placeholder's bytes came, or others took their place: its number stands for the file from now on.
    pub(super) fn came(&mut self, id: EntityId, file: Identity) {
        let number = self.placeholders.remove(&id);
        if let Some(entry) = number.and_then(|number| self.entries.get_mut(&number)) {
            entry.who = Who::Here(file);
        }
    }

    /// An entry is no longer under its name.
    pub(super) fn unlink(&mut self, folder: u64, name: &str) {
        if let Some(number) = self.names.remove(&(folder, name.to_owned()))
            && let Some(entry) = self.entries.get_mut(&number)
        {
            entry.linked = false;
        }
    }

    /// An entry has another place; whoever was there is nowhere.
    pub(super) fn rename(&mut self, (folder, name): (u64, &str), (to, new): (u64, &str)) {
        self.unlink(to, new);
        if let Some(number) = self.names.remove(&(folder, name.to_owned()))
            && let Some(entry) = self.entries.get_mut(&number)
        {
            entry.folder = to;
            new.clone_into(&mut entry.name);
            self.names.insert((to, new.to_owned()), number);
        }
    }

    /// Two entries change places.
    pub(super) fn exchange(&mut self, one: (u64, &str), other: (u64, &str)) {
        let [a, b] = [one, other].map(|(folder, name)| self.names.remove(&(folder, name.to_owned())));
        for (number, (folder, name)) in [(a, other), (b, one)] {
            let Some(number) = number else { continue };
            if let Some(entry) = self.entries.get_mut(&number) {
                entry.folder = folder;
                name.clone_into(&mut entry.name);
            }
            self.names.insert((folder, name.to_owned()), number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn file(inode: u64) -> Who {
        Who::Here(Identity { device: 1, inode, born_ns: None })
    }

    fn path(inodes: &Inodes, number: u64) -> Option<String> {
        inodes.path(number).map(|path| path.join("/"))
    }

    #[test]
    fn a_number_stands_for_one_file_whatever_its_name_leads_to() {
        let mut inodes = Inodes::new();
        let old = inodes.tell(ROOT, "a", file(1));
        assert_eq!(inodes.tell(ROOT, "a", file(1)), old);
        let new = inodes.tell(ROOT, "a", file(2));
        assert_ne!(new, old, "another file is there now");
        assert_eq!((path(&inodes, old), path(&inodes, new)), (None, Some("a".into())));
        inodes.forget(old, 2);
        inodes.forget(new, 1);
        assert!(inodes.entries.is_empty() && inodes.names.is_empty(), "what the kernel forgot is kept");
    }

    #[test]
    fn a_placeholder_keeps_its_number_when_its_bytes_come() {
        let (mut inodes, id) = (Inodes::new(), EntityId::from_bytes([7; 16]));
        let number = inodes.tell(ROOT, "a", Who::Placeholder(id));
        inodes.came(id, Identity { device: 1, inode: 9, born_ns: None });
        assert_eq!(inodes.tell(ROOT, "a", file(9)), number);
        assert_eq!(inodes.who(number), Some(file(9)));
    }

    #[test]
    fn what_is_moved_takes_what_is_in_it_along() {
        let mut inodes = Inodes::new();
        let d = inodes.tell(ROOT, "d", file(1));
        let a = inodes.tell(d, "a", file(2));
        let e = inodes.tell(ROOT, "e", file(3));
        inodes.rename((ROOT, "d"), (e, "f"));
        assert_eq!(path(&inodes, a).unwrap(), "e/f/a");
        let b = inodes.tell(d, "b", file(4));
        inodes.rename((d, "a"), (d, "b"));
        assert_eq!((path(&inodes, a).unwrap(), path(&inodes, b)), ("e/f/b".into(), None));
        inodes.exchange((d, "b"), (ROOT, "e"));
        assert_eq!(path(&inodes, a).unwrap(), "e");
        inodes.unlink(ROOT, "e");
        assert_eq!((path(&inodes, a), inodes.place(a)), (None, None));
        assert_eq!(inodes.path(ROOT), Some(Vec::new()));
    }
}
