//! Deleting: an account's data, and the account.
//!
//! What must always hold: from the first write on no token of a deleted account is believed; the record goes last, so
//! that a deletion that was cut off can be run again to its end; and a number is never used again, so nobody inherits
//! what a late writer left.
//!
//! Next: `admin` for operators.

use syncline::access::Caller;
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::id::LogKey;
use syncline::time::Env;

use super::Accounts;
use super::record::Change;

/// How often a log that grows while it is deleted is looked at again.
const RACES_MAX: usize = 32;

impl Accounts {
    /// Deletes an account and all it stored; `false` when there is none.
    pub(crate) async fn delete(&self, id: u64, env: Env) -> Result<bool, Refusal> {
        let marked = self.records.change(id, env, |record| {
            record.deleting = true;
            record.token_version += 1;
            Change::Keep(())
        });
        if marked.await?.is_none() {
            return Ok(false);
        }
        self.erase(self.records.log(id), env).await?;
        self.records.remove(id, env).await?;
        Ok(true)
    }

    /// Deletes what an account stored. Numbering starts anew; nothing to delete is fine.
    pub(crate) async fn erase(&self, log: LogKey, env: Env) -> Result<(), Refusal> {
        let operator = Caller::operator(log.bucket);
        let mut last = None;
        for _ in 0..RACES_MAX {
            let seen = match self.server.handle(&operator, Call::Status(log.log), env).await {
                Ok(Reply::Log { bounds, .. }) => bounds.end(),
                Ok(_) => return Err(Refusal::new(ErrorCode::Internal, "a status was answered with something else")),
                Err(refusal) if refusal.code == ErrorCode::LogNotFound => return Ok(()),
                Err(refusal) => return Err(refusal),
            };
            match self.server.handle(&operator, Call::DeleteLog { log: log.log, seen }, env).await {
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.code == ErrorCode::LogNotFound => return Ok(()),
                Err(refusal) if refusal.code == ErrorCode::LogMoved => last = Some(refusal),
                Err(refusal) => return Err(refusal),
            }
        }
        Err(last.unwrap_or_else(|| Refusal::new(ErrorCode::Busy, "others write to the same log")))
    }
}
