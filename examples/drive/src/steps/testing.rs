//! A folder for tests, and steps on it.

use std::fs;
use std::path::PathBuf;

use syncline::files::{Base, Fingerprint, Scan, Step};
use syncline::seq::Seq;
use syncline::tree::{Content, Kind, Name, NamePolicy, Node, Stamp};
use syncline::{Digest, EntityId, ReplicaId, Timestamp};

use super::{Later, On, Outcome, Sink, carry_out};
use crate::folder::Folder;
use crate::rules::Rules;

pub(super) const ROOT: EntityId = EntityId::from_bytes([0; 16]);

pub(super) struct Disk {
    dir: tempfile::TempDir,
    pub(super) folder: Folder,
    pub(super) base: Base,
    pub(super) rules: Rules,
    last_id: u8,
}

pub(super) fn content(bytes: &[u8]) -> Content {
    Content {
        blob: Digest::of(&[bytes]),
        bytes: bytes.len() as u64,
        manifest: None,
        modified_at: Timestamp::from_ms(1_700_000_000_123).unwrap(),
        executable: false,
        attributes: None,
    }
}

pub(super) fn done(outcome: Outcome) -> Option<Fingerprint> {
    match outcome {
        Outcome::Done(print) => print,
        other => panic!("{other:?}"),
    }
}

pub(super) fn later(outcome: Outcome) -> Later {
    match outcome {
        Outcome::Later(why) => why,
        other => panic!("{other:?}"),
    }
}

impl Disk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap().unwrap();
        Self { dir, folder, base: Base::new(ROOT), rules: Rules::of("build/\n").0, last_id: 0 }
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap()
    }

    pub(super) fn looks(&self, path: &str) -> Option<Fingerprint> {
        self.folder.looks(&path.split('/').collect::<Vec<_>>()).unwrap().map(|looks| looks.print)
    }

    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(super) fn id(&mut self) -> EntityId {
        self.last_id += 1;
        EntityId::from_bytes([self.last_id; 16])
    }

    pub(super) fn carry_out(&mut self, step: &Step, bytes: &[u8], kind: Kind) -> Outcome {
        self.carry_out_after(step, bytes, kind, &Scan::default())
    }

    pub(super) fn carry_out_after(&mut self, step: &Step, bytes: &[u8], kind: Kind, scan: &Scan) -> Outcome {
        let on = On { folder: &self.folder, base: &self.base, scan, rules: &self.rules };
        if !matches!(step, Step::Write { .. }) {
            return carry_out(on, step, None);
        }
        match Sink::begin(on, step, kind) {
            Ok(mut sink) => {
                sink.write(bytes).unwrap();
                carry_out(on, step, Some(sink))
            }
            Err(outcome) => outcome,
        }
    }

    pub(super) fn write_new(&mut self, path: &str, bytes: &[u8]) -> EntityId {
        self.write_new_kind(path, bytes, Kind::File)
    }

    pub(super) fn write_new_kind(&mut self, path: &str, bytes: &[u8], kind: Kind) -> EntityId {
        let (node, (parent, at)) = (self.id(), self.place(path));
        let step = Step::Write { node, parent, at, content: content(bytes), replaces: false };
        self.do_new(&step, bytes, kind, Some(content(bytes)));
        node
    }

    pub(super) fn make_folder(&mut self, path: &str) -> EntityId {
        let (node, (parent, at)) = (self.id(), self.place(path));
        self.do_new(&Step::MakeFolder { node, parent, at }, b"", Kind::Folder, None);
        node
    }

    fn place(&self, path: &str) -> (EntityId, String) {
        let mut parts: Vec<&str> = path.split('/').collect();
        let at = parts.pop().unwrap().to_owned();
        (parts.iter().fold(ROOT, |folder, name| self.base.at(folder, name).unwrap()), at)
    }

    fn do_new(&mut self, step: &Step, bytes: &[u8], kind: Kind, content: Option<Content>) {
        let looks = done(self.carry_out(step, bytes, kind));
        let (Step::Write { parent, at, .. } | Step::MakeFolder { parent, at, .. }) = step else { panic!("{step:?}") };
        let stamp = Stamp { seq: Seq::FIRST, by: ReplicaId::SERVER };
        let name = Name::new(at, NamePolicy::Lenient).unwrap();
        let node = Node { parent: Some(*parent), name, kind, content, ..Node::root(stamp) };
        self.base.did(step, Some(&node), looks);
    }

    /// Takes a file for agreed on as it looks now.
    pub(super) fn look_again(&mut self, id: EntityId) {
        let mut held = self.base.get(id).unwrap().clone();
        held.print = self.looks(&self.base.path(id).unwrap().join("/"));
        self.base.hold(id, held);
    }
}
