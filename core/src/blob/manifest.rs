//! The list of a file's pieces: what a device needs to put the file together, and to know what it has of it already.
//!
//! A manifest is a blob itself, named by the SHA-256 of its bytes, and a file's content refers to it. Canonical bytes:
//!
//! ```text
//! version   1 byte, 1
//! file      32 bytes, the SHA-256 of the whole file
//! chunker   1 byte: 0 fixed, 1 by content; then a varint, the length or average
//! size      varint, bytes of the file
//! pieces    varint count, then of each its SHA-256 (32 bytes) and its length (varint)
//! ```
//!
//! What must hold: what decodes is what the named chunker can have made of a file of this size, so nothing that reads it
//! checks again; equal lists have equal bytes.

use bytes::Bytes;

use super::chunker::Chunker;
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::{BlobId, Digest};
use crate::limits;

/// A piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a piece is its name and its length")]
pub struct Piece {
    /// Its SHA-256.
    pub blob: BlobId,
    /// Its bytes; never none.
    pub len: u32,
}

/// The pieces of a file in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    file: Digest,
    size: u64,
    chunker: Chunker,
    pieces: Vec<Piece>,
}

/// Why a list is no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The bytes do not read.
    #[error("the manifest does not read: {0}")]
    Unreadable(#[from] DecodeError),
    /// A piece that the chunker does not make.
    #[error("piece {at} has {len} bytes, which its chunker does not make")]
    Piece {
        /// Which, from 0.
        at: usize,
        /// Its bytes.
        len: u64,
    },
    /// The pieces are not as long as the file.
    #[error("the pieces have {pieces} bytes, the file has {file}")]
    Size {
        /// Bytes of all pieces.
        pieces: u64,
        /// Bytes of the file.
        file: u64,
    },
    /// The file is too large.
    #[error("a file has at most {max} bytes, this one has {0}", max = limits::FILE_BYTES_MAX)]
    TooLarge(u64),
    /// Too many pieces.
    #[error("a file has at most {max} pieces, this one has {0}", max = limits::MANIFEST_PIECES_MAX)]
    TooMany(u64),
}

const VERSION: u8 = 1;
const WHAT: &str = "a manifest";

impl Manifest {
    /// Checks a list.
    ///
    /// # Errors
    /// When the chunker cannot have made it of a file of this size.
    pub fn new(file: Digest, size: u64, chunker: Chunker, pieces: Vec<Piece>) -> Result<Self, ManifestError> {
        if pieces.len() > limits::MANIFEST_PIECES_MAX {
            return Err(ManifestError::TooMany(pieces.len() as u64));
        }
        if size > limits::FILE_BYTES_MAX {
            return Err(ManifestError::TooLarge(size));
        }
        let last = pieces.len().saturating_sub(1);
        for (at, piece) in pieces.iter().enumerate() {
            if !chunker.makes(piece.len as usize, at == last) {
                return Err(ManifestError::Piece { at, len: piece.len.into() });
            }
        }
        let sum = pieces.iter().map(|piece| u64::from(piece.len)).sum();
        if sum != size {
            return Err(ManifestError::Size { pieces: sum, file: size });
        }
        Ok(Self { file, size, chunker, pieces })
    }

    /// The SHA-256 of the file.
    #[must_use]
    pub const fn file(&self) -> Digest {
        self.file
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How it was cut.
    #[must_use]
    pub const fn chunker(&self) -> Chunker {
        self.chunker
    }

    /// The pieces in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Each piece with the place in the file where it begins.
    pub fn places(&self) -> impl Iterator<Item = (u64, Piece)> + '_ {
        self.pieces.iter().scan(0, |at, piece| {
            let start = *at;
            *at += u64::from(piece.len);
            Some((start, *piece))
        })
    }

    /// The pieces that hold the bytes `from..to` of the file, each with the place in the file where it begins.
    pub fn within(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Piece)> + '_ {
        let reaches = move |(start, piece): &(u64, Piece)| start + u64::from(piece.len) > from;
        self.places().skip_while(move |place| !reaches(place)).take_while(move |(start, _)| *start < to && from < to)
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Writer::with_capacity(48 + self.pieces.len() * 36);
        out.u8(VERSION);
        out.fixed(self.file.as_bytes());
        let (tag, bytes) = match self.chunker {
            Chunker::Fixed { bytes } => (0, bytes),
            Chunker::Content { average } => (1, average),
        };
        out.u8(tag);
        out.u64(bytes.into());
        out.u64(self.size);
        out.len(self.pieces.len());
        for piece in &self.pieces {
            out.fixed(piece.blob.as_bytes());
            out.u64(piece.len.into());
        }
        out.finish()
    }

    /// Its name as a blob.
    #[must_use]
    pub fn id(&self) -> BlobId {
        Digest::of(&[&self.to_bytes()])
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical, or no chunker can have made the list.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, ManifestError> {
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        if version != VERSION {
            return Err(DecodeError::Unknown { what: WHAT, value: version.into() }.into());
        }
        let file = Digest::from_bytes(input.fixed(WHAT)?);
        let tag = input.u8(WHAT)?;
        let bytes = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
        let chunker = match tag {
            0 => Chunker::fixed(bytes),
            1 => Chunker::content(bytes),
            _ => return Err(DecodeError::Unknown { what: "a chunker", value: tag.into() }.into()),
        };
        let chunker = chunker.ok_or(DecodeError::NotCanonical("a chunker"))?;
        let size = input.u64(WHAT)?;
        let count = input.count(33, WHAT)?;
        if count > limits::MANIFEST_PIECES_MAX {
            return Err(ManifestError::TooMany(count as u64));
        }
        let mut pieces = Vec::with_capacity(count);
        for at in 0..count {
            let blob = Digest::from_bytes(input.fixed(WHAT)?);
            let len = input.u64(WHAT)?;
            let len = u32::try_from(len).map_err(|_| ManifestError::Piece { at, len })?;
            pieces.push(Piece { blob, len });
        }
        input.finish()?;
        Self::new(file, size, chunker, pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(number: u32, len: u32) -> Piece {
        Piece { blob: Digest::of(&[&number.to_be_bytes()]), len }
    }

    fn fixed(count: u32, last: u32) -> Result<Manifest, ManifestError> {
        let pieces = (0..count).map(|at| piece(at, if at + 1 == count { last } else { 4096 })).collect();
        let size = u64::from(count - 1) * 4096 + u64::from(last);
        Manifest::new(Digest::of(&[b"file"]), size, Chunker::Fixed { bytes: 4096 }, pieces)
    }

    #[test]
    fn a_manifest_reads_back_and_has_one_spelling() {
        let manifest = fixed(5, 17).unwrap();
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(bytes.clone()), Ok(manifest.clone()));
        assert_eq!(manifest.id(), Digest::of(&[&bytes]));
        for end in 0..bytes.len() {
            assert!(Manifest::from_bytes(bytes.slice(..end)).is_err(), "cut at {end}");
        }
        let trailing = [bytes.as_ref(), &[0]].concat();
        assert!(Manifest::from_bytes(trailing.into()).is_err());
    }

    #[test]
    fn a_list_that_its_chunker_cannot_have_made_is_refused() {
        let file = Digest::of(&[b"file"]);
        let new = |size, chunker, lens: &[u32]| {
            let pieces = (0_u32..).zip(lens).map(|(at, len)| piece(at, *len)).collect();
            Manifest::new(file, size, chunker, pieces).map(drop)
        };
        let (fixed, content) = (Chunker::Fixed { bytes: 4096 }, Chunker::Content { average: 16 << 10 });
        let wrong = |at, len| Err(ManifestError::Piece { at, len });
        for (chunker, lens, outcome) in [
            (fixed, [4096, 4096, 1], Ok(())),
            (fixed, [4096, 4095, 4096], wrong(1, 4095)),
            (fixed, [4096, 4096, 4097], wrong(2, 4097)),
            (fixed, [4096, 4096, 0], wrong(2, 0)),
            (content, [4096, 65_536, 1], Ok(())),
            (content, [4095, 65_536, 1], wrong(0, 4095)),
            (content, [4096, 65_537, 1], wrong(1, 65_537)),
        ] {
            let size = lens.iter().map(|len| u64::from(*len)).sum();
            assert_eq!(new(size, chunker, &lens), outcome, "{chunker:?} {lens:?}");
        }
        assert_eq!(new(4097, fixed, &[4096]), Err(ManifestError::Size { pieces: 4096, file: 4097 }));
        assert_eq!(new(0, fixed, &[]), Ok(()));
    }

    #[test]
    fn a_file_has_so_many_pieces_and_no_more() {
        let max = u32::try_from(limits::MANIFEST_PIECES_MAX).unwrap();
        assert!(fixed(max - 1, 1).is_ok() && fixed(max, 1).is_ok());
        assert_eq!(fixed(max + 1, 1), Err(ManifestError::TooMany(u64::from(max) + 1)));
        // The largest file, cut as finely as anything cuts it, fits.
        let average = limits::FILE_BYTES_MAX / (1 << 20);
        assert!(average * 4 <= limits::MANIFEST_PIECES_MAX as u64);
    }

    #[test]
    fn a_file_has_so_many_bytes_and_no_more() {
        let longest = 4 << 20;
        let full = u32::try_from(limits::FILE_BYTES_MAX / u64::from(longest)).unwrap();
        let new = |rest: u32| {
            let pieces = (0..full - 1).map(|at| piece(at, longest)).chain([piece(full, longest - 1)]);
            let pieces = pieces.chain((rest > 0).then(|| piece(full + 1, rest))).collect();
            let size = u64::from(full) * u64::from(longest) - 1 + u64::from(rest);
            Manifest::new(Digest::of(&[b"file"]), size, Chunker::Content { average: 1 << 20 }, pieces).map(drop)
        };
        assert_eq!((new(0), new(1)), (Ok(()), Ok(())));
        assert_eq!(new(2), Err(ManifestError::TooLarge(limits::FILE_BYTES_MAX + 1)));
    }

    #[test]
    fn a_range_names_the_pieces_that_hold_it() {
        let manifest = fixed(4, 10).unwrap();
        let within = |from, to| manifest.within(from, to).map(|(start, _)| start).collect::<Vec<_>>();
        assert_eq!(within(0, 1), [0]);
        assert_eq!(within(4095, 4097), [0, 4096]);
        assert_eq!(within(4096, 8192), [4096]);
        assert_eq!(within(12_288, u64::MAX), [12_288]);
        assert_eq!(within(12_298, u64::MAX), Vec::<u64>::new());
        assert_eq!(within(5, 5), Vec::<u64>::new());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = 1;
            }
            if let Ok(manifest) = Manifest::from_bytes(bytes.clone().into()) {
                prop_assert!(manifest.to_bytes() == bytes);
            }
        }

        #[test]
        fn a_damaged_manifest_is_refused_or_another_one(at in 0_usize..200, bit in 0_u8..8) {
            let manifest = fixed(5, 17).unwrap();
            let mut bytes = manifest.to_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_ne!(Manifest::from_bytes(bytes.into()), Ok(manifest));
        }
    }
}
