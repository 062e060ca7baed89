//! What anybody can read of an envelope: plain code, in every build, because a server holds a log to its key epoch.

/// How every envelope begins.
const MARK: [u8; 3] = [0xf5, b'S', b'L'];

/// The beginning of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EnvelopeHead {
    /// Which cipher and derivations.
    pub suite: u8,
    /// Which of the log's keys, from 1.
    pub epoch: u32,
}

impl EnvelopeHead {
    /// How many bytes it takes.
    pub const BYTES: usize = 8;

    /// A head; `None` for epoch 0, which is none.
    #[must_use]
    pub const fn new(suite: u8, epoch: u32) -> Option<Self> {
        if epoch > 0 { Some(Self { suite, epoch }) } else { None }
    }

    /// The head of a sealed payload; `None` for what is not an envelope. Says nothing about the rest.
    #[must_use]
    pub fn read(sealed: &[u8]) -> Option<Self> {
        let (head, _) = sealed.split_first_chunk::<{ Self::BYTES }>()?;
        let [mark @ .., suite, a, b, c, d] = *head;
        let epoch = u32::from_be_bytes([a, b, c, d]);
        (mark == MARK && epoch > 0).then_some(Self { suite, epoch })
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..3].copy_from_slice(&MARK);
        bytes[3] = self.suite;
        bytes[4..].copy_from_slice(&self.epoch.to_be_bytes());
        bytes
    }
}
