//! What the lines of an entry have in their variable places.

use std::fmt;

use crate::RankSet;

/// A value that few have where nearly all agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Who said it.
    pub ranks: RankSet,
    /// The value, as it was written.
    pub value: String,
}

/// What the lines of an entry have in one of their variable places.
///
/// `distinct` counts the different values, as they were written; where `more` is set, lines were left
/// out of account for being too many, and there may be more values than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// All the same.
    Same(String),
    /// One value, and who has others: few, or each of two or three values has several ranks.
    Common {
        /// What nearly all have, or most.
        value: String,
        /// How many different values.
        distinct: u64,
        /// Whether there may be more.
        more: bool,
        /// The others, up to 1,024, by their first ranks.
        outliers: Vec<Outlier>,
    },
    /// Numbers of one unit, as they were written.
    Numbers {
        /// The least one that is no outlier.
        min: String,
        /// The greatest one that is no outlier.
        max: String,
        /// How many different values, outliers included.
        distinct: u64,
        /// Whether there may be more.
        more: bool,
        /// What is far off or no finite number of the unit, up to 1,024, by their first ranks.
        outliers: Vec<Outlier>,
    },
    /// Different values.
    Samples {
        /// Up to three of them, in the order in which they came.
        samples: Vec<String>,
        /// How many different values.
        distinct: u64,
        /// Whether there may be more.
        more: bool,
    },
}

/// Gives an entry's fields when it is asked for them: who prints text needs none, and comparing the
/// values of thousands of ranks takes its time.
pub trait FieldSource: fmt::Debug {
    /// The fields, in the order in which they stand in the text.
    fn fields(&self) -> Vec<Field>;
}

impl FieldSource for Vec<Field> {
    fn fields(&self) -> Vec<Field> {
        self.clone()
    }
}

impl<const N: usize> FieldSource for [Field; N] {
    fn fields(&self) -> Vec<Field> {
        self.to_vec()
    }
}
