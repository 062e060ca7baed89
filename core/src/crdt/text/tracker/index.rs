//! From the number where a stretch begins to where it lives, asked by any number within the stretch.
//!
//! *What must hold:* costs depend on what was stored, not on the range of the numbers: pages of 256 appear where
//! something is stored, and [`Index::clear`] touches only those. *Where next:* [`super::tree`], whose spans it finds.

use crate::crdt::text::int;

const PAGE: u32 = 256;

#[derive(Debug, Clone)]
struct Page {
    bits: [u64; 4],
    slots: [u32; PAGE as usize],
}

/// A sparse map from `u32` keys to values, with search for the key at or below.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    /// Page number plus one per 256 keys, or 0.
    table: Vec<u32>,
    pages: Vec<Page>,
    used: Vec<u32>,
    /// One bit per page that holds something.
    filled: Vec<u64>,
}

impl Sparse {
    fn clear(&mut self) {
        for number in self.used.drain(..) {
            let slot = &mut self.table[number as usize];
            if let Some(page) = self.pages.get_mut((*slot as usize).wrapping_sub(1)) {
                page.bits = [0; 4];
            }
            *slot = 0;
            self.filled[number as usize / 64] = 0;
        }
    }

    fn set(&mut self, key: u32, value: u32) {
        let number = (key / PAGE) as usize;
        if number >= self.table.len() {
            self.table.resize(number + 1, 0);
            self.filled.resize(number / 64 + 1, 0);
        }
        if self.table[number] == 0 {
            // Pages are handed out in the order of use, so a cleared index takes them again from the first.
            let page = self.used.len();
            if page == self.pages.len() {
                self.pages.push(Page { bits: [0; 4], slots: [0; PAGE as usize] });
            }
            self.used.push(int(number));
            self.table[number] = int(page + 1);
            self.filled[number / 64] |= 1 << (number % 64);
        }
        let page = &mut self.pages[self.table[number] as usize - 1];
        let at = (key % PAGE) as usize;
        page.bits[at / 64] |= 1 << (at % 64);
        page.slots[at] = value;
    }

    fn get(&self, key: u32) -> Option<&u32> {
        let slot = *self.table.get((key / PAGE) as usize)?;
        let page = self.pages.get((slot as usize).checked_sub(1)?)?;
        let at = (key % PAGE) as usize;
        (page.bits[at / 64] >> (at % 64) & 1 == 1).then(|| &page.slots[at])
    }

    fn floor(&self, key: u32) -> Option<(u32, u32)> {
        let number = (key / PAGE) as usize;
        if let Some(slot) = self.table.get(number)
            && *slot > 0
        {
            let page = &self.pages[*slot as usize - 1];
            let at = (key % PAGE) as usize;
            if let Some(found) = last_bit(&page.bits, at) {
                return Some((int(number) * PAGE + int(found), page.slots[found]));
            }
        }
        let below = last_bit(&self.filled, number.min(self.table.len()).checked_sub(1)?)?;
        let page = &self.pages[self.table[below] as usize - 1];
        let found = last_bit(&page.bits, PAGE as usize - 1)?;
        Some((int(below) * PAGE + int(found), page.slots[found]))
    }
}

/// The highest set bit at or below `at`.
fn last_bit(words: &[u64], at: usize) -> Option<usize> {
    let mut word = at / 64;
    let mut bits = words.get(word)? & (u64::MAX >> (63 - at % 64));
    loop {
        if bits != 0 {
            return Some(word * 64 + 63 - bits.leading_zeros() as usize);
        }
        word = word.checked_sub(1)?;
        bits = words[word];
    }
}

/// Numbers from here on name characters that were there before the zone began, by their place.
pub(in crate::crdt::text) const UNDER: u32 = 1 << 31;

/// A [`Sparse`] over events of a zone and the characters under it.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    root: u32,
    events: Sparse,
    under: Sparse,
}

impl Index {
    /// Forgets everything; events count from `root`.
    pub(super) fn clear(&mut self, root: u32) {
        self.root = root;
        self.events.clear();
        self.under.clear();
    }

    #[inline]
    pub(super) fn set(&mut self, id: u32, value: u32) {
        if id >= UNDER { self.under.set(id - UNDER, value) } else { self.events.set(id - self.root, value) }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        self.get_ref(id).copied()
    }

    /// The slot itself.
    #[inline]
    pub(super) fn get_ref(&self, id: u32) -> Option<&u32> {
        if id >= UNDER { self.under.get(id - UNDER) } else { self.events.get(id.checked_sub(self.root)?) }
    }

    /// The stored key at or below `id`, and its value.
    #[inline]
    pub(super) fn floor(&self, id: u32) -> Option<(u32, u32)> {
        if id >= UNDER {
            self.under.floor(id - UNDER).map(|(key, value)| (key + UNDER, value))
        } else {
            self.events.floor(id.checked_sub(self.root)?).map(|(key, value)| (key + self.root, value))
        }
    }
}
