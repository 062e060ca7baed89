//! Where a file is cut, so that an edit changes few of its pieces.
//!
//! Content-defined cuts (FastCDC, Xia et al., USENIX ATC 2016 and IEEE TPDS 2020) move with the content, so bytes that
//! are put in at the front shift nothing; a database's file is cut where its own pages end, because they are rewritten in
//! place. The finer the cut the less is sent again and the longer the list: the size decides.
//!
//! What must hold: the same bytes are cut at the same places for ever, whatever sizes they are read in. The cut points of
//! the crate are part of this promise and pinned by a golden test. *Next:* [`super::manifest`].

use fastcdc::v2020::{Normalization, cut, select_masks};

use crate::limits;

/// How a file is cut; its manifest says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "a manifest names one of these")]
pub enum Chunker {
    /// Pieces of one length, the last one shorter: for files whose pages are rewritten in place.
    Fixed {
        /// Bytes of a piece: a power of two, 4 KiB to 4 MiB.
        bytes: u32,
    },
    /// Where the content says: pieces of a quarter to four times `average`.
    Content {
        /// Bytes of a piece on average: a power of two, 16 KiB to 1 MiB.
        average: u32,
    },
}

/// Smallest and largest length of a fixed piece.
const FIXED: std::ops::RangeInclusive<u32> = 4 << 10..=4 << 20;
/// What content is cut into, each with the file sizes it is for.
const TIERS: [(u32, u64, u64); 4] = [
    (16 << 10, limits::FILE_CUT_BYTES_MIN, 64 << 20),
    (64 << 10, 64 << 20, 1 << 30),
    (256 << 10, 1 << 30, 16 << 30),
    (1 << 20, 16 << 30, limits::FILE_BYTES_MAX),
];
/// Content that a compressor made: nothing in it repeats, and an edit changes all that follows.
const PACKED: u32 = 256 << 10;
/// Pieces that a file cut by its pages should not have more of.
const FIXED_PIECES: u64 = 1 << 16;

impl Chunker {
    /// Pieces of one length.
    #[must_use]
    pub fn fixed(bytes: u32) -> Option<Self> {
        (bytes.is_power_of_two() && FIXED.contains(&bytes)).then_some(Self::Fixed { bytes })
    }

    /// Pieces as the content says.
    #[must_use]
    pub fn content(average: u32) -> Option<Self> {
        TIERS.iter().any(|(tier, ..)| *tier == average).then_some(Self::Content { average })
    }

    /// How a file of `size` bytes that begins with `head` (its first 4 KiB will do) is cut, `before` being how its last
    /// revision was; `None`: not at all, it is one blob.
    ///
    /// A file that grows or shrinks keeps its chunker until it is four times out of that one's range: another one cuts
    /// everywhere else, so all of the file would be sent again.
    #[must_use]
    pub fn choose(size: u64, head: &[u8], before: Option<Self>) -> Option<Self> {
        if let Some(page) = sqlite_page(head).filter(|_| size >= limits::FILE_CUT_BYTES_MIN) {
            return Some(by_page(size, page, before));
        }
        if let Some(Self::Content { average }) = before
            && TIERS.iter().any(|(tier, from, to)| *tier == average && size >= from / 4 && size <= to.saturating_mul(4))
        {
            return before;
        }
        if size < limits::FILE_CUT_BYTES_MIN {
            return None;
        }
        if is_packed(head) && size < 16 << 30 {
            return Some(Self::Content { average: PACKED });
        }
        let tier = TIERS.iter().find(|(_, _, to)| size < *to).unwrap_or(&TIERS[3]);
        Some(Self::Content { average: tier.0 })
    }

    /// The longest piece it makes.
    #[must_use]
    pub const fn longest(self) -> usize {
        match self {
            Self::Fixed { bytes } => bytes as usize,
            Self::Content { average } => average as usize * 4,
        }
    }

    /// Whether it makes pieces of this length; the last one of a file may be shorter than the others.
    #[must_use]
    pub const fn makes(self, len: usize, last: bool) -> bool {
        let shortest = match self {
            Self::Fixed { bytes } => bytes as usize,
            Self::Content { average } => average as usize / 4,
        };
        len > 0 && len <= self.longest() && (last || len >= shortest)
    }
}

/// The page size that the header of a `SQLite` database names (its file format, section 1.3.2).
fn sqlite_page(head: &[u8]) -> Option<u32> {
    let rest = head.strip_prefix(b"SQLite format 3\0")?;
    match u16::from_be_bytes([*rest.first()?, *rest.get(1)?]) {
        1 => Some(65_536),
        page if page.is_power_of_two() && page >= 512 => Some(page.into()),
        _ => None,
    }
}

fn by_page(size: u64, page: u32, before: Option<Chunker>) -> Chunker {
    let page = page.max(*FIXED.start());
    if let Some(Chunker::Fixed { bytes }) = before
        && bytes >= page
        && size <= u64::from(bytes).saturating_mul(FIXED_PIECES * 4)
        && (bytes == page || size > u64::from(bytes) * FIXED_PIECES / 8)
    {
        return Chunker::Fixed { bytes };
    }
    let mut bytes = page;
    while bytes < *FIXED.end() && u64::from(bytes) * FIXED_PIECES < size {
        bytes *= 2;
    }
    Chunker::Fixed { bytes }
}

/// Whether the first bytes are those of something compressed.
fn is_packed(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 7] = [
        b"\x1f\x8b",
        b"\xfd7zXZ\0",
        b"\x28\xb5\x2f\xfd",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"7z\xbc\xaf\x27\x1c",
        b"OggS",
    ];
    // MPEG-4 says what it is behind the length of its first box.
    MAGIC.iter().any(|magic| head.starts_with(magic)) || head.get(4..8) == Some(b"ftyp")
}

/// Cuts a stream into pieces: fill [`space`](Self::space), say how much with [`filled`](Self::filled), take the pieces.
#[derive(Debug)]
pub struct Cutter {
    chunker: Chunker,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    ended: bool,
}

impl Cutter {
    /// A cutter at the beginning of a file. It holds eight of the longest pieces, 64 KiB at least.
    #[must_use]
    pub fn new(chunker: Chunker) -> Self {
        let room = (chunker.longest() * 8).max(64 << 10);
        Self { chunker, buffer: vec![0; room], from: 0, to: 0, ended: false }
    }

    /// Where the next bytes of the file go; never empty while [`piece`](Self::piece) gives nothing.
    pub fn space(&mut self) -> &mut [u8] {
        if self.from > 0 && self.to + self.chunker.longest() > self.buffer.len() {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        &mut self.buffer[self.to..]
    }

    /// So many bytes were put into the space; none: the file ends here.
    pub fn filled(&mut self, bytes: usize) {
        self.to = (self.to + bytes).min(self.buffer.len());
        self.ended |= bytes == 0;
    }

    /// The next piece, in order; `None`: more bytes are needed, or at the end of the file there are no more pieces.
    #[must_use = "a piece is given once"]
    pub fn piece(&mut self) -> Option<&[u8]> {
        let held = &self.buffer[self.from..self.to];
        if held.is_empty() || (held.len() < self.chunker.longest() && !self.ended) {
            return None;
        }
        let len = self.chunker.cut(held);
        let at = self.from;
        self.from += len;
        self.buffer.get(at..self.from)
    }
}

impl Chunker {
    /// The length of the first piece of these bytes, which go on for the longest piece or to the end of the file.
    fn cut(self, held: &[u8]) -> usize {
        match self {
            Self::Fixed { bytes } => held.len().min(bytes as usize),
            Self::Content { average } => {
                let average = average as usize;
                let (strict, relaxed) = select_masks(average, Normalization::Level1);
                cut(held, average / 4, average, average * 4, strict, relaxed, strict << 1, relaxed << 1).1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Bytes that nothing repeats in (xorshift).
    fn noise(len: usize, mut seed: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes.extend_from_slice(&seed.to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    fn pieces(chunker: Chunker, file: &[u8], read: usize) -> Vec<Vec<u8>> {
        let (mut cutter, mut rest, mut pieces) = (Cutter::new(chunker), file, Vec::new());
        loop {
            while let Some(piece) = cutter.piece() {
                pieces.push(piece.to_vec());
            }
            if cutter.ended {
                return pieces;
            }
            let space = cutter.space();
            assert!(!space.is_empty(), "no piece and no space");
            let len = space.len().min(read).min(rest.len());
            space[..len].copy_from_slice(&rest[..len]);
            cutter.filled(len);
            rest = &rest[len..];
        }
    }

    #[test]
    fn cuts_do_not_depend_on_how_the_file_is_read() {
        let file = noise(700_001, 7);
        for chunker in [Chunker::Fixed { bytes: 4096 }, Chunker::Content { average: 16 << 10 }] {
            let whole = pieces(chunker, &file, usize::MAX);
            assert_eq!(whole.concat(), file);
            for read in [1_000, 4_096, 65_537] {
                assert_eq!(pieces(chunker, &file, read), whole, "{chunker:?} read by {read}");
            }
            let last = whole.len() - 1;
            for (at, piece) in whole.iter().enumerate() {
                assert!(chunker.makes(piece.len(), at == last), "{chunker:?}: piece {at} has {}", piece.len());
            }
        }
        assert_eq!(pieces(Chunker::Content { average: 16 << 10 }, &[], 10), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn the_cut_points_are_the_same_for_ever() {
        let file = noise(4 << 20, 1);
        let lens = |average| {
            let cut = pieces(Chunker::Content { average }, &file, usize::MAX);
            let lens: Vec<u8> = cut.iter().flat_map(|piece| (piece.len() as u64).to_be_bytes()).collect();
            (cut.len(), Digest::of(&[&lens]).to_string()[..16].to_owned())
        };
        let golden = [(16 << 10), (64 << 10), (256 << 10), (1 << 20)].map(lens);
        assert_eq!(golden.map(|(count, lens)| format!("{count} {lens}")), GOLDEN);
    }

    const GOLDEN: [&str; 4] =
        ["207 f0551b45f6220d6c", "50 bfc0907473054551", "11 2a0041ecbcdd57fa", "3 625c984227316a69"];

    #[test]
    fn the_cuts_are_those_of_the_crate() {
        let file = noise(1 << 20, 5);
        let theirs = fastcdc::v2020::FastCDC::new(&file, 4 << 10, 16 << 10, 64 << 10).map(|chunk| chunk.length);
        let ours = pieces(Chunker::Content { average: 16 << 10 }, &file, usize::MAX);
        assert!(ours.iter().map(Vec::len).eq(theirs));
    }

    #[test]
    fn bytes_put_in_at_the_front_change_one_piece() {
        let file = noise(1 << 20, 3);
        let shifted = [b"a hundred bytes".as_slice(), &file].concat();
        let chunker = Chunker::Content { average: 16 << 10 };
        let old: std::collections::BTreeSet<Vec<u8>> = pieces(chunker, &file, usize::MAX).into_iter().collect();
        let new = pieces(chunker, &shifted, usize::MAX);
        assert_eq!(new.iter().filter(|piece| !old.contains(*piece)).count(), 1);
    }

    #[test]
    fn the_size_and_the_first_bytes_decide() {
        let (kib, mib, gib) = (1_u64 << 10, 1_u64 << 20, 1_u64 << 30);
        let content = |average: u32| Some(Chunker::Content { average });
        let sqlite = |page: [u8; 2]| [b"SQLite format 3\0".as_slice(), &page].concat();
        let rows: [(u64, &[u8], Option<Chunker>); 14] = [
            (0, b"", None),
            (128 * kib - 1, b"text", None),
            (128 * kib, b"text", content(16 << 10)),
            (64 * mib - 1, b"text", content(16 << 10)),
            (64 * mib, b"text", content(64 << 10)),
            (gib - 1, b"text", content(64 << 10)),
            (gib, b"text", content(256 << 10)),
            (16 * gib, b"text", content(1 << 20)),
            (limits::FILE_BYTES_MAX, b"text", content(1 << 20)),
            (mib, b"\x1f\x8b\x08", content(256 << 10)),
            (mib, b"\0\0\0\x20ftypisom", content(256 << 10)),
            (mib, &sqlite([0x10, 0]), Some(Chunker::Fixed { bytes: 4096 })),
            (mib, &sqlite([0x02, 0]), Some(Chunker::Fixed { bytes: 4096 })),
            (mib, &sqlite([0, 1]), Some(Chunker::Fixed { bytes: 65_536 })),
        ];
        for (size, head, chunker) in rows {
            assert_eq!(Chunker::choose(size, head, None), chunker, "{size} bytes, {head:?}");
        }
        let large = Chunker::choose(10 * gib, &sqlite([0x10, 0]), None);
        assert_eq!(large, Some(Chunker::Fixed { bytes: 256 << 10 }), "the list stays short");
    }

    #[test]
    fn a_file_at_the_edge_of_two_sizes_is_not_sent_again_at_every_edit() {
        let (kib, mib) = (1_u64 << 10, 1_u64 << 20);
        let (fine, coarse) =
            (Some(Chunker::Content { average: 16 << 10 }), Some(Chunker::Content { average: 64 << 10 }));
        for (size, before, after) in [
            (65 * mib, fine, fine),
            (256 * mib, fine, fine),
            (256 * mib + 1, fine, coarse),
            (60 * mib, coarse, coarse),
            (16 * mib, coarse, coarse),
            (16 * mib - 1, coarse, fine),
            (32 * kib, fine, fine),
            (32 * kib - 1, fine, None),
        ] {
            assert_eq!(Chunker::choose(size, b"text", before), after, "{size} bytes, before {before:?}");
        }
        let page = Some(Chunker::Fixed { bytes: 4096 });
        let head = b"SQLite format 3\0\x10\0";
        assert_eq!(Chunker::choose(1 << 30, head, page), page);
        assert_ne!(Chunker::choose((1 << 30) + 1, head, page), page);
        assert_eq!(Chunker::choose(32 * kib, b"text", page), None, "it is no database any more");
    }
}
