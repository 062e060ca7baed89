//! Random numbers from a seed, the same on every machine; or from bytes that somebody else chose.

/// SplitMix64, or a tape.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
    /// What is still to be read, when the numbers are a fuzzer's choice; then zeros.
    tape: Option<Vec<u8>>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678, tape: None }
    }

    /// The numbers that these bytes say.
    #[allow(dead_code, reason = "the fuzz targets read from a tape")]
    pub(crate) fn over(tape: &[u8]) -> Self {
        Self { state: 0, tape: Some(tape.iter().rev().copied().collect()) }
    }

    /// Whether a tape is at its end.
    pub(crate) fn is_over(&self) -> bool {
        self.tape.as_ref().is_some_and(Vec::is_empty)
    }

    /// The next number: of so many bytes, from a tape.
    pub(crate) fn read(&mut self, bytes: u32) -> u64 {
        if let Some(tape) = &mut self.tape {
            return (0..bytes).fold(0, |value, _| value << 8 | u64::from(tape.pop().unwrap_or(0)));
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // One choice, one byte, so that a change of a tape changes one choice.
        let bytes = if end <= 1 << 8 { 1 } else { 4 };
        usize::try_from(self.read(bytes) % end as u64).unwrap()
    }
}
