//! Mails: what is sent, and how.
//!
//! What must always hold: sending never decides an answer, so a request takes the same time whether a mail goes out or
//! not; and a server without a mail server still lets its operator finish what a mail would have finished.
//!
//! Next: `mailed` makes the secrets in them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

/// How long one mail may take to be handed over.
const SEND_WITHIN: Duration = Duration::from_secs(60);

/// A mail to one person, plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "plain data for whoever sends")]
pub struct Letter {
    /// The address.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// The text, with the link.
    pub text: String,
}

/// Why a mail did not go out.
#[derive(Debug, thiserror::Error)]
#[error("a mail could not be sent: {0}")]
pub struct MailError(String);

/// What sends mails.
#[async_trait]
pub trait Mailer: fmt::Debug + Send + Sync + 'static {
    /// Hands a mail over to somebody who will deliver it.
    ///
    /// # Errors
    /// When nobody takes it.
    async fn send(&self, letter: Letter) -> Result<(), MailError>;
}

/// Writes mails to the log instead: for a server without a mail server, whose operator reads them there.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no parts")]
pub struct LogMailer;

#[async_trait]
impl Mailer for LogMailer {
    async fn send(&self, letter: Letter) -> Result<(), MailError> {
        tracing::warn!(to = %letter.to, subject = %letter.subject, "no mail server is set; the mail reads: {}", letter.text);
        Ok(())
    }
}

/// Sends through an SMTP server.
#[derive(Debug, Clone)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpMailer {
    /// `smtps://user:password@host:port` speaks TLS from the start, `smtp://…?tls=required` after STARTTLS; a bare
    /// `smtp://` speaks no TLS and is for a server on the same machine. `from` is an address, or `Name <address>`.
    ///
    /// # Errors
    /// When one of the two does not read.
    pub fn new(url: &str, from: &str) -> Result<Self, MailError> {
        // The error may repeat the URL, and with it the password.
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| MailError("the URL of the mail server does not read".into()))?
            .build();
        let from = from.parse().map_err(|error| MailError(format!("the sender {from:?} does not read: {error}")))?;
        Ok(Self { transport, from })
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, letter: Letter) -> Result<(), MailError> {
        let failed = |error: &dyn fmt::Display| MailError(error.to_string());
        let to: Mailbox = letter.to.parse().map_err(|error| failed(&error))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .body(letter.text)
            .map_err(|error| failed(&error))?;
        self.transport.send(message).await.map(drop).map_err(|error| failed(&error))
    }
}

/// Sends in the background; what fails stands in the log.
pub(crate) fn post(mailer: &Arc<dyn Mailer>, letter: Letter) {
    let mailer = Arc::clone(mailer);
    tokio::spawn(async move {
        let to = letter.to.clone();
        match tokio::time::timeout(SEND_WITHIN, mailer.send(letter)).await {
            Ok(Ok(())) => tracing::debug!(%to, "a mail went out"),
            Ok(Err(error)) => tracing::error!(%to, %error, "a mail did not go out"),
            Err(_) => tracing::error!(%to, "a mail did not go out in time"),
        }
    });
}
