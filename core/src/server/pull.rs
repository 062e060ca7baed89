//! Pull: a page from a cursor, or the gap that stands in the way.

use super::{Server, refuse_store};
use crate::call::{Page, Refusal};
use crate::id::LogKey;
use crate::seq::Cursor;
use crate::store::PageLimit;

impl Server {
    /// A log that nobody has written to yet reads as empty, so that a reader may come before the first writer.
    pub(super) async fn pull(&self, log: LogKey, cursor: Cursor, limit: PageLimit) -> Result<Page, Refusal> {
        let page = self.store.ops_after(log, cursor.seq, limit).await.map_err(refuse_store)?;
        match page.gap(cursor) {
            None => Ok(Page::of(page, cursor)),
            Some(gap) => Err(self.refuse_gap(log, gap, page.bounds.as_ref()).await),
        }
    }
}
