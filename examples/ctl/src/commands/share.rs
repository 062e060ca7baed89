//! Sharing a folder.

use std::io::Write;

use clap::Args;
use syncline::call::{Call, Reply, Share, Shared};
use syncline::{EntityId, LogId, OpId};
use syncline_desk::Fault;

use super::Outcome;
use crate::ids;
use crate::session::{Session, unexpected};

/// What is shared.
#[derive(Debug, Args)]
pub(crate) struct ShareArgs {
    /// In whose tree the folder is.
    log: LogId,
    /// Which folder, by its id.
    folder: EntityId,
    /// The id of the log that is made of it; a new one when absent.
    #[arg(long, value_name = "LOG")]
    to: Option<LogId>,
}

/// Shares a folder; bytes are copied in as many calls as it takes.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, args: &ShareArgs, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let env = ids::env()?;
    let share = Share {
        log: args.log,
        id: OpId::from_bytes(env.uuid7("share")),
        replica: ids::replica_named("syncline-ctl"),
        folder: args.folder,
        to: args.to.unwrap_or_else(|| LogId::from_bytes(env.uuid7("shared log"))),
        mount: EntityId::from_bytes(env.uuid7("mount")),
    };
    loop {
        match session.ask(Call::ShareFolder(share)).await? {
            Reply::Shared(Shared::Done { .. }) => break,
            Reply::Shared(Shared::Copying { left }) => eprintln!("{left} files are still to be copied"),
            _ => return Err(unexpected("that the folder is shared")),
        }
    }
    writeln!(out, "{}", share.to)?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use syncline::call::{Call, ErrorCode, Reply, Shared};

    use crate::testing::Rig;

    const NODE: &str = "00000000-0000-7000-8000-000000000001";

    #[tokio::test]
    async fn a_share_asks_until_all_is_copied_and_prints_the_log() {
        let rig = Rig::new();
        let log = rig.log().await;
        let fault = rig.run(&["share", &log, NODE]).await.fault();
        assert!(fault.contains(ErrorCode::NodeNotFound.name()) || fault.contains("no folder"), "{fault}");
        let mut left = 2;
        rig.meddle(move |call, answer| match call {
            Call::ShareFolder(_) if left > 0 => {
                left -= 1;
                Ok(Reply::Shared(Shared::Copying { left: left + 1 }))
            }
            Call::ShareFolder(_) => Ok(Reply::Shared(Shared::Done { seq: syncline::Seq::FIRST })),
            _ => answer,
        });
        let before = rig.calls();
        let printed = rig.run(&["share", &log, NODE, "--to", NODE]).await.done();
        assert_eq!((printed.trim(), rig.calls() - before), (NODE, 3));
        let asked: Vec<Call> = rig.wire.calls.lock().unwrap().clone();
        let id = |call: &Call| match call {
            Call::ShareFolder(share) => share.id,
            other => panic!("{other:?}"),
        };
        let ids: Vec<_> = asked[before..].iter().map(id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "the same share each time");
    }
}
