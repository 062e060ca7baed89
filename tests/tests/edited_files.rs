//! Why: after a small edit of a large file little should be sent. How: files like those of the table in `files.md`, section
//! 5, are made and edited; what is new in the edited one is counted, and may be 1.2 times what the table says for the same
//! way of cutting. The bytes are the same on every machine.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use syncline::Digest;
use syncline::blob::{Chunker, Cutter};

/// Numbers that look random and are the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    /// Words that nobody knows.
    fn line(&mut self) -> Vec<u8> {
        let len = 40 + self.below(60);
        let mut line: Vec<u8> = (0..len).map(|_| b"etaoin shrdlu cmfwyp vbgkjqxz"[self.below(29)]).collect();
        line.push(b'\n');
        line
    }
}

fn pieces(chunker: Chunker, mut rest: &[u8]) -> Vec<(Digest, usize)> {
    let (mut cutter, mut pieces, mut ended) = (Cutter::new(chunker), Vec::new(), false);
    loop {
        while let Some(piece) = cutter.piece() {
            pieces.push((Digest::of(&[piece]), piece.len()));
        }
        if ended {
            return pieces;
        }
        let space = cutter.space();
        let len = space.len().min(rest.len());
        space[..len].copy_from_slice(&rest[..len]);
        cutter.filled(len);
        rest = &rest[len..];
        ended = len == 0;
    }
}

/// Percent of the edited file that has to be sent when the server has the old one, and how it is cut.
fn sent(old: &[u8], new: &[u8]) -> (f64, Chunker) {
    let before = Chunker::choose(old.len() as u64, &old[..4096], None);
    let chunker = Chunker::choose(new.len() as u64, &new[..4096], before).unwrap();
    let there: BTreeSet<Digest> = pieces(before.unwrap(), old).into_iter().map(|(blob, _)| blob).collect();
    let mut counted = there;
    let new_bytes: usize =
        pieces(chunker, new).into_iter().map(|(blob, len)| if counted.insert(blob) { len } else { 0 }).sum();
    (100.0 * new_bytes as f64 / new.len() as f64, chunker)
}

#[track_caller]
fn assert_sent(old: &[u8], new: &[u8], cut: Chunker, table: f64) {
    let (percent, chunker) = sent(old, new);
    assert_eq!(chunker, cut);
    assert!(percent <= table * 1.2, "{percent:.2} % are sent; the table has {table} %");
}

fn content(average: u32) -> Chunker {
    Chunker::content(average).unwrap()
}

#[test]
fn of_a_log_that_grew_its_end_is_sent() {
    let mut dice = Dice(1);
    let mut log = Vec::new();
    while log.len() < 31_300_000 {
        log.extend(dice.line());
    }
    let old = log.clone();
    while log.len() < old.len() + 1_000_000 {
        log.extend(dice.line());
    }
    assert_sent(&old, &log, content(16 << 10), 3.1);
}

#[test]
fn of_a_file_with_bytes_put_in_at_the_front_its_first_piece_is_sent() {
    let mut dice = Dice(2);
    // How long one piece is is chance, so many files are asked; of each, percent of the table's 33.6 MB. The table's figure is
    // rounded: it may be 0.055.
    let mut percents = 0.0;
    for _ in 0..32 {
        let old = dice.noise(1_000_000);
        let new = [dice.noise(100), old.clone()].concat();
        let (percent, chunker) = sent(&old, &new);
        assert_eq!(chunker, content(16 << 10));
        percents += percent / 33.6;
    }
    let percent = percents / 32.0;
    assert!(percent <= 0.055 * 1.2, "{percent:.3} % are sent");
}

#[test]
fn of_an_image_with_a_hundred_pages_written_their_pieces_are_sent() {
    let mut dice = Dice(3);
    // A byte below the size that is cut more coarsely: the table's figure is for the finer cut.
    let old = dice.noise((64 << 20) - 1);
    let mut new = old.clone();
    for _ in 0..100 {
        let at = dice.below(old.len() / 4096 - 1) * 4096;
        let page = dice.noise(4096);
        new[at..at + 4096].copy_from_slice(&page);
    }
    assert_sent(&old, &new, content(16 << 10), 4.6);
    // The same image, three MiB larger.
    let more = dice.noise(3 << 20);
    assert_sent(&[&old[..], &more].concat(), &[&new[..], &more].concat(), content(64 << 10), 14.3);
}

#[test]
fn of_a_text_with_fifty_lines_edited_their_pieces_are_sent() {
    let mut dice = Dice(4);
    let mut lines: Vec<Vec<u8>> = Vec::new();
    let mut len = 0;
    while len < 21_000_000 {
        lines.push(dice.line());
        len += lines.last().unwrap().len();
    }
    let old = lines.concat();
    for _ in 0..50 {
        let at = dice.below(lines.len());
        lines[at] = dice.line();
    }
    assert_sent(&old, &lines.concat(), content(16 << 10), 6.3);
}

#[test]
fn of_a_picture_whose_description_grew_its_first_piece_is_sent() {
    let mut dice = Dice(5);
    let old = [b"\xff\xd8\xff".to_vec(), dice.noise(8_500_000)].concat();
    let new = [&old[..200], &dice.noise(3_000), &old[200..]].concat();
    assert_sent(&old, &new, content(256 << 10), 7.0);
}

#[test]
fn of_a_database_with_a_hundred_rows_updated_their_pages_are_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.db");
    let mut dice = Dice(6);
    let mut database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, name TEXT, body TEXT)").unwrap();
    let all = database.transaction().unwrap();
    {
        let mut insert = all.prepare("INSERT INTO rows (name, body) VALUES (?1, ?2)").unwrap();
        for row in 0..200_000 {
            let body = format!("{:016x}", dice.next()).repeat(10);
            insert.execute((format!("row {row}"), body)).unwrap();
        }
    }
    all.commit().unwrap();
    let old = std::fs::read(&path).unwrap();
    for _ in 0..100 {
        let (id, body) = (dice.below(200_000), format!("{:016x}", dice.next()).repeat(10));
        database.execute("UPDATE rows SET body = ?2 WHERE id = ?1", (id.to_string(), body)).unwrap();
    }
    drop(database);
    let new = std::fs::read(&path).unwrap();
    assert_sent(&old, &new, Chunker::fixed(4096).unwrap(), 1.1);
}
