//! The others.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjId, ObjType, ROOT, ReadDoc};
use diamond_types::list::ListCRDT;

use crate::peer::Peer;

pub struct Diamond;

pub struct DiamondDoc {
    list: ListCRDT,
    agent: diamond_types::AgentId,
    sent: Vec<usize>,
}

impl Peer for Diamond {
    const NAME: &'static str = "diamond-types";
    type Doc = DiamondDoc;
    type Update = Vec<u8>;

    fn new(agent: u64) -> DiamondDoc {
        let mut list = ListCRDT::new();
        let agent = list.get_or_create_agent_id(&format!("agent-{agent:05}"));
        DiamondDoc { list, agent, sent: Vec::new() }
    }

    fn edit(doc: &mut DiamondDoc, at: usize, deleted: usize, inserted: &str) {
        if deleted > 0 {
            doc.list.delete_without_content(doc.agent, at..at + deleted);
        }
        if !inserted.is_empty() {
            doc.list.insert(doc.agent, at, inserted);
        }
    }

    fn update(doc: &mut DiamondDoc) -> Vec<u8> {
        let bytes = doc.list.oplog.encode_from(diamond_types::list::encoding::ENCODE_PATCH, &doc.sent);
        doc.sent = doc.list.oplog.local_version().to_vec();
        bytes
    }

    fn size(update: &Vec<u8>) -> usize {
        update.len()
    }

    fn apply(doc: &mut DiamondDoc, update: &Vec<u8>) {
        doc.list.merge_data_and_ff(update).unwrap();
        doc.sent = doc.list.oplog.local_version().to_vec();
    }

    fn apply_all(doc: &mut DiamondDoc, updates: &[Vec<u8>]) {
        for update in updates {
            doc.list.oplog.decode_and_add(update).unwrap();
        }
        let tip = doc.list.oplog.local_version();
        doc.list.branch.merge(&doc.list.oplog, &tip);
        doc.sent = tip.to_vec();
    }

    fn text(doc: &mut DiamondDoc) -> String {
        doc.list.branch.content().to_string()
    }

    fn save(doc: &mut DiamondDoc) -> Vec<u8> {
        doc.list.oplog.encode(diamond_types::list::encoding::ENCODE_FULL)
    }

    fn load(bytes: &[u8]) -> DiamondDoc {
        let list = ListCRDT::load_from(bytes).unwrap();
        DiamondDoc { list, agent: 0, sent: Vec::new() }
    }
}

pub struct Loro;

pub struct LoroPeer {
    doc: loro::LoroDoc,
    text: loro::LoroText,
    sent: loro::VersionVector,
}

impl Peer for Loro {
    const NAME: &'static str = "loro";
    type Doc = LoroPeer;
    type Update = Vec<u8>;

    fn new(agent: u64) -> LoroPeer {
        let doc = loro::LoroDoc::new();
        doc.set_peer_id(agent + 1).unwrap();
        let text = doc.get_text("text");
        LoroPeer { doc, text, sent: loro::VersionVector::default() }
    }

    fn edit(doc: &mut LoroPeer, at: usize, deleted: usize, inserted: &str) {
        if deleted > 0 {
            doc.text.delete(at, deleted).unwrap();
        }
        if !inserted.is_empty() {
            doc.text.insert(at, inserted).unwrap();
        }
    }

    fn update(doc: &mut LoroPeer) -> Vec<u8> {
        doc.doc.commit();
        let bytes = doc.doc.export(loro::ExportMode::updates(&doc.sent)).unwrap();
        doc.sent = doc.doc.oplog_vv();
        bytes
    }

    fn size(update: &Vec<u8>) -> usize {
        update.len()
    }

    fn apply(doc: &mut LoroPeer, update: &Vec<u8>) {
        doc.doc.import(update).unwrap();
        doc.sent = doc.doc.oplog_vv();
    }

    fn apply_all(doc: &mut LoroPeer, updates: &[Vec<u8>]) {
        doc.doc.import_batch(updates).unwrap();
        doc.sent = doc.doc.oplog_vv();
    }

    fn text(doc: &mut LoroPeer) -> String {
        doc.text.to_string()
    }

    fn save(doc: &mut LoroPeer) -> Vec<u8> {
        doc.doc.commit();
        doc.doc.export(loro::ExportMode::Snapshot).unwrap()
    }

    fn load(bytes: &[u8]) -> LoroPeer {
        let doc = loro::LoroDoc::from_snapshot(bytes).unwrap();
        let text = doc.get_text("text");
        LoroPeer { doc, text, sent: loro::VersionVector::default() }
    }
}

pub struct Yrs;

pub struct YrsDoc {
    doc: yrs::Doc,
    text: yrs::TextRef,
    out: std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

impl Peer for Yrs {
    const NAME: &'static str = "yrs";
    type Doc = YrsDoc;
    type Update = Vec<u8>;

    fn new(agent: u64) -> YrsDoc {
        let doc = yrs::Doc::with_client_id(agent + 1);
        let text = doc.get_or_insert_text("text");
        let out = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&out);
        let watch =
            move |_: &yrs::TransactionMut, event: &yrs::UpdateEvent| sink.lock().unwrap().push(event.update.clone());
        doc.observe_update_v1("peers", watch).unwrap();
        YrsDoc { doc, text, out }
    }

    fn edit(doc: &mut YrsDoc, at: usize, deleted: usize, inserted: &str) {
        use yrs::{Text as _, Transact as _};
        let mut txn = doc.doc.transact_mut();
        if deleted > 0 {
            doc.text.remove_range(&mut txn, at as u32, deleted as u32);
        }
        if !inserted.is_empty() {
            doc.text.insert(&mut txn, at as u32, inserted);
        }
    }

    fn update(doc: &mut YrsDoc) -> Vec<u8> {
        let mut updates = std::mem::take(&mut *doc.out.lock().unwrap());
        match updates.len() {
            1 => updates.remove(0),
            _ => yrs::merge_updates_v1(&updates).unwrap(),
        }
    }

    fn size(update: &Vec<u8>) -> usize {
        update.len()
    }

    fn apply(doc: &mut YrsDoc, update: &Vec<u8>) {
        use yrs::Transact as _;
        use yrs::updates::decoder::Decode as _;
        doc.doc.transact_mut().apply_update(yrs::Update::decode_v1(update).unwrap()).unwrap();
        doc.out.lock().unwrap().clear();
    }

    fn apply_all(doc: &mut YrsDoc, updates: &[Vec<u8>]) {
        use yrs::Transact as _;
        use yrs::updates::decoder::Decode as _;
        // Theirs has no batch of many: one transaction is the fastest they take them in.
        let mut txn = doc.doc.transact_mut();
        for update in updates {
            txn.apply_update(yrs::Update::decode_v1(update).unwrap()).unwrap();
        }
        drop(txn);
        doc.out.lock().unwrap().clear();
    }

    fn text(doc: &mut YrsDoc) -> String {
        use yrs::{GetString as _, Transact as _};
        doc.text.get_string(&doc.doc.transact())
    }

    fn save(doc: &mut YrsDoc) -> Vec<u8> {
        use yrs::{ReadTxn as _, Transact as _};
        doc.doc.transact().encode_state_as_update_v2(&yrs::StateVector::default())
    }

    fn load(bytes: &[u8]) -> YrsDoc {
        use yrs::Transact as _;
        use yrs::updates::decoder::Decode as _;
        let doc = Self::new(0);
        doc.doc.transact_mut().apply_update(yrs::Update::decode_v2(bytes).unwrap()).unwrap();
        doc
    }
}

pub struct Automerge;

pub struct AutomergeDoc {
    doc: AutoCommit,
    text: Option<ObjId>,
}

impl Peer for Automerge {
    const NAME: &'static str = "automerge";
    type Doc = AutomergeDoc;
    type Update = Vec<u8>;

    fn new(agent: u64) -> AutomergeDoc {
        // The text object must be the same everywhere: made once by nobody's actor.
        let mut doc = AutoCommit::new().with_actor(automerge::ActorId::from([255_u8; 16]));
        let text = doc.put_object(ROOT, "text", ObjType::Text).unwrap();
        doc.commit_with(automerge::transaction::CommitOptions::default().with_time(0));
        let mut bytes = [0_u8; 16];
        bytes[..8].copy_from_slice(&agent.to_be_bytes());
        let mut doc = doc.with_actor(automerge::ActorId::from(bytes));
        doc.update_diff_cursor();
        doc.save_incremental();
        AutomergeDoc { doc, text: Some(text) }
    }

    fn edit(doc: &mut AutomergeDoc, at: usize, deleted: usize, inserted: &str) {
        doc.doc.splice_text(doc.text.as_ref().unwrap(), at, deleted as isize, inserted).unwrap();
    }

    fn update(doc: &mut AutomergeDoc) -> Vec<u8> {
        doc.doc.save_incremental()
    }

    fn size(update: &Vec<u8>) -> usize {
        update.len()
    }

    fn apply(doc: &mut AutomergeDoc, update: &Vec<u8>) {
        doc.doc.load_incremental(update).unwrap();
        doc.doc.save_incremental();
    }

    fn apply_all(doc: &mut AutomergeDoc, updates: &[Vec<u8>]) {
        doc.doc.load_incremental(&updates.concat()).unwrap();
        doc.doc.save_incremental();
    }

    fn text(doc: &mut AutomergeDoc) -> String {
        doc.doc.text(doc.text.as_ref().unwrap()).unwrap()
    }

    fn save(doc: &mut AutomergeDoc) -> Vec<u8> {
        doc.doc.save()
    }

    fn load(bytes: &[u8]) -> AutomergeDoc {
        let doc = AutoCommit::load(bytes).unwrap();
        let text = doc.get(ROOT, "text").unwrap().map(|(_, id)| id);
        AutomergeDoc { doc, text }
    }
}

/// cola keeps positions only: a crop rope beside it holds the text, and updates carry it.
pub struct Cola;

pub struct ColaDoc {
    replica: cola::Replica,
    rope: crop::Rope,
    out: Vec<ColaOp>,
}

#[derive(Clone)]
pub enum ColaOp {
    Insert(cola::Insertion, String),
    Delete(cola::Deletion),
}

impl Peer for Cola {
    const NAME: &'static str = "cola + crop";
    type Doc = ColaDoc;
    type Update = Vec<ColaOp>;

    fn new(agent: u64) -> ColaDoc {
        ColaDoc { replica: cola::Replica::new(1, 0).fork(agent + 2), rope: crop::Rope::new(), out: Vec::new() }
    }

    fn edit(doc: &mut ColaDoc, at: usize, deleted: usize, inserted: &str) {
        if deleted > 0 {
            doc.rope.delete(at..at + deleted);
            let deletion = doc.replica.deleted(at..at + deleted);
            doc.out.push(ColaOp::Delete(deletion));
        }
        if !inserted.is_empty() {
            doc.rope.insert(at, inserted);
            let insertion = doc.replica.inserted(at, inserted.len());
            doc.out.push(ColaOp::Insert(insertion, inserted.to_owned()));
        }
    }

    fn update(doc: &mut ColaDoc) -> Vec<ColaOp> {
        std::mem::take(&mut doc.out)
    }

    fn size(update: &Vec<ColaOp>) -> usize {
        // What its own encoding of one takes, measured apart.
        update
            .iter()
            .map(|op| match op {
                ColaOp::Insert(_, text) => 16 + text.len(),
                ColaOp::Delete(_) => 16,
            })
            .sum()
    }

    fn apply(doc: &mut ColaDoc, update: &Vec<ColaOp>) {
        for op in update {
            match op {
                ColaOp::Insert(insertion, text) => {
                    if let Some(at) = doc.replica.integrate_insertion(insertion) {
                        doc.rope.insert(at, text);
                    }
                }
                ColaOp::Delete(deletion) => {
                    for range in doc.replica.integrate_deletion(deletion).into_iter().rev() {
                        doc.rope.delete(range);
                    }
                }
            }
        }
    }

    fn text(doc: &mut ColaDoc) -> String {
        doc.rope.to_string()
    }

    fn save(_: &mut ColaDoc) -> Vec<u8> {
        Vec::new()
    }

    fn load(_: &[u8]) -> ColaDoc {
        Self::new(0)
    }
}
