//! What a [`Fold`] says of the values that differ in an entry.

use std::collections::BTreeSet;

use lastline_line::{Entry, Field, Fold};

use super::fold::{line, stream};

/// What an entry says of values is true of what was said: how many are distinct, who said each that is
/// named, and that every other one is the common value, or between the least and the greatest. For
/// folds that say what varies. Returns how many entries it looked at.
pub fn tells_values(fold: &mut impl Fold) -> usize {
    let mut entries = 0;
    for round in 0..200_u64 {
        let said: Vec<String> = (0..32).map(|rank| value(round, rank)).collect();
        let texts = said.iter().map(|value| format!("round {round} has loss={value} so far"));
        let (mut alone, mut told) = (Vec::new(), Vec::new());
        let mut take = |entry: Entry<'_>| match entry {
            Entry::Line(line) => alone.push(line.stream.rank),
            Entry::Folded(folded) => told.push((folded.ranks.clone(), folded.fields.fields())),
        };
        for (rank, text) in (0..).zip(texts) {
            let line = line(stream(rank, false), round, &text);
            fold.push(&line, line.time, &mut take);
        }
        fold.finish(&mut take);
        for (ranks, fields) in told {
            // A field is what stands between quotes.
            let values = said.iter().map(|value| value.trim_matches('"'));
            let of_entry: Vec<(u32, &str)> = (0..).zip(values).collect();
            let of_entry = of_entry
                .into_iter()
                .filter(|(rank, _)| ranks.contains(*rank) && !alone.contains(rank));
            check_field(fields.last(), &of_entry.collect::<Vec<_>>());
            entries += 1;
        }
    }
    entries
}

/// A value that a rank says in a round: with all ranks, with most of them, or a number near theirs.
fn value(round: u64, rank: u64) -> String {
    let mixed = (round * 32 + rank + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let odd = mixed % 13 == round % 13;
    match round % 6 {
        _ if odd && round.is_multiple_of(2) => {
            ["nan", "-1.5", "900000", "1e-7"][mixed as usize % 4].to_owned()
        }
        0 | 1 => format!("{}.{:03}", 1 + mixed % 3, mixed % 1000),
        2 | 3 => (round % 7).to_string(),
        4 => format!("\"{}\"", ["up", "down", "unknown"][mixed as usize % 3]),
        _ => rank.to_string(),
    }
}

fn check_field(field: Option<&Field>, said: &[(u32, &str)]) {
    let different: BTreeSet<&str> = said.iter().map(|(_, value)| *value).collect();
    let number = |text: &str| text.parse::<f64>().ok();
    let (distinct, outliers) = match field {
        None => return,
        Some(Field::Same(_)) => (1, Vec::new()),
        Some(
            Field::Common { distinct, outliers, .. } | Field::Numbers { distinct, outliers, .. },
        ) => (*distinct, outliers.clone()),
        Some(Field::Samples { distinct, .. }) => (*distinct, Vec::new()),
    };
    assert_eq!(distinct, different.len() as u64, "values are not counted: {field:?} of {said:?}");
    for outlier in &outliers {
        let who = said.iter().filter(|(_, value)| *value == outlier.value).map(|(rank, _)| *rank);
        assert!(who.eq(outlier.ranks.iter()), "another rank is named: {outlier:?} of {said:?}");
    }
    let rest = said.iter().filter(|(_, value)| outliers.iter().all(|of| of.value != *value));
    for (_, value) in rest {
        let told = match field {
            Some(Field::Same(common) | Field::Common { value: common, .. }) => common == value,
            Some(Field::Numbers { min, max, .. }) => {
                number(min) <= number(value) && number(value) <= number(max)
            }
            _ => true,
        };
        assert!(told, "a value is not told: {value} in {field:?}");
    }
}
