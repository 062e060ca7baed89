//! Routes that are not the engine's, and how they say what the server refuses around them.
//!
//! What must hold: clients of such routes know nothing of problem documents, so a request that is refused before it
//! reaches its route, or that takes too long in it, is answered in the words of the route's own protocol.
//!
//! Next: `limits` is what refuses.

use std::fmt::Debug;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::response::Response;
use syncline::call::Refusal;

/// What is still known of a request when it is refused.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Asked {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// The site a browser asked for, when one did.
    pub origin: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let origin = request.headers().get(header::ORIGIN).cloned();
        Self { method: request.method().clone(), uri: request.uri().clone(), origin }
    }
}

/// How routes beside the engine's own word a refusal of the server around them: busy, too slow, a head too large.
pub trait Wording: Debug + Send + Sync + 'static {
    /// The answer, or `None` when the request is not to one of these routes: then it is a problem document.
    fn refuse(&self, asked: &Asked, refusal: &Refusal) -> Option<Response>;
}

/// Routes to serve beside the engine's own.
#[derive(Debug, Default)]
pub struct Beside {
    routes: Router,
    wording: Option<Arc<dyn Wording>>,
}

impl Beside {
    /// These routes; what is refused around them is a problem document.
    #[must_use]
    pub fn new(routes: Router) -> Self {
        Self { routes, wording: None }
    }

    /// The same, refused in these words.
    #[must_use]
    pub fn worded_by(self, wording: impl Wording) -> Self {
        Self { wording: Some(Arc::new(wording)), ..self }
    }

    pub(super) fn into_parts(self) -> (Router, Option<Arc<dyn Wording>>) {
        (self.routes, self.wording)
    }
}

impl From<Router> for Beside {
    fn from(routes: Router) -> Self {
        Self::new(routes)
    }
}
