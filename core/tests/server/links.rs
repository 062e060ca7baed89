//! Public links: where they lead, when they end, what they do not show, and how often a password is guessed at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use syncline::access::{LinkToken, Passwords};
use syncline::blob::ScanPolicy;
use syncline::call::{Call, ErrorCode, Link, NewLink, Refusal, Reply};
use syncline::conformance::support::env;
use syncline::decide::TREE_ROOT;
use syncline::digest::Digest;
use syncline::server::Linked;
use syncline::store::ByteRange;
use syncline::tree::{Kind, To, TreeOp};
use syncline::{EntityId, Env, LinkId, Seq, limits};

use super::LOG;
use super::common::{poll_to_end, seq};
use super::tree::{Drive, file, folder, id, put};

/// What is kept is the password backwards, so that a test can wait for it.
#[derive(Debug)]
struct Backwards;

#[async_trait]
impl Passwords for Backwards {
    async fn keep(&self, password: &str) -> Option<String> {
        Some(password.chars().rev().collect())
    }

    async fn fits(&self, password: &str, kept: &str) -> Option<bool> {
        Some(password.chars().rev().eq(kept.chars()))
    }
}

/// `docs/a` (1, 2), `docs/deep/b` (3, 4), `c` (5).
fn drive() -> Drive {
    let mut drive = Drive::new();
    drive.world.server = drive.world.server.clone().with_passwords(Arc::new(Backwards));
    drive.send_all(&["one", "two", "three", "newer"]);
    let made = vec![
        folder(1, TREE_ROOT, "docs"),
        file(2, id(1), "a", "one"),
        folder(3, id(1), "deep"),
        file(4, id(3), "b", "two"),
        file(5, TREE_ROOT, "c", "three"),
    ];
    assert_eq!(drive.does(1, made).0, Some(1));
    drive
}

const fn to(node: EntityId) -> NewLink {
    NewLink { log: LOG.log, node, pin: None, expires_at: None, password: None, max_downloads: None }
}

fn make(drive: &Drive, new: NewLink) -> LinkToken {
    match drive.world.call(Call::MakeLink(new)) {
        Reply::LinkMade { id, token } => {
            assert_eq!(token.id(), id);
            token
        }
        other => panic!("{other:?}"),
    }
}

fn now(at: u64) -> Env {
    env(1_000 + at)
}

fn open_with(drive: &Drive, token: &LinkToken, password: Option<&str>, at: u64) -> Result<Linked, Refusal> {
    poll_to_end(drive.world.server.open_link(token, password, None, now(at)))
}

fn open(drive: &Drive, token: &LinkToken) -> Result<Linked, ErrorCode> {
    open_with(drive, token, None, 0).map_err(|refusal| refusal.code)
}

fn below(drive: &Drive, token: &LinkToken, node: EntityId) -> Result<EntityId, ErrorCode> {
    let linked = poll_to_end(drive.world.server.open_link(token, None, Some(node), now(0)));
    linked.map(|linked| linked.id).map_err(|refusal| refusal.code)
}

fn download(drive: &Drive, token: &LinkToken, at: u64) -> Result<Bytes, ErrorCode> {
    let code = |refusal: Refusal| refusal.code;
    let linked = open_with(drive, token, None, at).map_err(code)?;
    let opened = poll_to_end(drive.world.server.open_linked(&linked, ByteRange::default(), true, now(at)));
    let mut source = opened.map_err(code)?;
    let mut held = Vec::new();
    while let Some(bytes) = poll_to_end(source.next()).expect("bytes") {
        held.extend_from_slice(&bytes);
    }
    Ok(held.into())
}

fn links(drive: &Drive) -> Vec<Link> {
    match drive.world.call(Call::Links { log: LOG.log, after: None, limit: 10 }) {
        Reply::Links(links) => links,
        other => panic!("{other:?}"),
    }
}

#[test]
fn e41_a_link_follows_its_file_and_ends_with_it() {
    let mut drive = drive();
    let (newest, pinned) = (make(&drive, to(id(2))), make(&drive, NewLink { pin: Some(seq(1)), ..to(id(2)) }));
    assert_eq!(download(&drive, &newest, 0).as_deref(), Ok(b"one".as_slice()));
    let parent = Some(To { value: id(3), base: seq(1) });
    let name = Some(To { value: "renamed".to_owned(), base: seq(1) });
    drive.does(1, vec![TreeOp::Move { node: id(2), parent, name, seen: seq(1) }]);
    drive.does(1, vec![put(2, "newer", 1, 90)]);
    assert_eq!(download(&drive, &newest, 0).as_deref(), Ok(b"newer".as_slice()));
    assert_eq!(open(&drive, &newest).expect("there").node.name.as_str(), "renamed");
    assert_eq!(download(&drive, &pinned, 0).as_deref(), Ok(b"one".as_slice()), "one revision for ever");
    drive.does(1, vec![TreeOp::Delete { node: id(1), seen: seq(3) }]);
    for token in [&newest, &pinned] {
        assert_eq!(open(&drive, token), Err(ErrorCode::LinkGone));
    }
    drive.does(1, vec![TreeOp::Restore { node: id(1), parent: None, name: None }]);
    assert_eq!(download(&drive, &newest, 0).as_deref(), Ok(b"newer".as_slice()), "and is back with it");
}

#[test]
fn a_link_leads_to_what_is_below_its_folder_and_nowhere_else() {
    let mut drive = drive();
    let token = make(&drive, to(id(1)));
    let linked = open(&drive, &token).expect("there");
    assert_eq!((linked.id, linked.content, linked.numbered), (id(1), None, false));
    let page = poll_to_end(drive.world.server.link_children(&linked, None, 1)).expect("a page");
    assert_eq!((page.nodes[0].0, page.more), (id(2), true));
    let after = page.nodes[0].1.name.key();
    let page = poll_to_end(drive.world.server.link_children(&linked, Some(after), 10)).expect("a page");
    assert_eq!((page.nodes.len(), page.nodes[0].0, page.more), (1, id(3), false));
    for (node, found) in [(1, true), (2, true), (3, true), (4, true), (5, false), (99, false)] {
        let expected = if found { Ok(id(node)) } else { Err(ErrorCode::LinkNotFound) };
        assert_eq!(below(&drive, &token, id(node)), expected, "{node}");
    }
    assert_eq!(below(&drive, &token, TREE_ROOT), Err(ErrorCode::LinkNotFound), "nor up");
    let all = make(&drive, to(TREE_ROOT));
    assert_eq!(below(&drive, &all, id(5)), Ok(id(5)));
    // What was moved out is out, and what is dead is not there.
    let parent = Some(To { value: TREE_ROOT, base: seq(1) });
    drive.does(1, vec![TreeOp::Move { node: id(3), parent, name: None, seen: seq(1) }]);
    assert_eq!(below(&drive, &token, id(4)), Err(ErrorCode::LinkNotFound));
    drive.does(1, vec![TreeOp::Delete { node: id(2), seen: seq(2) }]);
    assert_eq!(below(&drive, &token, id(2)), Err(ErrorCode::LinkNotFound));
    for limit in [0, limits::TREE_PAGE_NODES_MAX + 1] {
        let refused = poll_to_end(drive.world.server.link_children(&linked, None, limit)).expect_err("refused");
        assert_eq!(refused.code, ErrorCode::LimitOutOfRange);
    }
}

#[test]
fn e41_a_link_ends_at_its_time_when_it_is_revoked_and_with_its_last_download() {
    let drive = drive();
    let ends = now(50).now;
    let timed = make(&drive, NewLink { expires_at: Some(ends), ..to(id(2)) });
    for (at, expected) in [(49, Ok(())), (50, Err(ErrorCode::LinkGone)), (51, Err(ErrorCode::LinkGone))] {
        assert_eq!(download(&drive, &timed, at).map(drop), expected, "at {at}");
    }
    let numbered = make(&drive, NewLink { max_downloads: Some(2), ..to(id(2)) });
    assert!(open(&drive, &numbered).expect("there").numbered);
    // Two that opened it before may race for the last download: one of them has it.
    let before = open(&drive, &numbered).expect("there");
    assert!(download(&drive, &numbered, 0).is_ok() && download(&drive, &numbered, 0).is_ok());
    assert_eq!(download(&drive, &numbered, 0), Err(ErrorCode::LinkGone));
    let late = poll_to_end(drive.world.server.open_linked(&before, ByteRange::default(), true, now(0)));
    assert_eq!(late.map(drop).expect_err("refused").code, ErrorCode::LinkGone);
    let revoked = make(&drive, to(id(2)));
    let end = |link| Call::RevokeLink { log: LOG.log, link };
    assert!(matches!(drive.world.call(end(revoked.id())), Reply::Done));
    assert!(matches!(drive.world.call(end(revoked.id())), Reply::Done), "twice is no error");
    assert_eq!(open(&drive, &revoked), Err(ErrorCode::LinkGone));
    assert_eq!(drive.world.code(end(LinkId::from_bytes([9; 16]))), ErrorCode::LinkNotFound);

    let listed = links(&drive);
    assert_eq!(listed.len(), 3);
    let find = |token: &LinkToken| listed.iter().find(|link| link.id == token.id()).expect("listed");
    assert_eq!((find(&numbered).downloads, find(&timed).downloads), (2, 1));
    assert!(find(&revoked).revoked_at.is_some() && find(&timed).revoked_at.is_none());
    assert_eq!(find(&timed).expires_at, Some(ends));
}

#[test]
fn e41_the_sixth_wrong_password_in_a_quarter_of_an_hour_waits_and_so_does_the_right_one() {
    let drive = drive();
    let token = make(&drive, NewLink { password: Some("sesame".into()), ..to(id(2)) });
    assert!(links(&drive)[0].has_password);
    let code = |password, at| open_with(&drive, &token, password, at).map(drop).map_err(|refusal| refusal.code);
    for at in 0..20 {
        assert_eq!(code(None, at), Err(ErrorCode::LinkPassword), "who does not guess is not counted");
        assert_eq!(code(Some("sesame"), at), Ok(()));
    }
    for at in 0..5 {
        assert_eq!(code(Some("wrong"), at), Err(ErrorCode::LinkPassword), "guess {at}");
    }
    let window = limits::LINK_GUESS_WINDOW_MS;
    for password in [Some("wrong"), Some("sesame"), None] {
        let refusal = open_with(&drive, &token, password, 10).expect_err("refused");
        assert_eq!(refusal.code, ErrorCode::TooManyGuesses);
        assert_eq!(refusal.retry_after_ms.map(|ms| u64::from(ms.get())), Some(window - 10));
    }
    assert_eq!(code(Some("sesame"), window), Ok(()), "the first counts no more");
    let max = limits::LINK_PASSWORD_BYTES_MAX;
    for (len, kept) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
        let made = NewLink { password: Some("p".repeat(len)), ..to(id(2)) };
        let made = drive.world.ask(&super::operator(), Call::MakeLink(made)).map_err(|refusal| refusal.code);
        assert_eq!(made.is_ok(), kept, "{len} bytes");
        assert!(kept || matches!(made, Err(ErrorCode::Malformed)));
    }
    let long = "p".repeat(max + 1);
    assert_eq!(code(Some(&long), 2 * window), Err(ErrorCode::LinkPassword));
    let mut without = Drive::new();
    without.send_all(&["one"]);
    without.does(1, vec![file(2, TREE_ROOT, "a", "one")]);
    let made = NewLink { password: Some("sesame".into()), ..to(id(2)) };
    assert_eq!(without.world.code(Call::MakeLink(made)), ErrorCode::NoPasswords);
}

#[test]
fn e41_what_is_quarantined_is_not_downloaded_and_not_counted() {
    let drive = drive();
    let token = make(&drive, NewLink { max_downloads: Some(1), ..to(id(2)) });
    drive.world.call(Call::SetScanning { log: LOG.log, policy: ScanPolicy::UntilClean });
    assert_eq!(download(&drive, &token, 0), Err(ErrorCode::ScanPending));
    drive.world.call(Call::ReleaseBlob { log: LOG.log, blob: Digest::of(&[b"one"]) });
    assert!(download(&drive, &token, 0).is_ok(), "the one there is was not used up");
}

#[test]
fn an_address_that_is_not_known_tells_nothing_and_a_link_needs_something_to_lead_to() {
    let mut drive = drive();
    let token = make(&drive, to(id(2)));
    let text = token.to_string();
    assert!(!text.contains(&token.digest().to_string()[..8]));
    let other_secret = LinkToken::new(LOG, [1; 32]);
    let other_log = LinkToken::new(syncline::conformance::support::log(3), [1; 32]);
    for stranger in [other_secret, other_log] {
        assert_eq!(open(&drive, &stranger), Err(ErrorCode::LinkNotFound));
    }
    drive.does(1, vec![TreeOp::Delete { node: id(5), seen: seq(1) }]);
    let link_in_tree = TreeOp::Create {
        node: id(6),
        parent: TREE_ROOT,
        name: "s".into(),
        kind: Kind::Symlink,
        content: Some(super::tree::content("one")),
    };
    drive.does(1, vec![link_in_tree]);
    let pinned = |node, pin| NewLink { pin: Some(pin), ..to(id(node)) };
    for wrong in [to(id(99)), to(id(5)), to(id(6)), pinned(2, seq(9)), pinned(2, Seq::ZERO), pinned(1, seq(1))] {
        let text = format!("{wrong:?}");
        assert_eq!(drive.world.code(Call::MakeLink(wrong)), ErrorCode::NodeNotFound, "{text}");
    }
    let all = make(&drive, to(TREE_ROOT));
    assert_eq!(below(&drive, &all, id(6)), Err(ErrorCode::LinkNotFound), "a link in the tree leads out of it");
    let elsewhere = NewLink { log: syncline::LogId::from_bytes([77; 16]), ..to(id(2)) };
    assert_eq!(drive.world.code(Call::MakeLink(elsewhere)), ErrorCode::LogNotFound);
}

/// Passwords that are looked at until somebody lets go.
#[derive(Debug, Default)]
struct Slow {
    begun: AtomicUsize,
    let_go: AtomicBool,
}

#[async_trait]
impl Passwords for Slow {
    async fn keep(&self, password: &str) -> Option<String> {
        Some(password.to_owned())
    }

    async fn fits(&self, password: &str, kept: &str) -> Option<bool> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let held =
            |_: &mut Context<'_>| if self.let_go.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending };
        std::future::poll_fn(held).await;
        Some(password == kept)
    }
}

#[test]
fn e41_guesses_at_once_are_no_more_than_one_after_the_other() {
    let mut drive = drive();
    let slow = Arc::new(Slow::default());
    drive.world.server = drive.world.server.clone().with_passwords(Arc::<Slow>::clone(&slow));
    let token = make(&drive, NewLink { password: Some("sesame".into()), ..to(id(2)) });
    let server = &drive.world.server;
    let guesses = (0..40).map(|n| if n == 2 { "sesame".to_owned() } else { format!("wrong {n}") });
    let guesses: Vec<String> = guesses.collect();
    let opens = guesses.iter().map(|guess| server.open_link(&token, Some(guess), None, now(0)));
    let mut opens: Vec<_> = opens.map(|open| (Box::pin(open), None)).collect();
    let mut poll_all = || {
        for (open, done) in opens.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(opened) = open.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                *done = Some(opened.map(drop).map_err(|refusal| (refusal.code, refusal.retry_after_ms)));
            }
        }
    };
    (0..100).for_each(|_| poll_all());
    assert_eq!(slow.begun.load(Ordering::Relaxed), limits::LINK_GUESSES_MAX, "so many are looked at at once");
    slow.let_go.store(true, Ordering::Relaxed);
    (0..100).for_each(|_| poll_all());
    let answers: Vec<_> = opens.into_iter().map(|(_, done)| done.expect("an answer")).collect();
    let wrong = (ErrorCode::LinkPassword, None);
    assert_eq!(answers[..5], [Err(wrong), Err(wrong), Ok(()), Err(wrong), Err(wrong)]);
    let moment = (ErrorCode::TooManyGuesses, std::num::NonZeroU32::new(1_000));
    assert!(answers[5..].iter().all(|answer| *answer == Err(moment)), "{answers:?}");
    // One is left, and then nobody may; the right one is known by now, and waits all the same.
    let code = |password, at| open_with(&drive, &token, Some(password), at).map(drop).map_err(|refusal| refusal.code);
    assert_eq!(code("sesame", 1), Ok(()));
    assert_eq!(code("wrong", 1), Err(ErrorCode::LinkPassword));
    assert_eq!(code("sesame", 2), Err(ErrorCode::TooManyGuesses));
    assert_eq!(slow.begun.load(Ordering::Relaxed), 6, "a password that was right is looked at once");
}
