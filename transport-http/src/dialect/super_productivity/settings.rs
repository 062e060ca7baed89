//! What an operator can choose about the dialect. The defaults are those of its reference server.

use std::sync::Arc;

use super::accounts::jwt::SECRET_CHARS_MIN;
use super::accounts::{LogMailer, Mailer, PasswordCost};

/// Numbers and names of the dialect. Fields of accounts are read by `accounts`, the others by the sync routes.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "options are filled in from a default")]
pub struct Settings {
    /// Secret that tokens are signed with (HS256): at least 32 characters.
    pub token_secret: String,
    /// How hard a stolen password hash is to guess.
    pub password_cost: PasswordCost,
    /// Where people reach the server: the beginning of links in mails, and the name that passkeys are made for. No
    /// browser makes one for a number, or without TLS for any machine but its own.
    pub public_url: String,
    /// What sends mails.
    pub mailer: Arc<dyn Mailer>,
    /// Sites that may ask from a browser, as in `https://app.example.org`: scheme, host, port when not the usual one.
    pub cors_origins: Vec<String>,
    /// How many proxies stand before the server and name in `X-Forwarded-For` whom they ask for; 0 believes nobody.
    pub trusted_proxies: usize,
    /// Opens the routes of the app's own tests to peers on this machine, and counts no requests.
    pub test_routes: bool,
    /// Bytes an account may store when nothing else was set for it.
    pub quota_bytes: u64,
    /// The code for an op older than what is there. The reference client knows only `CONFLICT_STALE` and takes an
    /// unknown code for a permanent rejection; newer clients also know `CONFLICT_SUPERSEDED`.
    pub stale_code: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_secret: String::new(),
            password_cost: PasswordCost::default(),
            public_url: "http://127.0.0.1:7110".to_owned(),
            mailer: Arc::new(LogMailer),
            cors_origins: vec!["https://app.super-productivity.com".to_owned()],
            trusted_proxies: 0,
            test_routes: false,
            quota_bytes: 100 << 20,
            stale_code: "CONFLICT_STALE".to_owned(),
        }
    }
}

/// Why the dialect cannot start with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Whoever guesses the secret is every account.
    #[error("the token secret needs at least {SECRET_CHARS_MIN} characters")]
    Secret,
    /// The algorithm needs at least 8 KiB and one pass.
    #[error("the password cost cannot be: at least 8 KiB and 1 pass")]
    PasswordCost,
}
