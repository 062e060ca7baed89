//! An export is a whole log or it is refused; an import is a whole log or it says what is missing.

use std::path::PathBuf;

use syncline::call::{Call, Reply};
use syncline::client::CallError;
use tempfile::TempDir;

use crate::commands::Outcome;
use crate::testing::{Rig, lines_of, log_id, op_on, op_with};

struct Exported {
    rig: Rig,
    log: String,
    file: PathBuf,
    _folder: TempDir,
}

impl Exported {
    async fn of(fill: impl AsyncFnOnce(&Rig, &str)) -> Self {
        let rig = Rig::new();
        let log = rig.log().await;
        fill(&rig, &log).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.jsonl");
        rig.run(&["export", &log, file.to_str().unwrap()]).await.done();
        Self { rig, log, file, _folder: folder }
    }

    async fn import(&self, into: &str) -> crate::testing::Ran {
        self.rig.run(&["import", into, self.file.to_str().unwrap()]).await
    }

    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.file).unwrap().lines().map(str::to_owned).collect()
    }

    fn write(&self, lines: &[String]) {
        std::fs::write(&self.file, lines.join("\n") + "\n").unwrap();
    }

    async fn ops(&self, log: &str) -> Vec<serde_json::Value> {
        let lines = self.rig.run(&["pull", log]).await.lines();
        lines.into_iter().map(|mut line| line["op"].take()).collect()
    }

    async fn end(&self, log: &str) -> u64 {
        self.rig.session.status(log_id(log)).await.unwrap().last.get()
    }
}

async fn three_edits(rig: &Rig, log: &str) {
    rig.edits(log, "laptop", 1..=3).await;
}

async fn many(rig: &Rig, log: &str) {
    let ops: Vec<_> = (1..=2_500).map(|counter| op_with(1, counter, "{}")).collect();
    rig.run_with(&["push", log], &lines_of(&ops)).await.done();
}

#[tokio::test]
async fn a_log_comes_back_from_its_export_op_for_op() {
    let exported = Exported::of(async |rig, log| {
        three_edits(rig, log).await;
        rig.run_with(&["push", log], &lines_of(&[op_with(1, 1, "{ \"spaced\" : [1,\t2] }")])).await.done();
    })
    .await;
    let into = exported.rig.log().await;
    let ran = exported.import(&into).await;
    assert_eq!(ran.lines()[0]["ops"], 4);
    ran.done();
    assert_eq!(exported.ops(&into).await, exported.ops(&exported.log).await);
    exported.rig.run(&["verify", &into]).await.done();
    exported.import(&into).await.done();
    assert_eq!(exported.end(&into).await, 4, "importing again adds nothing");
}

#[tokio::test]
async fn an_empty_log_is_exported_and_imported() {
    let exported = Exported::of(async |_, _| {}).await;
    exported.import("00000000-0000-8000-8000-000000000001").await.done();
    assert_eq!(exported.end("00000000-0000-8000-8000-000000000001").await, 0);
}

#[tokio::test]
async fn an_export_never_replaces_a_file() {
    let exported = Exported::of(three_edits).await;
    let before = exported.lines();
    let again = exported.rig.run(&["export", &exported.log, exported.file.to_str().unwrap()]).await;
    assert!(again.fault().contains("there already"));
    assert_eq!(exported.lines(), before);
}

#[tokio::test]
async fn fault_an_export_that_does_not_fit_together_is_refused_before_anything_is_pushed() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change, &str); 9] = [
        ("an op changed", |lines| lines[2] = lines[2].replace("\"n\":2", "\"n\":9"), "line 3 of the export: seq 2"),
        ("an op gone", |lines| drop(lines.remove(2)), "line 3 of the export: seq 2 is expected, 3"),
        ("two ops swapped", |lines| lines.swap(1, 2), "line 2 of the export: seq 1 is expected"),
        ("an op twice", |lines| lines.insert(2, lines[1].clone()), "line 3 of the export: seq 2 is expected, 1"),
        ("cut off after an op", |lines| lines.truncate(3), "cut off after seq 2"),
        ("cut off before the trailer", |lines| lines.truncate(4), "cut off before its trailer"),
        ("more behind the trailer", |lines| lines.push("{}".into()), "follows the trailer"),
        ("no JSON", |lines| lines[1] = "x".into(), "line 2 of the export: seq 1 does not read"),
        ("another log's name", |lines| lines[0] = lines[0].replace("\"log\":\"0", "\"log\":\"1"), "line 1"),
    ];
    for (what, change, told) in changes {
        let exported = Exported::of(three_edits).await;
        let mut lines = exported.lines();
        change(&mut lines);
        assert_ne!(lines, exported.lines(), "{what}: nothing changed");
        exported.write(&lines);
        let calls = exported.rig.calls();
        let fault = exported.import("00000000-0000-8000-8000-000000000001").await.fault();
        assert!(fault.contains(told), "{what}: {fault}");
        assert_eq!(exported.rig.calls(), calls, "{what}: the server was asked");
    }
}

#[tokio::test]
async fn fault_an_import_that_was_cut_off_goes_on_where_it_stopped() {
    let exported = Exported::of(many).await;
    let into = exported.rig.log().await;
    let mut pushes = 0;
    exported.rig.meddle(move |call, answer| {
        pushes += u32::from(matches!(call, Call::Push(_)));
        // The second push arrives, its answer does not, and nothing after it.
        if pushes >= 2 { Err(CallError::Protocol("the process was killed".into())) } else { answer }
    });
    exported.import(&into).await.fault();
    exported.rig.meddle(|_, answer| answer);
    assert_eq!(exported.end(&into).await, 2_000);
    let calls = exported.rig.calls();
    exported.import(&into).await.done();
    let calls = exported.rig.wire.calls.lock().unwrap()[calls..].to_vec();
    assert_eq!(calls.iter().filter(|call| matches!(call, Call::Push(_))).count(), 1, "only the rest is pushed");
    assert_eq!(exported.ops(&into).await, exported.ops(&exported.log).await);
}

#[tokio::test]
async fn a_log_whose_authors_lost_ops_comes_back_all_the_same() {
    let exported = Exported::of(async |rig, log| {
        let ops = [op_on(1, 1, "same", "{}"), op_on(2, 1, "same", "{}"), op_on(2, 2, "other", "{}")];
        let ran = rig.run_with(&["push", log], &lines_of(&ops)).await;
        assert_eq!(ran.result.unwrap(), Outcome::NotAll, "one op lost, and its counter is spent");
        rig.edits(log, "laptop", 1..=2).await;
    })
    .await;
    let into = exported.rig.log().await;
    exported.import(&into).await.done();
    assert_eq!(exported.ops(&into).await, exported.ops(&exported.log).await);
    let clock = async |log: &str| exported.rig.session.status(log_id(log)).await.unwrap().clock;
    assert_eq!(clock(&into).await, clock(&exported.log).await);
}

#[tokio::test]
async fn an_atomic_batch_comes_back_as_one() {
    let exported = Exported::of(async |rig, log| {
        let ops: Vec<_> = (1..=5).map(|counter| op_with(1, counter, "{}")).collect();
        let push = |ops: &[_], atomic| {
            let ops = ops.to_vec();
            Call::Push(syncline::call::Push { log: log_id(log), request: None, cursor: None, atomic, ops })
        };
        rig.session.ask(push(&ops[..1], false)).await.unwrap();
        rig.session.ask(push(&ops[1..4], true)).await.unwrap();
        rig.session.ask(push(&ops[4..], false)).await.unwrap();
    })
    .await;
    let into = exported.rig.log().await;
    exported.import(&into).await.done();
    let rests: Vec<_> =
        exported.rig.run(&["pull", &into]).await.lines().iter().map(|line| line["batch_rest"].as_u64()).collect();
    assert_eq!(rests, [None, Some(2), Some(1), None, None]);
}

#[tokio::test]
async fn a_log_with_a_restore_is_refused_with_the_reason() {
    let exported = Exported::of(async |rig, log| {
        three_edits(rig, log).await;
        rig.run(&["restore", log, "--to", "2"]).await.done();
    })
    .await;
    let fault = exported.import("00000000-0000-8000-8000-000000000001").await.fault();
    assert!(fault.contains("seq 4 is a restore"), "{fault}");
}

#[tokio::test]
async fn an_import_does_not_mix_with_another_log() {
    let exported = Exported::of(three_edits).await;
    let other = exported.rig.log().await;
    exported.rig.edits(&other, "phone", 1..=1).await;
    assert!(exported.import(&other).await.fault().contains("not of this export"));
    exported.rig.edits(&other, "phone", 2..=9).await;
    assert!(exported.import(&other).await.fault().contains("not of this export"));
    assert_eq!(exported.end(&other).await, 9);
    exported.rig.edits(&exported.log, "phone", 1..=1).await;
    exported.import(&exported.log).await.done();
    assert_eq!(exported.end(&exported.log).await, 4, "a log that went on holds its own export");
}

#[tokio::test]
async fn fault_an_op_that_is_not_accepted_again_is_named_and_stops_the_import() {
    let exported = Exported::of(three_edits).await;
    let into = exported.rig.log().await;
    exported.rig.meddle(|_, mut answer| {
        if let Ok(Reply::Pushed(pushed)) = &mut answer {
            let reason = syncline::oplog::RejectReason::AppendOnly;
            pushed.verdicts[1] = syncline::oplog::Verdict::Rejected { reason };
        }
        answer
    });
    let ran = exported.import(&into).await;
    assert_eq!((&ran.lines()[0]["exported_seq"], &ran.lines()[0]["reason"]), (&2.into(), &"APPEND_ONLY".into()));
    assert_eq!(ran.result.unwrap(), Outcome::NotAll);
}

/// Sealed under one epoch after the other, with a counter spent on an op that lost in between.
#[tokio::test]
async fn a_sealed_log_comes_back_with_its_policy_and_its_epochs() {
    let exported = Exported::of(async |_, _| {}).await;
    let rig = &exported.rig;
    let log = rig.run(&["log", "create", "--sealing", "required"]).await.done().trim().to_owned();
    let sealed = |replica, counter, name: &str, epoch| {
        let head = syncline::seal::EnvelopeHead::new(1, epoch).unwrap().to_bytes();
        let payload = syncline::oplog::Payload::Sealed(head.to_vec().into());
        syncline::oplog::Draft { payload, ..op_on(replica, counter, name, "{}").draft().clone() }.seal().unwrap()
    };
    let first = [sealed(1, 1, "a", 1), sealed(2, 1, "a", 1), sealed(2, 2, "b", 1)];
    let ran = rig.run_with(&["push", &log], &lines_of(&first)).await;
    assert_eq!(ran.result.unwrap(), Outcome::NotAll, "one op lost, and its counter is spent");
    for from in 1..=2 {
        rig.run(&["log", "rotate-keys", &log, "--from", &from.to_string()]).await.done();
    }
    rig.run_with(&["push", &log], &lines_of(&[sealed(1, 2, "c", 3)])).await.done();
    rig.run(&["log", "rotate-keys", &log, "--from", "3"]).await.done();
    let file = exported.file.with_extension("sealed");
    rig.run(&["export", &log, file.to_str().unwrap()]).await.done();
    let into = "00000000-0000-8000-8000-000000000002";
    rig.run(&["import", into, file.to_str().unwrap()]).await.done();
    rig.run(&["import", into, file.to_str().unwrap()]).await.done();
    assert_eq!(exported.ops(into).await, exported.ops(&log).await);
    let bounds = rig.session.status(log_id(into)).await.unwrap();
    assert_eq!((bounds.sealing, bounds.key_epoch), (syncline::oplog::Sealing::Required, 4));
}
