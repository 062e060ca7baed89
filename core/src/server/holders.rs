//! Who holds a log: acknowledgements, and the list of them.

use super::{Server, refuse_store};
use crate::access::Caller;
use crate::call::{ErrorCode, Refusal, Reply};
use crate::decide::{Acknowledge, Acknowledged, Scope, acknowledge, holders_key, holders_of};
use crate::id::{LogKey, ReplicaId};
use crate::store::StoreExt;
use crate::time::Env;

impl Server {
    pub(super) async fn acknowledge(&self, caller: &Caller, said: Acknowledge, env: Env) -> Result<Reply, Refusal> {
        if said.replica == ReplicaId::SERVER || caller.replica.is_some_and(|own| own != said.replica) {
            let detail = "nobody acknowledges as a replica that is not the caller's";
            return Err(Refusal::new(ErrorCode::ForbiddenReplica, detail));
        }
        let scope = Scope::log(said.log, said.reads());
        let rule = move |view: &crate::decide::View| acknowledge(&said, env.now, view);
        match self.store.decide(scope, rule).await.map_err(refuse_store)? {
            Acknowledged::Done(holders) => {
                Ok(Reply::Acknowledged { stable: holders.stable(), devices: holders.iter().len() })
            }
            Acknowledged::Gap(gap, bounds) => Err(self.refuse_gap(said.log, gap, bounds.as_deref()).await),
            Acknowledged::Unreadable => Err(unreadable()),
        }
    }

    pub(super) async fn devices(&self, log: LogKey) -> Result<Reply, Refusal> {
        self.bounds(log).await?;
        let note = self.store.head(log, &holders_key()).await.map_err(refuse_store)?;
        holders_of(note.as_ref()).map(|holders| Reply::Devices(Box::new(holders))).ok_or_else(unreadable)
    }
}

fn unreadable() -> Refusal {
    Refusal::new(ErrorCode::LogDamaged, "what is kept of the log's holders does not read")
}
