//! Restore points, restores and snapshots.

use std::io::Write;
use std::path::Path;

use syncline::call::{Call, Reply};
use syncline::wire::json::{RestorePointsJson, RestoredJson, SnapshotJson};
use syncline::{LogId, RequestId, Seq};
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::ids;
use crate::session::{Session, unexpected};

/// Lists restore points, newest first.
///
/// # Errors
/// Why it stopped.
pub(super) async fn points(session: &Session, log: LogId, limit: usize, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let Reply::RestorePoints(points) = session.ask(Call::RestorePoints { log, limit }).await? else {
        return Err(unexpected("a listing of restore points"));
    };
    for point in RestorePointsJson::of(&points).restore_points {
        write_line(out, &point)?;
    }
    Ok(Outcome::Done)
}

/// Makes the state at a seq the present one again.
///
/// # Errors
/// Why it stopped.
pub(super) async fn restore(session: &Session, log: LogId, to: Seq, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let seen = session.status(log).await?.end();
    let request = RequestId::from_bytes(ids::env()?.uuid7("restore"));
    done(&session.ask(Call::Restore { log, to, seen, request }).await?, out)
}

/// Takes the last restore back.
///
/// # Errors
/// Why it stopped.
pub(super) async fn undo(session: &Session, log: LogId, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let seen = session.status(log).await?.end();
    let request = RequestId::from_bytes(ids::env()?.uuid7("undo"));
    done(&session.ask(Call::UndoRestore { log, seen, request }).await?, out)
}

fn done(reply: &Reply, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let Reply::Restored { seq, end } = *reply else {
        return Err(unexpected("that the log is restored"));
    };
    write_line(out, &RestoredJson { seq, end })?;
    Ok(Outcome::Done)
}

/// Gets the newest snapshot.
///
/// # Errors
/// Why it stopped.
pub(super) async fn snapshot(
    session: &Session,
    log: LogId,
    file: Option<&Path>,
    out: &mut dyn Write,
) -> Result<Outcome, Fault> {
    let Reply::Snapshot(snapshot) = session.ask(Call::GetSnapshot(log)).await? else {
        return Err(unexpected("a snapshot"));
    };
    let Some(snapshot) = snapshot else {
        return Err(Fault::new("the log has no snapshot: reading it from the start is as good"));
    };
    let json = SnapshotJson::of(&snapshot).map_err(|error| Fault::new(format!("the snapshot: {error}")))?;
    match file {
        None => write_line(out, &json)?,
        Some(path) => {
            let mut text = Vec::new();
            write_line(&mut text, &json)?;
            std::fs::write(path, text).map_err(|error| Fault::file("cannot write", path, &error))?;
            eprintln!("the snapshot at seq {} is in {}", snapshot.seq, path.display());
        }
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::Rig;

    #[tokio::test]
    async fn a_log_goes_back_and_the_restore_can_be_taken_back() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=3).await;
        assert_eq!(rig.run(&["restore-points", &log]).await.done(), "");
        assert_eq!(rig.run(&["restore", &log, "--to", "2"]).await.lines()[0]["seq"], 4);
        assert_eq!(rig.run(&["restore-undo", &log]).await.lines()[0]["seq"], 5);
        let points = rig.run(&["restore-points", &log]).await.lines();
        let seqs: Vec<_> = points.iter().map(|point| point["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, [5, 4]);
        rig.run(&["verify", &log]).await.done();
        assert!(rig.run(&["restore", &log, "--to", "99"]).await.fault().contains("NO_SUCH_SEQ"));
        rig.edits(&log, "laptop", 4..=4).await;
        assert!(rig.run(&["restore-undo", &log]).await.fault().contains("NOTHING_TO_UNDO"));
    }

    #[tokio::test]
    async fn a_snapshot_goes_to_stdout_or_to_a_file() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=3).await;
        assert!(rig.run(&["snapshot", &log]).await.fault().contains("no snapshot"));
        rig.run(&["restore", &log, "--to", "3"]).await.done();
        let shown = rig.run(&["snapshot", &log]).await;
        assert_eq!(shown.lines()[0]["cursor"]["seq"], 4);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("snapshot.json");
        assert_eq!(rig.run(&["snapshot", &log, "--out", file.to_str().unwrap()]).await.done(), "");
        assert_eq!(std::fs::read_to_string(file).unwrap(), shown.out);
    }
}
