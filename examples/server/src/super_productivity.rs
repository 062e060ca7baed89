//! Super Productivity's own clients: what can be set for them, and the dialect that it makes. On when a token secret is
//! given, else nothing of it is there.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use syncline_transport_http::dialect::super_productivity::{
    LogMailer, Mailer, Settings, SmtpMailer, SuperProductivity,
};

use crate::config::Config;
use crate::wiring::Backends;

/// Its flags.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Super Productivity")]
pub(crate) struct SpFlags {
    /// Serve Super Productivity's clients; tokens are signed with this secret of at least 32 characters.
    #[arg(long, env = "SYNCLINE_SP_TOKEN_SECRET", hide_env_values = true)]
    sp_token_secret: Option<String>,
    /// Where people reach the server: the beginning of links in mails [default: http://LISTEN]. Passkeys need it, with a
    /// name and TLS: `https://NAME`, or `http://localhost:PORT` to try them.
    #[arg(long, env = "SYNCLINE_SP_PUBLIC_URL")]
    sp_public_url: Option<String>,
    /// A site whose pages may ask the server [default: the app's own]. May be repeated; naming any replaces it.
    #[arg(long = "sp-cors-origin", env = "SYNCLINE_SP_CORS_ORIGINS", value_delimiter = ',')]
    sp_cors_origins: Option<Vec<String>>,
    /// Proxies before the server that say in `X-Forwarded-For` whom they ask for [default: 0].
    #[arg(long, env = "SYNCLINE_SP_TRUSTED_PROXIES")]
    sp_trusted_proxies: Option<usize>,
    /// Bytes an account may store [default: 104857600].
    #[arg(long, env = "SYNCLINE_SP_QUOTA_BYTES")]
    sp_quota_bytes: Option<u64>,
    /// What an op older than what is there is answered with; the newer CONFLICT_SUPERSEDED loses data on older clients
    /// [default: CONFLICT_STALE].
    #[arg(long, env = "SYNCLINE_SP_STALE_CODE", value_parser = ["CONFLICT_STALE", "CONFLICT_SUPERSEDED"])]
    sp_stale_code: Option<String>,
    /// The mail server: `smtps://user:password@host`, or `smtp://…?tls=required`. Mails go to the log when there is none.
    #[arg(long, env = "SYNCLINE_SP_SMTP_URL", hide_env_values = true, requires = "sp_mail_from")]
    sp_smtp_url: Option<String>,
    /// Whom mails are from: an address, or `Name <address>`.
    #[arg(long, env = "SYNCLINE_SP_MAIL_FROM")]
    sp_mail_from: Option<String>,
    /// Open the app's own test routes, on a loopback address only. Whoever reaches them owns every account.
    #[arg(long, env = "SYNCLINE_SP_TEST_ROUTES")]
    test_routes: bool,
}

/// Its section of the file, and of the settings that count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    token_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors_origins: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted_proxies: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    smtp_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_from: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    test_routes: bool,
}

impl SpConfig {
    /// Flags and environment before the file.
    pub(crate) fn of(flags: SpFlags, file: Self) -> Self {
        Self {
            token_secret: flags.sp_token_secret.or(file.token_secret),
            public_url: flags.sp_public_url.or(file.public_url),
            cors_origins: flags.sp_cors_origins.or(file.cors_origins),
            trusted_proxies: flags.sp_trusted_proxies.or(file.trusted_proxies),
            quota_bytes: flags.sp_quota_bytes.or(file.quota_bytes),
            stale_code: flags.sp_stale_code.or(file.stale_code),
            smtp_url: flags.sp_smtp_url.or(file.smtp_url),
            mail_from: flags.sp_mail_from.or(file.mail_from),
            test_routes: flags.test_routes || file.test_routes,
        }
    }

    /// Without secrets.
    pub(crate) fn hide(&mut self) {
        for secret in [&mut self.token_secret, &mut self.smtp_url].into_iter().flatten() {
            *secret = "<redacted>".into();
        }
    }

    pub(crate) fn is_unset(&self) -> bool {
        *self == Self::default()
    }

    fn mailer(&self) -> anyhow::Result<Arc<dyn Mailer>> {
        match (&self.smtp_url, &self.mail_from) {
            (None, _) => Ok(Arc::new(LogMailer)),
            (Some(url), Some(from)) => Ok(Arc::new(SmtpMailer::new(url, from)?)),
            (Some(_), None) => bail!("a mail server needs a sender: set sp-mail-from"),
        }
    }
}

/// The dialect, when it is on.
pub(crate) fn open(config: &Config, backends: &Backends) -> anyhow::Result<Option<SuperProductivity>> {
    let own = &config.super_productivity;
    let Some(secret) = &own.token_secret else {
        if own.test_routes {
            bail!("test routes need a token secret: set sp-token-secret");
        }
        return Ok(None);
    };
    if own.test_routes && !config.listen.ip().is_loopback() {
        bail!("test routes give every account away: they need a loopback address, not {}", config.listen);
    }
    let default = Settings::default();
    let stale_code = own.stale_code.clone().unwrap_or(default.stale_code);
    if !["CONFLICT_STALE", "CONFLICT_SUPERSEDED"].contains(&stale_code.as_str()) {
        bail!("a stale code is CONFLICT_STALE or CONFLICT_SUPERSEDED, not {stale_code:?}");
    }
    let settings = Settings {
        token_secret: secret.clone(),
        public_url: own.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen)),
        mailer: own.mailer()?,
        cors_origins: own.cors_origins.clone().unwrap_or(default.cors_origins),
        trusted_proxies: own.trusted_proxies.unwrap_or(default.trusted_proxies),
        test_routes: own.test_routes,
        quota_bytes: own.quota_bytes.unwrap_or(default.quota_bytes),
        stale_code,
        ..Settings::default()
    };
    let (store, fanout) = (Arc::clone(&backends.store), Arc::clone(&backends.fanout));
    let dialect = SuperProductivity::new(store, fanout, config.bucket, settings);
    dialect.map(Some).context("Super Productivity's clients cannot be served")
}
