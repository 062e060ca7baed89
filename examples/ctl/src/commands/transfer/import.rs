//! A file into a log: check all of it, push it in order, make sure that it landed.
//!
//! What must hold: nothing is pushed of a file that is not whole; the log it goes into is at every moment a prefix
//! of the file, proven by its running hash, or the import stops.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

use serde_json::json;
use syncline::call::{Call, ErrorCode, Push, Reply};
use syncline::client::CallError;
use syncline::oplog::{LogBounds, Sealing};
use syncline::{Anchor, Cursor, Digest, LogId, ReplicaId, Seq};
use syncline_desk::Fault;

use super::batch::{Batch, Batcher};
use crate::archive::{Header, Reader};
use crate::cli::ImportArgs;
use crate::commands::push::{push_one, request, verdict_lines};
use crate::commands::{Outcome, write_line};
use crate::counters::Counters;
use crate::progress::Progress;
use crate::session::{Session, page_limit, unexpected};

/// Runs the command.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn import(session: &Session, args: &ImportArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let (header, digests) = check(&args.file)?;
    let bounds = target(session, args.log, header.sealing).await?;
    let genesis = Cursor { seq: Seq::ZERO, anchor: Some(Anchor::genesis(session.key(args.log), bounds.tip.origin)) };
    let counters = Counters::new(args.log, bounds.clock.clone(), bounds.last);
    let progress = Progress::start("imported", digests.len() as u64);
    let key_epoch = bounds.key_epoch;
    let mut importing = Importing { session, log: args.log, digests, at: 0, end: genesis, progress, key_epoch };
    importing.already_there(&bounds).await?;
    let there = importing.at;
    if there > 0 {
        eprintln!("{there} of {} ops are in the log already", importing.digests.len());
    }
    let mut batcher = Batcher::new(counters);
    let mut file = open(&args.file)?;
    let mut seen = 0;
    while let Some(entry) = file.next()? {
        seen += 1;
        if seen <= there {
            continue;
        }
        for batch in batcher.add(entry)? {
            if importing.push(batch, out).await? == Outcome::NotAll {
                return Ok(Outcome::NotAll);
            }
        }
    }
    for batch in batcher.finish() {
        if importing.push(batch, out).await? == Outcome::NotAll {
            return Ok(Outcome::NotAll);
        }
    }
    importing.progress.finish();
    importing.prove().await?;
    importing.raise_epoch(header.key_epoch).await?;
    tell(&header, &importing, batcher.fillers(), out)?;
    Ok(Outcome::Done)
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>, Fault> {
    let file = File::open(path).map_err(|error| Fault::file("cannot open", path, &error))?;
    Reader::open(BufReader::with_capacity(1 << 20, file))
}

/// Reads the whole file; 32 bytes per op are kept.
fn check(path: &Path) -> Result<(Header, Vec<Digest>), Fault> {
    let mut file = open(path)?;
    let header = file.header().clone();
    if header.base.seq > Seq::ZERO {
        let why = "its oldest ops were pruned, and what is left does not stand without them";
        return Err(Fault::new(format!("the export begins after seq {}: {why}", header.base.seq)));
    }
    let mut digests = Vec::new();
    while let Some(entry) = file.next()? {
        digests.push(entry.op.digest());
        if entry.op.replica() == ReplicaId::SERVER {
            let why = "is a restore, written by the server; no client may write as the server";
            return Err(Fault::new(format!("seq {} {why}; nothing was pushed", digests.len())));
        }
    }
    Ok((header, digests))
}

/// The log to import into, made when it is not there.
async fn target(session: &Session, log: LogId, sealing: Sealing) -> Result<LogBounds, Fault> {
    let missing = |error: &CallError| matches!(error, CallError::Refused(no) if no.code == ErrorCode::LogNotFound);
    let reply = match session.ask(Call::Status(log)).await {
        Err(error) if missing(&error) => session.ask(Call::CreateLog { log, sealing }).await?,
        other => other?,
    };
    match reply {
        Reply::Log { bounds, .. } => Ok(*bounds),
        _ => Err(unexpected("a log's bounds")),
    }
}

/// Rotations between two ops of an export; more is a file that was made up.
const ROTATIONS_MAX: u32 = 1_000;

struct Importing<'a> {
    session: &'a Session,
    log: LogId,
    /// Of the file's ops, in order.
    digests: Vec<Digest>,
    /// How many of them the log holds, as far as is proven.
    at: usize,
    /// The log's position after those: when it took them is its own affair.
    end: Cursor,
    progress: Progress,
    key_epoch: u32,
}

impl Importing<'_> {
    /// Finds out how many ops of the file the log holds already: all of its ops are then the first of the file, or the
    /// file's are the first of the log.
    async fn already_there(&mut self, bounds: &LogBounds) -> Result<(), Fault> {
        let last = usize::try_from(bounds.last.get()).unwrap_or(usize::MAX);
        self.read_on(last.min(self.digests.len())).await
    }

    /// Reads the log up to so many ops and holds each against the file's.
    async fn read_on(&mut self, upto: usize) -> Result<(), Fault> {
        while self.at < upto {
            let page = self.session.page(self.log, self.end, page_limit((upto - self.at) as u64)).await?;
            let expected = self.digests[self.at..].iter().map(Some).chain(std::iter::repeat(None));
            if page.ops.is_empty() || !page.ops.iter().zip(expected).all(|(op, digest)| Some(&op.op.digest()) == digest)
            {
                return Err(Fault::new("the log holds ops that are not of this export; import into a new log"));
            }
            self.at += page.ops.len();
            self.end = page.next;
        }
        Ok(())
    }

    /// Pushes a batch; says each op that was not accepted, and stops there.
    async fn push(&mut self, batch: Batch, out: &mut dyn Write) -> Result<Outcome, Fault> {
        let request = request(self.log, b"import", &batch.ops);
        let landing = self.at + batch.of_log().count();
        if let Some(epoch) = batch.epoch {
            // The first sealed op sets a log's epoch; from there it only rises by rotation.
            if self.key_epoch > 0 {
                self.raise_epoch(epoch).await?;
            }
            self.key_epoch = self.key_epoch.max(epoch);
        }
        let Batch { atomic, ops, spends, epoch: _ } = batch;
        let ids: Vec<_> = ops.iter().map(syncline::oplog::Op::id).collect();
        let cursor = Some(self.end);
        let pushed =
            push_one(self.session, Push { log: self.log, request: Some(request), cursor, atomic, ops }).await?;
        let mut outcome = Outcome::Done;
        let mut seq = self.at;
        for (((verdict, mut line), spends), id) in
            pushed.verdicts.iter().zip(verdict_lines(&pushed)?).zip(spends).zip(ids)
        {
            seq += usize::from(!spends);
            if spends != verdict.seq().is_none() {
                outcome = Outcome::NotAll;
                if let Some(fields) = line.as_object_mut() {
                    fields.insert("exported_seq".into(), seq.into());
                    fields.insert("op".into(), id.to_string().into());
                }
                write_line(out, &line)?;
            }
        }
        if outcome == Outcome::NotAll {
            eprintln!("not everything was accepted, see stdout; nothing after seq {landing} was pushed");
            return Ok(outcome);
        }
        if pushed.replayed {
            // A remembered answer does not say when the ops were taken; the log does.
            self.read_on(landing).await?;
        } else {
            let accepted = &self.digests[self.at..landing];
            let anchor =
                self.end.anchor.map(|end| accepted.iter().fold(end, |a, op| a.extend(*op, pushed.accepted_at)));
            let end = Cursor { seq: Seq::new(landing as u64).unwrap_or(Seq::MAX), anchor };
            // When nobody else wrote, the answer's page has our ops alone.
            if pushed.newer.map(|page| page.next) != Some(end) {
                return Err(Fault::new("somebody else writes to the log; import into a log of its own"));
            }
            (self.at, self.end) = (landing, end);
        }
        self.progress.at(self.at as u64);
        Ok(outcome)
    }

    /// Brings the log to a key epoch that the exported log had come to.
    async fn raise_epoch(&mut self, epoch: u32) -> Result<(), Fault> {
        if epoch.saturating_sub(self.key_epoch) > ROTATIONS_MAX {
            let at = self.key_epoch;
            return Err(Fault::new(format!("the export goes from key epoch {at} to {epoch}, which no log does")));
        }
        while self.key_epoch < epoch {
            self.key_epoch = self.session.rotate_keys(self.log, self.key_epoch).await?.key_epoch;
        }
        Ok(())
    }

    async fn prove(&self) -> Result<(), Fault> {
        let end = self.session.status(self.log).await?.end();
        if self.at == self.digests.len() && end == self.end {
            return Ok(());
        }
        // Somebody may have gone on writing behind it.
        match self.session.page(self.log, self.end, page_limit(1)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Fault::new(format!("the log does not hold what the export holds: {}", Fault::from(error))))
            }
        }
    }
}

fn tell(header: &Header, importing: &Importing<'_>, fillers: usize, out: &mut dyn Write) -> Result<(), Fault> {
    let (ops, log) = (importing.digests.len(), importing.log);
    write_line(out, &json!({ "log": log, "ops": ops, "end": importing.end, "from": header.log }))?;
    eprintln!("all {ops} ops of the export are in log {log}, byte for byte and at their seqs");
    if fillers > 0 {
        eprintln!("{fillers} counters that were spent on ops that lost were spent again");
    }
    eprintln!("not kept: the origin and so every anchor, the times of acceptance, ops that lost a conflict");
    Ok(())
}
