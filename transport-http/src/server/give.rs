//! Bytes on their way out: ranges and validators are RFC 9110's. A blob's name is its strong entity tag, for its bytes never
//! change.
//!
//! What must hold: nothing is compressed, for ranges are ranges of these very bytes; a source that fails cuts the body off, and
//! its reader sees that bytes are missing.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use syncline::digest::BlobId;
use syncline::store::{BlobSource, ByteRange};

use super::limits::Place;
use crate::BLOB_MEDIA_TYPE;

/// What is given of some bytes.
pub(super) struct Giving {
    status: StatusCode,
    tag: String,
    size: u64,
    part: std::ops::Range<u64>,
}

impl Giving {
    /// What a request's headers ask for of the bytes of this name; the error is an answer without bytes. Where ranges are not
    /// given, all is.
    pub(super) fn asked(headers: &HeaderMap, blob: BlobId, size: u64, ranges: bool) -> Result<Self, Box<Response>> {
        let tag = format!("\"{blob}\"");
        if names(headers, header::IF_NONE_MATCH, &tag) {
            return Err(Box::new(about(StatusCode::NOT_MODIFIED, &tag, Body::empty())));
        }
        let range = match headers.get(header::RANGE).filter(|_| ranges).and_then(|value| value.to_str().ok()) {
            Some(_) if headers.contains_key(header::IF_RANGE) && !names(headers, header::IF_RANGE, &tag) => {
                Asked::Whole
            }
            Some(value) => Asked::of(value, size),
            None => Asked::Whole,
        };
        let (status, part) = match range {
            Asked::Whole => (StatusCode::OK, 0..size),
            Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
            Asked::Nothing => {
                let mut response = about(StatusCode::RANGE_NOT_SATISFIABLE, &tag, Body::empty());
                set(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
                return Err(Box::new(response));
            }
        };
        Ok(Self { status, tag, size, part })
    }

    /// What is to be read.
    pub(super) const fn range(&self) -> ByteRange {
        // A whole read is verified; one that names its end would not be known for one.
        match self.status {
            StatusCode::OK => ByteRange { start: 0, end: None },
            _ => ByteRange { start: self.part.start, end: Some(self.part.end) },
        }
    }

    /// The answer, with what was read.
    pub(super) fn answer(self, source: Box<dyn BlobSource>, place: Option<Place>) -> Response {
        let Self { status, tag, size, part } = self;
        let mut response = about(status, &tag, outgoing(source, place));
        set(&mut response, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{size}", part.start, part.end - 1));
        }
        response
    }
}

/// What of a blob is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(std::ops::Range<u64>),
    Nothing,
}

impl Asked {
    /// By the value of a `Range` header. What is no single range of bytes is not understood, and so not there.
    fn of(value: &str, size: u64) -> Self {
        let Some(range) = value.trim().strip_prefix("bytes=") else { return Self::Whole };
        let Some((from, to)) = range.split_once('-') else { return Self::Whole };
        let number = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
        };
        let part = match (from.trim(), number(from), to.trim(), number(to)) {
            ("", _, _, Some(last)) => size.saturating_sub(last)..size,
            (_, Some(from), "", _) => from..size,
            (_, Some(from), _, Some(to)) if from <= to => from..to.saturating_add(1).min(size),
            _ => return Self::Whole,
        };
        if part.start < part.end { Self::Part(part) } else { Self::Nothing }
    }
}

/// A body of what a source gives.
fn outgoing(source: Box<dyn BlobSource>, place: Option<Place>) -> Body {
    Body::from_stream(stream::unfold(Some((source, place)), async |state| {
        let (mut source, place) = state?;
        match source.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some((source, place)))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "a blob cannot be read");
                Some((Err(error), None))
            }
        }
    }))
}

/// Whether a header names this entity tag, or any.
fn names(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim() == tag || value.trim() == "*")
}

fn about(status: StatusCode, tag: &str, body: Body) -> Response {
    let mut response = (status, body).into_response();
    set(&mut response, header::CONTENT_TYPE, BLOB_MEDIA_TYPE);
    set(&mut response, header::ETAG, tag);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    response
}

/// Sets a header to what is visible ASCII.
pub(super) fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let part = |range: std::ops::Range<u64>| Asked::Part(range);
        let rows = [
            ("bytes=0-0", part(0..1)),
            ("bytes=2-4", part(2..5)),
            ("bytes=8-", part(8..10)),
            ("bytes=-3", part(7..10)),
            ("bytes=-99", part(0..10)),
            ("bytes=5-99", part(5..10)),
            ("bytes=0-18446744073709551615", part(0..10)),
            ("bytes=0-99999999999999999999", part(0..10)),
            ("bytes=10-", Asked::Nothing),
            ("bytes=10-12", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=4-2", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("", Asked::Whole),
        ];
        for (value, asked) in rows {
            assert_eq!(Asked::of(value, 10), asked, "{value}");
        }
        assert_eq!(Asked::of("bytes=0-0", 0), Asked::Nothing);
    }
}
