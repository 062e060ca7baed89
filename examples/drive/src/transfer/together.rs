//! Bringing small blobs many at a time: a request costs more than its bytes when they are few.

use bytes::Bytes;
use syncline::blob::Piece;
use syncline::client::CallError;
use syncline::digest::BlobId;
use syncline::tree::Content;
use syncline::{Digest, limits};

use super::again::again;
use super::download::Places;
use super::{Transfer, TransferError};

/// What is asked for together has no more bytes: what is lost when a request is, and what is held of each that is under way.
const TOGETHER_BYTES: u64 = 1 << 20;
/// And no more blobs, so that several requests are under way when all of them are tiny.
const TOGETHER: usize = 64;

impl Transfer {
    /// How many of the first of these contents are brought together; 1 for a content that is large, or in pieces.
    #[must_use]
    pub fn together<'a>(contents: impl Iterator<Item = &'a Content>) -> usize {
        let mut sum = 0_u64;
        let fits = |content: &&Content| {
            sum = sum.saturating_add(content.bytes);
            content.manifest.is_none() && sum <= TOGETHER_BYTES
        };
        contents.take(TOGETHER.min(limits::LIST_ITEMS_MAX)).take_while(fits).count().max(1)
    }

    /// Brings blobs that are small together, each verified. A refusal may be about any of them.
    ///
    /// # Errors
    /// Why not; then none came.
    pub async fn bring_many(&self, blobs: &[BlobId]) -> Result<Vec<Bytes>, TransferError> {
        let brought = again(self.env.as_ref(), || self.way.get_blobs(self.log, blobs)).await?;
        if brought.len() != blobs.len() {
            return Err(CallError::Protocol("these are not the blobs that were asked for".into()).into());
        }
        // A way that verifies nothing may be under us.
        if let Some((blob, _)) = blobs.iter().zip(&brought).find(|(blob, bytes)| Digest::of(&[bytes]) != **blob) {
            return Err(TransferError::Damaged(*blob));
        }
        self.down.take(brought.iter().map(Bytes::len).sum()).await;
        Ok(brought)
    }

    /// Brings pieces that follow each other.
    pub(super) async fn run(&self, pieces: &[Piece], places: &Places) -> Result<Vec<Bytes>, TransferError> {
        if let [_, _, ..] = pieces {
            let blobs: Vec<BlobId> = pieces.iter().map(|piece| piece.blob).collect();
            match self.bring_many(&blobs).await {
                // Which it is shows when each is asked for alone.
                Err(TransferError::Call(CallError::Refused(_))) => {}
                Ok(brought) => {
                    let is_wrong = |(piece, bytes): &(&Piece, &Bytes)| bytes.len() as u64 != u64::from(piece.len);
                    if let Some((piece, _)) = pieces.iter().zip(&brought).find(is_wrong) {
                        return Err(TransferError::Damaged(piece.blob));
                    }
                    return Ok(brought);
                }
                Err(error) => return Err(error),
            }
        }
        let mut brought = Vec::with_capacity(pieces.len());
        for piece in pieces {
            brought.push(self.piece(*piece, places).await?);
        }
        Ok(brought)
    }
}

/// Pieces that are brought together: none that is in the folder, and no more than is asked for at once.
pub(super) fn runs<'a>(pieces: &'a [Piece], places: &Places) -> Vec<&'a [Piece]> {
    let (mut runs, mut rest) = (Vec::new(), pieces);
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |piece: &&Piece| {
            bytes += u64::from(piece.len);
            bytes <= TOGETHER_BYTES && !places.contains_key(&piece.blob)
        };
        let count = rest.iter().take(TOGETHER).take_while(fits).count().max(1);
        let (run, later) = rest.split_at(count);
        runs.push(run);
        rest = later;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u8, len: u32) -> Piece {
        Piece { blob: Digest::of(&[&[number]]), len }
    }

    #[test]
    fn pieces_come_together_unless_they_are_here_or_too_many() {
        let pieces: Vec<Piece> = (0..5).map(|number| piece(number, 1 << 18)).collect();
        let lens = |places: &Places| runs(&pieces, places).into_iter().map(<[Piece]>::len).collect::<Vec<_>>();
        assert_eq!(lens(&Places::new()), [4, 1], "a MiB, and what is more");
        let near = [(pieces[1].blob, (Vec::new().into(), 0))].into_iter().collect();
        assert_eq!(lens(&near), [1, 1, 3]);
        let many: Vec<Piece> = (0..130).map(|number| piece(number, 1)).collect();
        let lens: Vec<usize> = runs(&many, &Places::new()).into_iter().map(<[Piece]>::len).collect();
        assert_eq!(lens, [TOGETHER, TOGETHER, 2]);
        let large = [piece(1, 4 << 20), piece(2, 1)];
        assert_eq!(runs(&large, &Places::new()).len(), 2, "what is larger comes alone");
    }
}
