//! What ranks are called.

use std::fmt;

use crate::RankSet;

/// How sets of ranks are written for people.
///
/// Ranks are numbers, and [`RankNumbers`] writes them as such. Who folds lines of other origin (hosts,
/// pods, units) numbers the origins as they come, and gives their names back here:
///
/// ```
/// use std::fmt;
///
/// use lastline_line::{RankNames, RankSet};
///
/// #[derive(Debug)]
/// struct Hosts(Vec<String>);
///
/// impl RankNames for Hosts {
///     fn write(&self, ranks: &RankSet, into: &mut dyn fmt::Write) -> fmt::Result {
///         for (at, rank) in ranks.iter().enumerate() {
///             let host = self.0.get(rank as usize).map_or("?", String::as_str);
///             write!(into, "{}{host}", if at > 0 { "," } else { "" })?;
///         }
///         Ok(())
///     }
/// }
///
/// let hosts = Hosts(vec!["anna".into(), "bert".into(), "carl".into()]);
/// let mut text = String::new();
/// hosts.write(&[0, 2].into_iter().collect(), &mut text)?;
/// assert_eq!(text, "anna,carl");
/// # Ok::<(), fmt::Error>(())
/// ```
pub trait RankNames: Send + Sync + fmt::Debug {
    /// Writes the names, on one line, with a comma and no blank between two.
    ///
    /// # Errors
    ///
    /// Those of `into`; a set can always be written.
    fn write(&self, ranks: &RankSet, into: &mut dyn fmt::Write) -> fmt::Result;

    /// What several of them are. Default: `ranks`.
    fn noun(&self) -> &'static str {
        "ranks"
    }
}

/// Ranks as their numbers: `0-3,8`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RankNumbers;

impl RankNames for RankNumbers {
    fn write(&self, ranks: &RankSet, into: &mut dyn fmt::Write) -> fmt::Result {
        write!(into, "{ranks}")
    }
}
