//! Read a log as lines of JSON.

use std::io::Write;
use std::time::Duration;

use syncline::call::PageOp;
use syncline::client::CallError;
use syncline::oplog::{Payload, Subject};
use syncline::store::{PageLimit, Signal, SignalSource};
use syncline::{Cursor, LogId};
use syncline_desk::{Fault, cursor_text, in_words};

use super::{Outcome, kind_name, write_line};
use crate::cli::PullArgs;
use crate::lines::LineJson;
use crate::session::Session;

/// A wake may be lost; a follower asks at least this often.
const ASK_EVERY: Duration = Duration::from_secs(30);
/// The wait before listening anew after the connection ended.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// Why it stopped. Everything written before is part of the log.
pub(super) async fn run(session: &Session, args: &PullArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let mut cursor = args.after.unwrap_or(Cursor::START);
    let form = if args.short { write_short } else { write_json };
    let mut reader = Reader { session, log: args.log, form, out };
    if args.follow {
        return follow(&mut reader, cursor).await;
    }
    reader.read_on(&mut cursor).await?;
    eprintln!("read up to {}; go on with --after {}", cursor.seq, cursor_text(cursor));
    Ok(Outcome::Done)
}

async fn follow(reader: &mut Reader<'_>, mut cursor: Cursor) -> Result<Outcome, Fault> {
    let (session, log) = (reader.session, reader.log);
    loop {
        // Listening comes before reading: what is added in between is then either read or woken for.
        let mut wakes = match session.transport.wakes(session.key(log)).await {
            Ok(wakes) => wakes.unwrap_or_else(|| Box::new(NoWakes)),
            Err(error @ CallError::Refused(_)) if !is_passing(&error) => return Err(error.into()),
            Err(error) => {
                eprintln!("{}; asking from time to time instead", in_words(&error));
                Box::new(NoWakes)
            }
        };
        let mut connected = true;
        while connected {
            reader.read_on(&mut cursor).await?;
            if let Ok(signal) = tokio::time::timeout(ASK_EVERY, wakes.next()).await {
                connected = signal.is_some();
            }
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

fn is_passing(error: &CallError) -> bool {
    matches!(error, CallError::Refused(refusal) if refusal.code.advice() == syncline::call::Advice::Retry)
}

/// Stands in until the connection can be made again.
#[derive(Debug)]
struct NoWakes;

#[async_trait::async_trait]
impl SignalSource for NoWakes {
    async fn next(&mut self) -> Option<Signal> {
        tokio::time::sleep(LISTEN_AGAIN).await;
        None
    }
}

struct Reader<'a> {
    session: &'a Session,
    log: LogId,
    form: fn(&mut dyn Write, &PageOp) -> Result<(), Fault>,
    out: &'a mut dyn Write,
}

impl Reader<'_> {
    /// Reads and writes what there is after the cursor.
    async fn read_on(&mut self, cursor: &mut Cursor) -> Result<(), Fault> {
        loop {
            let page = self.session.page(self.log, *cursor, PageLimit::default()).await?;
            for op in &page.ops {
                (self.form)(self.out, op)?;
            }
            self.out.flush()?;
            *cursor = page.next;
            if !page.more {
                return Ok(());
            }
        }
    }
}

fn write_json(out: &mut dyn Write, op: &PageOp) -> Result<(), Fault> {
    write_line(out, &LineJson::of(op)?)
}

/// The first eight digits tell ids of one log apart at a glance, no more.
fn write_short(out: &mut dyn Write, page_op: &PageOp) -> Result<(), Fault> {
    let short = |id: &dyn std::fmt::Display| id.to_string()[..8].to_owned();
    let Ok(op) = page_op.op.read() else {
        writeln!(out, "{} (of a newer format, {} bytes)", page_op.seq, page_op.op.bytes().len())?;
        return Ok(());
    };
    let subject = match op.subject() {
        Subject::Log => "the log".to_owned(),
        Subject::Entity { key, .. } => format!("{}/{}", key.collection, short(&key.entity)),
    };
    let payload = match op.payload() {
        // Control characters would do things to a terminal.
        Payload::Json(text) => String::from_utf8_lossy(text).replace(char::is_control, " "),
        other => format!("({} bytes)", other.bytes().len()),
    };
    writeln!(out, "{} {} {} {subject} {payload}", page_op.seq, short(&op.replica()), kind_name(op.kind()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use syncline::call::Reply;
    use syncline::limits;

    use super::*;
    use crate::cli::Command;
    use crate::testing::{Rig, lines_of, op_with, parse};

    #[tokio::test]
    async fn a_log_is_read_in_order_over_several_pages() {
        let rig = Rig::new();
        let log = rig.log().await;
        let count = limits::PAGE_OPS_DEFAULT as u64 + 1;
        let ops: Vec<_> = (1..=count).map(|counter| op_with(1, counter, "{}")).collect();
        rig.run_with(&["push", &log], &lines_of(&ops)).await.done();
        let lines = rig.run(&["pull", &log]).await.lines();
        assert_eq!(lines.len() as u64, count);
        for ((line, op), seq) in lines.iter().zip(&ops).zip(1_u64..) {
            assert_eq!((&line["seq"], &line["op"]["id"]), (&seq.into(), &op.id().to_string().into()));
            assert!(line["accepted_at"].is_u64());
        }
        let end = rig.run(&["log", "status", &log]).await.lines()[0]["end"].clone();
        let after = format!("{}:{}", end["seq"], end["anchor"].as_str().unwrap());
        assert_eq!(rig.run(&["pull", &log, "--after", &after]).await.done(), "");
        assert_eq!(rig.run(&["pull", &log, "--after", "500"]).await.lines()[0]["seq"], 501);
    }

    #[tokio::test]
    async fn people_get_a_short_line_per_op_that_does_nothing_to_their_terminal() {
        let rig = Rig::new();
        let log = rig.log().await;
        let ops = [op_with(1, 1, "{\n  \"a\": 1\n}"), op_with(1, 2, "{\"a\":\"\u{9b}2J\"}")];
        let pushed = syncline::call::Push {
            log: crate::testing::log_id(&log),
            request: None,
            cursor: None,
            atomic: false,
            ops: ops.to_vec(),
        };
        rig.session.ask(syncline::call::Call::Push(pushed)).await.unwrap();
        let out = rig.run(&["pull", &log, "--short"]).await.done();
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(out.starts_with("1 01010101 update notes/"), "{out}");
        assert!(!out.replace('\n', "").contains(char::is_control));
    }

    #[tokio::test]
    async fn fault_nothing_of_a_page_that_does_not_follow_is_written() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=3).await;
        rig.meddle(|_, mut answer| {
            if let Ok(Reply::Pulled(page)) = &mut answer
                && page.ops.len() > 1
            {
                page.ops[1].op = op_with(9, 9, "{}").raw().clone();
            }
            answer
        });
        let ran = rig.run(&["pull", &log]).await;
        assert_eq!(ran.out, "");
        assert!(ran.fault().contains("do not follow"));
    }

    #[tokio::test]
    async fn a_position_in_another_history_is_refused_with_advice() {
        let rig = Rig::new();
        let (log, other) = (rig.log().await, rig.log().await);
        rig.edits(&log, "laptop", 1..=2).await;
        rig.edits(&other, "laptop", 1..=2).await;
        let end = rig.run(&["log", "status", &other]).await.lines()[0]["end"].clone();
        let after = format!("{}:{}", end["seq"], end["anchor"].as_str().unwrap());
        let fault = rig.run(&["pull", &log, "--after", &after]).await.fault();
        assert!(fault.contains("GAP_FOREIGN_LOG") && fault.contains("resync"), "{fault}");
    }

    /// A reader that leaves after some lines.
    struct Leaver {
        lines_left: usize,
        read: Vec<u8>,
    }

    impl Write for Leaver {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.read.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            let lines = self.read.split(|byte| *byte == b'\n').count() - 1;
            if lines >= self.lines_left { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }
    }

    #[tokio::test]
    async fn a_follower_is_woken_for_what_is_written_later() {
        let rig = Rig::new();
        let log = rig.log().await;
        rig.edits(&log, "laptop", 1..=2).await;
        let Command::Pull(args) = parse(&["pull", &log, "--follow"]) else { panic!("another command") };
        let mut reader = Leaver { lines_left: 5, read: Vec::new() };
        let follow = run(&rig.session, &args, &mut reader);
        let write = async {
            tokio::task::yield_now().await;
            rig.edits(&log, "phone", 1..=3).await;
        };
        let both = async { tokio::join!(follow, write) };
        let (ended, ()) =
            tokio::time::timeout(Duration::from_secs(20), both).await.expect("the follower was not woken");
        assert!(ended.unwrap_err().is_quiet());
        assert_eq!(reader.read.split(|byte| *byte == b'\n').count() - 1, 5);
    }
}
