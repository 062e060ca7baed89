//! Who is calling: the interface that identity will fill; bearer tokens now.

use super::{Server, refuse_store};
use crate::access::{Bearer, Caller, TokenRecord};
use crate::call::{ErrorCode, Refusal};
use crate::decide::token_key;
use crate::id::{LogId, LogKey};
use crate::store::StoreExt;
use crate::time::Timestamp;

impl Server {
    /// The caller that a bearer token stands for. Unknown, revoked, expired and malformed tokens get one answer.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`], or the store's failure.
    pub async fn authenticate(&self, bearer: &str, now: Timestamp) -> Result<Caller, Refusal> {
        let refused = || Refusal::new(ErrorCode::Unauthenticated, "the bearer token is not known");
        let bearer: Bearer = bearer.parse().map_err(|_| refused())?;
        let log = LogKey { bucket: bearer.bucket(), log: LogId::SYSTEM };
        let head = self.store.head(log, &token_key(bearer.id())).await.map_err(refuse_store)?;
        let state = head.as_ref().and_then(|head| head.live_state()).ok_or_else(refused)?;
        let record: TokenRecord = serde_json::from_slice(state)
            .map_err(|_| Refusal::new(ErrorCode::Internal, "a stored token does not read"))?;
        let mut caller = record.admit(&bearer, now).ok_or_else(refused)?;
        for group in record.groups {
            // A group that was ended grants nothing.
            if let Some(group) = self.group(bearer.bucket(), group).await? {
                caller.join(&group);
            }
        }
        Ok(caller)
    }
}
