//! The bodies of a page, side by side in a few pieces of memory instead of one allocation each.
//!
//! What must hold: whoever keeps one op of a page keeps at most [`PIECE`] of its neighbours alive, and a page of one op
//! keeps nothing but that op.

use bytes::{Bytes, BytesMut};

/// Bytes in a piece; a body that is larger has a piece of its own.
const PIECE: usize = 64 << 10;

/// Where the next body goes.
#[derive(Debug, Default)]
pub(crate) struct Bodies {
    piece: BytesMut,
}

impl Bodies {
    /// Copies a body. `left` says how many are expected from this one on; they are taken to be about as long.
    pub(crate) fn keep(&mut self, body: &[u8], left: usize) -> Bytes {
        if self.piece.capacity() < body.len() {
            let expected = body.len().saturating_mul(left).min(PIECE);
            self.piece = BytesMut::with_capacity(expected.max(body.len()));
        }
        self.piece.extend_from_slice(body);
        self.piece.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_as_they_were_and_do_not_move() {
        let mut bodies = Bodies::default();
        let made: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte; usize::from(byte) * 7]).collect();
        let kept: Vec<Bytes> = made.iter().map(|body| bodies.keep(body, 10)).collect();
        assert_eq!(kept, made);
    }

    #[test]
    fn one_body_alone_keeps_no_more_than_itself() {
        let mut bodies = Bodies::default();
        assert_eq!(bodies.keep(&[7; 300], 1).len(), 300);
        assert_eq!(bodies.piece.capacity(), 0);
    }
}
