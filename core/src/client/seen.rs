//! How far every known device has read.

use std::sync::Mutex;

use super::gate::{Bell, lock};
use crate::seq::Seq;

/// The seq that every device known to the log has read to, as far as the server has told.
#[derive(Debug, Default)]
pub(super) struct Everyone {
    seq: Mutex<Seq>,
    bell: Bell,
}

impl Everyone {
    pub(super) fn tell(&self, seq: Seq) {
        let mut known = lock(&self.seq);
        if seq > *known {
            *known = seq;
            self.bell.ring();
        }
    }

    pub(super) fn seq(&self) -> Seq {
        *lock(&self.seq)
    }

    pub(super) async fn reached(&self, seq: Seq) {
        loop {
            let rung = self.bell.times();
            if self.seq() >= seq {
                return;
            }
            self.bell.rung_since(rung).await;
        }
    }
}
