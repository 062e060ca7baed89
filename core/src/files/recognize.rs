//! Which node each entry of a scan is: the local one of the three trees.
//!
//! An entry at a node's place is that node, also when the file there is another one: programs save by writing a new file and
//! renaming it over the old one. It is another node only when it is for certain a held file that was moved there. Folders are
//! not saved like that: one that is somewhere else has moved. An entry at a new place is a held file that is not at its own
//! place any more, or a node that the server shows there and the device does not have yet, or new. A mount is a folder whose
//! inside is another tree's, so nothing in it is anything here. What must hold: no node is found twice.
//!
//! Next: `agree` looks what is already the same.

use std::collections::{HashMap, HashSet};

use super::held::{Base, Body, Fingerprint, Identity};
use super::scan::{Found, Scan, What};
use super::step::{ASIDE, aside};
use crate::id::EntityId;
use crate::tree::{Content, Kind, MemoryTree, Name, NameKey, NamePolicy, Node, TreeView as _};

/// A node in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what was recognized")]
pub struct Place {
    /// The node of the folder it is in.
    pub parent: EntityId,
    /// Its name there.
    pub at: String,
    /// What it is.
    pub what: What,
    /// How it looks.
    pub print: Fingerprint,
    /// Its content, if somebody read it since it looks so.
    pub content: Option<Content>,
    /// Its number in the scan.
    pub entry: usize,
    /// How many folders it is in, the root not counted.
    pub depth: usize,
}

/// What is in the folder, by node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "what was recognized")]
pub struct Local {
    /// Where each node is. Those that are not held are new to the server, or to the device.
    pub nodes: HashMap<EntityId, Place>,
    /// Held nodes of which nothing is known, because a folder could not be read.
    pub unknown: HashSet<EntityId>,
    /// Nodes of which the folder may say something else in a moment: they are left alone. What is recognized knows of none;
    /// [`Debounce::unsettled`](super::Debounce::unsettled) does.
    pub still: HashSet<EntityId>,
    /// Entries beside a held one with a name that counts as the same, by their numbers: folders, and files of its content.
    pub doubles: Vec<(usize, EntityId)>,
    /// Entries with names of ours that are nobody's: a device died while it was writing them.
    pub leftovers: Vec<usize>,
}

impl Local {
    /// Whether the folder says that a held node is gone.
    #[must_use]
    pub fn misses(&self, id: EntityId, body: Body) -> bool {
        body == Body::Here && !self.nodes.contains_key(&id) && !self.unknown.contains(&id)
    }
}

/// The name that an entry has for everybody; `None` when nobody could say it.
#[must_use]
pub fn name_of(at: &str) -> Option<Name> {
    Name::new(at, NamePolicy::Lenient).ok()
}

pub(super) const fn is_kind(what: What, kind: Kind) -> bool {
    matches!(
        (what, kind),
        (What::File { .. }, Kind::File)
            | (What::Folder, Kind::Folder | Kind::Mount(_))
            | (What::Symlink, Kind::Symlink)
    )
}

/// Recognizes what a scan found. `contents` says what a file contains that somebody read since it looks so; `mint` makes ids
/// for new nodes.
#[must_use]
pub fn recognize(
    scan: &Scan,
    base: &Base,
    remote: &MemoryTree,
    contents: &dyn Fn(&Fingerprint) -> Option<Content>,
    mint: &mut dyn FnMut() -> EntityId,
) -> Local {
    let before = Before::of(scan, base);
    let mut search = Search { scan, base, remote, contents, before, ids: Vec::new(), local: Local::default() };
    for number in 0..scan.found.len() {
        let id = search.id(number, mint);
        search.ids.push(id);
    }
    for unread in &scan.unread {
        if let Some(Some(folder)) = search.ids.get(*unread) {
            let below = base.below(*folder).into_iter().skip(1);
            let unknown: Vec<EntityId> = below.filter(|id| !search.local.nodes.contains_key(id)).collect();
            search.local.unknown.extend(unknown);
        }
    }
    search.local
}

/// What is known of held nodes before any entry is named.
struct Before {
    /// The entry at the place where a node lay.
    at_place: HashMap<EntityId, usize>,
    /// Held files by who they are.
    by_identity: HashMap<Identity, Vec<EntityId>>,
    /// The folders that the scan found.
    folders: HashSet<Identity>,
}

impl Before {
    fn of(scan: &Scan, base: &Base) -> Self {
        let places: HashMap<(Option<usize>, &str), usize> =
            scan.found.iter().enumerate().map(|(at, found)| ((found.parent, found.name.as_str()), at)).collect();
        let mut at_place = HashMap::with_capacity(base.len());
        let mut open = vec![(base.root(), None)];
        while let Some((folder, entry)) = open.pop() {
            for (name, id) in base.inside(folder) {
                if let Some(number) = places.get(&(entry, name)) {
                    at_place.insert(id, *number);
                    open.push((id, Some(*number)));
                }
            }
        }
        let mut by_identity: HashMap<Identity, Vec<EntityId>> = HashMap::with_capacity(base.len());
        for (id, held) in base.iter() {
            if let Some(print) = held.print {
                by_identity.entry(print.identity).or_default().push(id);
            }
        }
        by_identity.values_mut().for_each(|ids| ids.sort_unstable());
        let folders = scan.found.iter().filter(|found| found.what == What::Folder);
        let folders = folders.map(|found| found.print.identity).collect();
        Self { at_place, by_identity, folders }
    }
}

struct Search<'a> {
    scan: &'a Scan,
    base: &'a Base,
    remote: &'a MemoryTree,
    contents: &'a dyn Fn(&Fingerprint) -> Option<Content>,
    before: Before,
    /// The node of each entry so far; `None` for doubles and what is in them.
    ids: Vec<Option<EntityId>>,
    local: Local,
}

impl Search<'_> {
    fn id(&mut self, number: usize, mint: &mut dyn FnMut() -> EntityId) -> Option<EntityId> {
        let found = self.scan.found.get(number)?;
        let (parent, depth) = match found.parent {
            None => (self.base.root(), 0),
            Some(above) => {
                let parent = (*self.ids.get(above)?)?;
                if self.is_mount(parent) {
                    return None;
                }
                (parent, self.local.nodes.get(&parent)?.depth + 1)
            }
        };
        if found.name.starts_with(ASIDE) {
            let held = self.aside(found, parent);
            match held {
                Some(id) => {
                    let place = self.place(number, found, parent, depth, self.read_if_changed(id, found));
                    self.local.nodes.insert(id, place);
                }
                None => self.local.leftovers.push(number),
            }
            return held;
        }
        let content;
        let id = match self.held(number, found, parent) {
            Some(id) => {
                content = self.read_if_changed(id, found);
                id
            }
            None => {
                content = self.read(found);
                match self.shown(number, found, parent, content.as_ref()) {
                    Shown::Nothing => mint(),
                    Shown::Node(id) => id,
                    Shown::Double(of) => {
                        self.local.doubles.push((number, of));
                        return None;
                    }
                }
            }
        };
        self.local.nodes.insert(id, self.place(number, found, parent, depth, content));
        Some(id)
    }

    fn is_mount(&self, id: EntityId) -> bool {
        let kind = self.base.get(id).map(|held| held.kind).or_else(|| self.remote.get(id).map(|node| node.kind));
        matches!(kind, Some(Kind::Mount(_)))
    }

    fn place(&self, entry: usize, found: &Found, parent: EntityId, depth: usize, content: Option<Content>) -> Place {
        Place { parent, at: found.name.clone(), what: found.what, print: found.print, content, entry, depth }
    }

    /// The held node that was moved aside, under this name.
    fn aside(&self, found: &Found, parent: EntityId) -> Option<EntityId> {
        let own = self.base.at(parent, &found.name).filter(|id| self.fits(*id, found));
        let owners = self.before.by_identity.get(&found.print.identity).into_iter().flatten().copied();
        own.or_else(|| owners.filter(|id| self.fits(*id, found)).find(|id| aside(*id) == found.name))
    }

    fn read_if_changed(&self, id: EntityId, found: &Found) -> Option<Content> {
        let print = self.base.get(id).and_then(|held| held.print);
        if print == Some(found.print) { None } else { self.read(found) }
    }

    fn read(&self, found: &Found) -> Option<Content> {
        if found.what == What::Folder { None } else { (self.contents)(&found.print) }
    }

    /// Whether an entry can be a held node that no other entry is.
    fn fits(&self, id: EntityId, found: &Found) -> bool {
        !self.local.nodes.contains_key(&id) && self.base.get(id).is_some_and(|held| is_kind(found.what, held.kind))
    }

    /// The held node that an entry is.
    fn held(&self, number: usize, found: &Found, parent: EntityId) -> Option<EntityId> {
        let own = self.base.at(parent, &found.name).filter(|id| self.fits(*id, found));
        let looks = |id: EntityId| self.base.get(id).and_then(|held| held.print);
        if own.and_then(looks).is_some_and(|print| print.is_same_file(&found.print)) {
            return own;
        }
        let owners = self.before.by_identity.get(&found.print.identity).into_iter().flatten().copied();
        let mut owners = owners.filter(|id| self.fits(*id, found) && self.has_left(*id, number));
        let owner = owners.find(|id| looks(*id).is_some_and(|print| print.is_same_file(&found.print)));
        owner.or_else(|| own.filter(|id| !self.is_folder_elsewhere(*id)))
    }

    /// Whether a held folder lies somewhere, and not where it was: that is known of an entry at its place that is not it.
    fn is_folder_elsewhere(&self, id: EntityId) -> bool {
        let held = self.base.get(id).filter(|held| matches!(held.kind, Kind::Folder | Kind::Mount(_)));
        held.and_then(|held| held.print).is_some_and(|print| self.before.folders.contains(&print.identity))
    }

    /// Whether a node may be somewhere else than where it lay: that is so unless it is still there, or its place has been
    /// taken by a file that nobody knows. `number` is the entry that wants to be it.
    fn has_left(&self, id: EntityId, number: usize) -> bool {
        let Some(there) = self.before.at_place.get(&id).filter(|there| **there != number) else { return true };
        let (Some(found), Some(held)) = (self.scan.found.get(*there), self.base.get(id)) else { return true };
        if !is_kind(found.what, held.kind) {
            return true;
        }
        let is_itself = held.print.is_some_and(|print| print.is_same_file(&found.print));
        let is_other = found.what == What::Folder || self.before.by_identity.contains_key(&found.print.identity);
        !is_itself && is_other
    }

    /// What the server shows at the place of an entry that is nobody held.
    fn shown(&self, number: usize, found: &Found, parent: EntityId, content: Option<&Content>) -> Shown {
        if let Some(of) = self.base.double(parent, &found.name)
            && let Some(held) = self.base.get(of).filter(|held| is_kind(found.what, held.kind))
            && (held.content.is_none() || content.zip(held.content.as_ref()).is_some_and(|(a, b)| a.is_same(b)))
        {
            return Shown::Double(of);
        }
        let Some((id, node)) = self.child(parent, &found.name) else { return Shown::Nothing };
        // A folder beside a mount is a folder: it is put together with nobody's else.
        if !is_kind(found.what, node.kind) || (self.is_mount(id) && self.local.nodes.contains_key(&id)) {
            return Shown::Nothing;
        }
        let is_same = match (node.content, content) {
            (None, _) => true,
            (Some(theirs), Some(ours)) => theirs.is_same(ours),
            (Some(_), None) => false,
        };
        let is_found = self.local.nodes.contains_key(&id);
        match self.base.get(id) {
            _ if is_found && is_same => Shown::Double(id),
            _ if is_found => Shown::Nothing,
            None if is_same => Shown::Node(id),
            None => Shown::Nothing,
            // Its own place is empty, so this is it, written in another case or composition. The place of one whose bytes are
            // elsewhere is always empty: that says nothing.
            Some(held)
                if held.parent == parent
                    && !self.before.at_place.contains_key(&id)
                    && (is_same || held.body == Body::Here) =>
            {
                Shown::Node(id)
            }
            Some(_) if is_same && self.before.at_place.get(&id) != Some(&number) => Shown::Double(id),
            Some(_) => Shown::Nothing,
        }
    }

    fn child(&self, parent: EntityId, name: &str) -> Option<(EntityId, &Node)> {
        let key: NameKey = name_of(name)?.key();
        let Ok(id) = self.remote.child(parent, &key);
        id.and_then(|id| Some((id, self.remote.get(id)?))).or_else(|| self.under_another_name(parent, name))
    }

    /// The node that is called so on devices that cannot hold its name.
    fn under_another_name(&self, parent: EntityId, name: &str) -> Option<(EntityId, &Node)> {
        // Most names do not look like one of these, so few folders are gone through.
        let (_, digits) = name.rsplit_once('~').filter(|(_, digits)| digits.len() == 4)?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
        let inside = self.remote.children(parent, None, usize::MAX);
        inside.into_iter().find(|(id, node)| node.name.as_str() != name && node.name.local(*id).as_str() == name)
    }
}

enum Shown {
    Nothing,
    Node(EntityId),
    Double(EntityId),
}
