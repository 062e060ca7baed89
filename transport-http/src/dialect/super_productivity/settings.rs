//! What an operator can choose about the dialect. The defaults are those of its reference server.

/// Numbers and names of the dialect. Fields of accounts are read by `accounts`, the others by the sync routes.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "options are filled in from a default")]
pub struct Settings {
    /// Secret that tokens are signed with (HS256): at least 32 characters.
    pub token_secret: String,
    /// Bytes an account may store when nothing else was set for it.
    pub quota_bytes: u64,
    /// The code for an op older than what is there. The reference client knows only `CONFLICT_STALE` and takes an
    /// unknown code for a permanent rejection; newer clients also know `CONFLICT_SUPERSEDED`.
    pub stale_code: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { token_secret: String::new(), quota_bytes: 100 << 20, stale_code: "CONFLICT_STALE".to_owned() }
    }
}
