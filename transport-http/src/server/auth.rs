//! Who is calling: a bearer token (RFC 6750) becomes a [`Caller`].

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use syncline::access::Caller;
use syncline::call::{ErrorCode, Refusal};
use syncline::digest::Digest;
use syncline::id::BucketId;
use syncline::server::Server;
use syncline::time::Timestamp;

/// Turns credentials into a caller.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// The caller that a bearer token stands for.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`], the same for unknown, revoked and expired tokens; or why it cannot be said now.
    async fn authenticate(&self, bearer: &str, now: Timestamp) -> Result<Caller, Refusal>;
}

/// The tokens of a server's own buckets, and the operator's.
pub struct Tokens {
    server: Server,
    operator: Option<Operator>,
}

/// Only digests are compared, so the time it takes says nothing about the token; and the token itself is not kept.
struct Operator {
    digest: Digest,
    bucket: BucketId,
}

impl Tokens {
    /// Tokens that the server minted.
    #[must_use]
    pub const fn new(server: Server) -> Self {
        Self { server, operator: None }
    }

    /// And this one, whose holder administers this bucket. Whoever calls this has made sure that it is hard to guess.
    #[must_use]
    pub fn with_operator(mut self, token: &str, bucket: BucketId) -> Self {
        self.operator = Some(Operator { digest: digest(token), bucket });
        self
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, bearer: &str, now: Timestamp) -> Result<Caller, Refusal> {
        match &self.operator {
            Some(operator) if operator.digest == digest(bearer) => Ok(Caller::operator(operator.bucket)),
            _ => self.server.authenticate(bearer, now).await,
        }
    }
}

fn digest(token: &str) -> Digest {
    Digest::of(&[b"syncline/operator/v1\0", token.as_bytes()])
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Arc<str>, Refusal> {
    let refused = || Refusal::new(ErrorCode::Unauthenticated, "send a bearer token: Authorization: Bearer <token>");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused());
    };
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(refused)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim().into()) } else { Err(refused()) }
}
