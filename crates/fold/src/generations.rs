//! A bounded table that forgets what was not used for longest, roughly and cheaply.

use rustc_hash::FxHashMap;

/// Two tables: what is used moves to the young one; when that is full it becomes the old one and
/// the old one is forgotten.
///
/// So an entry that is used at least once while `capacity` others are new survives, a look-up costs
/// one or two probes, and nothing is kept per use.
#[derive(Debug)]
pub(crate) struct Generations<T> {
    young: FxHashMap<u64, T>,
    old: FxHashMap<u64, T>,
    capacity: usize,
}

impl<T> Generations<T> {
    /// A table of at most twice `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { young: FxHashMap::default(), old: FxHashMap::default(), capacity }
    }

    /// What is known by `key`.
    #[inline]
    pub(crate) fn get(&mut self, key: u64) -> Option<&mut T> {
        if !self.old.is_empty() && !self.young.contains_key(&key) {
            let known = self.old.remove(&key)?;
            self.insert(key, known);
        }
        self.young.get_mut(&key)
    }

    /// What is known by `key`, without a say in what is kept.
    pub(crate) fn peek(&self, key: u64) -> Option<&T> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    /// All that is known.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.young.values().chain(self.old.values())
    }

    /// How many are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Puts `value` in, in place of what was known.
    pub(crate) fn insert(&mut self, key: u64, value: T) {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            self.age();
        }
        self.young.insert(key, value);
    }

    /// Forgets the old table; the memory of it becomes the young one's.
    fn age(&mut self) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
    }

    /// What is known by `key`, made by `make` when it is new.
    #[inline]
    pub(crate) fn get_or_insert_with(&mut self, key: u64, make: impl FnOnce() -> T) -> &mut T {
        if self.young.len() >= self.capacity && !self.young.contains_key(&key) {
            let kept = self.old.remove(&key);
            self.age();
            return self.young.entry(key).or_insert_with(|| kept.unwrap_or_else(make));
        }
        let old = &mut self.old;
        self.young.entry(key).or_insert_with(|| old.remove(&key).unwrap_or_else(make))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_bounded() {
        let mut table = Generations::new(10);
        table.insert(0, "kept");
        for key in 1..1000 {
            table.insert(key, "passing");
            if key % 5 == 0 {
                assert_eq!(table.get(0), Some(&mut "kept"));
            }
            assert!(table.young.len() + table.old.len() <= 21);
        }
        assert_eq!(table.peek(1), None);
    }
}
