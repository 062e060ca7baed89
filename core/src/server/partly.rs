//! Answers for partial readers: what concerns nothing they hold is left out.
//!
//! What must hold: the answer is that of the call itself, judged and checked as for anybody, with less in it; whatever is
//! left out leaves its digest, so that its reader can check the running hash op for op.

use super::Server;
use crate::access::Caller;
use crate::call::{Call, ErrorCode, Pushed, Refusal, Reply};
use crate::oplog::Part;
use crate::time::Env;

impl Server {
    pub(super) async fn partly(&self, caller: &Caller, part: &Part, call: Call, env: Env) -> Result<Reply, Refusal> {
        if !matches!(call, Call::Push(_) | Call::Pull { .. } | Call::GetSnapshot(_)) {
            return Err(Refusal::new(
                ErrorCode::Malformed,
                "a part is asked for in a push, a pull and a snapshot only",
            ));
        }
        let reply = Box::pin(self.handle(caller, call, env)).await?;
        Ok(match reply {
            Reply::Pulled(page) => Reply::Pulled(page.only(part)),
            Reply::Pushed(Pushed { newer: Some(page), verdicts, replayed, accepted_at }) => {
                Reply::Pushed(Pushed { newer: Some(page.only(part)), verdicts, replayed, accepted_at })
            }
            Reply::Snapshot(Some(snapshot)) => Reply::Snapshot(Some(Box::new(snapshot.only(part)))),
            other => other,
        })
    }
}
