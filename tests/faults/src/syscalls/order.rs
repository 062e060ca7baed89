//! The order of the system calls that store a blob, read from a log of them (B2).
//!
//! What must hold: its bytes are written and synced under another name, then it gets its name, then that name is synced, and
//! only then is it recorded and answered.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use syncline::LogKey;
use syncline::call::Call;
use syncline::client::{BlobTransport as _, Transport as _};
use syncline::conformance::bodies::content;
use syncline::digest::{BlobId, Digest};
use syncline::oplog::Sealing;
use syncline::server::blob_space;
use syncline_tests::rig::device::BUCKET;
use syncline_tests::rig::folder::Folder;
use syncline_tests::rig::server::Process;

use crate::fleet::{client, insist, log};

/// Stores blobs in each way there is under `strace`, and looks at what it saw; how many blobs.
///
/// # Panics
/// When the order is another.
#[must_use]
pub fn check() -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(store_and_look())
}

async fn store_and_look() -> u64 {
    let folder = Folder::new("order").expect("a folder");
    let server = Process::within(&folder, None, &[]);
    let trace = folder.path().join("trace");
    let words = ["strace", "-D", "-f", "-q", "-y", "-o"].map(str::to_owned);
    let calls = "trace=write,writev,sendto,pwrite64,fsync,fdatasync,rename".to_owned();
    server.start_through(&[&words[..], &[trace.display().to_string(), "-e".to_owned(), calls]].concat());
    server.run();
    let way = client(&server.url);
    insist(|| way.call(Call::CreateLog { log: log(3), sealing: Sealing::default() })).await;
    let mut blobs = Vec::new();
    for (seed, len) in [(1, 10), (2, 40_000), (3, 900_000)] {
        let bytes = Bytes::from(content(seed, len));
        let blob = Digest::of(&[&bytes]);
        way.put_blob(log(3), blob, bytes).await.expect("stored");
        blobs.push(blob);
    }
    let some: Vec<_> = (10..15).map(|seed| Bytes::from(content(seed, 500))).collect();
    let batch: Vec<_> = some.iter().map(|bytes| (Digest::of(&[bytes]), bytes.clone())).collect();
    // They lie together in one.
    blobs.push(Digest::of(&some.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>()));
    way.put_blobs(log(3), batch).await.expect("stored");
    server.signal("TERM");
    server.ended_within(std::time::Duration::from_secs(60)).expect("it stops");
    // What strace has seen is written when it ends, right behind the server.
    let lines = whole_lines(&fs::read_to_string(&trace).expect("a trace"));
    let root = folder.path().join("data");
    for blob in &blobs {
        look(&lines, &root, *blob);
    }
    blobs.len() as u64
}

/// The calls, each in the line of its end, without those of other threads in between.
fn whole_lines(trace: &str) -> Vec<String> {
    let mut begun: std::collections::BTreeMap<&str, String> = std::collections::BTreeMap::new();
    let mut lines = Vec::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        if let Some(first) = rest.trim_start().strip_suffix("<unfinished ...>") {
            begun.insert(pid, first.to_owned());
        } else if let Some((_, last)) = rest.split_once(" resumed>") {
            lines.push(format!("{}{last}", begun.remove(pid).unwrap_or_default()));
        } else {
            lines.push(rest.trim_start().to_owned());
        }
    }
    lines
}

fn place(root: &Path, blob: BlobId) -> PathBuf {
    let name = blob.to_string();
    let space = blob_space(LogKey { bucket: BUCKET, log: log(3) });
    root.join("blobs").join(space.to_string()).join(&name[..2]).join(&name[2..4]).join(&name)
}

/// What was done to files of blobs.
fn brief(lines: &[String]) -> String {
    let of_blobs = lines.iter().enumerate().filter(|(_, line)| line.contains("/blobs/"));
    let short = of_blobs.map(|(at, line)| format!("{at} {}", line.chars().take(300).collect::<String>()));
    short.collect::<Vec<_>>().join("\n")
}

fn look(lines: &[String], root: &Path, blob: BlobId) {
    let path = place(root, blob);
    let named = format!("\"{}\"", path.display());
    let at = |from: usize, what: &str, is: &dyn Fn(&str) -> bool| {
        let found = lines.iter().skip(from).position(|line| is(line)).map(|more| from + more);
        found.unwrap_or_else(|| panic!("no {what} of {named} after line {from} of\n{}", brief(lines)))
    };
    let renamed =
        at(0, "rename", &|line| line.starts_with("rename(") && line.contains(&named) && line.ends_with("= 0"));
    let temp = lines[renamed].split('"').nth(1).expect("two names").to_owned();
    let of_temp = |line: &str, calls: &[&str]| {
        calls.iter().any(|call| line.starts_with(call)) && line.contains(&format!("<{temp}>"))
    };
    let synced = at(0, "sync", &|line| of_temp(line, &["fsync(", "fdatasync("]) && line.ends_with("= 0"));
    let last = lines.iter().rposition(|line| of_temp(line, &["write(", "pwrite64(", "writev("]));
    let last = last.unwrap_or_else(|| panic!("nothing was written to {temp}"));
    let parent = format!("<{}>", path.parent().expect("a folder").display());
    let settled = at(renamed, "sync of the folder", &|line| {
        line.starts_with("fsync(") && line.contains(&parent) && line.ends_with("= 0")
    });
    let recorded = at(settled, "record", &|line| line.starts_with("pwrite64(") && line.contains("syncline.db-wal>"));
    let durable =
        at(recorded, "sync of the record", &|line| line.contains("sync(") && line.contains("syncline.db-wal>"));
    let is_said = |line: &str| line.contains("<socket:") || line.contains("<TCP:");
    at(durable, "answer", &is_said);
    let early = lines[renamed..durable].iter().find(|line| is_said(line));
    assert_eq!(early, None, "{named}: something is said before it is recorded for good");
    assert!(last < synced && synced < renamed, "{named}: write {last}, sync {synced}, rename {renamed}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked_at(said_early: bool) {
        let (root, blob) = (Path::new("/data"), Digest::of(&[b"x"]));
        let path = place(root, blob);
        let mut lines = vec![
            "write(3</data/blobs/.temp/1-0/0>, \"x\", 1) = 1".to_owned(),
            "fsync(3</data/blobs/.temp/1-0/0>) = 0".to_owned(),
            format!("rename(\"/data/blobs/.temp/1-0/0\", \"{}\") = 0", path.display()),
            format!("fsync(4<{}>) = 0", path.parent().expect("a folder").display()),
            "pwrite64(5</data/syncline.db-wal>, \"\"..., 4096, 0) = 4096".to_owned(),
            "fdatasync(5</data/syncline.db-wal>) = 0".to_owned(),
            "sendto(6<TCP:[1]>, \"HTTP/1.1 201\"..., 12, 0, NULL, 0) = 12".to_owned(),
        ];
        if said_early {
            lines.insert(5, lines[6].clone());
        }
        look(&lines, root, blob);
    }

    #[test]
    fn the_order_that_is_promised_is_taken() {
        looked_at(false);
    }

    #[test]
    #[should_panic(expected = "before it is recorded for good")]
    fn an_answer_before_its_record_is_durable_is_found() {
        looked_at(true);
    }
}
