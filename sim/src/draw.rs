//! Chance that a seed fixes: SplitMix64 (Steele, Lea and Flood, 2014), which is eight lines and the same for ever.

/// A stream of choices. The same seed makes the same choices on every machine, in every build.
#[derive(Debug, Clone)]
pub struct Draw {
    state: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Draw {
    /// The stream of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A stream of its own for something that labels name: what is drawn elsewhere does not move it, so that a run from
    /// which something was taken out still does the rest.
    #[must_use]
    pub fn of(seed: u64, labels: &[u64]) -> Self {
        let state = labels.iter().fold(mix(seed ^ GOLDEN), |state, label| mix(state.wrapping_mul(31) ^ mix(*label)));
        Self { state }
    }

    /// 64 random bits.
    pub const fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.number()) * u128::from(end)) >> 64).unwrap_or_default()
    }

    /// A number in a range, its ends included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first).saturating_add(1))
    }

    /// The index of one of so many things; 0 when there are none.
    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap_or_default()
    }

    /// One of these; `None` of none.
    pub fn pick<'t, T>(&mut self, things: &'t [T]) -> Option<&'t T> {
        let index = self.index(things.len());
        things.get(index)
    }

    /// Whether something happens that does so many times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.below(1_000) < permille
    }

    /// 32 random bytes.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for part in bytes.chunks_exact_mut(8) {
            part.copy_from_slice(&self.number().to_be_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::Draw;

    #[test]
    fn a_seed_draws_the_same_for_ever() {
        let mut draw = Draw::new(1);
        let drawn: Vec<u64> = (0..3).map(|_| draw.number()).collect();
        // The first outputs of SplitMix64 for this seed, as Vigna's reference prints them.
        assert_eq!(drawn, [0x910A_2DEC_8902_5CC1, 0xBEEB_8DA1_658E_EC67, 0xF893_A2EE_FB32_555E]);
    }

    #[test]
    fn what_is_drawn_lies_in_its_range() {
        let mut draw = Draw::of(7, &[1, 2]);
        for end in 1..200 {
            assert!(draw.below(end) < end);
            let between = draw.between(end, end + 3);
            assert!((end..=end + 3).contains(&between));
        }
        assert_eq!(draw.below(0), 0);
        assert_eq!(draw.pick::<u8>(&[]), None);
    }
}
