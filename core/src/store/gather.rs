//! Pieces of the size an adapter wants, out of a body whose chunks are what they are.
//!
//! What must hold: large chunks are not copied; pieces are of exactly the size asked for but the last; a body that breaks gives what came before it
//! broke as the last piece, then its error.
//!
//! Next: [`BlobStore`](super::BlobStore).

use bytes::{Bytes, BytesMut};

use super::blob::{BlobError, BlobSource};

/// Chunks below this are copied.
const SMALL_BYTES: usize = 16 << 10;
/// Into chunks of about this.
const TOGETHER_BYTES: usize = 64 << 10;

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

    /// The next `len` bytes as the chunks they came in, fewer at the end, `None` behind it. `len` above 0. What came is
    /// lost with a dropped future.
    ///
    /// # Errors
    /// What the body failed with, once all before it was given.
    pub async fn next(&mut self, len: usize) -> Result<Option<Vec<Bytes>>, BlobError> {
        let (mut piece, mut small, mut left) = (Vec::new(), BytesMut::new(), len);
        loop {
            if left > 0 && self.rest.is_empty() {
                self.fetch().await;
            }
            if left == 0 || self.rest.is_empty() {
                break;
            }
            let part = self.rest.split_to(self.rest.len().min(left));
            left -= part.len();
            // Large chunks are passed on as they are. Small ones are put together: each costs a call, and its own keeping.
            if part.len() < SMALL_BYTES {
                small.extend_from_slice(&part);
            }
            if !small.is_empty() && (part.len() >= SMALL_BYTES || small.len() >= TOGETHER_BYTES) {
                piece.push(small.split().freeze());
            }
            if part.len() >= SMALL_BYTES {
                piece.push(part);
            }
        }
        if !small.is_empty() {
            piece.push(small.freeze());
        }
        if !piece.is_empty() {
            return Ok(Some(piece));
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use async_trait::async_trait;

    use super::*;

    struct Chunks(VecDeque<Result<Bytes, BlobError>>);

    #[async_trait]
    impl BlobSource for Chunks {
        async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
            self.0.pop_front().transpose()
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits for somebody"),
        }
    }

    fn chunks(lens: &[usize]) -> Chunks {
        let mut numbers = (0..=255).cycle();
        Chunks(lens.iter().map(|len| Ok(numbers.by_ref().take(*len).collect::<Vec<u8>>().into())).collect())
    }

    #[test]
    fn pieces_are_of_the_size_asked_for_but_the_last() {
        for lens in [&[][..], &[0], &[10], &[11], &[1, 2, 3, 0, 4, 5, 6], &[25, 3, 0, 30], &[9, 1, 10, 1]] {
            let all: Vec<u8> = chunks(lens).0.into_iter().flat_map(|chunk| chunk.unwrap()).collect();
            let mut body = chunks(lens);
            let mut gather = Gather::new(&mut body);
            let mut pieces = Vec::new();
            while let Some(piece) = now(gather.next(10)).unwrap() {
                pieces.push(piece.concat());
            }
            assert!(now(gather.next(10)).unwrap().is_none(), "it stays at its end");
            assert_eq!(pieces.concat(), all, "{lens:?}");
            assert!(pieces.iter().rev().skip(1).all(|piece| piece.len() == 10), "{lens:?}");
            assert_eq!(pieces.len(), all.len().div_ceil(10), "{lens:?}");
        }
    }

    #[test]
    fn large_chunks_are_passed_on_and_small_ones_put_together() {
        let lens = [20_000, 1, 2, 30_000, 16_383, 16_383, 16_383, 16_383, 16_383, 5];
        let all: Vec<u8> = chunks(&lens).0.into_iter().flat_map(|chunk| chunk.unwrap()).collect();
        let mut body = chunks(&lens);
        let piece = now(Gather::new(&mut body).next(1 << 20)).unwrap().unwrap();
        assert_eq!(piece.iter().map(Bytes::len).collect::<Vec<_>>(), [20_000, 3, 30_000, 81_915, 5]);
        assert_eq!(piece.concat(), all);
    }

    #[test]
    fn what_came_before_a_body_broke_is_given_first() {
        let mut body = chunks(&[7, 8]);
        body.0.push_back(Err(BlobError::NotFound));
        let mut gather = Gather::new(&mut body);
        assert_eq!(now(gather.next(10)).unwrap().unwrap().concat().len(), 10);
        assert_eq!(now(gather.next(10)).unwrap().unwrap().concat().len(), 5);
        assert!(now(gather.next(10)).is_err());
    }
}
