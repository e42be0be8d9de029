//! Numbers that are ready, the lowest first: a tree of bits that any thread may set and take.
//!
//! A leaf has a bit for each number. A bit further up says that the word below it is not zero; whoever makes a word non-zero
//! sets the bit above it, and whoever makes one zero clears it and looks again, since a number may have come in between.
//! Until that look a number may be there that [`ReadySet::take`] and [`ReadySet::has_any`] do not see. Whoever owes the
//! look is a worker at work, who looks for work again afterwards, so that nothing is left behind.

use crate::sync::{AtomicU64, Ordering};

const WIDTH: usize = u64::BITS as usize;

/// A set of the numbers below a bound.
pub struct ReadySet {
    /// The leaves first; the last level is a single word.
    levels: Box<[Box<[AtomicU64]>]>,
}

impl ReadySet {
    /// An empty set of numbers below `bound`.
    pub fn new(bound: usize) -> Self {
        let words = |bits: usize| (0..bits.div_ceil(WIDTH)).map(|_| AtomicU64::new(0)).collect::<Box<[_]>>();
        let mut levels = vec![words(bound.max(1))];
        while let Some(below) = levels.last().map(|level| level.len()).filter(|&below| below > 1) {
            levels.push(words(below));
        }
        Self { levels: levels.into() }
    }

    /// Puts a number in.
    #[inline]
    pub fn put(&self, number: u32) {
        self.raise(0, number as usize);
    }

    fn raise(&self, from: usize, mut index: usize) {
        for level in &self.levels[from..] {
            // AcqRel: with `take`, publishes what makes the number ready; with `lower`, see there.
            if level[index / WIDTH].fetch_or(1 << (index % WIDTH), Ordering::AcqRel) != 0 {
                return;
            }
            index /= WIDTH;
        }
    }

    /// Takes the lowest number.
    pub fn take(&self) -> Option<u32> {
        loop {
            let number = self.lowest(self.levels.len() - 1, 0)?;
            if self.lower(number) {
                return Some(number as u32);
            }
        }
    }

    /// Whether there is a number. Relaxed: a hint, and where it has to be more, behind a fence (see `Pool::notify`). Modelled in `tests/loom_protocols`.
    #[inline]
    pub fn has_any(&self) -> bool {
        self.levels[self.levels.len() - 1][0].load(Ordering::Relaxed) != 0
    }

    /// The lowest number below one word.
    fn lowest(&self, level: usize, word: usize) -> Option<usize> {
        // Relaxed: a hint that `lower` makes sure of.
        let mut bits = self.levels[level][word].load(Ordering::Relaxed);
        while bits != 0 {
            let index = word * WIDTH + bits.trailing_zeros() as usize;
            if level == 0 {
                return Some(index);
            }
            if let Some(found) = self.lowest(level - 1, index) {
                return Some(found);
            }
            // The word below is zero and its bit still set: either its emptier is about to clear it, or somebody set it
            // again for a number that was taken meanwhile.
            self.clear(level, index);
            bits &= bits - 1;
        }
        None
    }

    /// Takes a number out; `false` when another thread was first.
    fn lower(&self, number: usize) -> bool {
        let (word, bit) = (number / WIDTH, 1 << (number % WIDTH));
        // Acquire: pairs with the `raise` of the number. Release: see `clear`.
        let before = self.levels[0][word].fetch_and(!bit, Ordering::AcqRel);
        if before == bit {
            self.clear(1, word);
        }
        before & bit != 0
    }

    /// Clears the bit of a word that was found to be zero, and those above that this makes zero.
    fn clear(&self, from: usize, mut index: usize) {
        for level in from..self.levels.len() {
            let (word, bit) = (index / WIDTH, 1 << (index % WIDTH));
            // AcqRel: a `raise` that found this bit still set comes before in the order of this word, so that the look
            // below sees its number; one that comes after sets the bit itself.
            let before = self.levels[level][word].fetch_and(!bit, Ordering::AcqRel);
            if self.levels[level - 1][index].load(Ordering::Acquire) != 0 {
                return self.raise(level, index);
            }
            if before & !bit != 0 {
                return;
            }
            index = word;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_come_out_from_the_lowest() {
        let set = ReadySet::new(300_000);
        assert!(!set.has_any() && set.take().is_none());
        for number in [299_999, 64, 0, 63, 4096, 65] {
            set.put(number);
        }
        assert!(set.has_any());
        let taken: Vec<u32> = std::iter::from_fn(|| set.take()).collect();
        assert_eq!(taken, [0, 63, 64, 65, 4096, 299_999]);
        assert!(!set.has_any());
    }

    #[test]
    fn it_does_as_a_sorted_set_does() {
        let (set, mut model) = (ReadySet::new(5000), BTreeSet::new());
        let mut random = 1_u64;
        for _ in 0..100_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (random >> 33) as u32 % 5000;
            if random >> 63 == 0 || model.contains(&number) {
                assert_eq!(set.take(), model.pop_first());
            } else {
                set.put(number);
                model.insert(number);
            }
            assert_eq!(set.has_any(), !model.is_empty());
        }
    }

    #[test]
    fn every_number_is_taken_once_whoever_takes_it() {
        const NUMBERS: u32 = 20_000;
        let set = ReadySet::new(NUMBERS as usize);
        let taken: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|part| {
                    let set = &set;
                    scope.spawn(move || {
                        let mut taken = Vec::new();
                        for number in (part..NUMBERS).step_by(4) {
                            set.put(number);
                            taken.extend(set.take());
                        }
                        taken
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let rest = std::iter::from_fn(|| set.take());
        let mut all: Vec<u32> = taken.into_iter().flatten().chain(rest).collect();
        all.sort_unstable();
        assert_eq!(all, (0..NUMBERS).collect::<Vec<u32>>());
    }
}
