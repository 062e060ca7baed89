//! How long until a tree of files is on another device, and until a hundred edits are? And how long does rclone take?
//!
//! Two devices and a server on loopback, everything on one machine: ours with SQLite and files, which it syncs to the disk;
//! rclone's with its own SFTP server, which does not. What arrived is compared byte for byte.

use std::time::Duration;

use syncline_benches::drive::{Drive, Follows, Rclone, Spent, Tree};
use syncline_benches::{scale, table};

const EDITS: usize = 100;

fn main() -> anyhow::Result<()> {
    let at = tempfile::tempdir()?;
    let peer = match Rclone::is_there() {
        true => Some(Rclone::begin(at.path())?),
        false if std::env::var_os("CI").is_some_and(|ci| ci == "true") => anyhow::bail!("CI has rclone"),
        false => {
            table::not_run("the drive beside rclone", "rclone is not installed");
            None
        }
    };
    let own = tempfile::tempdir()?;
    let drive = Drive::begin(own.path())?;
    let count = scale(20_000, 200);
    let tree = Tree::plant(drive.folder(0), count)?;
    let bytes = table::size(tree.bytes);
    let title = format!("A folder of {count} files ({bytes}) on two devices, through a server");
    table::begin_with(&title, &["question", "ours", "rclone bisync", "ratio, by CPU", "aim"]);
    if let Some(peer) = &peer {
        Tree::plant(peer.folder(0), count)?;
    }
    let ask = |question: &str, ours: Spent, theirs: Option<Spent>| {
        let cell = |spent: Spent| format!("{} (CPU {})", seconds(spent.wall), seconds(spent.cpu));
        let ratio = |theirs: Spent| {
            let part = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64();
            format!("{:.2}, {:.2}", part(theirs.wall, ours.wall), part(theirs.cpu, ours.cpu))
        };
        let (peer, ratio) = theirs.map_or(("–".into(), "–".into()), |theirs| (cell(theirs), ratio(theirs)));
        table::row_of(question, &cell(ours), &peer, &ratio, "speed > 1");
    };
    let first = drive.bring(0, true)?;
    tree.check(drive.folder(0), drive.folder(1))?;
    let theirs = peer.as_ref().map(|peer| peer.bring(0, true)).transpose()?;
    ask("the first sync, up and down", first, theirs);
    for round in 1..=scale(3, 1) {
        let count = EDITS.min(count);
        tree.edit(drive.folder(0), count, round)?;
        let ours = drive.bring(0, false)?;
        tree.check(drive.folder(0), drive.folder(1))?;
        let theirs = match &peer {
            Some(peer) => {
                tree.edit(peer.folder(0), count, round)?;
                let spent = peer.bring(0, false)?;
                tree.check(peer.folder(0), peer.folder(1))?;
                Some(spent)
            }
            None => None,
        };
        ask(&format!("{count} edits all over it, round {round}"), ours, theirs);
    }
    let nothing = drive.bring(0, false)?;
    let theirs = peer.as_ref().map(|peer| peer.bring(0, false)).transpose()?;
    ask("nothing to do", nothing, theirs);
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
