//! A log to a file: as far as the log went when the command began, so that header and trailer can agree.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use syncline::{Cursor, LogId, ReplicaId, Seq};
use syncline_desk::{Fault, cursor_text};

use crate::archive::{FORM, Header, Trailer};
use crate::cli::ExportArgs;
use crate::commands::{Outcome, write_line};
use crate::lines::LineJson;
use crate::progress::Progress;
use crate::session::{Session, ops_between, page_limit};

/// Runs the command. The file appears under its name only when it is whole and on disk.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn export(session: &Session, args: &ExportArgs) -> Result<Outcome, Fault> {
    if args.file.exists() {
        return Err(Fault::new(format!("{} is there already; exports do not replace files", args.file.display())));
    }
    let part = part_of(&args.file);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&part);
    let file = file.map_err(|error| Fault::file("cannot make", &part, &error))?;
    let written = write(session, args.log, file).await;
    let kept = written.and_then(|header| {
        std::fs::rename(&part, &args.file).map_err(|error| Fault::file("cannot make", &args.file, &error))?;
        Ok(header)
    });
    match kept {
        Ok((header, restore)) => {
            let ops = ops_between(header.base.seq, header.end.seq);
            eprintln!("{ops} ops up to {} are in {}", cursor_text(header.end), args.file.display());
            if header.base.seq.get() > 0 {
                eprintln!("ops up to seq {} were pruned and are not in it; it cannot be imported", header.base.seq);
            }
            if let Some(seq) = restore {
                eprintln!(
                    "seq {seq} is a restore made by the server, which no import can write: keep this as a record"
                );
            }
            Ok(Outcome::Done)
        }
        Err(fault) => {
            let _ = std::fs::remove_file(&part);
            Err(fault)
        }
    }
}

/// Writes the export; its header, and the first op in it that only a server may write.
async fn write(session: &Session, log: LogId, file: File) -> Result<(Header, Option<Seq>), Fault> {
    let mut out = BufWriter::new(file);
    let bounds = session.status(log).await?;
    let base = Cursor { seq: bounds.first.before(), anchor: Some(bounds.base) };
    let end = bounds.end();
    let header = Header {
        syncline_export: FORM,
        bucket: session.bucket,
        log,
        created_at: bounds.created_at,
        base,
        end,
        sealing: bounds.sealing,
        key_epoch: bounds.key_epoch,
    };
    write_line(&mut out, &header)?;
    let total = ops_between(base.seq, end.seq);
    let mut progress = Progress::start("exported", total);
    let (mut cursor, mut restore) = (base, None);
    while cursor.seq < end.seq {
        let page = session.page(log, cursor, page_limit(ops_between(cursor.seq, end.seq))).await?;
        let mut anchor = cursor.anchor.unwrap_or(bounds.base);
        for op in &page.ops {
            anchor = anchor.extend(op.op.digest(), op.accepted_at);
            let by_server = || op.op.read().is_ok_and(|read| read.replica() == ReplicaId::SERVER);
            if restore.is_none() && by_server() {
                restore = Some(op.seq);
            }
            write_line(&mut out, &LineJson { hash: Some(anchor.hash), ..LineJson::of(op)? })?;
        }
        if page.next.seq == cursor.seq {
            return Err(Fault::new(format!("the log ends at {} but nothing is read after {}", end.seq, cursor.seq)));
        }
        cursor = page.next;
        progress.at(ops_between(base.seq, cursor.seq));
    }
    progress.finish();
    if cursor != end {
        return Err(Fault::new("the log's ops do not lead to the end that its status says; run verify"));
    }
    write_line(&mut out, &Trailer { ops: total, end })?;
    let file = out.into_inner().map_err(|error| Fault::from(error.into_error()))?;
    file.sync_all()?;
    Ok((header, restore))
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".part");
    PathBuf::from(name)
}
