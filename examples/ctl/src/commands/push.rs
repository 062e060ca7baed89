//! Push ops from lines of JSON.
//!
//! What must hold: the same input gives the same batches under the same request ids, so that running it again after
//! a crash has no second effect and tells the same verdicts.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;
use syncline::call::{Call, Push, Pushed, Reply};
use syncline::oplog::{Op, Verdict};
use syncline::wire::json::PushedJson;
use syncline::{LogId, RequestId, limits};
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::cli::PushArgs;
use crate::ids;
use crate::lines::{Lines, read_op};
use crate::session::{Session, unexpected};

/// Canonical bytes after which a batch is sent. Well below what a body may have, as JSON and before compression.
pub(crate) const BATCH_BYTES: usize = limits::BODY_BYTES_MAX / 4;

/// Runs the command.
///
/// # Errors
/// Why it stopped; a line that is not an op by its number.
pub(super) async fn run(
    session: &Session,
    args: &PushArgs,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Outcome, Fault> {
    let salt = if args.again { ids::env()?.entropy.to_vec() } else { Vec::new() };
    let mut pusher = Pusher { session, log: args.log, salt, tally: Tally::default(), out };
    if args.file.as_os_str() == "-" {
        pusher.push_all(input).await?;
    } else {
        let file = std::fs::File::open(&args.file).map_err(|error| Fault::file("cannot open", &args.file, &error))?;
        pusher.push_all(&mut BufReader::new(file)).await?;
    }
    pusher.tally.tell();
    Ok(if pusher.tally.lost == 0 { Outcome::Done } else { Outcome::NotAll })
}

/// What became of the ops.
#[derive(Debug, Default)]
struct Tally {
    accepted: u64,
    duplicates: u64,
    lost: u64,
    remembered: u64,
}

impl Tally {
    fn total(&self) -> u64 {
        self.accepted + self.duplicates + self.lost
    }

    fn tell(&self) {
        let Self { accepted, duplicates, lost, remembered } = self;
        eprintln!("{accepted} accepted, {duplicates} in the log already, {lost} not accepted");
        if *remembered > 0 {
            let again = if *lost > 0 { "; --again has them judged anew" } else { "" };
            eprintln!("{remembered} of these verdicts are remembered from an earlier run of this push{again}");
        }
    }
}

struct Pusher<'a> {
    session: &'a Session,
    log: LogId,
    salt: Vec<u8>,
    tally: Tally,
    out: &'a mut dyn Write,
}

impl Pusher<'_> {
    async fn push_all(&mut self, input: &mut dyn BufRead) -> Result<(), Fault> {
        let mut lines = Lines::new(input);
        let mut batch = Batch::default();
        while let Some(line) = lines.next()? {
            if line.trim().is_empty() {
                continue;
            }
            let op = read_op(line);
            let number = lines.number();
            let pushed = self.tally.total();
            let op = op.map_err(|why| {
                Fault::new(format!("line {number} is not an op: {why}; {pushed} ops before it were pushed"))
            })?;
            if !batch.takes(&op) {
                self.push(std::mem::take(&mut batch)).await?;
            }
            batch.add(number, op);
        }
        self.push(batch).await
    }

    async fn push(&mut self, batch: Batch) -> Result<(), Fault> {
        if batch.ops.is_empty() {
            return Ok(());
        }
        let request = request(self.log, &self.salt, &batch.ops);
        let ids: Vec<_> = batch.ops.iter().map(Op::id).collect();
        let push = Push { log: self.log, request: Some(request), cursor: None, atomic: false, ops: batch.ops };
        let pushed = push_one(self.session, push).await?;
        let verdicts = verdict_lines(&pushed)?;
        for (((verdict, mut line), number), id) in pushed.verdicts.iter().zip(verdicts).zip(batch.lines).zip(ids) {
            match verdict {
                Verdict::Accepted { .. } => self.tally.accepted += 1,
                Verdict::Duplicate { .. } => self.tally.duplicates += 1,
                _ => self.tally.lost += 1,
            }
            self.tally.remembered += u64::from(pushed.replayed);
            if let Some(fields) = line.as_object_mut() {
                fields.insert("line".into(), number.into());
                fields.insert("op".into(), id.to_string().into());
            }
            write_line(self.out, &line)?;
        }
        self.out.flush()?;
        Ok(())
    }
}

/// The request that pushing these ops to this log is.
pub(crate) fn request(log: LogId, salt: &[u8], ops: &[Op]) -> RequestId {
    let digests: Vec<u8> = ops.iter().flat_map(|op| *op.digest().as_bytes()).collect();
    ids::request_for("push", log, &[salt, &digests])
}

/// Pushes one batch; the answer has one verdict per op.
///
/// # Errors
/// The refusal, or an answer to something else.
pub(crate) async fn push_one(session: &Session, push: Push) -> Result<Pushed, Fault> {
    let count = push.ops.len();
    match session.ask(Call::Push(push)).await? {
        Reply::Pushed(pushed) if pushed.verdicts.len() == count => Ok(pushed),
        _ => Err(unexpected("one verdict per op")),
    }
}

/// The verdicts as the HTTP API writes them.
///
/// # Errors
/// Never for an answer without a page.
pub(crate) fn verdict_lines(pushed: &Pushed) -> Result<Vec<Value>, Fault> {
    let without_page = Pushed { newer: None, ..pushed.clone() };
    let json = PushedJson::of(&without_page).map_err(|error| Fault::new(format!("a verdict: {error}")))?;
    let mut json = serde_json::to_value(json).map_err(|error| Fault::new(format!("a verdict: {error}")))?;
    match json.get_mut("verdicts").map(Value::take) {
        Some(Value::Array(verdicts)) => Ok(verdicts),
        _ => Err(unexpected("one verdict per op")),
    }
}

/// Ops that go together, each with its line.
#[derive(Debug, Default)]
struct Batch {
    ops: Vec<Op>,
    lines: Vec<u64>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, op: &Op) -> bool {
        let alone = |op: &Op| op.full_state().is_some();
        self.ops.is_empty()
            || (self.ops.len() < limits::BATCH_OPS_MAX
                && self.bytes + op.bytes().len() <= BATCH_BYTES
                && !alone(op)
                && !self.ops.last().is_some_and(alone))
    }

    fn add(&mut self, line: u64, op: Op) {
        self.bytes += op.bytes().len();
        self.ops.push(op);
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use syncline::call::Call;
    use syncline::client::CallError;

    use crate::commands::Outcome;
    use crate::testing::{Rig, lines_of, op_on, op_with};

    #[tokio::test]
    async fn every_op_gets_its_verdict_in_order() {
        let rig = Rig::new();
        let log = rig.log().await;
        let ops: Vec<_> = (1..=1_001).map(|counter| op_with(1, counter, "{}")).collect();
        let ran = rig.run_with(&["push", &log], &lines_of(&ops)).await;
        let lines = ran.lines();
        assert_eq!(lines.len(), 1_001);
        for ((line, op), number) in lines.iter().zip(&ops).zip(1_u64..) {
            assert_eq!(
                (&line["verdict"], &line["seq"], &line["line"]),
                (&"accepted".into(), &number.into(), &number.into())
            );
            assert_eq!(line["op"], op.id().to_string());
        }
        ran.done();
    }

    #[tokio::test]
    async fn a_push_run_again_changes_nothing_and_tells_the_same() {
        let rig = Rig::new();
        let log = rig.log().await;
        let input = lines_of(&[op_with(1, 1, "{}"), op_with(1, 3, "{}")]);
        let first = rig.run_with(&["push", &log], &input).await;
        assert_eq!(first.result.as_ref().unwrap(), &Outcome::NotAll);
        assert_eq!(first.lines()[1]["reason"], "COUNTER_GAP");
        let second = rig.run_with(&["push", &log], &input).await;
        assert_eq!(first.out, second.out);

        rig.run_with(&["push", &log], &lines_of(&[op_with(1, 2, "{}")])).await.done();
        let again = rig.run_with(&["push", &log, "--again"], &input).await;
        assert_eq!(
            (&again.lines()[0]["verdict"], &again.lines()[1]["verdict"]),
            (&"duplicate".into(), &"accepted".into())
        );
        again.done();
    }

    #[tokio::test]
    async fn a_line_that_is_not_an_op_is_named_by_its_number() {
        let rig = Rig::new();
        let log = rig.log().await;
        let good = lines_of(&[op_with(1, 1, "{}")]);
        for bad in ["{", "{\"id\":1}", "[]", "nonsense", "{\"seq\":1,\"accepted_at\":1}"] {
            let fault = rig.run_with(&["push", &log], &format!("{good}\n{bad}\n")).await.fault();
            assert!(
                fault.starts_with("line 3 is not an op: ") && fault.ends_with("0 ops before it were pushed"),
                "{fault}"
            );
        }
        assert_eq!(rig.run(&["pull", &log]).await.done(), "");
    }

    #[tokio::test]
    async fn an_op_that_lost_makes_the_exit_code_say_so() {
        let rig = Rig::new();
        let log = rig.log().await;
        let ops = [op_on(1, 1, "same", "{}"), op_on(2, 1, "same", "{}")];
        let ran = rig.run_with(&["push", &log], &lines_of(&ops)).await;
        assert_eq!(ran.lines()[1]["reason"], "CONCURRENT");
        assert_eq!(ran.result.unwrap(), Outcome::NotAll);
    }

    #[tokio::test]
    async fn fault_an_answer_that_got_lost_is_asked_for_again_with_the_same_ids() {
        let rig = Rig::new();
        let log = rig.log().await;
        let mut lost = 2;
        rig.meddle(move |_, answer| {
            lost -= 1;
            if lost >= 0 { Err(CallError::Interrupted("cut".into())) } else { answer }
        });
        let ran = rig.run_with(&["push", &log], &lines_of(&[op_with(1, 1, "{}")])).await;
        assert_eq!(ran.lines()[0]["verdict"], "accepted", "the first answer, remembered");
        ran.done();
        let calls = rig.wire.calls.lock().unwrap();
        let requests: Vec<_> =
            calls.iter().filter_map(|call| if let Call::Push(push) = call { push.request } else { None }).collect();
        assert_eq!(requests.len(), 3);
        assert!(requests.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[tokio::test]
    async fn what_pull_writes_can_be_pushed() {
        let rig = Rig::new();
        let (from, to) = (rig.log().await, rig.log().await);
        rig.edits(&from, "laptop", 1..=3).await;
        let pulled = rig.run(&["pull", &from]).await.done();
        let ran = rig.run_with(&["push", &to], &pulled).await;
        assert_eq!(ran.lines().len(), 3);
        ran.done();
    }
}
