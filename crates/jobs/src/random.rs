//! Random numbers that no other process has.

use rustix::rand::{GetRandomFlags, getrandom};

/// A random number from the system. A generator that a process has seeded once goes on alike in each of its
/// forked children, and what they draw would be the same.
pub fn random_u64() -> u64 {
    let mut random = [0; size_of::<u64>()];
    match getrandom(&mut random[..], GetRandomFlags::empty()) {
        Ok(given) if given == random.len() => u64::from_ne_bytes(random),
        _ => fastrand::u64(..),
    }
}

/// As many random letters and digits, of which `draw` draws one.
pub(crate) fn random_text(length: usize, draw: fn(&mut fastrand::Rng) -> char) -> String {
    let mut rng = fastrand::Rng::with_seed(random_u64());
    std::iter::repeat_with(|| draw(&mut rng)).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a forked child has: the generator of its parent, as it was.
    fn as_in_a_fork<T>(draw: impl Fn() -> T) -> [T; 2] {
        [7, 7].map(|seed| {
            fastrand::seed(seed);
            draw()
        })
    }

    #[test]
    fn a_fork_draws_other_numbers() {
        let [parent, child] = as_in_a_fork(random_u64);
        assert_ne!(parent, child);
        let [parent, child] = as_in_a_fork(|| random_text(12, fastrand::Rng::alphanumeric));
        assert_ne!(parent, child);
    }
}
