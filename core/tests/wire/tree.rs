//! The bodies about a tree of files: every op, verdict, refusal and kind of node there is.

use std::sync::Arc;

use syncline::call::{Commit, Committed, ManifestKept, Share, Shared};
use syncline::conformance::support::env;
use syncline::decide::{NewTerms, TreeTerms};
use syncline::store::NodePage;
use syncline::tree::{
    self, Answer, Content, Dropped, Kind, Label, Name, NameError, NamePolicy, Node, Reason, Refusal, Retention,
    Revision, Stamp, To, TreeOp, TreeVerdict,
};
use syncline::wire::WireError;
use syncline::wire::json::{
    CommitJson, CommittedJson, ManifestKeptJson, NewTermsJson, NodesJson, RevisionsJson, ShareJson, SharedJson,
    TreeTermsJson,
};
use syncline::{Digest, EntityId, LogId, OpId, ReplicaId};

use super::{LOG, at, check, seq};

const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn content(full: bool) -> Content {
    let blob = |text: &str| Digest::of(&[text.as_bytes()]);
    Content {
        blob: blob("content"),
        bytes: 7,
        manifest: full.then(|| blob("manifest")),
        modified_at: env(0).now,
        executable: full,
        attributes: full.then(|| blob("attributes")),
    }
}

fn ops() -> Vec<TreeOp> {
    let create =
        |node, kind, content| TreeOp::Create { node: id(node), parent: id(0), name: "a\"ß".into(), kind, content };
    let put =
        |reason| TreeOp::Put { node: id(1), content: content(false), base: seq(1), seen: seq(2), copy: id(9), reason };
    vec![
        create(1, Kind::File, Some(content(true))),
        create(2, Kind::Folder, None),
        create(3, Kind::Symlink, Some(content(false))),
        create(4, Kind::Mount(LOG), None),
        put(Reason::Put),
        put(Reason::Restore),
        put(Reason::Conflict),
        TreeOp::Move { node: id(1), parent: Some(To { value: id(2), base: seq(3) }), name: None, seen: seq(4) },
        TreeOp::Move { node: id(1), parent: None, name: Some(To { value: "b".into(), base: seq(3) }), seen: seq(4) },
        TreeOp::Delete { node: id(1), seen: seq(4) },
        TreeOp::Restore { node: id(1), parent: Some(id(2)), name: Some("c".into()) },
        TreeOp::Restore { node: id(1), parent: None, name: None },
    ]
}

fn commit() -> Commit {
    let (label, replica) = (Label::new("phone").expect("a label"), ReplicaId::from_bytes([7; 16]));
    let ops = Arc::new(tree::Commit::new(ops()).expect("ops"));
    Commit { log: LOG, id: OpId::from_bytes([6; 16]), replica, label, ops }
}

/// Every fault of a name there is.
fn name_errors() -> Vec<NameError> {
    let long = "n".repeat(256);
    let typed = ["", "..", "a\u{0}b", "a ", " a", "CON.txt", ".syncline-x", &long];
    typed.iter().map(|typed| Name::new(typed, NamePolicy::Strict).expect_err("no name")).collect()
}

fn answers() -> Vec<Answer> {
    let all = vec![Dropped::Name, Dropped::Parent, Dropped::Circle, Dropped::Unseen];
    let refusals = [
        Refusal::Gone,
        Refusal::KindMismatch,
        Refusal::ParentNotFolder,
        Refusal::Root,
        Refusal::TooDeep,
        Refusal::PathTooLong(4_097),
        Refusal::TooLarge,
        Refusal::QuotaExceeded,
        Refusal::Ahead,
    ];
    let verdicts = [
        TreeVerdict::Done,
        TreeVerdict::Noop,
        TreeVerdict::Copied { copy: id(9) },
        TreeVerdict::Revived,
        TreeVerdict::Partial(all),
        TreeVerdict::Superseded,
        TreeVerdict::Alias { of: id(8) },
    ];
    let refusals = name_errors().into_iter().map(Refusal::Name).chain(refusals);
    let verdicts = verdicts.into_iter().chain(refusals.map(TreeVerdict::Rejected));
    verdicts.enumerate().map(|(index, verdict)| Answer { verdict, long_path: index == 0 }).collect()
}

fn nodes() -> NodePage {
    let stamp = |number: u8| Stamp { seq: seq(number.into()), by: ReplicaId::from_bytes([number; 16]) };
    let node = |kind, content| Node {
        parent: Some(id(0)),
        name: Name::new("Straße", NamePolicy::Strict).expect("a name"),
        kind,
        content,
        content_stamp: stamp(1),
        parent_stamp: stamp(2),
        name_stamp: stamp(3),
        created: seq(1),
        dead: None,
        conflict_of: None,
    };
    let dead = Node { dead: Some(seq(4)), conflict_of: Some(id(9)), ..node(Kind::File, Some(content(true))) };
    let nodes = vec![
        (id(0), Node::root(stamp(1))),
        (id(1), dead),
        (id(2), node(Kind::Folder, None)),
        (id(3), node(Kind::Symlink, Some(content(false)))),
        (id(4), node(Kind::Mount(LOG), None)),
    ];
    NodePage { nodes, more: true, end: Some(at(9)) }
}

fn revisions() -> Vec<Revision> {
    let revision = |number: u8, base, reason| Revision {
        node: id(1),
        seq: seq(number.into()),
        content: content(number == 1),
        by: ReplicaId::from_bytes([number; 16]),
        accepted_at: env(0).now,
        base,
        reason,
    };
    vec![
        revision(1, None, Reason::Put),
        revision(2, Some(seq(1)), Reason::Conflict),
        revision(3, Some(seq(1)), Reason::Restore),
    ]
}

#[test]
fn every_json_body_about_a_tree_is_as_agreed() {
    let read = check("commit", &CommitJson::of(&commit())).read(LOG).expect("reads");
    assert_eq!((read.log, read.id, read.replica, read.label), (LOG, commit().id, commit().replica, commit().label));
    assert_eq!(read.ops, commit().ops);
    for (name, committed) in [
        ("committed", Committed::Done { seq: Some(seq(9)), answers: answers(), end: at(9) }),
        ("committed_nothing", Committed::Done { seq: None, answers: answers()[1..2].into(), end: at(9) }),
        ("committed_needs", Committed::Needs(vec![content(true).blob])),
        ("committed_needs_none", Committed::Needs(Vec::new())),
    ] {
        assert_eq!(check(name, &CommittedJson::of(&committed)).read(), Ok(committed));
    }
    for (name, kept) in [
        ("manifest_kept", ManifestKept::Kept { judged: true }),
        ("manifest_needs", ManifestKept::Needs(vec![content(true).blob])),
    ] {
        assert_eq!(check(name, &ManifestKeptJson::of(&kept)).read(), Ok(kept));
    }
    assert_eq!(check("nodes", &NodesJson::of(&nodes())).read(), Ok(nodes()));
    assert_eq!(check("revisions", &RevisionsJson::of(&revisions())).read(), revisions());
    let new = NewTerms { names: NamePolicy::Lenient, file_bytes_max: 5, nodes_max: 6, retention: Retention::default() };
    assert_eq!(check("new_tree_terms", &NewTermsJson::of(&new)).read(), new);
    let terms = TreeTerms { nodes: 3, ..TreeTerms::default() };
    assert_eq!(check("tree_terms", &TreeTermsJson::of(&terms)).read(), terms);
    let terms = TreeTerms { shared: Some(LOG), ..terms };
    assert_eq!(check("tree_terms_shared", &TreeTermsJson::of(&terms)).read(), terms);
    let Commit { id, replica, .. } = commit();
    let (folder, mount, to) =
        (EntityId::from_bytes([1; 16]), EntityId::from_bytes([2; 16]), LogId::from_bytes([3; 16]));
    let share = Share { log: LOG, id, replica, folder, to, mount };
    assert_eq!(check("share", &ShareJson::of(&share)).read(LOG), share);
    for (name, shared) in [("shared", Shared::Done { seq: seq(9) }), ("shared_later", Shared::Copying { left: 3 })] {
        assert_eq!(check(name, &SharedJson::of(&shared)).read(), Ok(shared));
    }
}

#[test]
fn what_is_no_commit_is_refused() {
    let good = serde_json::to_value(CommitJson::of(&commit())).expect("writes");
    let mut refused = Vec::new();
    let mut with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = good.clone();
        change(&mut body);
        refused.push(body);
    };
    with(&|body| body["surprise"] = 1.into());
    with(&|body| body["label"] = "a (b)".into());
    with(&|body| body["ops"][0]["surprise"] = 1.into());
    with(&|body| body["ops"][0]["content"]["surprise"] = 1.into());
    with(&|body| body["ops"][7]["parent"]["surprise"] = 1.into());
    with(&|body| body["ops"][0]["op"] = "burn".into());
    with(&|body| body["ops"][0]["seen"] = 1.into());
    with(&|body| body["ops"][1]["mount"] = LOG.to_string().into());
    with(&|body| drop(body["ops"][3].as_object_mut().map(|op| op.remove("mount"))));
    for body in refused {
        let read = serde_json::from_value::<CommitJson>(body.clone()).map_err(WireError::from);
        assert!(read.and_then(|commit| commit.read(LOG)).is_err(), "{body}");
    }
    let one = serde_json::to_string(&good["ops"][9]).expect("writes");
    let twice = one.replacen('{', "{\"seen\":4,", 1);
    let text = |op: &str| good.to_string().replace(&one, op);
    assert!(serde_json::from_str::<CommitJson>(&text(&one)).is_ok());
    assert!(serde_json::from_str::<CommitJson>(&text(&twice)).is_err(), "a field that is there twice");
}
