//! A tree of files over a socket: a client is answered what a caller inside of the process is, a commit has one effect
//! however often and whenever it is sent, and everything that is wrong with a request is said.

#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{LOG, Rig, head};
use syncline::blob::{Chunker, Manifest, Piece};
use syncline::call::{Call, Commit, Committed, ErrorCode, ManifestKept, Purged, Reply};
use syncline::client::{BlobTransport as _, CallError, Transport as _};
use syncline::decide::{NewTerms, TREE_ROOT, TreeTerms};
use syncline::digest::Digest;
use syncline::id::{EntityId, OpId, ReplicaId};
use syncline::limits;
use syncline::oplog::Sealing;
use syncline::seq::Seq;
use syncline::store::{NodePage, NodeQuery};
use syncline::time::Timestamp;
use syncline::tree::{self, Content, Kind, Label, NamePolicy, Reason, Refusal, Retention, To, TreeOp, TreeVerdict};
use syncline_transport_http::client::{Compression, Form, HttpClient};

const JSON: (&str, &str) = ("content-type", "application/json");

const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn seq(value: u64) -> Seq {
    Seq::new(value).expect("a seq")
}

fn content(text: &'static str) -> Content {
    Content {
        blob: Digest::of(&[text.as_bytes()]),
        bytes: text.len() as u64,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

fn file(node: u8, parent: EntityId, name: &str, text: &'static str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::File, content: Some(content(text)) }
}

fn folder(node: u8, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::Folder, content: None }
}

fn put(node: u8, text: &'static str, base: u64) -> TreeOp {
    let (base, content) = (seq(base), content(text));
    TreeOp::Put { node: id(node), content, base, seen: base, copy: id(200), reason: Reason::Put }
}

fn commit_of(number: u8, device: u8, ops: Vec<TreeOp>) -> Commit {
    Commit {
        log: LOG,
        id: OpId::from_bytes([number; 16]),
        replica: ReplicaId::from_bytes([device; 16]),
        label: Label::new(&format!("device {device}")).expect("a label"),
        ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
    }
}

async fn rig() -> (Rig, HttpClient) {
    let rig = Rig::start().await;
    rig.ask(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await;
    let client = rig.client();
    for text in ["one", "two", "three"] {
        let bytes = Bytes::from_static(text.as_bytes());
        client.put_blob(LOG, Digest::of(&[&bytes]), bytes).await.expect("sent");
    }
    (rig, client)
}

async fn send(client: &HttpClient, commit: Commit) -> Committed {
    match client.call(Call::Commit(commit)).await.expect("an answer") {
        Reply::Committed(committed) => committed,
        other => panic!("{other:?}"),
    }
}

/// Sends a commit; where it stands and its verdicts.
async fn does(client: &HttpClient, number: u8, device: u8, ops: Vec<TreeOp>) -> (Option<u64>, Vec<TreeVerdict>) {
    match send(client, commit_of(number, device, ops)).await {
        Committed::Done { seq, answers, .. } => {
            (seq.map(Seq::get), answers.into_iter().map(|answer| answer.verdict).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> ErrorCode {
    match outcome {
        Err(CallError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn nodes(client: &HttpClient, asked: NodeQuery, limit: usize) -> NodePage {
    match client.call(Call::Nodes { log: LOG, asked, limit }).await.expect("an answer") {
        Reply::Nodes(page) => page,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_is_answered_what_a_caller_inside_is() {
    let (rig, client) = rig().await;
    let first = vec![folder(1, TREE_ROOT, "Straße & Co=%\u{1f600}"), file(2, id(1), "a b+c#d", "one")];
    assert_eq!(does(&client, 1, 1, first).await, (Some(1), vec![TreeVerdict::Done, TreeVerdict::Done]));
    does(&client, 2, 1, vec![put(2, "two", 1)]).await;
    assert_eq!(does(&client, 3, 2, vec![put(2, "three", 1)]).await.1, [TreeVerdict::Copied { copy: id(200) }]);
    let taken = file(3, TREE_ROOT, "CON", "one");
    let (at, verdicts) = does(&client, 4, 1, vec![taken, folder(4, TREE_ROOT, "gone")]).await;
    let TreeVerdict::Rejected(Refusal::Name(error)) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!((at, error.suggested.as_str()), (Some(4), "CON_"));
    does(&client, 5, 1, vec![TreeOp::Delete { node: id(4), seen: seq(4) }]).await;
    assert_eq!(does(&client, 6, 1, vec![TreeOp::Delete { node: id(4), seen: seq(4) }]).await.0, None);
    let name = Some(To { value: "new".into(), base: seq(1) });
    does(&client, 7, 1, vec![TreeOp::Move { node: id(1), parent: None, name, seen: seq(5) }]).await;

    let key = nodes(&client, NodeQuery::Children { of: id(1), after: None }, 10).await.nodes[0].1.name.key();
    let queries = [
        NodeQuery::All { after: None },
        NodeQuery::All { after: Some(id(1)) },
        NodeQuery::Children { of: id(1), after: None },
        NodeQuery::Children { of: id(1), after: Some(key) },
        NodeQuery::Children { of: id(99), after: None },
        NodeQuery::Trash { after: None },
        NodeQuery::Trash { after: Some(id(4)) },
        NodeQuery::One(id(2)),
        NodeQuery::One(id(99)),
        NodeQuery::Leaves { of: id(1) },
        NodeQuery::Leaves { of: id(99) },
    ];
    for asked in queries {
        for limit in [1, 2, limits::TREE_PAGE_NODES_MAX] {
            let Reply::Nodes(inside) = rig.ask(Call::Nodes { log: LOG, asked: asked.clone(), limit }).await else {
                panic!("no listing");
            };
            assert_eq!(nodes(&client, asked.clone(), limit).await, inside, "{asked:?} {limit}");
        }
    }
    for after in [0, 1, 2, 9] {
        let call = Call::Revisions { log: LOG, node: id(2), after: seq(after), limit: 10 };
        let (inside, outside) = (rig.ask(call.clone()).await, client.call(call).await.expect("an answer"));
        let (Reply::Revisions(inside), Reply::Revisions(outside)) = (inside, outside) else { panic!("no revisions") };
        assert_eq!(outside, inside, "after {after}");
        assert_eq!(inside.len(), usize::try_from(2_u64.saturating_sub(after)).expect("few"));
    }
}

#[tokio::test]
async fn listings_go_on_behind_any_name() {
    let (_rig, client) = rig().await;
    let names = ["a", "B", "ß", "Ä", "a b", "x&y", "ﬁ", "100%", "日本", "z"];
    let ops = (1..).zip(names).map(|(node, name)| folder(node, TREE_ROOT, name)).collect();
    does(&client, 1, 1, ops).await;
    let all = nodes(&client, NodeQuery::Children { of: TREE_ROOT, after: None }, 100).await;
    assert_eq!((all.nodes.len(), all.more), (names.len(), false));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = nodes(&client, NodeQuery::Children { of: TREE_ROOT, after: after.clone() }, 1).await;
        after = page.nodes.last().map(|(_, node)| node.name.key());
        found.extend(page.nodes);
        if !page.more {
            break;
        }
    }
    assert_eq!(found, all.nodes);
}

/// E02.
#[tokio::test]
async fn a_commits_id_stands_for_nothing_else() {
    let (rig, client) = rig().await;
    let commit = commit_of(1, 1, vec![folder(1, TREE_ROOT, "a")]);
    let first = send(&client, commit.clone()).await;
    let other = commit_of(1, 1, vec![folder(1, TREE_ROOT, "b")]);
    assert_eq!(code(client.call(Call::Commit(other)).await), ErrorCode::RequestIdReused);
    let other = Commit { replica: ReplicaId::from_bytes([2; 16]), ..commit.clone() };
    assert_eq!(code(client.call(Call::Commit(other)).await), ErrorCode::RequestIdReused);
    assert_eq!(send(&client, commit).await, first, "the first answer again");
    assert_eq!(rig.end().await, seq(1));
}

/// E03.
#[tokio::test]
async fn a_commit_that_is_in_flight_several_times_has_one_effect_and_one_answer() {
    let (rig, client) = rig().await;
    let ops = vec![folder(1, TREE_ROOT, "a"), file(2, id(1), "b", "one"), file(3, TREE_ROOT, "c:d", "two")];
    let commit = commit_of(1, 1, ops);
    let sent: Vec<_> = (0..8)
        .map(|_| {
            let (client, commit) = (client.clone(), commit.clone());
            tokio::spawn(async move { send(&client, commit).await })
        })
        .collect();
    let mut answers = Vec::new();
    for sent in sent {
        answers.push(sent.await.expect("no panic"));
    }
    assert!(matches!(&answers[0], Committed::Done { seq: Some(_), answers, .. } if answers.len() == 3), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(rig.end().await, seq(1));
}

/// E04.
#[tokio::test]
async fn a_commit_that_needs_blobs_changes_nothing_and_goes_through_under_its_id_once_they_are_there() {
    let (rig, client) = rig().await;
    let commit =
        commit_of(1, 1, vec![folder(1, TREE_ROOT, "a"), file(2, id(1), "b", "four"), file(3, id(1), "c", "one")]);
    assert_eq!(send(&client, commit.clone()).await, Committed::Needs(vec![content("four").blob]));
    assert_eq!(rig.end().await, Seq::ZERO);
    client.put_blob(LOG, content("four").blob, Bytes::from_static(b"four")).await.expect("sent");
    let Committed::Done { seq: at, answers, .. } = send(&client, commit.clone()).await else { panic!("needs") };
    assert!(at == Some(seq(1)) && answers.iter().all(|answer| answer.verdict == TreeVerdict::Done), "{answers:?}");
    assert_eq!(rig.end().await, seq(1));
}

#[tokio::test]
async fn what_a_tree_takes_is_said_and_kept() {
    let (rig, client) = rig().await;
    let terms = async |call| match client.call(call).await.expect("an answer") {
        Reply::TreeTerms(terms) => terms,
        other => panic!("{other:?}"),
    };
    assert_eq!(terms(Call::TreeTerms(LOG)).await, TreeTerms::default());
    does(&client, 1, 1, vec![file(1, TREE_ROOT, "a", "three")]).await;
    let retention = Retention { version_days: 1, max_versions: 2, tombstone_days: 3 };
    let new = NewTerms { names: NamePolicy::Lenient, file_bytes_max: 3, nodes_max: 3, retention };
    let set = terms(Call::SetTreeTerms { log: LOG, terms: new }).await;
    let (names, nodes) = (NamePolicy::Lenient, 2);
    assert_eq!(
        set,
        TreeTerms { names, file_bytes_max: 3, nodes_max: 3, retention, nodes, shared: None },
        "the root and a file stay"
    );
    assert_eq!(terms(Call::TreeTerms(LOG)).await, set);
    let ops = vec![file(2, TREE_ROOT, "b:c", "two"), file(3, TREE_ROOT, "d", "three"), folder(4, TREE_ROOT, "e")];
    let rejected = |refusal| TreeVerdict::Rejected(refusal);
    let verdicts = [TreeVerdict::Done, rejected(Refusal::TooLarge), rejected(Refusal::QuotaExceeded)];
    assert_eq!(does(&client, 2, 1, ops).await.1, verdicts);
    for (file_bytes_max, nodes_max, good) in [
        (limits::FILE_BYTES_MAX - 1, limits::TREE_NODES_MAX - 1, true),
        (limits::FILE_BYTES_MAX, limits::TREE_NODES_MAX, true),
        (limits::FILE_BYTES_MAX + 1, limits::TREE_NODES_MAX, false),
        (limits::FILE_BYTES_MAX, limits::TREE_NODES_MAX + 1, false),
    ] {
        let terms = NewTerms { names: NamePolicy::Strict, file_bytes_max, nodes_max, retention };
        match client.call(Call::SetTreeTerms { log: LOG, terms }).await {
            Ok(Reply::TreeTerms(terms)) => assert_eq!((terms.nodes, good), (3, true)),
            refused => assert_eq!((code(refused), good), (ErrorCode::LimitOutOfRange, false)),
        }
    }
    for (max_versions, good) in [
        (0, false),
        (1, true),
        (limits::REVISIONS_KEPT_MAX - 1, true),
        (limits::REVISIONS_KEPT_MAX, true),
        (limits::REVISIONS_KEPT_MAX + 1, false),
    ] {
        let terms = NewTerms { retention: Retention { max_versions, ..retention }, ..new };
        assert_eq!(client.call(Call::SetTreeTerms { log: LOG, terms }).await.is_ok(), good, "{max_versions}");
    }
    // What lives is not purged; what was deleted is, once.
    does(&client, 3, 1, vec![TreeOp::Delete { node: id(1), seen: seq(2) }]).await;
    let purge = |node| client.call(Call::PurgeTrash { log: LOG, node: id(node) });
    assert_eq!(code(purge(2).await), ErrorCode::NotInTrash);
    for nodes in [1, 0] {
        let purged = purge(1).await.expect("an answer");
        assert!(matches!(purged, Reply::Purged(Purged { nodes: went, more: false }) if went == nodes), "{purged:?}");
    }
    assert_eq!(terms(Call::TreeTerms(LOG)).await.nodes, 2);
    // Who may write the log may not.
    let (name, logs) = ("writer".to_owned(), Some(vec![LOG]));
    let mint = Call::MintToken { name, access: syncline::access::Access::Write, logs, replica: None, expires_at: None };
    let Reply::Token { bearer, .. } = rig.ask(mint).await else { panic!("no token") };
    let writer = rig.client_of(&bearer.to_string(), Form::default(), Compression::default());
    assert_eq!(code(writer.call(Call::SetTreeTerms { log: LOG, terms: new }).await), ErrorCode::Forbidden);
    assert!(writer.call(Call::TreeTerms(LOG)).await.is_ok());
    assert_eq!(code(writer.call(Call::PurgeTrash { log: LOG, node: id(2) }).await), ErrorCode::Forbidden);
    let elsewhere = syncline::id::LogId::from_bytes([8; 16]);
    assert_eq!(code(client.call(Call::TreeTerms(elsewhere)).await), ErrorCode::LogNotFound);
    assert_eq!(code(client.call(Call::SetTreeTerms { log: elsewhere, terms: new }).await), ErrorCode::LogNotFound);
}

#[tokio::test]
async fn a_file_in_pieces_is_kept_named_by_a_commit_and_read_by_its_own_name() {
    let (rig, client) = rig().await;
    let piece = |seed: u8, len: usize| Bytes::from(vec![seed; len]);
    let pieces = [piece(1, 4_096), piece(2, 4_096), piece(3, 17)];
    let bytes = pieces.concat();
    let list = pieces.iter().map(|bytes| {
        let len = u32::try_from(bytes.len()).expect("short");
        Piece { blob: Digest::of(&[bytes]), len }
    });
    let file = Digest::of(&[&bytes]);
    let chunker = Chunker::fixed(4_096).expect("a chunker");
    let manifest = Manifest::new(file, bytes.len() as u64, chunker, list.collect()).expect("a manifest");
    let keep = Call::KeepManifest { log: LOG, manifest: manifest.id() };
    let kept = async || match client.call(keep.clone()).await.expect("an answer") {
        Reply::ManifestKept(kept) => kept,
        other => panic!("{other:?}"),
    };
    assert_eq!(kept().await, ManifestKept::Needs(vec![manifest.id()]));
    client.put_blob(LOG, manifest.id(), manifest.to_bytes()).await.expect("sent");
    let mut missing: Vec<_> = pieces.iter().map(|bytes| Digest::of(&[bytes])).collect();
    missing.sort_unstable();
    assert_eq!(kept().await, ManifestKept::Needs(missing));
    for bytes in pieces {
        client.put_blob(LOG, Digest::of(&[&bytes]), bytes).await.expect("sent");
    }
    let content = Content { blob: file, bytes: manifest.size(), manifest: Some(manifest.id()), ..content("one") };
    let create =
        TreeOp::Create { node: id(1), parent: TREE_ROOT, name: "a".into(), kind: Kind::File, content: Some(content) };
    let commit = commit_of(1, 1, vec![create]);
    assert_eq!(send(&client, commit.clone()).await, Committed::Needs(vec![manifest.id()]));
    assert_eq!(kept().await, ManifestKept::Kept { judged: true });
    assert!(matches!(send(&client, commit).await, Committed::Done { seq: Some(_), .. }));
    let path = format!("/v1/logs/{LOG}/blobs/{file}");
    let whole = rig.request("GET", &path, &[], b"").await;
    assert_eq!((whole.status, whole.header("etag"), &*whole.body), (200, Some(&*format!("\"{file}\"")), &*bytes));
    let part = rig.request("GET", &path, &[("range", "bytes=4090-8200")], b"").await;
    assert_eq!((part.status, &*part.body), (206, &bytes[4_090..8_201]));
    let wrong = Call::KeepManifest { log: LOG, manifest: Digest::of(&[b"one"]) };
    assert_eq!(code(client.call(wrong).await), ErrorCode::ManifestWrong);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_about_a_tree_is_said() {
    let (rig, client) = rig().await;
    let (commits, of) = (format!("/v1/logs/{LOG}/commits"), format!("/v1/logs/{LOG}/nodes/{}", id(1)));
    let body = |label: &str, ops: &str| {
        let author = format!("\"id\":\"{}\",\"replica\":\"{}\"", id(1), id(2));
        format!("{{{author},\"label\":\"{label}\",\"ops\":[{ops}]}}")
    };
    let delete = format!("{{\"op\":\"delete\",\"node\":\"{}\",\"seen\":0}}", id(1));
    let many = |count: usize| vec![&*delete; count].join(",");
    let rows = [
        ("POST", &commits, body("a", &delete), 200),
        ("POST", &commits, body("a", &delete).replace("seen", "saw"), 400),
        ("POST", &commits, body("a", "{\"op\":\"burn\"}"), 400),
        ("POST", &commits, body("a(b)", &delete), 400),
        ("POST", &commits, body("a", ""), 413),
        ("POST", &commits, body("a", &many(limits::TREE_OPS_MAX)), 200),
        ("POST", &commits, body("a", &many(limits::TREE_OPS_MAX + 1)), 413),
        ("POST", &format!("{commits}?x=1"), body("a", &delete), 400),
        (
            "PUT",
            &format!("/v1/logs/{LOG}/tree"),
            "{\"names\":\"any\",\"file_bytes_max\":1,\"nodes_max\":1}".into(),
            400,
        ),
        ("PUT", &format!("/v1/logs/{LOG}/tree"), "{\"names\":\"strict\"}".into(), 400),
        ("GET", &format!("{of}/children?after=a%2Fb"), String::new(), 400),
        ("GET", &format!("{of}/children?after=a%00"), String::new(), 400),
        ("GET", &format!("{of}/children?limit=0"), String::new(), 400),
        ("GET", &format!("{of}?limit=5001"), String::new(), 400),
        ("GET", &format!("{of}/revisions?limit=1001"), String::new(), 400),
        ("GET", &format!("{of}/revisions?after=x"), String::new(), 400),
        ("GET", &format!("/v1/logs/{LOG}/nodes/beef"), String::new(), 400),
        ("GET", &format!("/v1/logs/{LOG}/nodes?of=x"), String::new(), 400),
        ("GET", &format!("/v1/logs/{LOG}/trash"), String::new(), 200),
    ];
    for (method, path, body, status) in rows {
        let headers: &[_] = if body.is_empty() { &[] } else { &[JSON] };
        let answer = rig.request(method, path, headers, body.as_bytes()).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "{method} {path} {}: {said}", &body[..body.len().min(200)]);
    }
    let elsewhere = syncline::id::LogId::from_bytes([8; 16]);
    let lost = Call::Nodes { log: elsewhere, asked: NodeQuery::One(id(1)), limit: 1 };
    assert_eq!(code(client.call(lost).await), ErrorCode::LogNotFound);
}

#[tokio::test]
async fn the_body_of_a_commit_has_so_many_bytes_and_no_more() {
    let (rig, _client) = rig().await;
    let path = format!("/v1/logs/{LOG}/commits");
    let op = format!("{{\"op\":\"delete\",\"node\":\"{}\",\"seen\":0}}", id(1));
    let body = format!("{{\"id\":\"{}\",\"replica\":\"{}\",\"label\":\"a\",\"ops\":[{op}]}}", id(1), id(2));
    let max = limits::COMMIT_BODY_BYTES_MAX;
    for (length, status) in [(max - 1, 200), (max, 200), (max + 1, 413)] {
        let padded = format!("{body}{}", " ".repeat(length - body.len())).into_bytes();
        for (encoding, body) in [(None, padded.clone()), (Some("gzip"), common::gzip(&padded))] {
            let encoding = encoding.map(|encoding| ("content-encoding", encoding));
            let headers: Vec<_> = encoding.into_iter().chain([JSON]).collect();
            let answer = rig.request("POST", &path, &headers, &body).await;
            assert_eq!(answer.status, status, "{length} {headers:?}");
            assert_eq!(String::from_utf8_lossy(&answer.body).contains("BODY_TOO_LARGE"), status == 413);
        }
    }
    // What is announced is refused before it is read.
    let answer = rig.raw(head("POST", &path, &[JSON], Some(max + 1)).as_bytes()).await;
    assert_eq!(answer.status, 413);
}
