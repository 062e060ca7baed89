use std::fs;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use syncline::blob::{Chunker, Manifest, Piece};
use syncline::files::{About, Body, Fingerprint, Held, Identity, Issue, Issues};
use syncline::tree::{Content, Kind, Name, NamePolicy, Node, Refusal, Stamp};
use syncline::{Anchor, Cursor, Digest, EntityId, LogId, OpId, ReplicaId, Seq, Timestamp};

use super::*;

const ROOT: EntityId = EntityId::from_bytes([0; 16]);

fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn fresh() -> (tempfile::TempDir, PathBuf, Journal) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.db");
    let (journal, aside) = Journal::open(&path).unwrap();
    assert_eq!(aside, None);
    (dir, path, journal)
}

fn print(number: i64) -> Fingerprint {
    let identity = Identity { device: u64::MAX, inode: 7, born_ns: (number % 2 == 0).then_some(i64::MIN) };
    Fingerprint { size: u64::MAX, modified_ns: -number, changed_ns: number, identity }
}

fn content(text: &str, manifest: Option<Digest>) -> Content {
    Content {
        blob: Digest::of(&[text.as_bytes()]),
        bytes: text.len() as u64,
        manifest,
        modified_at: Timestamp::from_ms(1_700_000_000_000).unwrap(),
        executable: manifest.is_some(),
        attributes: manifest,
    }
}

fn held(kind: Kind, print: Option<Fingerprint>) -> Held {
    let seq = |number| Seq::new(number).unwrap();
    Held {
        parent: ROOT,
        at: "a:b ~é".into(),
        name: Name::new("a:b ~é", NamePolicy::Lenient).unwrap(),
        kind,
        content: kind.has_content().then(|| content("x", None)),
        content_seq: seq(1),
        parent_seq: seq(1 << 40),
        name_seq: Seq::ZERO,
        body: if print.is_some() { Body::Here } else { Body::Elsewhere },
        print,
    }
}

fn manifest() -> Manifest {
    let pieces =
        vec![Piece { blob: Digest::of(&[b"piece"]), len: 4_096 }, Piece { blob: Digest::of(&[b"rest"]), len: 1 }];
    Manifest::new(Digest::of(&[b"file"]), 4_097, Chunker::Fixed { bytes: 4_096 }, pieces).unwrap()
}

#[test]
fn everything_that_is_noted_is_there_after_a_restart() {
    let (_dir, path, mut journal) = fresh();
    let rows = [
        (id(1), held(Kind::File, Some(print(1)))),
        (id(2), Held { at: "b".into(), ..held(Kind::Symlink, None) }),
        (id(3), Held { at: "c".into(), ..held(Kind::Mount(LogId::named("other")), None) }),
        (id(4), Held { at: "d".into(), ..held(Kind::Folder, Some(print(2))) }),
    ];
    let node = Node {
        name: Name::new("n", NamePolicy::Strict).unwrap(),
        parent: Some(ROOT),
        ..Node::root(Stamp { seq: Seq::FIRST, by: ReplicaId::SERVER })
    };
    let anchor = Anchor::from_bytes([9; 48]);
    let cursor = Cursor { seq: Seq::new(77).unwrap(), anchor: Some(anchor) };
    let waiting = Waiting {
        id: OpId::from_bytes([5; 16]),
        asked: Bytes::from_static(b"asked"),
        told: Bytes::from_static(b"told"),
    };
    let status = Status { alike_at: Timestamp::from_ms(0), tried_at: None, fault: Some("é".into()), halt: None };
    let mut issues = Issues::default();
    issues.raise(
        ROOT,
        "CON".into(),
        About::Make,
        Issue { print: Some(print(3)), refusal: Refusal::PathTooLong(5_000) },
    );
    issues.raise(ROOT, "CON".into(), About::Fill, Issue { print: None, refusal: Refusal::QuotaExceeded });
    let cut = manifest();
    journal
        .write(|batch| {
            rows.iter().try_for_each(|(id, held)| batch.hold(*id, Some(held)))?;
            batch.hold(id(9), Some(&Held { at: "gone".into(), ..held(Kind::File, None) }))?;
            batch.hold(id(9), None)?;
            batch.remote(id(1), Some(&node))?;
            batch.remote(id(2), Some(&node))?;
            batch.remote(id(2), None)?;
            batch.cursor(cursor)?;
            batch.volume(u64::MAX)?;
            batch.status(&status)?;
            batch.wait(&waiting)?;
            batch.wait(&Waiting { id: OpId::from_bytes([6; 16]), ..waiting.clone() })?;
            batch.answered(OpId::from_bytes([6; 16]))?;
            batch.content(&print(4), &content("y", Some(cut.id())), Some(&cut))?;
            batch.pin(id(1), Some(Pin::Pinned))?;
            batch.pin(id(2), Some(Pin::OnlineOnly))?;
            batch.pin(id(2), None)?;
            batch.issues(&issues)
        })
        .unwrap();
    drop(journal);

    let (journal, aside) = Journal::open(&path).unwrap();
    assert_eq!(aside, None);
    let base = journal.base(ROOT).unwrap();
    assert_eq!(base.len(), 4);
    for (id, held) in &rows {
        assert_eq!(base.get(*id), Some(held));
    }
    assert_eq!(journal.remote().unwrap(), vec![(id(1), node)]);
    assert_eq!(journal.cursor().unwrap(), Some(cursor));
    assert_eq!((journal.volume().unwrap(), journal.status().unwrap()), (Some(u64::MAX), status));
    assert_eq!(journal.waiting().unwrap(), [waiting]);
    assert_eq!(journal.contents().unwrap(), [(print(4), content("y", Some(cut.id())))]);
    assert_eq!(journal.manifest(cut.id()).unwrap(), Some(cut));
    assert_eq!(journal.manifest(Digest::of(&[b"other"])).unwrap(), None);
    assert_eq!(journal.pins().unwrap(), [(id(1), Pin::Pinned)]);
    assert_eq!(journal.issues().unwrap(), issues);
}

#[test]
fn a_transaction_that_fails_leaves_nothing() {
    let (_dir, _path, mut journal) = fresh();
    let failed: Result<(), _> = journal.write(|batch| {
        batch.volume(1)?;
        Err(JournalError::None)
    });
    assert!(matches!(failed, Err(JournalError::None)));
    assert_eq!(journal.volume().unwrap(), None);
}

#[test]
fn e49_a_journal_that_does_not_read_is_put_aside_and_kept() {
    let (dir, path, mut journal) = fresh();
    journal.write(|batch| batch.volume(1)).unwrap();
    drop(journal);
    for expected in ["journal.db.unreadable", "journal.db.unreadable-2"] {
        fs::write(&path, vec![b'x'; 8_192]).unwrap();
        let (journal, aside) = Journal::open(&path).unwrap();
        assert_eq!(aside, Some(dir.path().join(expected)));
        assert_eq!(fs::read(aside.unwrap()).unwrap(), vec![b'x'; 8_192]);
        assert_eq!((journal.volume().unwrap(), journal.base(ROOT).unwrap().len()), (None, 0));
    }
}

#[test]
fn e49_a_journal_with_a_damaged_page_or_row_is_put_aside() {
    let (_dir, path, mut journal) = fresh();
    journal
        .write(|batch| {
            for number in 0..200 {
                batch.hold(id(number), Some(&Held { at: format!("{number}"), ..held(Kind::File, None) }))?;
            }
            Ok(())
        })
        .unwrap();
    journal.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(journal);
    let file = fs::File::options().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4_096;
    file.write_all_at(&[0xff; 4_096], (pages - 1) * 4_096).unwrap();
    let (mut journal, aside) = Journal::open(&path).unwrap();
    assert!(aside.is_some());

    journal.write(|batch| batch.volume(1)).unwrap();
    journal.db.execute("INSERT INTO held VALUES (x'00', x'01')", []).unwrap();
    assert!(matches!(journal.base(ROOT), Err(JournalError::Unreadable(_))));
    let (journal, aside) = journal.set_aside().unwrap();
    assert!(aside.exists());
    assert_eq!((journal.volume().unwrap(), journal.base(ROOT).unwrap().len()), (None, 0));
}

#[test]
fn a_file_of_something_else_or_of_a_newer_program_is_not_written_into() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.db");
    let db = Connection::open(&other).unwrap();
    db.execute_batch("CREATE TABLE theirs(x)").unwrap();
    drop(db);
    let (_, aside) = Journal::open(&other).unwrap();
    let kept = Connection::open(aside.unwrap()).unwrap();
    assert!(kept.query_row("SELECT count(*) FROM theirs", [], |row| row.get::<_, u32>(0)).is_ok());

    let (_dir, path, journal) = fresh();
    journal.db.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(journal);
    assert!(matches!(Journal::open(&path), Err(JournalError::Newer(2))));
    assert!(matches!(Journal::beside(&path.with_file_name("none.db")), Err(JournalError::None)));
}

#[test]
fn others_may_look_and_note_something_while_one_program_writes() {
    let (_dir, path, mut journal) = fresh();
    let mut beside = Journal::beside(&path).unwrap();
    journal.write(|batch| batch.volume(1)).unwrap();
    assert_eq!(beside.volume().unwrap(), Some(1));
    beside.write(|batch| batch.pin(id(1), Some(Pin::OnlineOnly))).unwrap();
    assert_eq!(journal.pins().unwrap(), [(id(1), Pin::OnlineOnly)]);
}

#[test]
fn starting_over_forgets_what_was_agreed_on_and_keeps_what_is_wanted() {
    let (_dir, _path, mut journal) = fresh();
    journal
        .write(|batch| {
            batch.hold(id(1), Some(&held(Kind::File, None)))?;
            batch.volume(1)?;
            batch.cursor(Cursor::START)?;
            batch.content(&print(1), &content("x", None), None)?;
            batch.pin(id(1), Some(Pin::Pinned))
        })
        .unwrap();
    journal.start_over().unwrap();
    assert_eq!((journal.base(ROOT).unwrap().len(), journal.cursor().unwrap()), (0, None));
    assert_eq!((journal.pins().unwrap().len(), journal.contents().unwrap().len()), (1, 1));
}

#[test]
fn what_nothing_looks_like_any_more_is_forgotten() {
    let (_dir, _path, mut journal) = fresh();
    let cut = manifest();
    let write = |journal: &mut Journal, number, named: Option<Digest>| {
        journal.write(|batch| batch.content(&print(number), &content("x", named), Some(&cut))).unwrap();
    };
    write(&mut journal, 1, Some(cut.id()));
    write(&mut journal, 2, None);
    journal.write(|batch| batch.keep_contents(|looks, _| *looks == print(1))).unwrap();
    assert_eq!(journal.contents().unwrap().len(), 1);
    assert!(journal.manifest(cut.id()).unwrap().is_some());
    journal.write(|batch| batch.keep_contents(|_, _| false)).unwrap();
    assert_eq!((journal.contents().unwrap().len(), journal.manifest(cut.id()).unwrap()), (0, None));
}
