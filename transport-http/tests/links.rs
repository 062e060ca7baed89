//! Public links over a socket: what a stranger with an address gets, byte by byte and header by header, and what not.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Answer, LOG, Rig, replica};
use syncline::blob::ScanPolicy;
use syncline::call::{Call, Commit, Committed, NewLink, Reply};
use syncline::client::{BlobTransport as _, Transport as _};
use syncline::decide::TREE_ROOT;
use syncline::digest::Digest;
use syncline::id::{EntityId, OpId};
use syncline::oplog::Sealing;
use syncline::seq::Seq;
use syncline::time::Timestamp;
use syncline::tree::{self, Content, Kind, Label, TreeOp, TreeVerdict};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn content(bytes: &Bytes) -> Content {
    Content {
        blob: Digest::of(&[bytes]),
        bytes: bytes.len() as u64,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

fn file(node: u8, parent: EntityId, name: &str, bytes: &Bytes) -> TreeOp {
    let content = Some(content(bytes));
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::File, content }
}

fn folder(node: u8, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::Folder, content: None }
}

/// A folder with a page in it that would like to be shown, and one below it.
struct World {
    rig: Rig,
    page: Bytes,
}

const NAME: &str = "größe & b.html";

async fn world() -> World {
    let rig = Rig::start().await;
    rig.ask(Call::CreateLog { log: LOG, sealing: Sealing::default() }).await;
    let page: Bytes = (0..5_000_u32).map(|at| u8::try_from(at % 251).expect("small")).collect::<Vec<_>>().into();
    let deep = Bytes::from_static(b"deep");
    let client = rig.client();
    for bytes in [&page, &deep] {
        client.put_blob(LOG, Digest::of(&[bytes]), bytes.clone()).await.expect("sent");
    }
    let world = World { rig, page: page.clone() };
    let made = vec![
        folder(1, TREE_ROOT, "docs"),
        file(2, id(1), NAME, &page),
        folder(3, id(1), "deep"),
        file(4, id(3), "b", &deep),
        file(5, TREE_ROOT, "other", &deep),
    ];
    world.commit(1, made).await;
    world
}

impl World {
    async fn commit(&self, number: u8, ops: Vec<TreeOp>) {
        let commit = Commit {
            log: LOG,
            id: OpId::from_bytes([number; 16]),
            replica: replica(1),
            label: Label::new("x").expect("a label"),
            ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
        };
        let reply = self.rig.ask(Call::Commit(commit)).await;
        let Reply::Committed(Committed::Done { answers, .. }) = reply else { panic!("{reply:?}") };
        assert!(answers.iter().all(|answer| answer.verdict == TreeVerdict::Done), "{answers:?}");
    }

    async fn link(&self, new: NewLink) -> String {
        match self.rig.client().call(Call::MakeLink(new)).await.expect("made") {
            Reply::LinkMade { token, .. } => format!("/p/{token}"),
            other => panic!("{other:?}"),
        }
    }

    /// As a stranger: with an address and nothing else.
    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let headers = [&[("authorization", "none")], headers].concat();
        self.rig.request(method, target, &headers, body).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"").await
    }

    async fn downloads(&self) -> u64 {
        match self.rig.client().call(Call::Links { log: LOG, after: None, limit: 10 }).await.expect("a list") {
            Reply::Links(links) => links.iter().map(|link| link.downloads).sum(),
            other => panic!("{other:?}"),
        }
    }
}

const fn to(node: EntityId) -> NewLink {
    NewLink { log: LOG, node, pin: None, expires_at: None, password: None, max_downloads: None }
}

#[tokio::test]
async fn a_linked_file_comes_as_an_attachment_whole_and_in_ranges() {
    let world = world().await;
    let link = world.link(to(id(2))).await;
    let whole = world.get(&link).await;
    assert_eq!((whole.status, &*whole.body), (200, &*world.page));
    let said = |name: &str| whole.header(name).unwrap_or_default().to_owned();
    // Header lines come in lower case here.
    assert_eq!(
        said("content-disposition"),
        "attachment; filename=\"gr__e _ b.html\"; filename*=utf-8''gr%c3%b6%c3%9fe%20%26%20b.html"
    );
    assert_eq!(
        (said("content-type"), said("x-content-type-options")),
        ("application/octet-stream".into(), "nosniff".into())
    );
    assert!(said("content-security-policy").starts_with("sandbox"));
    assert_eq!((said("referrer-policy"), said("cache-control")), ("no-referrer".into(), "no-store".into()));
    let part = world.ask("GET", &link, &[("range", "bytes=10-19")], b"").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 10-19/5000")));
    assert_eq!(part.body, world.page[10..20]);
    let tag = said("etag");
    assert_eq!(world.ask("GET", &link, &[("if-none-match", &tag)], b"").await.status, 304);
    let head = world.ask("HEAD", &link, &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("5000"), 0));
    assert_eq!(world.downloads().await, 1, "a part from the middle, a head and what the reader has are none");
}

#[tokio::test]
async fn a_linked_folder_is_listed_and_gone_down_below_and_nowhere_else() {
    let world = world().await;
    let link = world.link(to(id(1))).await;
    let listed = world.get(&link).await.json();
    assert_eq!(listed["name"], "docs");
    let names: Vec<_> = listed["children"].as_array().expect("a list").iter().map(|child| &child["name"]).collect();
    assert_eq!(names, ["deep", NAME]);
    assert!(!listed.to_string().contains(&replica(1).to_string()), "nobody's device is named: {listed}");
    let first = world.get(&format!("{link}?limit=1")).await.json();
    let next = first["next"].as_str().expect("there is more");
    let rest = world.get(&format!("{link}?limit=5&after={next}")).await.json();
    assert_eq!((rest["children"][0]["name"].as_str(), rest["next"].as_str()), (Some(NAME), None));
    let below = |node: EntityId| format!("{link}?node={node}");
    assert_eq!(world.get(&below(id(3))).await.json()["children"][0]["name"], "b");
    assert_eq!(world.get(&below(id(4))).await.body, b"deep");
    assert_eq!(world.get(&below(id(2))).await.body, world.page);
    for stranger in [id(5), TREE_ROOT, id(99)] {
        assert_eq!(world.get(&below(stranger)).await.code(), "LINK_NOT_FOUND");
    }
    for query in ["node=beef", "limit=x", "password=x", "limit=0", "after=a%2Fb"] {
        assert_eq!(world.get(&format!("{link}?{query}")).await.status, 400, "{query}");
    }
    let parent = TreeOp::Delete { node: id(1), seen: Seq::FIRST };
    world.commit(2, vec![parent]).await;
    assert_eq!(world.get(&link).await.code(), "LINK_GONE");
}

#[tokio::test]
async fn e41_a_password_comes_in_a_header_or_a_form_and_is_guessed_at_five_times() {
    let world = world().await;
    let link = world.link(NewLink { password: Some("pass wörd&".into()), ..to(id(2)) }).await;
    let none = world.get(&link).await;
    assert_eq!((none.status, none.code().as_str()), (401, "LINK_PASSWORD"));
    assert_eq!(none.header("www-authenticate"), Some("linkpassword"));
    let header = |password| [("syncline-link-password", password)];
    assert_eq!(world.ask("GET", &link, &header("pass wörd&"), b"").await.body, world.page);
    let form = b"password=pass+w%C3%B6rd%26";
    assert_eq!(world.ask("POST", &link, &[FORM], form).await.body, world.page);
    let part = world.ask("POST", &link, &[FORM, ("range", "bytes=0-3")], form).await;
    assert_eq!((part.status, &*part.body), (206, &world.page[..4]));
    for (headers, body) in [(vec![FORM], &b"passwort=x"[..]), (vec![], b"password=x"), (vec![FORM], b"")] {
        let answer = world.ask("POST", &link, &headers, body).await;
        assert_eq!(answer.code(), "MALFORMED", "{body:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("passwort=x"));
    }
    let large = vec![b'x'; 4_000];
    assert_eq!(world.ask("POST", &link, &[FORM], &large).await.status, 413);
    // Many at once are no more guesses than one after the other, give or take those that are being looked at.
    let guesses = (0..5).map(|_| world.ask("GET", &link, &[("syncline-link-password", "wrong")], b""));
    for guess in guesses {
        assert_eq!(guess.await.code(), "LINK_PASSWORD");
    }
    let sixth = world.ask("GET", &link, &header("pass wörd&"), b"").await;
    assert_eq!((sixth.status, sixth.code().as_str()), (429, "TOO_MANY_GUESSES"));
    let wait: u64 = sixth.header("retry-after").and_then(|wait| wait.parse().ok()).expect("a wait");
    assert!((800..=900).contains(&wait), "{wait} s");
}

#[tokio::test]
async fn e41_expired_used_up_revoked_and_quarantined_links_say_so() {
    let world = world().await;
    let past = Timestamp::from_ms(1_000).expect("a time");
    let expired = world.link(NewLink { expires_at: Some(past), ..to(id(2)) }).await;
    assert_eq!(world.get(&expired).await.code(), "LINK_GONE");
    let twice = world.link(NewLink { max_downloads: Some(2), ..to(id(2)) }).await;
    // A part would be a download of its own, or none: it is all or nothing.
    let whole = world.ask("GET", &twice, &[("range", "bytes=1-2")], b"").await;
    assert_eq!((whole.status, whole.body.len()), (200, 5_000));
    assert_eq!(world.ask("HEAD", &twice, &[], b"").await.status, 200);
    assert_eq!((world.get(&twice).await.status, world.get(&twice).await.status), (200, 410));
    let link = world.link(to(id(2))).await;
    let client = world.rig.client();
    let Ok(Reply::Links(links)) = client.call(Call::Links { log: LOG, after: None, limit: 10 }).await else {
        panic!("no list")
    };
    let newest = links.iter().find(|link| link.downloads == 0 && link.expires_at.is_none()).expect("listed");
    client.call(Call::SetScanning { log: LOG, policy: ScanPolicy::UntilClean }).await.expect("set");
    let pending = world.get(&link).await;
    assert_eq!((pending.status, pending.code().as_str()), (423, "SCAN_PENDING"));
    client.call(Call::SetScanning { log: LOG, policy: ScanPolicy::Off }).await.expect("set");
    assert_eq!(world.get(&link).await.status, 200);
    client.call(Call::RevokeLink { log: LOG, link: newest.id }).await.expect("revoked");
    assert_eq!(world.get(&link).await.code(), "LINK_GONE");
    let (front, back) = link.split_at(link.len() - 9);
    let other = if back.starts_with('A') { 'B' } else { 'A' };
    for stranger in ["/p/x", "/p/", &format!("{front}{other}{}", &back[1..])] {
        assert_eq!(world.get(stranger).await.status, 404, "{stranger}");
    }
    assert_eq!(world.ask("DELETE", &link, &[], b"").await.status, 405);
}
