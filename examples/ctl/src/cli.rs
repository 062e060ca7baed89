//! The command line as people type it. Nothing is done here.

use std::path::PathBuf;

use crate::commands::{GroupCommand, LinkCommand, ScanCommand, ShareArgs};
use clap::{Args, Parser, Subcommand, ValueEnum};
use syncline::access::Access;
use syncline::oplog::Collection;
use syncline::oplog::Sealing;
use syncline::{BucketId, Cursor, EntityId, LogId, ReplicaId, Seq, TokenId};

/// The operator's bucket of a server that was told no other.
const BUCKET: &str = "00000000-0000-7000-8000-000000000001";

/// Look after the logs of a syncline server.
///
/// Data goes to stdout, as lines of JSON; progress and summaries go to stderr. Exit code 0: done; 1: not done, or not
/// all of it; 2: the command line does not read.
#[derive(Debug, Parser)]
#[command(name = "syncline-ctl", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) way: Way,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Way {
    /// The server.
    #[arg(long, global = true, env = "SYNCLINE_SERVER", default_value = "http://127.0.0.1:7110", value_name = "URL")]
    pub(crate) server: String,
    /// The bearer token; other users of this machine can see arguments, so prefer the variable or a file.
    #[arg(long, global = true, env = "SYNCLINE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// A file that holds the token instead.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// The bucket, for an operator's own token; other tokens name theirs.
    #[arg(long, global = true, env = "SYNCLINE_BUCKET", value_name = "ID", default_value = BUCKET)]
    pub(crate) bucket: BucketId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, list, look at and delete logs.
    #[command(subcommand)]
    Log(LogCommand),
    /// Make and end bearer tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make, list and end groups of those who hold tokens, and say what they may do.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Make, list and end public links to files and folders.
    #[command(subcommand)]
    Link(LinkCommand),
    /// Make a folder of a log's tree the tree of a log of its own, mount that in its place, and print its id.
    Share(ShareArgs),
    /// Whether a log's blobs are scanned, what was said of them, and what is to be read all the same.
    #[command(subcommand)]
    Scan(ScanCommand),
    /// Make, list, clear and delete accounts of Super Productivity's clients.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Push ops from lines of JSON; a verdict per op goes to stdout.
    ///
    /// A line is an op as the HTTP API writes it, or a line of `pull`. Running the same push again is harmless: request
    /// ids are derived from the ops, and an op that is in the log already is answered with `duplicate`.
    Push(PushArgs),
    /// Read a log as lines of JSON, checking its running hash on the way.
    Pull(PullArgs),
    /// Make one edit and push it: reads the log's clock, adds one to this replica's counter.
    Edit(EditArgs),
    /// Write a log to a file, with the running hash after every op.
    Export(ExportArgs),
    /// Push an export into a new log.
    ///
    /// The whole file is checked before anything is pushed. Running it again continues where it stopped, as long as
    /// nobody else writes to the log meanwhile. Kept: the ops byte for byte, their seqs, atomic batches, authors'
    /// counters. Not kept, because the server gives them anew: the log's origin and with it every anchor (cursors of
    /// the old log do not fit the new one), the times of acceptance, and the ops that lost a conflict, which were never
    /// in the log. A log that holds a restore cannot be imported: no client may write as the server.
    Import(ImportArgs),
    /// Read a whole log and recompute its running hash; exit code 1 and the seq when something does not fit.
    Verify {
        /// Which log.
        log: LogId,
    },
    /// List the places worth going back to, newest first.
    RestorePoints {
        /// Which log.
        log: LogId,
        /// At most this many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Make the state at a seq the present one again. Nothing is deleted; `restore-undo` takes it back.
    Restore {
        /// Which log.
        log: LogId,
        /// Back to here.
        #[arg(long, value_parser = seq, value_name = "SEQ")]
        to: Seq,
    },
    /// Take the last restore back, as long as nothing was added after it.
    RestoreUndo {
        /// Which log.
        log: LogId,
    },
    /// Get the newest snapshot, as the HTTP API writes it.
    Snapshot {
        /// Which log.
        log: LogId,
        /// Write it there instead of to stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Make a log, if it is not there, and print its id.
    Create {
        /// Its id; a new one when absent.
        log: Option<LogId>,
        /// Whether its payloads are sealed by its devices: optional, required or forbidden. Fixed for ever.
        #[arg(long, default_value_t = Sealing::Optional, value_name = "POLICY")]
        sealing: Sealing,
    },
    /// Raise a log's key epoch by one: nothing sealed under an older key is taken any more.
    RotateKeys {
        /// Which log.
        log: LogId,
        /// The epoch it is at, as `log status` shows it; nothing changes when it has moved on.
        #[arg(long, value_name = "EPOCH")]
        from: u32,
    },
    /// List the bucket's logs.
    List,
    /// Who holds a log, and how far; first what every one of them holds.
    Devices {
        /// Which log.
        log: LogId,
    },
    /// A log's bounds.
    Status {
        /// Which log.
        log: LogId,
    },
    /// Delete a log, for good. Nothing is deleted unless it still ends where you saw it end.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Which log.
    pub(crate) log: LogId,
    /// Do delete it. Without, only what would be deleted is shown.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Its end as last seen, as `log status` and this command without `--yes` show it. Asked for when absent.
    #[arg(long, value_parser = cursor, value_name = "SEQ:ANCHOR")]
    pub(crate) seen: Option<Cursor>,
}

/// An account is named by its number or its address.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Make an account whose address you vouch for; its token goes to stdout.
    Create {
        /// The address.
        email: String,
        /// A file with its password of at least 12 characters; without one it signs in with links by mail.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Bytes it may store; the server's own number when absent.
        #[arg(long, value_name = "BYTES")]
        quota: Option<u64>,
    },
    /// List all accounts.
    List,
    /// Make a token for an account and print it; other tokens of it go on.
    Token {
        /// Which account.
        account: String,
    },
    /// The devices of an account, the one seen last first.
    Devices {
        /// Which account.
        account: String,
    },
    /// Delete everything an account stored; the account and its tokens stay.
    Clear {
        /// Which account.
        account: String,
        /// Do delete it.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Delete an account and everything it stored, for good.
    Delete {
        /// Which account.
        account: String,
        /// Do delete it.
        #[arg(long, required = true)]
        yes: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a bearer token and print it; it is shown only now.
    Create(TokenArgs),
    /// List the tokens, without their secrets, a line of JSON each.
    List,
    /// Make another token take a token's place and print it; the old one lets in for five minutes yet.
    Rotate {
        /// Its id.
        id: TokenId,
    },
    /// End a bearer token.
    Revoke {
        /// Its id.
        id: TokenId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Whose it is, for people.
    #[arg(long)]
    pub(crate) name: String,
    /// What its holder may do.
    #[arg(long, value_enum, default_value_t = AccessName::Write)]
    pub(crate) access: AccessName,
    /// A log it is for; may be repeated; all logs when absent.
    #[arg(long = "log", value_name = "LOG")]
    pub(crate) logs: Vec<LogId>,
    /// It is for no log by itself, only for what its groups are granted.
    #[arg(long, conflicts_with = "logs")]
    pub(crate) by_groups: bool,
    /// The only replica it may write as.
    #[arg(long)]
    pub(crate) replica: Option<ReplicaId>,
    /// When it ends: a number with s, m, h, d or w, like 30d. Never when absent.
    #[arg(long, value_parser = duration_ms, value_name = "TIME")]
    pub(crate) expires_in: Option<u64>,
}

/// The levels of access by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessName {
    /// Read logs.
    Read,
    /// And write ops, snapshots and restores.
    Write,
    /// And make and delete logs and tokens.
    Admin,
}

impl From<AccessName> for Access {
    fn from(name: AccessName) -> Self {
        match name {
            AccessName::Read => Self::Read,
            AccessName::Write => Self::Write,
            AccessName::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Which log.
    pub(crate) log: LogId,
    /// The ops; `-` for stdin.
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Have ops judged anew that an earlier run of the same push was already answered on.
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// Which log.
    pub(crate) log: LogId,
    /// Only what comes after this; with its anchor, the history up to there is checked too.
    #[arg(long, value_parser = cursor, value_name = "SEQ[:ANCHOR]")]
    pub(crate) after: Option<Cursor>,
    /// Go on with ops as they come, until interrupted.
    #[arg(long)]
    pub(crate) follow: bool,
    /// For people: one short line per op with its seq, author, kind, entity and payload.
    #[arg(long)]
    pub(crate) short: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// Which log.
    pub(crate) log: LogId,
    #[command(flatten)]
    pub(crate) author: Author,
    /// The entity's collection.
    #[arg(long)]
    pub(crate) collection: Collection,
    #[command(flatten)]
    pub(crate) subject: Subject,
    /// What the edit does.
    #[arg(long, value_enum, default_value_t = EditKind::Update)]
    pub(crate) kind: EditKind,
    /// Its content; in a collection with JSON state, an object of the fields to set.
    #[arg(long, required_if_eq_any = [("kind", "update"), ("kind", "create")])]
    pub(crate) json: Option<String>,
}

/// Who makes the edit.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Author {
    /// The replica that writes.
    #[arg(long)]
    pub(crate) replica: Option<ReplicaId>,
    /// Or a name for it; the same name is the same replica for ever.
    #[arg(long, value_name = "TEXT")]
    pub(crate) device: Option<String>,
}

/// What the edit is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Subject {
    /// The entity.
    #[arg(long)]
    pub(crate) entity: Option<EntityId>,
    /// Or a name for it; the same name is the same entity for ever (a UUID version 8 of its SHA-256).
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EditKind {
    /// Make the entity.
    Create,
    /// Change it.
    Update,
    /// Remove it.
    Delete,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Which log.
    pub(crate) log: LogId,
    /// Where to; must not be there yet.
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Into which log; made when it is not there.
    pub(crate) log: LogId,
    /// An export.
    pub(crate) file: PathBuf,
}

pub(crate) fn seq(text: &str) -> Result<Seq, String> {
    text.parse().ok().and_then(Seq::new).ok_or_else(|| "a seq is a number from 0 to 2^63 - 1".into())
}

fn cursor(text: &str) -> Result<Cursor, String> {
    let (number, anchor) = text.split_once(':').map_or((text, None), |(number, anchor)| (number, Some(anchor)));
    let anchor = anchor.map(str::parse).transpose().map_err(|error| format!("the anchor is {error}"))?;
    Ok(Cursor { seq: seq(number)?, anchor })
}

pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || "a time is a number with s, m, h, d or w, like 30d".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| wrong())?;
    count.checked_mul(seconds * 1_000).filter(|ms| *ms > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units_and_are_not_zero() {
        assert_eq!(duration_ms("30d"), Ok(30 * 86_400_000));
        assert_eq!(duration_ms("90s"), Ok(90_000));
        for wrong in ["", "30", "d", "-1d", "0d", "1y", "99999999999999999w", "1é"] {
            assert!(duration_ms(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn a_position_comes_with_or_without_its_anchor() {
        assert_eq!(cursor("7").unwrap().seq, Seq::new(7).unwrap());
        let anchored = format!("7:{}", "0".repeat(96));
        assert!(cursor(&anchored).unwrap().anchor.is_some());
        for wrong in ["", "x", "7:", "7:00", "-1", "9223372036854775808"] {
            assert!(cursor(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
