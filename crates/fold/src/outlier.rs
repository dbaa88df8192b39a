//! Who differs where nearly all agree.
//!
//! Two rules, for what is counted by statements:
//!
//! - **A common value.** Where at least three of four statements have the same value, the others are
//!   outliers, whatever they are.
//! - **Far-off numbers.** Numbers that spread have outliers beyond Tukey's outer fences, three
//!   interquartile ranges outside the quartiles ("far out", J. W. Tukey, *Exploratory Data Analysis*,
//!   1977, section 2D). Logs have what is skewed by nature, such as durations, and few ranks; so
//!   what is beyond a fence must also be apart from the rest by a gap of at least twice the rest's
//!   range, and by more where there are few: the ratio of gap to range is that of W. J. Dixon's test
//!   (*Analysis of Extreme Values*, 1950), with the critical value that uniform numbers exceed once
//!   in ten thousand times. And it must be few: one of ten at most, or one alone.
//!
//! Whatever the spread, what is not finite is an outlier among numbers, however many have it; and so is
//! what is no number at all, where at least three of four others are. So is what is negative where
//! nothing else is, if it is few and not nearer to zero than all others (a sign that flipped, not noise
//! around zero), of eight at least.

/// So many statements must agree for each one that does not.
const MAJORITY: usize = 3;
/// With fewer numbers nothing is far off.
const MIN_NUMBERS: usize = 4;
/// With fewer numbers no sign is unusual: of numbers around zero one alone is often negative.
const MIN_SIGNED: usize = 8;
/// How many interquartile ranges beyond the quartiles the fences are.
const FENCE: f64 = 3.0;
/// One of so many may be far off.
const FEW: usize = 10;
/// How many times the range of the rest a gap is at least, however many there are. Exponential
/// durations exceed it in one of fifty entries at most, log-normal ones (sigma 1) in one of ten.
const WIDE: f64 = 2.0;
/// How often the gap beside one of uniform numbers may pass for a wide one.
const CHANCE: f64 = 1e-4;

/// Whether `agreeing` of `all` are nearly all.
pub(crate) fn nearly_all(agreeing: usize, all: usize) -> bool {
    agreeing < all && (all - agreeing) * MAJORITY <= agreeing
}

/// The part of ascending finite numbers that is not far off.
pub(crate) fn usual(sorted: &[f64]) -> std::ops::Range<usize> {
    let all = sorted.len();
    if all < MIN_NUMBERS {
        return 0..all;
    }
    let flipped = flipped(sorted);
    let rest = &sorted[flipped..];
    if rest.len() < MIN_NUMBERS {
        return flipped..all;
    }
    let usual = within_fences(rest, few(all) - flipped);
    usual.start + flipped..usual.end + flipped
}

fn few(all: usize) -> usize {
    (all / FEW).max(1)
}

/// How many negative numbers are unusual for being negative.
fn flipped(sorted: &[f64]) -> usize {
    let all = sorted.len();
    let negative = sorted.partition_point(|&number| number < 0.0);
    let unusual = all >= MIN_SIGNED
        && (1..=few(all)).contains(&negative)
        && -sorted[negative - 1] >= sorted[negative];
    if unusual { negative } else { 0 }
}

/// What is within the fences, and what is beside it without a wide gap; all but `few` at least.
fn within_fences(sorted: &[f64], few: usize) -> std::ops::Range<usize> {
    let all = sorted.len();
    let (first, third) = (sorted[all / 4], sorted[all - 1 - all / 4]);
    let reach = FENCE * (third - first);
    let mut start = sorted.partition_point(|&number| number < first - reach);
    let mut end = sorted.partition_point(|&number| number <= third + reach);
    let ratio = widest_usual_gap(all);
    while end - start < all {
        let least = if all - (end - start) > few { f64::INFINITY } else { 0.0 };
        let wide = (ratio * (sorted[end - 1] - sorted[start])).max(least);
        let above = sorted.get(end).map(|next| next - sorted[end - 1]);
        let below = start.checked_sub(1).map(|before| sorted[start] - sorted[before]);
        match (above, below) {
            (Some(gap), other) if gap < wide && other.is_none_or(|other| gap <= other) => end += 1,
            (_, Some(gap)) if gap < wide => start -= 1,
            (Some(gap), _) if gap < wide => end += 1,
            _ => break,
        }
    }
    start..end
}

/// How many times the range of the rest a gap may be. Of `all` uniform numbers the share `q` of the
/// whole range that lies between the last two exceeds `q` with a chance of `(1 - q)^(all - 2)`.
fn widest_usual_gap(all: usize) -> f64 {
    let share = CHANCE.powf(1.0 / (all - 2) as f64);
    ((1.0 - share) / share).max(WIDE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn far_off(numbers: &[f64]) -> Vec<f64> {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let usual = usual(&sorted);
        [&sorted[..usual.start], &sorted[usual.end..]].concat()
    }

    #[test]
    fn far_off_numbers_are_found() {
        let spread = |more: &[f64]| {
            let mut numbers: Vec<f64> = (0..64).map(|n| 0.75 + f64::from(n) / 1000.0).collect();
            numbers.extend(more);
            numbers
        };
        let table: [(Vec<f64>, &[f64]); 8] = [
            (spread(&[]), &[]),
            (spread(&[9.1]), &[9.1]),
            (spread(&[-0.8, 9.1]), &[-0.8, 9.1]),
            (spread(&[0.85]), &[]),
            (vec![0.75, 0.76, 0.77, 9.0], &[9.0]),
            (vec![10.0, 11.0, 12.0, 14.0], &[]),
            (vec![1.0, 1.0, 2.0, 2.0, 3.0, 40.0, 50.0, 60.0], &[]),
            (vec![0.1, 0.2, -0.05, 0.3, 0.2, 0.1, 0.4, 0.2], &[]),
        ];
        for (numbers, expected) in table {
            assert_eq!(far_off(&numbers), expected, "{numbers:?}");
        }
    }

    #[test]
    fn a_wide_gap_is_wider_among_few() {
        assert!((widest_usual_gap(4) - 99.0).abs() < 0.1);
        assert!((widest_usual_gap(8) - 3.64).abs() < 0.1);
        assert_eq!(widest_usual_gap(64), 2.0);
    }

    /// Numbers between 0 and 1 that differ from seed to seed.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn ordinary_spreads_name_hardly_anybody() {
        type Kind = fn(&mut dyn FnMut() -> f64) -> f64;
        let kinds: [Kind; 3] = [
            |noise| 10.0 + noise(),
            |noise| 50.0 + (0..12).map(|_| noise()).sum::<f64>(),
            |noise| -(1.0 - noise()).ln(),
        ];
        for (kind, make) in kinds.iter().enumerate() {
            for ranks in [4_usize, 8, 16, 64, 512] {
                let named = (0..2000).filter(|&seed| {
                    let mut noise = noise(seed);
                    let numbers: Vec<f64> = (0..ranks).map(|_| make(&mut noise)).collect();
                    !far_off(&numbers).is_empty()
                });
                // One in a hundred entries; of what is skewed by nature one in twenty.
                let most = if kind == 2 { 100 } else { 20 };
                let named = named.count();
                assert!(named <= most, "kind {kind} of {ranks}: {named} of 2000");
            }
        }
    }

    proptest! {
        #[test]
        fn steps_of_one_size_name_nobody(from in 0_u32..100_000, step in 1_u32..1000, count in 1_u32..300) {
            let numbers: Vec<f64> = (0..count).map(|n| f64::from(from + n * step)).collect();
            prop_assert_eq!(far_off(&numbers), [0.0; 0]);
        }

        #[test]
        fn one_number_far_from_the_rest_is_named(
            rest in prop::collection::vec(1000_u32..2000, 3..200),
            far in prop::sample::select(vec![-1e6, 1e6, 1e12]),
        ) {
            let mut numbers: Vec<f64> = rest.iter().map(|&n| f64::from(n)).collect();
            numbers.push(far);
            let named = far_off(&numbers);
            prop_assert!(named.contains(&far), "{:?}", named);
        }
    }
}
