//! Read a log as lines of JSON.

use std::io::Write;
use std::time::Duration;

use syncline::client::CallError;
use syncline::store::{PageLimit, Signal, SignalSource};
use syncline::{Cursor, LogId};

use super::{Outcome, write_line};
use crate::cli::PullArgs;
use crate::fault::{Fault, cursor_text};
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
    if args.follow {
        return follow(session, args.log, cursor, out).await;
    }
    read_on(session, args.log, &mut cursor, out).await?;
    eprintln!("read up to {}; go on with --after {}", cursor.seq, cursor_text(cursor));
    Ok(Outcome::Done)
}

async fn follow(session: &Session, log: LogId, mut cursor: Cursor, out: &mut dyn Write) -> Result<Outcome, Fault> {
    loop {
        // Listening comes before reading: what is added in between is then either read or woken for.
        let mut wakes = match session.wakes.listen(session.key(log)).await {
            Ok(wakes) => wakes,
            Err(error @ CallError::Refused(_)) if !is_passing(&error) => return Err(error.into()),
            Err(error) => {
                eprintln!("{error}; asking from time to time instead");
                Box::new(NoWakes)
            }
        };
        let mut connected = true;
        while connected {
            read_on(session, log, &mut cursor, out).await?;
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

async fn read_on(session: &Session, log: LogId, cursor: &mut Cursor, out: &mut dyn Write) -> Result<(), Fault> {
    loop {
        let page = session.page(log, *cursor, PageLimit::default()).await?;
        for op in &page.ops {
            write_line(out, &LineJson::of(op)?)?;
        }
        out.flush()?;
        *cursor = page.next;
        if !page.more {
            return Ok(());
        }
    }
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
    struct Reader {
        lines_left: usize,
        read: Vec<u8>,
    }

    impl Write for Reader {
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
        let mut reader = Reader { lines_left: 5, read: Vec::new() };
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
