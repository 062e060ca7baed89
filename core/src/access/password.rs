//! Passwords: how they are kept is somebody else's business, for a good way is dear and takes a thread of its own.

use std::fmt;

use async_trait::async_trait;

/// Who makes of a password what is kept of it.
#[async_trait]
pub trait Passwords: fmt::Debug + Send + Sync + 'static {
    /// What is kept of a password; `None` when that cannot be said now. Dear to compute, and different each time.
    async fn keep(&self, password: &str) -> Option<String>;

    /// Whether a password is the kept one; `None` when that cannot be said now.
    async fn fits(&self, password: &str, kept: &str) -> Option<bool>;
}
