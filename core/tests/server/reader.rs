//! A device that reads a server's tree over a way that breaks, in small pages, and from servers that are put back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, News, ServerTree, Transport};
use syncline::conformance::support::env;
use syncline::decide::TREE_ROOT;
use syncline::server::Server;
use syncline::store::PageLimit;
use syncline::tree::{To, TreeOp};
use syncline::{Cursor, EntityId};

use super::common::{poll_to_end, seq};
use super::tree::{Drive, folder};
use super::{LOG, operator};

/// A way that gives one op or node at a time, and breaks after so many answers.
#[derive(Debug)]
struct Way {
    server: Server,
    answers: AtomicUsize,
    now: AtomicU64,
    /// What others do, one after each page of a listing.
    others: Mutex<Vec<Call>>,
}

impl Way {
    fn to(drive: &Drive, answers: usize) -> Self {
        Self {
            server: drive.world.server.clone(),
            answers: AtomicUsize::new(answers),
            now: AtomicU64::new(1_000),
            others: Mutex::default(),
        }
    }
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        if self.answers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
            return Err(CallError::Interrupted("the way broke".into()));
        }
        let call = match call {
            Call::Pull { log, cursor, .. } => Call::Pull { log, cursor, limit: PageLimit::ops(1).unwrap_or_default() },
            Call::Nodes { log, asked, .. } => Call::Nodes { log, asked, limit: 1 },
            call => call,
        };
        let is_listing = matches!(call, Call::Nodes { .. });
        let tick = || env(self.now.fetch_add(1, Ordering::Relaxed));
        let reply = self.server.handle(&operator(), call, tick()).await?;
        let next = if is_listing { self.others.lock().expect("unharmed").pop() } else { None };
        if let Some(next) = next {
            self.server.handle(&operator(), next, tick()).await?;
        }
        Ok(reply)
    }
}

const ENDLESS: usize = 10_000;

fn grow(drive: &mut Drive, from: u8, to: u8) {
    for number in from..to {
        drive.does(1, vec![folder(number, TREE_ROOT, &format!("f{number}"))]);
    }
}

fn read(tree: &mut ServerTree, drive: &Drive, answers: usize) -> bool {
    poll_to_end(tree.read_on(&Way::to(drive, answers))).is_ok()
}

/// A device that wrote everything down.
fn reader(drive: &Drive) -> ServerTree {
    let mut tree = ServerTree::new(LOG);
    assert!(read(&mut tree, drive, ENDLESS));
    assert_eq!(tree.news(), &News::Listed);
    tree.noted();
    tree
}

fn live(tree: &ServerTree) -> usize {
    tree.tree().nodes().filter(|(id, node)| *id != TREE_ROOT && node.dead.is_none()).count()
}

#[test]
fn what_was_read_before_the_way_broke_is_news_until_it_is_written_down() {
    let mut drive = Drive::new();
    grow(&mut drive, 1, 4);
    let mut tree = reader(&drive);
    grow(&mut drive, 4, 9);
    for answers in [2, 0, 1] {
        assert!(!read(&mut tree, &drive, answers));
    }
    assert!(read(&mut tree, &drive, ENDLESS));
    let News::On(touched) = tree.news() else { panic!("{:?}", tree.news()) };
    let new: Vec<EntityId> = (4..9).map(|number| EntityId::from_bytes([number; 16])).collect();
    assert!(new.iter().all(|id| touched.contains(id)), "{touched:?}");
    tree.noted();
    assert!(read(&mut tree, &drive, ENDLESS));
    assert_eq!(tree.news(), &News::On([].into()), "what was written down is news again");
}

/// E22: whatever breaks while another history is listed, it stays another history: nothing that is missing in it is a delete.
#[test]
fn e22_another_history_is_one_until_that_was_written_down() {
    let mut before = Drive::new();
    grow(&mut before, 1, 6);
    let mut tree = reader(&before);
    let kept = (tree.cursor(), live(&tree));
    // The server was put back to a time before, and went on otherwise.
    let mut other = Drive::new();
    grow(&mut other, 1, 3);
    for answers in 0..4 {
        assert!(!read(&mut tree, &other, answers));
        assert_eq!((tree.cursor(), live(&tree)), kept, "half of a listing was taken for the tree");
    }
    assert!(read(&mut tree, &other, ENDLESS));
    assert_eq!((tree.news(), live(&tree)), (&News::Other, 2));
    grow(&mut other, 3, 4);
    assert!(read(&mut tree, &other, ENDLESS));
    assert_eq!((tree.news(), live(&tree)), (&News::Other, 3));
}

/// E23, E24: a listing in pages is the tree, with commits between them; one that was cut off is none.
#[test]
fn e23_e24_a_listing_while_others_commit_is_the_tree() {
    for cut in 0..9 {
        let mut drive = Drive::new();
        grow(&mut drive, 1, 9);
        let mut tree = ServerTree::new(LOG);
        assert!(!read(&mut tree, &drive, cut));
        assert_eq!((tree.cursor(), live(&tree)), (Cursor::START, 0), "a listing that was cut off is no tree");
        let id = |number: u8| EntityId::from_bytes([number; 16]);
        let into = |node: u8, parent: u8| TreeOp::Move {
            node: id(node),
            parent: Some(To { value: id(parent), base: seq(1) }),
            name: None,
            seen: seq(8),
        };
        // One that was listed goes into one that was not, dies with it there and comes back; one that was not leaves.
        let acts = [
            into(1, 8),
            TreeOp::Delete { node: id(8), seen: seq(9) },
            TreeOp::Restore { node: id(8), parent: None, name: None },
            folder(9, id(8), "new"),
            TreeOp::Delete { node: id(7), seen: seq(8) },
            into(6, 1),
        ];
        let way = Way::to(&drive, ENDLESS);
        let calls = acts.into_iter().rev().map(|act| Call::Commit(drive.commit_of(2, vec![act])));
        *way.others.lock().expect("unharmed") = calls.collect();
        poll_to_end(tree.read_on(&way)).expect("read");
        assert!(way.others.lock().expect("unharmed").is_empty(), "not all of it came between");
        assert!(read(&mut tree, &drive, ENDLESS));
        assert_eq!(tree.tree(), reader(&drive).tree());
        assert_eq!(live(&tree), 8);
    }
}
