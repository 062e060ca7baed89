//! When a file that could not be brought is asked for again.
//!
//! A server refuses a file that is being scanned, or was found bad; its bytes are damaged; the disk is full. Who asked at each
//! sync would ask for ever. What must hold: whatever another content, or some time, may have put right is tried.
//!
//! Next: who carries out steps leaves those out that [wait](PutOff::holds).

use std::collections::HashMap;

use crate::digest::BlobId;
use crate::id::EntityId;
use crate::time::Timestamp;
use crate::tree::Content;

/// How long a file waits after it failed; twice as long with each failure.
const WAIT_MS: u64 = 30_000;
/// How long at most.
const WAIT_MS_MAX: u64 = 60 * 60 * 1_000;

/// Files that could not be brought, and until when each waits. It is kept nowhere: who starts anew tries all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutOff {
    files: HashMap<EntityId, Failed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failed {
    blob: BlobId,
    failures: u32,
    since: Timestamp,
    until: Timestamp,
}

impl PutOff {
    /// A file with this content could not be brought.
    pub fn failed(&mut self, node: EntityId, content: &Content, now: Timestamp) {
        let before = self.files.get(&node).filter(|failed| failed.blob == content.blob);
        let failures = before.map_or(0, |failed| failed.failures);
        let wait_ms = WAIT_MS.saturating_mul(1 << failures.min(32)).min(WAIT_MS_MAX);
        let failures = failures.saturating_add(1);
        let failed = Failed { blob: content.blob, failures, since: now, until: now.plus_ms(wait_ms) };
        self.files.insert(node, failed);
    }

    /// A file was brought, or is not wanted any more.
    pub fn done(&mut self, node: EntityId) {
        self.files.remove(&node);
    }

    /// Whether a file with this content waits. A clock that was put back makes nobody wait.
    #[must_use]
    pub fn holds(&self, node: EntityId, content: &Content, now: Timestamp) -> bool {
        let failed = self.files.get(&node).filter(|failed| failed.blob == content.blob);
        failed.is_some_and(|failed| (failed.since..failed.until).contains(&now))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const NODE: EntityId = EntityId::from_bytes([1; 16]);

    fn content(text: &str) -> Content {
        let blob = Digest::of(&[text.as_bytes()]);
        let modified_at = Timestamp::default();
        Content { blob, bytes: 1, manifest: None, modified_at, executable: false, attributes: None }
    }

    #[test]
    fn a_file_that_fails_waits_twice_as_long_each_time_and_an_hour_at_most() {
        let (mut put_off, file) = (PutOff::default(), content("file"));
        let mut now = Timestamp::from_ms(1_000).unwrap();
        for wait_ms in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, WAIT_MS_MAX, WAIT_MS_MAX] {
            assert!(!put_off.holds(NODE, &file, now));
            put_off.failed(NODE, &file, now);
            assert!(put_off.holds(NODE, &file, now) && put_off.holds(NODE, &file, now.plus_ms(wait_ms - 1)));
            now = now.plus_ms(wait_ms);
        }
    }

    #[test]
    fn another_content_another_file_and_a_clock_that_was_put_back_do_not_wait() {
        let (mut put_off, file, now) = (PutOff::default(), content("file"), Timestamp::from_ms(1_000).unwrap());
        put_off.failed(NODE, &file, now);
        put_off.failed(NODE, &file, now);
        assert!(!put_off.holds(NODE, &content("other"), now));
        assert!(!put_off.holds(EntityId::from_bytes([2; 16]), &file, now));
        assert!(!put_off.holds(NODE, &file, Timestamp::from_ms(999).unwrap()));
        put_off.failed(NODE, &content("other"), now);
        assert!(!put_off.holds(NODE, &content("other"), now.plus_ms(WAIT_MS)), "it failed once");
        put_off.done(NODE);
        assert!(!put_off.holds(NODE, &content("other"), now));
    }
}
