//! A device with a folder: what its user does there, and how that becomes a commit.
//!
//! It keeps two trees: what it last agreed with the server, and what is in its folder. A commit is the difference, made as
//! the client's duty says: folders first, then moves from the top, deletes of the topmost, new files and contents.

use std::collections::{BTreeMap, BTreeSet};

use syncline::tree::{Kind, Node, Reason, To, TreeOp, TreeVerdict};
use syncline::{Digest, EntityId, ReplicaId};

use crate::server::{ROOT, Server, content, id, number_of, replica, seq};

/// What is in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) parent: EntityId,
    pub(crate) name: String,
    /// A file's content; `None` for a folder.
    pub(crate) value: Option<Digest>,
    pub(crate) number: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) me: ReplicaId,
    pub(crate) label: &'static str,
    pub(crate) base: BTreeMap<EntityId, Node>,
    pub(crate) local: BTreeMap<EntityId, Entry>,
    seen: u64,
    next: u32,
    /// Tracked files that vanished: one that appears at their path is the same file.
    vanished: BTreeMap<String, EntityId>,
}

impl Device {
    pub(crate) fn new(number: u8, label: &'static str) -> Self {
        Self {
            me: replica(number),
            label,
            base: BTreeMap::new(),
            local: BTreeMap::new(),
            seen: 0,
            next: u32::from(number) << 24,
            vanished: BTreeMap::new(),
        }
    }

    fn mint(&mut self) -> EntityId {
        self.next += 1;
        id(self.next)
    }

    pub(crate) fn find(&self, path: &str) -> Option<EntityId> {
        path.split('/').try_fold(ROOT, |folder, name| {
            let mut found = self.local.iter().filter(|(_, entry)| entry.parent == folder && entry.name == name);
            found.next().map(|(id, _)| *id)
        })
    }

    /// The folder of a path and its last name; `None` when there is no such folder.
    fn place(&self, path: &str) -> Option<(EntityId, String)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = if folder.is_empty() { ROOT } else { self.find(folder)? };
        let is_folder = folder == ROOT || self.local[&folder].value.is_none();
        is_folder.then(|| (folder, name.to_owned()))
    }

    pub(crate) fn is_within(&self, mut id: EntityId, folder: EntityId) -> bool {
        loop {
            if id == folder {
                return true;
            }
            match self.local.get(&id) {
                Some(entry) => id = entry.parent,
                None => return false,
            }
        }
    }

    /// Writes a file; whether it could.
    pub(crate) fn write(&mut self, path: &str, number: u64) -> bool {
        let value = Some(content(number).blob);
        if let Some(id) = self.find(path) {
            let entry = self.local.get_mut(&id).unwrap();
            let is_file = entry.value.is_some();
            if is_file {
                (entry.value, entry.number) = (value, number);
            }
            return is_file;
        }
        let Some((parent, name)) = self.place(path) else { return false };
        let id = self.vanished.remove(path).filter(|id| !self.local.contains_key(id));
        let id = id.unwrap_or_else(|| self.mint());
        self.local.insert(id, Entry { parent, name, value, number });
        true
    }

    pub(crate) fn make_folder(&mut self, path: &str) -> bool {
        let Some((parent, name)) = self.place(path).filter(|_| self.find(path).is_none()) else { return false };
        let id = self.mint();
        self.local.insert(id, Entry { parent, name, value: None, number: 0 });
        true
    }

    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let Some(gone) = self.find(path) else { return false };
        let below: Vec<EntityId> = self.local.keys().copied().filter(|id| self.is_within(*id, gone)).collect();
        for id in below {
            let path = self.path(id);
            let entry = self.local.remove(&id).unwrap();
            if entry.value.is_some() && self.base.contains_key(&id) {
                self.vanished.insert(path, id);
            }
            // What is deeper still finds its path: its folders are removed later or not at all.
            self.local.insert(id, entry);
        }
        self.local = {
            let keep: BTreeMap<_, _> = self.local.iter().filter(|(id, _)| !self.is_within(**id, gone)).collect();
            keep.into_iter().map(|(id, entry)| (*id, entry.clone())).collect()
        };
        true
    }

    fn path(&self, id: EntityId) -> String {
        let entry = &self.local[&id];
        if entry.parent == ROOT { entry.name.clone() } else { format!("{}/{}", self.path(entry.parent), entry.name) }
    }

    /// Moves or renames; over a file if it is one.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> bool {
        let (Some(id), Some((parent, name))) = (self.find(from), self.place(to)) else { return false };
        if self.is_within(parent, id) {
            return false;
        }
        match self.find(to) {
            Some(there) if there == id => return false,
            Some(there) => {
                if self.local[&there].value.is_none() || self.local[&id].value.is_none() {
                    return false;
                }
                self.remove(to);
            }
            None => {}
        }
        let entry = self.local.get_mut(&id).unwrap();
        (entry.parent, entry.name) = (parent, name);
        true
    }

    fn reaches_root(&self, id: EntityId) -> bool {
        let mut above = std::iter::successors(Some(id), |id| self.local.get(id).map(|entry| entry.parent));
        above.by_ref().take(self.local.len() + 1).any(|id| id == ROOT)
    }

    fn depth(&self, id: EntityId) -> usize {
        std::iter::successors(Some(id), |id| self.local.get(id).map(|entry| entry.parent)).count()
    }

    /// The difference between the folder and what was agreed.
    pub(crate) fn ops(&mut self) -> Vec<TreeOp> {
        let seen = seq(self.seen);
        let mut order: Vec<EntityId> = self.local.keys().copied().collect();
        order.sort_by_key(|id| (self.depth(*id), *id));
        let create = |id: &EntityId, entry: &Entry| TreeOp::Create {
            node: *id,
            parent: entry.parent,
            name: entry.name.clone(),
            kind: if entry.value.is_some() { Kind::File } else { Kind::Folder },
            content: entry.value.map(|_| content(entry.number)),
        };
        let (mut folders, mut moves, mut files) = (Vec::new(), Vec::new(), Vec::new());
        for id in &order {
            let entry = self.local[id].clone();
            let Some(base) = self.base.get(id) else {
                if entry.value.is_none() { &mut folders } else { &mut files }.push(create(id, &entry));
                continue;
            };
            let parent =
                (base.parent != Some(entry.parent)).then_some(To { value: entry.parent, base: base.parent_stamp.seq });
            let name =
                (base.name.as_str() != entry.name).then_some(To { value: entry.name, base: base.name_stamp.seq });
            if parent.is_some() || name.is_some() {
                moves.push(TreeOp::Move { node: *id, parent, name, seen });
            }
            if base.content.map(|content| content.blob) != entry.value {
                let (base, content) = (base.content_stamp.seq, content(entry.number));
                self.next += 1;
                let copy = crate::server::id(self.next);
                files.push(TreeOp::Put { node: *id, content, base, seen, copy, reason: Reason::Put });
            }
        }
        let gone = |id: &EntityId| !self.local.contains_key(id);
        let deletes = self.base.iter().filter(|(id, node)| gone(id) && !node.parent.is_some_and(|p| self.is_gone(p)));
        let deletes = deletes.map(|(id, _)| TreeOp::Delete { node: *id, seen });
        folders.into_iter().chain(moves).chain(deletes).chain(files).collect()
    }

    fn is_gone(&self, id: EntityId) -> bool {
        id != ROOT && !self.local.contains_key(&id)
    }

    /// Commits what there is to commit; gives the verdicts.
    pub(crate) fn commit(&mut self, server: &mut Server) -> Vec<TreeVerdict> {
        let ops = self.ops();
        self.vanished.clear();
        if ops.is_empty() {
            return Vec::new();
        }
        let committed = server.commit(self.me, self.label, ops.clone());
        let verdicts: Vec<_> = committed.outcomes.iter().map(|outcome| outcome.verdict.clone()).collect();
        let plain = |verdict: &TreeVerdict| {
            matches!(verdict, TreeVerdict::Done | TreeVerdict::Noop | TreeVerdict::Alias { .. } | TreeVerdict::Revived)
        };
        if !verdicts.iter().all(plain) {
            self.pull(server);
            return verdicts;
        }
        let mut renamed = BTreeMap::new();
        for (op, outcome) in ops.iter().zip(&committed.outcomes) {
            self.take_over(op, outcome.node.as_ref(), &mut renamed);
        }
        let survivor = |id: EntityId| renamed.get(&id).copied().unwrap_or(id);
        for entry in self.local.values_mut() {
            entry.parent = survivor(entry.parent);
        }
        for node in self.base.values_mut() {
            node.parent = node.parent.map(survivor);
        }
        if !self.local.keys().all(|id| self.reaches_root(*id)) {
            // Something went to a folder that this device has not read of yet, or that it has elsewhere.
            self.pull(server);
        }
        verdicts
    }

    /// Takes over the fields that the op was about.
    fn take_over(&mut self, op: &TreeOp, node: Option<&(EntityId, Node)>, renamed: &mut BTreeMap<EntityId, EntityId>) {
        let asked = op.node();
        if let TreeOp::Delete { .. } = op {
            let gone: BTreeSet<EntityId> = self.base.keys().copied().filter(|id| self.is_below(*id, asked)).collect();
            self.base.retain(|id, _| !gone.contains(id) || self.local.contains_key(id));
            return;
        }
        let Some((id, node)) = node.filter(|(_, node)| node.dead.is_none()) else { return };
        if *id != asked {
            renamed.insert(asked, *id);
            if let Some(entry) = self.local.remove(&asked) {
                self.local.insert(*id, entry);
            }
        }
        let base = self.base.entry(*id).or_insert_with(|| node.clone());
        let Some(entry) = self.local.get_mut(id) else { return };
        match op {
            TreeOp::Put { .. } => (base.content, base.content_stamp) = (node.content, node.content_stamp),
            TreeOp::Move { parent, .. } => {
                if parent.is_some() {
                    (base.parent, base.parent_stamp) = (node.parent, node.parent_stamp);
                    entry.parent = node.parent.unwrap();
                }
                (base.name, base.name_stamp) = (node.name.clone(), node.name_stamp);
                entry.name = node.name.as_str().to_owned();
            }
            _ => {
                *base = node.clone();
                (entry.parent, entry.name) = (node.parent.unwrap(), node.name.as_str().to_owned());
            }
        }
    }

    fn is_below(&self, mut id: EntityId, folder: EntityId) -> bool {
        loop {
            if id == folder {
                return true;
            }
            match self.base.get(&id).and_then(|node| node.parent) {
                Some(parent) => id = parent,
                None => return false,
            }
        }
    }

    /// Has what the server has.
    pub(crate) fn pull(&mut self, server: &Server) {
        let live = server.tree.nodes().filter(|(id, node)| *id != ROOT && node.dead.is_none());
        self.base = live.map(|(id, node)| (id, node.clone())).collect();
        let numbers: BTreeMap<Digest, u64> = self.local.values().filter_map(|e| Some((e.value?, e.number))).collect();
        let entry = |node: &Node| Entry {
            parent: node.parent.unwrap(),
            name: node.name.as_str().to_owned(),
            value: node.content.map(|content| content.blob),
            number: node
                .content
                .map_or(0, |content| numbers.get(&content.blob).copied().unwrap_or(number_of(&content))),
        };
        self.local = self.base.iter().map(|(id, node)| (*id, entry(node))).collect();
        self.seen = server.last;
        self.vanished.clear();
    }

    pub(crate) fn sync(&mut self, server: &mut Server) -> Vec<TreeVerdict> {
        let verdicts = self.commit(server);
        self.pull(server);
        verdicts
    }

    pub(crate) fn values(&self) -> BTreeSet<Digest> {
        self.local.values().filter_map(|entry| entry.value).collect()
    }

    pub(crate) fn is_news(&self, node: &Node) -> bool {
        let stamps = [node.content_stamp, node.parent_stamp, node.name_stamp];
        stamps.iter().any(|stamp| stamp.seq > seq(self.seen) && stamp.by != self.me)
    }
}
