//! Pieces of the size an adapter wants, out of a body whose chunks are what they are.
//!
//! What must hold: pieces are of exactly the size asked for but the last; a body that breaks gives what came before it
//! broke as the last piece, then its error.
//!
//! Next: [`BlobStore`](super::BlobStore).

use bytes::{Bytes, BytesMut};

use super::blob::{BlobError, BlobSource};

/// A body, read in pieces.
pub struct Gather<'b> {
    body: &'b mut dyn BlobSource,
    rest: Bytes,
    end: Option<Result<(), BlobError>>,
}

impl<'b> Gather<'b> {
    /// From the body's beginning.
    #[must_use]
    pub fn new(body: &'b mut dyn BlobSource) -> Self {
        Self { body, rest: Bytes::new(), end: None }
    }

    /// The next `len` bytes, fewer at the end, `None` behind it. `len` above 0. What came is lost with a dropped future.
    ///
    /// # Errors
    /// What the body failed with, once all before it was given.
    pub async fn next(&mut self, len: usize) -> Result<Option<Bytes>, BlobError> {
        if self.rest.is_empty() {
            self.fetch().await;
        }
        // Chunks that are large enough are passed on as they are.
        if self.rest.len() >= len {
            return Ok(Some(self.rest.split_to(len)));
        }
        let mut piece = BytesMut::new();
        while piece.len() < len && !self.rest.is_empty() {
            let part = self.rest.split_to(self.rest.len().min(len - piece.len()));
            piece.extend_from_slice(&part);
            if self.rest.is_empty() {
                self.fetch().await;
            }
        }
        if !piece.is_empty() {
            return Ok(Some(piece.freeze()));
        }
        match &mut self.end {
            Some(end) => std::mem::replace(end, Ok(())).map(|()| None),
            None => Ok(None),
        }
    }

    /// Fills an empty rest, unless the body has ended.
    async fn fetch(&mut self) {
        while self.rest.is_empty() && self.end.is_none() {
            match self.body.next().await {
                Ok(Some(chunk)) => self.rest = chunk,
                Ok(None) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(error)),
            }
        }
    }
}

impl std::fmt::Debug for Gather<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").field("rest", &self.rest.len()).field("end", &self.end).finish_non_exhaustive()
    }
}
