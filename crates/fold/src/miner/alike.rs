//! Which families have a word at a place.

/// How many families are known by the words that share a bucket: those used last.
const WAYS: usize = 8;

/// What leads to a family: part of the word's hash, and the family's number; 0 for none.
type Entry = (u32, u32);

/// A line of the processor's cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket([Entry; WAYS]);

/// A table of fixed size from words at their places to the families that were used last.
///
/// A look-up touches one bucket. What is pushed out of one is found by another of
/// its words, or not at all, and then a family begins anew. That two words share a bucket and their
/// part of the hash leads to a family that does not fit, and costs a comparison.
#[derive(Debug)]
pub(super) struct Alike {
    buckets: Vec<Bucket>,
    /// How many there are once one is in use, a power of two.
    count: usize,
}

impl Alike {
    /// A table for so many families.
    pub(super) fn new(families: usize) -> Self {
        Self { buckets: Vec::new(), count: families.clamp(8, 1 << 20).next_power_of_two() * 2 }
    }

    /// The families that have the word, the one used last first.
    pub(super) fn get(&self, word: u64) -> impl Iterator<Item = u32> {
        let bucket = self.buckets.get(word as usize % self.count);
        let alike = move |entry: &&Entry| entry.0 == (word >> 32) as u32 && entry.1 != 0;
        bucket.into_iter().flat_map(|bucket| &bucket.0).filter(alike).map(|entry| entry.1)
    }

    /// Makes the family the first one that has the word.
    pub(super) fn put_first(&mut self, word: u64, family: u32) {
        if self.buckets.is_empty() {
            self.buckets.resize(self.count, Bucket([(0, 0); WAYS]));
        }
        let Bucket(bucket) = &mut self.buckets[word as usize % self.count];
        let entry = ((word >> 32) as u32, family);
        let at = bucket.iter().position(|&known| known == entry).unwrap_or(WAYS - 1);
        bucket.copy_within(..at, 1);
        bucket[0] = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_used_last_are_found() {
        let mut alike = Alike::new(8);
        assert_eq!(alike.get(5).count(), 0);
        (1..20).for_each(|family| alike.put_first(5, family));
        alike.put_first(5, 14);
        alike.put_first(5 | 1 << 32, 77);
        assert_eq!(alike.get(5).collect::<Vec<_>>(), [14, 19, 18, 17, 16, 15, 13]);
        assert_eq!(alike.get(5 | 1 << 32).collect::<Vec<_>>(), [77]);
    }
}
