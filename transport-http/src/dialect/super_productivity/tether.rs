//! Work that outlives whoever asked for it, and a body that does not.
//!
//! What must hold: what has begun to be written is written, and told to others, even when its peer has left or its
//! time is over; a body that nobody waits for any more is not read on, so it keeps neither its connection nor a task.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::answer::Refused;
use crate::server::limits::Place;

/// Around every request.
pub(super) async fn run_to_end(request: Request, next: Next) -> Response {
    let place = request.extensions().get::<Place>().cloned();
    // Dropped with this future, which is how the body hears of it.
    let (_waiting, waited_for) = oneshot::channel();
    let request = request.map(|body| Body::new(Tethered { body, waited_for, cut: false }));
    let work = async move {
        let response = next.run(request).await;
        drop(place);
        response
    };
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request met a bug");
        Refused::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error").into_response()
    })
}

/// A body that fails when nobody waits for the answer any more.
#[derive(Debug)]
struct Tethered {
    body: Body,
    /// Never sent to.
    waited_for: oneshot::Receiver<()>,
    cut: bool,
}

impl hyper::body::Body for Tethered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.cut = self.cut || Pin::new(&mut self.waited_for).poll(context).is_ready();
        if self.cut {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::from(io::ErrorKind::ConnectionAborted)))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::{any, post};
    use http_body_util::BodyExt as _;
    use tokio::sync::mpsc;
    use tower::ServiceExt as _;

    use super::*;

    fn request(body: Body) -> Request {
        Request::post("/").body(body).unwrap()
    }

    #[tokio::test]
    #[allow(clippy::panic, reason = "the bug")]
    async fn fault_a_bug_is_answered_in_their_form() {
        let router = Router::new().route("/", any(async || -> Response { panic!("a bug") })).layer(from_fn(run_to_end));
        let answer = router.oneshot(request(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, r#"{"error":"Internal server error"}"#);
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_and_reading_does_not() {
        let (said, mut hear) = mpsc::unbounded_channel();
        let handler = async move |mut body: Body| {
            said.send("begun").unwrap();
            // Asked again after the end, as whoever reads on from a refused body does.
            while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
            assert!(body.frame().await.unwrap().is_err());
            said.send("cut").unwrap();
            tokio::task::yield_now().await;
            said.send("done").unwrap();
        };
        let router = Router::new().route("/", post(handler)).layer(from_fn(run_to_end));
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        let asked = tokio::spawn(router.oneshot(request(never)));
        assert_eq!(hear.recv().await, Some("begun"));
        asked.abort();
        assert_eq!((hear.recv().await, hear.recv().await), (Some("cut"), Some("done")));
    }
}
