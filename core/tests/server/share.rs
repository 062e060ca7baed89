//! Shared folders: who may share, what refuses, what becomes of files, grants and bytes, and that mounts do not nest.

use std::sync::Arc;

use bytes::Bytes;
use syncline::access::{Access, Bearer, Caller};
use syncline::blob::{Chunker, Engine, Finding, Manifest, Piece, ScanRecord};
use syncline::call::{Call, Commit, Committed, ErrorCode, Refusal, Reply, Share, Shared};
use syncline::conformance::support::{log, schema};
use syncline::decide::{self, NewTerms, Scope, TREE_ROOT, scan_reads};
use syncline::digest::Digest;
use syncline::server::Server;
use syncline::store::{ByteRange, MemoryBlobs, NodeQuery, StoreExt as _};
use syncline::tree::{self, Content, Kind, Label, NamePolicy, Node, Retention, TreeOp, TreeVerdict};
use syncline::{EntityId, GroupId, LogId, LogKey, OpId, ReplicaId, Seq, Timestamp, TokenId, limits};

use super::blobs::{Blobs, name};
use super::common::cut::Cut;
use super::common::poll_to_end;
use super::{LOG, operator};

const DAY: u64 = 24 * 3_600_000;

fn id(number: u32) -> EntityId {
    EntityId::from_bytes((u128::from(number) << 32).to_be_bytes())
}

fn op(number: u32) -> OpId {
    OpId::from_bytes(*id(number).as_bytes())
}

fn made(number: u32) -> LogId {
    LogId::from_bytes(*id(number + 1_000_000).as_bytes())
}

fn content(text: &str) -> Content {
    let blob = Digest::of(&[text.as_bytes()]);
    let modified_at = Timestamp::default();
    Content { blob, bytes: text.len() as u64, manifest: None, modified_at, executable: false, attributes: None }
}

fn folder(node: u32, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind: Kind::Folder, content: None }
}

fn file(node: u32, parent: EntityId, name: &str) -> TreeOp {
    let content = Some(content(name));
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind: Kind::File, content }
}

fn mount(node: u32, parent: EntityId, of: LogId) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: format!("mount {node}"), kind: Kind::Mount(of), content: None }
}

struct Drive {
    blobs: Blobs,
    next: u32,
}

impl Drive {
    /// A folder `d` with a folder and two files in it, and a file beside it.
    fn new() -> Self {
        let mut drive = Self { blobs: Blobs::new(), next: 500_000 };
        for text in ["x", "deep", "beside"] {
            drive.blobs.put(&Bytes::from(text)).expect("stored");
        }
        let ops = vec![
            folder(1, TREE_ROOT, "d"),
            folder(2, id(1), "sub"),
            file(3, id(1), "x"),
            file(4, id(2), "deep"),
            file(5, TREE_ROOT, "beside"),
        ];
        drive.commit(LOG.log, ops);
        drive
    }

    fn try_commit(&mut self, log: LogId, ops: Vec<TreeOp>) -> Result<Committed, Refusal> {
        self.next += 1;
        self.try_commit_as(&operator(), log, self.next, ops)
    }

    fn try_commit_as(&self, caller: &Caller, log: LogId, id: u32, ops: Vec<TreeOp>) -> Result<Committed, Refusal> {
        let commit = Commit {
            log,
            id: op(id),
            replica: ReplicaId::from_bytes([1; 16]),
            label: Label::new("D").expect("a label"),
            ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
        };
        match poll_to_end(self.blobs.world.server.handle(caller, Call::Commit(commit), self.blobs.env()))? {
            Reply::Committed(committed) => Ok(committed),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, log: LogId, ops: Vec<TreeOp>) -> Vec<TreeVerdict> {
        match self.try_commit(log, ops).expect("committed") {
            Committed::Done { answers, .. } => answers.into_iter().map(|answer| answer.verdict).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn asked(number: u32, folder: u32) -> Share {
        let replica = ReplicaId::from_bytes([1; 16]);
        Share { log: LOG.log, id: op(number), replica, folder: id(folder), to: made(number), mount: id(number) }
    }

    fn try_share_as(&self, caller: &Caller, share: Share) -> Result<Shared, Refusal> {
        match poll_to_end(self.blobs.world.server.handle(caller, Call::ShareFolder(share), self.blobs.env()))? {
            Reply::Shared(shared) => Ok(shared),
            other => panic!("{other:?}"),
        }
    }

    fn share(&self, number: u32, folder: u32) -> Result<Shared, ErrorCode> {
        self.try_share_as(&operator(), Self::asked(number, folder)).map_err(|refusal| refusal.code)
    }

    fn nodes(&self, log: LogId) -> Vec<(EntityId, Node)> {
        let (mut nodes, mut after) = (Vec::new(), None);
        loop {
            let call = Call::Nodes { log, asked: NodeQuery::All { after }, limit: limits::TREE_PAGE_NODES_MAX };
            let Reply::Nodes(page) = self.blobs.ask(call).expect("a listing") else { panic!("no listing") };
            after = page.nodes.last().map(|(id, _)| *id);
            nodes.extend(page.nodes);
            if !page.more {
                return nodes;
            }
        }
    }

    fn live(&self, log: LogId) -> Vec<(EntityId, String)> {
        let live = self.nodes(log).into_iter().filter(|(_, node)| node.dead.is_none() && node.parent.is_some());
        live.map(|(id, node)| (id, node.name.as_str().to_owned())).collect()
    }

    fn read(&self, log: LogId, text: &str) -> Result<Vec<u8>, ErrorCode> {
        let key = LogKey { bucket: LOG.bucket, log };
        self.blobs.read(key, content(text).blob, ByteRange::default())
    }
}

#[test]
fn a_shared_folder_keeps_its_ids_and_bytes_after_the_tree_it_came_from_forgot_it() {
    let mut drive = Drive::new();
    assert!(matches!(drive.share(7, 1), Ok(Shared::Done { .. })));
    let names =
        |names: &[(u32, &str)]| names.iter().map(|(node, name)| (id(*node), (*name).to_owned())).collect::<Vec<_>>();
    assert_eq!(drive.live(made(7)), names(&[(2, "sub"), (3, "x"), (4, "deep")]));
    assert_eq!(drive.live(LOG.log), names(&[(5, "beside"), (7, "d")]));
    let purge = Call::PurgeTrash { log: LOG.log, node: id(1) };
    assert!(matches!(drive.blobs.ask(purge).expect("purged"), Reply::Purged(purged) if purged.nodes == 4));
    for _ in 0..4 {
        drive.blobs.wait(2 * DAY);
        poll_to_end(drive.blobs.world.server.sweep_blobs(LOG, None, 1_000, drive.blobs.env())).expect("swept");
        let to = LogKey { bucket: LOG.bucket, log: made(7) };
        poll_to_end(drive.blobs.world.server.sweep_blobs(to, None, 1_000, drive.blobs.env())).expect("swept");
    }
    assert_eq!(drive.read(LOG.log, "deep"), Err(ErrorCode::BlobNotFound), "its own log let go of it");
    assert_eq!(drive.read(made(7), "deep"), Ok(b"deep".to_vec()));
    assert_eq!(drive.read(made(7), "beside"), Err(ErrorCode::BlobNotFound));
    assert_eq!(drive.read(LOG.log, "beside"), Ok(b"beside".to_vec()));
}

#[test]
fn what_comes_back_from_the_trash_after_a_share_is_a_copy_with_its_bytes() {
    let mut drive = Drive::new();
    drive.share(7, 1).expect("shared");
    let verdicts = drive.commit(LOG.log, vec![TreeOp::Restore { node: id(1), parent: None, name: None }]);
    assert_eq!(verdicts, [TreeVerdict::Done]);
    let live = drive.live(LOG.log);
    assert_eq!(live.iter().filter(|(node, _)| [1, 2, 3, 4].map(id).contains(node)).count(), 4, "{live:?}");
    assert!(live.iter().any(|(node, name)| *node == id(1) && name.starts_with("d (conflict")), "{live:?}");
    assert_eq!(drive.read(LOG.log, "deep"), Ok(b"deep".to_vec()));
    assert_eq!(drive.live(made(7)).len(), 3, "the shared one is as it was");
}

#[test]
fn a_share_is_refused_by_what_is_wrong_with_it() {
    let mut drive = Drive::new();
    assert_eq!(drive.share(7, 99), Err(ErrorCode::NodeNotFound), "nobody knows it");
    assert_eq!(drive.share(7, 5), Err(ErrorCode::NotAFolder), "a file");
    let root = Share { folder: TREE_ROOT, ..Drive::asked(7, 1) };
    let code = |share| drive.try_share_as(&operator(), share).map_err(|refusal| refusal.code);
    assert_eq!(code(root), Err(ErrorCode::NotAFolder), "the root");
    assert_eq!(code(Share { to: LOG.log, ..Drive::asked(7, 1) }), Err(ErrorCode::Malformed));
    assert_eq!(code(Share { to: LogId::SYSTEM, ..Drive::asked(7, 1) }), Err(ErrorCode::Malformed));
    assert_eq!(code(Share { to: log(2).log, ..Drive::asked(7, 1) }), Err(ErrorCode::LogExists));
    assert_eq!(code(Share { log: made(99), ..Drive::asked(7, 1) }), Err(ErrorCode::LogNotFound));
    assert_eq!(code(Share { replica: ReplicaId::SERVER, ..Drive::asked(7, 1) }), Err(ErrorCode::ForbiddenReplica));
    assert_eq!(code(Share { mount: id(5), ..Drive::asked(7, 1) }), Err(ErrorCode::RequestIdReused), "an id in use");
    assert_eq!(drive.live(LOG.log).len(), 5, "nothing was changed by any of them");
    drive.commit(LOG.log, vec![folder(8, TREE_ROOT, "gone"), TreeOp::Delete { node: id(8), seen: Seq::ZERO }]);
    let seen = Seq::new(9).expect("a seq");
    let _ = drive.try_commit(LOG.log, vec![TreeOp::Delete { node: id(8), seen }]);
    drive.commit(LOG.log, vec![folder(9, TREE_ROOT, "dead")]);
    drive.commit(LOG.log, vec![TreeOp::Delete { node: id(9), seen: Seq::new(3).expect("a seq") }]);
    assert_eq!(drive.share(7, 9), Err(ErrorCode::NodeNotFound), "a dead one");
    assert!(drive.share(7, 1).is_ok());
    assert_eq!(drive.share(10, 1), Err(ErrorCode::NodeNotFound), "shared already, so it is dead");
    let readers = Caller { access: Access::Write, ..operator() };
    let refused = drive.try_share_as(&readers, Drive::asked(11, 8)).map_err(|refusal| refusal.code);
    assert_eq!(refused, Err(ErrorCode::Forbidden), "only who administers the log shares");
}

#[test]
fn mounts_do_not_nest_whichever_way_they_are_made() {
    let mut drive = Drive::new();
    drive.commit(LOG.log, vec![folder(20, TREE_ROOT, "outer"), folder(21, id(20), "inner")]);
    drive.share(7, 21).expect("shared");
    assert_eq!(drive.share(8, 20), Err(ErrorCode::MountNested), "there is a mount in it");
    drive.share(9, 1).expect("shared");
    let inside = Share { log: made(9), ..Drive::asked(10, 2) };
    let refused = drive.try_share_as(&operator(), inside).map_err(|refusal| refusal.code);
    assert_eq!(refused, Err(ErrorCode::MountNested), "a shared tree shares nothing");
    let code =
        |drive: &mut Drive, log, of| drive.try_commit(log, vec![mount(30, TREE_ROOT, of)]).err().map(|it| it.code);
    assert_eq!(code(&mut drive, made(9), made(7)), Some(ErrorCode::MountNested), "nor takes a mount");
    assert_eq!(
        code(&mut drive, LOG.log, log(2).log),
        Some(ErrorCode::MountNested),
        "what is no shared folder is not mounted"
    );
    assert_eq!(code(&mut drive, LOG.log, made(77)), Some(ErrorCode::LogNotFound), "nor what is not there");
    assert_eq!(code(&mut drive, log(2).log, made(9)), None, "another tree accepts it");
    // To delete a mount is to leave the folder, and to restore it to come back.
    let seen = Seq::FIRST;
    assert_eq!(drive.commit(log(2).log, vec![TreeOp::Delete { node: id(30), seen }]), [TreeVerdict::Done]);
    assert_eq!(drive.live(made(9)).len(), 3, "the files are in their own log");
    let restore = TreeOp::Restore { node: id(30), parent: None, name: None };
    assert_eq!(drive.commit(log(2).log, vec![restore]), [TreeVerdict::Done]);
    let kind = drive.nodes(log(2).log).into_iter().find(|(node, _)| *node == id(30)).map(|(_, node)| node.kind);
    assert_eq!(kind, Some(Kind::Mount(made(9))));
}

#[test]
fn a_commit_that_arrives_after_a_share_brings_back_what_it_needs() {
    let mut drive = Drive::new();
    let seen = Seq::FIRST;
    drive.share(7, 1).expect("shared");
    drive.blobs.put(&Bytes::from("late")).expect("stored");
    let (node, copy, reason) = (id(4), id(40), tree::Reason::Put);
    let put = TreeOp::Put { node, content: content("late"), base: seen, seen, copy, reason };
    assert_eq!(drive.commit(LOG.log, vec![put]), [TreeVerdict::Revived]);
    let live = drive.live(LOG.log);
    assert!(
        live.iter().any(|(_, name)| name == "deep") && live.iter().any(|(_, name)| name.starts_with("d (conflict"))
    );
    assert_eq!(drive.read(LOG.log, "late"), Ok(b"late".to_vec()));
    assert_eq!(drive.read(made(7), "deep"), Ok(b"deep".to_vec()), "and what was shared is as it was");
}

#[test]
fn a_share_copies_files_in_pieces_too_and_goes_on_where_a_call_ended() {
    let mut drive = Drive::new();
    // More small files than one call copies.
    let many = 5_000_u32;
    let texts: Vec<String> = (0..many).map(|number| format!("file {number}")).collect();
    for part in texts.chunks(limits::LIST_ITEMS_MAX) {
        let blobs: Vec<Bytes> = part.iter().map(|text| Bytes::from(text.clone())).collect();
        drive.blobs.put_all(&blobs).expect("stored");
    }
    for (at, part) in texts.chunks(limits::TREE_OPS_MAX).enumerate() {
        let first = 10_000 + u32::try_from(at * limits::TREE_OPS_MAX).expect("few");
        drive.commit(LOG.log, part.iter().zip(first..).map(|(text, node)| file(node, id(2), text)).collect());
    }
    let pieces: Vec<Bytes> = (0..3_u64).map(|number| super::blobs::content(number + 1, 4_096)).collect();
    drive.blobs.put_all(&pieces).expect("stored");
    let whole: Bytes = pieces.concat().into();
    let (blob, size) = name(&whole);
    let listed = pieces.iter().map(|bytes| Piece { blob: name(bytes).0, len: 4_096 }).collect();
    let list = Manifest::new(blob, size, Chunker::fixed(4_096).expect("a chunker"), listed).expect("a manifest");
    drive.blobs.put(&list.to_bytes()).expect("stored");
    drive.blobs.ask(Call::KeepManifest { log: LOG.log, manifest: list.id() }).expect("kept");
    let large = Content { blob, bytes: size, manifest: Some(list.id()), ..content("") };
    let (name, kind) = ("large".to_owned(), Kind::File);
    drive.commit(LOG.log, vec![TreeOp::Create { node: id(6), parent: id(2), name, kind, content: Some(large) }]);
    let mut calls = 0;
    let mut left_before = usize::MAX;
    loop {
        calls += 1;
        match drive.share(7, 1).expect("an answer") {
            Shared::Done { .. } => break,
            Shared::Copying { left } => {
                assert!(left < left_before && calls < 10, "each call brings it further");
                assert!(drive.nodes(made(7)).is_empty() && drive.live(LOG.log).len() > 5_000, "and moves nothing");
                left_before = left;
            }
        }
    }
    assert!(calls > 1);
    assert_eq!(drive.live(made(7)).len(), 4 + many as usize);
    let to = LogKey { bucket: LOG.bucket, log: made(7) };
    assert_eq!(drive.blobs.read(to, blob, ByteRange::default()), Ok(whole.to_vec()));
    assert_eq!(drive.read(made(7), "file 4999"), Ok(b"file 4999".to_vec()));
}

/// Lets into nothing but by groups, and into the logs it names.
fn device(drive: &Drive, access: Access, logs: Vec<LogId>) -> (TokenId, Bearer) {
    let (name, logs) = ("device".to_owned(), Some(logs));
    match drive.blobs.world.call(Call::MintToken { name, access, logs, replica: None, expires_at: None }) {
        Reply::Token { id, bearer } => (id, bearer),
        other => panic!("{other:?}"),
    }
}

fn group(drive: &Drive) -> GroupId {
    match drive.blobs.world.call(Call::CreateGroup { name: "group".into() }) {
        Reply::GroupMade(id) => id,
        other => panic!("{other:?}"),
    }
}

fn caller(drive: &Drive, bearer: &Bearer) -> Caller {
    let text = bearer.to_string();
    poll_to_end(drive.blobs.world.server.authenticate(&text, drive.blobs.env().now)).expect("let in")
}

#[test]
fn who_could_use_the_files_before_a_share_can_afterwards_and_the_sharer_lets_others_in() {
    let drive = Drive::new();
    let (readers, owners, others) = (group(&drive), group(&drive), group(&drive));
    let (reader, by_group) = device(&drive, Access::Read, Vec::new());
    let (owner, owning) = device(&drive, Access::Read, Vec::new());
    let (_, named) = device(&drive, Access::Write, vec![LOG.log]);
    let (guest, invited) = device(&drive, Access::Read, Vec::new());
    let (_, stranger) = device(&drive, Access::Admin, vec![log(2).log]);
    for (group, token) in [(readers, reader), (owners, owner), (others, guest)] {
        drive.blobs.ask(Call::SetMember { group, token, member: true }).expect("done");
    }
    for (group, access) in [(readers, Access::Read), (owners, Access::Admin)] {
        drive.blobs.ask(Call::SetGrant { group, log: LOG.log, access: Some(access) }).expect("done");
    }
    let share = Drive::asked(7, 1);
    let shared = drive.try_share_as(&caller(&drive, &by_group), share).map_err(|refusal| refusal.code);
    assert_eq!(shared, Err(ErrorCode::Forbidden));
    drive.try_share_as(&caller(&drive, &owning), share).expect("who administers the log by a group shares");
    let may = |bearer: &Bearer| {
        let caller = caller(&drive, bearer);
        [Access::Read, Access::Write, Access::Admin].into_iter().filter(|access| caller.may(*access, made(7))).count()
    };
    assert_eq!([&by_group, &named, &owning, &invited, &stranger].map(may), [1, 2, 3, 0, 0]);
    let grant = Call::SetGrant { group: others, log: made(7), access: Some(Access::Write) };
    poll_to_end(drive.blobs.world.server.handle(&caller(&drive, &owning), grant, drive.blobs.env())).expect("granted");
    let guest = caller(&drive, &invited);
    assert!(guest.may(Access::Write, made(7)) && !guest.may(Access::Read, LOG.log), "there and nowhere else");
    // A guest takes the folder into a tree of its own only where it may write, and only what it may read.
    assert!(drive.try_commit_as(&guest, made(7), 90, vec![folder(50, TREE_ROOT, "from the guest")]).is_ok());
    let strange = caller(&drive, &stranger);
    let refused = drive.try_commit_as(&strange, log(2).log, 91, vec![mount(51, TREE_ROOT, made(7))]);
    assert_eq!(refused.map_err(|refusal| refusal.code), Err(ErrorCode::LogNotFound));
}

#[test]
fn a_share_that_would_give_a_group_too_many_grants_changes_nothing() {
    let drive = Drive::new();
    let full = group(&drive);
    let others = (0..u32::try_from(limits::GRANTS_PER_GROUP_MAX - 1).expect("few")).map(|number| made(number + 1_000));
    for log in others.chain([LOG.log]) {
        drive.blobs.ask(Call::SetGrant { group: full, log, access: Some(Access::Read) }).expect("granted");
    }
    assert_eq!(drive.share(7, 1), Err(ErrorCode::LimitOutOfRange));
    assert_eq!((drive.live(LOG.log).len(), drive.nodes(made(7)).len()), (5, 0));
    drive.blobs.ask(Call::SetGrant { group: full, log: made(1_000), access: None }).expect("taken");
    assert!(drive.share(7, 1).is_ok());
}

#[test]
fn a_share_takes_so_many_nodes_and_not_one_more() {
    let limit = limits::SHARE_NODES_MAX;
    for (count, shares) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
        let mut drive = Drive::new();
        let nodes: Vec<u32> = (1_000..).take(count - 3).collect();
        for part in nodes.chunks(limits::TREE_OPS_MAX) {
            drive.commit(LOG.log, part.iter().map(|node| folder(*node, id(1), &format!("f{node}"))).collect());
        }
        let shared = drive.share(7, 1);
        assert_eq!(shared.is_ok(), shares, "{count}: {shared:?}");
        if !shares {
            assert_eq!(shared, Err(ErrorCode::ShareTooLarge));
            assert_eq!(
                drive.blobs.ask(Call::Status(made(7))).map(drop).map_err(|it| it.code),
                Err(ErrorCode::LogNotFound)
            );
        }
    }
}

#[test]
fn the_new_tree_takes_what_the_old_one_took_and_says_where_it_came_from() {
    let drive = Drive::new();
    let retention = Retention { version_days: 3, max_versions: 4, tombstone_days: 5 };
    let terms = NewTerms { names: NamePolicy::Lenient, file_bytes_max: 77, nodes_max: 1_000, retention };
    drive.blobs.ask(Call::SetTreeTerms { log: LOG.log, terms }).expect("set");
    drive.blobs.ask(Call::SetBlobQuota { log: LOG.log, quota: Some(9_999) }).expect("set");
    drive.share(7, 1).expect("shared");
    let Reply::TreeTerms(of) = drive.blobs.ask(Call::TreeTerms(made(7))).expect("terms") else { panic!("no terms") };
    assert_eq!((of.names, of.file_bytes_max, of.nodes_max, of.retention), (NamePolicy::Lenient, 77, 1_000, retention));
    assert_eq!((of.nodes, of.shared), (4, Some(LOG.log)));
    let terms = NewTerms { names: NamePolicy::Strict, ..terms };
    let Reply::TreeTerms(of) = drive.blobs.ask(Call::SetTreeTerms { log: made(7), terms }).expect("set") else {
        panic!("no terms")
    };
    assert_eq!(of.shared, Some(LOG.log), "whatever the terms become");
    let Reply::BlobUsage(usage) = drive.blobs.ask(Call::BlobUsage(made(7))).expect("usage") else { panic!("no usage") };
    assert_eq!((usage.quota, usage.bytes), (Some(9_999), 5));
    let Reply::TreeTerms(from) = drive.blobs.ask(Call::TreeTerms(LOG.log)).expect("terms") else { panic!("no terms") };
    assert_eq!((from.nodes, from.shared), (7, None), "the root, five nodes and the mount");
}

#[test]
fn fault_s01_a_share_that_is_cut_off_anywhere_has_moved_all_or_nothing_and_is_finished_by_its_repeat() {
    for writes in [false, true] {
        let mut cuts = 0;
        loop {
            let mut drive = Drive::new();
            let members = group(&drive);
            drive.blobs.world.call(Call::SetGrant { group: members, log: LOG.log, access: Some(Access::Read) });
            let whole = drive.blobs.world.server.clone();
            let store = Arc::clone(&drive.blobs.world.store);
            let fanout = Arc::clone(whole.fanout());
            let blobs = Arc::<MemoryBlobs>::clone(&drive.blobs.bytes);
            let cut = Cut::new(store, cuts, writes);
            drive.blobs.world.server = Server::new(Arc::new(cut), fanout, schema()).with_blobs(blobs);
            let first = drive.share(7, 1);
            drive.blobs.world.server = whole;
            let granted = |drive: &Drive| match drive.blobs.world.call(Call::Groups { after: None, limit: 9 }) {
                Reply::Groups(groups) => groups[0].grants.contains_key(&made(7)),
                other => panic!("{other:?}"),
            };
            let there = drive.blobs.ask(Call::Status(made(7))).is_ok() && !drive.nodes(made(7)).is_empty();
            let here = drive.live(LOG.log).len() == 5;
            assert_eq!((here, granted(&drive)), (!there, there), "{cuts} transactions: in both, or in neither");
            let again = drive.share(7, 1).expect("the same share is finished");
            assert_eq!((drive.live(made(7)).len(), drive.live(LOG.log).len(), granted(&drive)), (3, 2, true));
            assert_eq!(drive.read(made(7), "deep"), Ok(b"deep".to_vec()));
            match first {
                Ok(shared) => {
                    assert_eq!(shared, again);
                    break;
                }
                Err(code) => assert_eq!(code, ErrorCode::OutcomeUnknown),
            }
            cuts += 1;
        }
        assert!(cuts > 3, "making the log, bringing its bytes, and the share itself");
    }
}

#[test]
fn a_share_takes_no_quarantine_off_whatever_the_policy_is_and_wherever_it_is_cut_off() {
    let mut cuts = 0;
    loop {
        let mut drive = Drive::new();
        let bad = content("deep").blob;
        let said = ScanRecord::of(bad, Engine::new("e", 1), Finding::Found("bad".into()), Timestamp::default());
        let rule = move |view: &decide::View| decide::keep_scan(LOG, &said, view);
        let scope = Scope::log(LOG, scan_reads(std::iter::once(bad)));
        let kept = poll_to_end(drive.blobs.world.store.decide(scope, rule));
        assert!(kept.expect("committed").expect("judged"));
        let whole = drive.blobs.world.server.clone();
        let (store, fanout) = (Arc::clone(&drive.blobs.world.store), Arc::clone(whole.fanout()));
        let cut = Cut::new(store, cuts, true);
        let blobs = Arc::<MemoryBlobs>::clone(&drive.blobs.bytes);
        drive.blobs.world.server = Server::new(Arc::new(cut), fanout, schema()).with_blobs(blobs);
        let first = drive.share(7, 1);
        drive.blobs.world.server = whole;
        assert!(matches!(drive.share(7, 1), Ok(Shared::Done { .. })));
        assert_eq!(drive.read(made(7), "deep"), Err(ErrorCode::Quarantined), "cut off after {cuts} writes");
        assert_eq!(drive.read(made(7), "x"), Ok(b"x".to_vec()));
        if first.is_ok() {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 3);
}
