//! The laws of `Fold`, on every fold of this crate.

#[cfg(feature = "edit-distance")]
use lastline_fold::EditDistance;
use lastline_fold::{Off, Ranks, RanksOptions, Similar};
use lastline_line::{Fold, RankSet};
use lastline_testing::laws::{field, fold};

fn ranks() -> Ranks {
    Ranks::new(RankSet::first(7), RanksOptions::default())
}

#[test]
fn every_fold_keeps_the_laws() {
    fold::all(|| Off);
    fold::all(ranks);
    fold::all(Similar::default);
    fold::all(|| -> Box<dyn Fold> { Box::new(ranks()) });
}

#[cfg(feature = "edit-distance")]
#[test]
fn edit_distance_keeps_the_laws() {
    fold::conserves(&mut EditDistance::default());
    fold::releases(&mut EditDistance::default());
    fold::is_bounded(&mut EditDistance::default(), 2000);
}

#[test]
fn off_and_ranks_keep_the_order_of_a_stream() {
    fold::keeps_order(&mut Off);
    fold::keeps_order(&mut ranks());
}

#[test]
fn entries_tell_the_values_that_were_said() {
    let ranks = || Ranks::new(RankSet::first(32), RanksOptions::default());
    assert!(field::tells_values(&mut ranks()) >= 200);
    assert!(field::tells_values(&mut Similar::default()) >= 200);
}
