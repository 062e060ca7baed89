//! Scanning of a log's blobs: the policy, what was said, and what is read all the same.

use std::io::Write;

use clap::{Subcommand, ValueEnum};
use syncline::blob::ScanPolicy;
use syncline::call::{Call, Reply};
use syncline::digest::BlobId;
use syncline::wire::json::ScansJson;
use syncline::{LogId, limits};
use syncline_desk::Fault;

use super::{Outcome, write_line};
use crate::session::{Session, unexpected};

/// What can be done about scanning.
#[derive(Debug, Subcommand)]
pub(crate) enum ScanCommand {
    /// Say whether a log's blobs are scanned, and read before they are.
    Policy {
        /// Which log.
        log: LogId,
        /// The policy.
        policy: PolicyName,
    },
    /// List what was said of a log's blobs, a line of JSON each.
    List {
        /// Of which log.
        log: LogId,
    },
    /// Let a blob be read, whatever a scanner says of it.
    Release {
        /// Of which log.
        log: LogId,
        /// Which blob.
        blob: BlobId,
    },
    /// Forget what was said of a blob, a release too, and have it judged again.
    Again {
        /// Of which log.
        log: LogId,
        /// Which blob.
        blob: BlobId,
    },
}

/// The policies by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyName {
    /// Not scanned.
    Off,
    /// Scanned, and read until something is found.
    Meanwhile,
    /// Scanned, and not read until nothing was found.
    UntilClean,
}

impl From<PolicyName> for ScanPolicy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Off => Self::Off,
            PolicyName::Meanwhile => Self::Meanwhile,
            PolicyName::UntilClean => Self::UntilClean,
        }
    }
}

/// Runs a command on scanning.
///
/// # Errors
/// Why it stopped.
pub(super) async fn run(session: &Session, command: ScanCommand, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let call = match command {
        ScanCommand::Policy { log, policy } => Call::SetScanning { log, policy: policy.into() },
        ScanCommand::List { log } => return list(session, log, out).await,
        ScanCommand::Release { log, blob } => Call::ReleaseBlob { log, blob },
        ScanCommand::Again { log, blob } => Call::RescanBlob { log, blob },
    };
    match session.ask(call).await? {
        Reply::Done => Ok(Outcome::Done),
        _ => Err(unexpected("that it is done")),
    }
}

async fn list(session: &Session, log: LogId, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let (mut after, limit) = (None, limits::LIST_ITEMS_MAX);
    loop {
        let Reply::Scans { policy, scans } = session.ask(Call::Scans { log, after, limit }).await? else {
            return Err(unexpected("what was said of blobs"));
        };
        after = scans.last().map(|scan| scan.blob);
        for scan in ScansJson::of(policy, &scans).scans {
            write_line(out, &scan)?;
        }
        if scans.len() < limit {
            return Ok(Outcome::Done);
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline::blob::ScanPolicy;
    use syncline::call::Call;

    use crate::testing::Rig;

    #[tokio::test]
    async fn each_command_asks_what_it_says() {
        let rig = Rig::new();
        let log = rig.log().await;
        let blob = "ab".repeat(32);
        // This server keeps no blobs: what matters is what was asked.
        for line in [
            vec!["scan", "policy", &log, "until-clean"],
            vec!["scan", "release", &log, &blob],
            vec!["scan", "again", &log, &blob],
        ] {
            rig.run(&line).await.fault();
        }
        assert_eq!(rig.run(&["scan", "list", &log]).await.done(), "");
        let asked: Vec<Call> = rig.wire.calls.lock().unwrap().clone();
        assert!(matches!(
            &asked[1..],
            [
                Call::SetScanning { policy: ScanPolicy::UntilClean, .. },
                Call::ReleaseBlob { .. },
                Call::RescanBlob { .. },
                Call::Scans { after: None, .. },
            ]
        ));
    }
}
