//! One edit: catch up with the log's clock, write, push.

use std::io::Write;

use syncline::call::Push;
use syncline::oplog::{Draft, EntityKey, LogBounds, OpKind, Payload, Precondition, Subject};
use syncline::{Cursor, EntityId, Hlc, LogId, OpId, ReplicaId, Seq, Timestamp};
use syncline_desk::Fault;

use super::push::{push_one, request, verdict_lines};
use super::{Outcome, write_line};
use crate::cli::{EditArgs, EditKind};
use crate::ids;
use crate::session::{Session, page_limit};

/// Runs the command.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, args: EditArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let replica = args.author.replica.or(args.author.device.as_deref().map(ids::replica_named));
    let entity = args.subject.entity.or(args.subject.name.as_deref().map(EntityId::named));
    let (Some(replica), Some(entity)) = (replica, entity) else {
        return Err(Fault::new("an edit has an author and an entity"));
    };
    let env = ids::env()?;
    let bounds = session.status(args.log).await?;
    let draft = Draft {
        id: OpId::from_bytes(env.uuid7("op")),
        replica,
        subject: Subject::Entity { key: EntityKey { collection: args.collection, entity }, also: Vec::new() },
        kind: match args.kind {
            EditKind::Create => OpKind::Create,
            EditKind::Update => OpKind::Update,
            EditKind::Delete => OpKind::Delete,
        },
        clock: next_clock(&bounds, replica)?,
        hlc: next_hlc(session, args.log, &bounds, env.now).await?,
        schema_version: 1,
        precondition: Precondition::None,
        payload: Payload::Json(args.json.unwrap_or_else(|| "null".into()).into()),
    };
    let op = draft.seal().map_err(|error| Fault::new(format!("the edit is not an op: {error}")))?;
    let id = op.id();
    let request = request(args.log, &[], std::slice::from_ref(&op));
    // With the cursor, a server that lost or changed history since the status is found out before it takes the op.
    let push = Push { log: args.log, request: Some(request), cursor: Some(bounds.end()), atomic: false, ops: vec![op] };
    let pushed = push_one(session, push).await?;
    for mut line in verdict_lines(&pushed)? {
        if let Some(fields) = line.as_object_mut() {
            fields.insert("op".into(), id.to_string().into());
        }
        write_line(out, &line)?;
    }
    let accepted = pushed.verdicts.iter().all(|verdict| verdict.seq().is_some());
    Ok(if accepted { Outcome::Done } else { Outcome::NotAll })
}

/// Everything the log has seen, and one more of our own.
fn next_clock(bounds: &LogBounds, replica: ReplicaId) -> Result<syncline::VectorClock, Fault> {
    let mut clock = bounds.clock.clone();
    let next = clock.get(replica) + 1;
    clock.set(replica, next).map_err(|error| Fault::new(error.to_string()))?;
    Ok(clock)
}

/// Later than the newest op, whatever this machine's clock says: the edit has seen it, so it comes after it.
async fn next_hlc(session: &Session, log: LogId, bounds: &LogBounds, now: Timestamp) -> Result<Hlc, Fault> {
    if bounds.last < bounds.first {
        return Ok(Hlc::default().tick(now));
    }
    let before_last = Cursor { seq: bounds.last.before(), anchor: None };
    let before_last = if before_last.seq == Seq::ZERO { Cursor::START } else { before_last };
    let page = session.page(log, before_last, page_limit(1)).await?;
    let newest = page.ops.last().and_then(|op| op.op.read().ok().map(|read| read.hlc().capped(op.accepted_at)));
    Ok(newest.unwrap_or_default().max(Hlc::default()).tick(now))
}

#[cfg(test)]
mod tests {
    use syncline::call::{Call, Reply};

    use crate::commands::Outcome;
    use crate::testing::Rig;

    fn line<'a>(log: &'a str, device: &'a str, json: &'a str) -> [&'a str; 10] {
        ["edit", log, "--device", device, "--collection", "notes", "--name", "groceries", "--json", json]
    }

    #[tokio::test]
    async fn two_devices_take_turns_on_one_entity() {
        let rig = Rig::new();
        let log = rig.log().await;
        for (seq, device) in [(1, "laptop"), (2, "phone"), (3, "phone"), (4, "laptop")] {
            let ran = rig.run(&line(&log, device, "{\"milk\":2}")).await;
            assert_eq!((&ran.lines()[0]["verdict"], &ran.lines()[0]["seq"]), (&"accepted".into(), &seq.into()));
            ran.done();
        }
        let ops = rig.run(&["pull", &log]).await.lines();
        let hlc = |op: &serde_json::Value| (op["op"]["hlc"]["ms"].as_u64(), op["op"]["hlc"]["counter"].as_u64());
        assert!(ops.windows(2).all(|pair| hlc(&pair[0]) < hlc(&pair[1])), "each edit is later than what it has seen");
        assert_eq!(ops[3]["op"]["clock"].as_object().unwrap().len(), 2);
        assert!(ops.iter().all(|op| op["op"]["entity"] == ops[0]["op"]["entity"]));
    }

    #[tokio::test]
    async fn an_edit_that_somebody_was_quicker_than_is_told_so() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.run(&line(&log, "laptop", "{\"milk\":1}")).await.done();
        // The phone looks, then the laptop writes, then the phone writes.
        let stale = rig.session.status(crate::testing::log_id(&log)).await.unwrap();
        rig.run(&line(&log, "laptop", "{\"milk\":2}")).await.done();
        rig.meddle(move |call, answer| match (call, answer) {
            (Call::Status(_), Ok(Reply::Log { log, created, .. })) => {
                Ok(Reply::Log { log, bounds: Box::new(stale.clone()), created })
            }
            (_, answer) => answer,
        });
        let ran = rig.run(&line(&log, "phone", "{\"milk\":3}")).await;
        assert_eq!((&ran.lines()[0]["verdict"], &ran.lines()[0]["reason"]), (&"conflict".into(), &"CONCURRENT".into()));
        assert_eq!(ran.result.unwrap(), Outcome::NotAll);
    }

    #[tokio::test]
    async fn an_edit_of_no_log_or_of_no_json_says_what_is_wrong() {
        let rig = Rig::new();
        let log = rig.log().await;
        assert!(rig.run(&line(&log, "laptop", "{milk")).await.fault().contains("not an op"));
        let nowhere = "00000000-0000-8000-8000-000000000001";
        assert!(rig.run(&line(nowhere, "laptop", "{}")).await.fault().contains("LOG_NOT_FOUND"));
        rig.run(&["edit", &log, "--device", "a", "--collection", "c", "--name", "n", "--kind", "delete"]).await.done();
    }
}
