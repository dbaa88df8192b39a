//! Reading reports of versions that knew more words: what is not known is left out, and the rest
//! counts.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// A value, or something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<T> Word<T> {
    fn known(self) -> Option<T> {
        match self {
            Self::Known(known) => Some(known),
            Self::Other(_) => None,
        }
    }
}

/// A value, where it is one that is known.
pub(crate) fn known<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    Ok(Option::<Word<T>>::deserialize(deserializer)?.and_then(Word::known))
}

/// Those of a list that are known.
pub(crate) fn all_known<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    let words = Vec::<Word<T>>::deserialize(deserializer)?;
    Ok(words.into_iter().filter_map(Word::known).collect())
}

/// Counts by verdict, in the order of the verdicts' names.
pub(crate) mod by_name {
    use std::collections::BTreeMap;

    use lastline_line::BarrierOutcome;
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StringDeserializer};
    use serde::{Deserialize, Deserializer, Serializer};

    type Counts = BTreeMap<BarrierOutcome, u64>;

    pub(crate) fn serialize<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
        let named: BTreeMap<&str, u64> =
            counts.iter().map(|(verdict, count)| (verdict.name(), *count)).collect();
        to.collect_map(named)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Counts, D::Error> {
        let named = BTreeMap::<String, u64>::deserialize(from)?;
        let known = named.into_iter().filter_map(|(name, count)| {
            let name: StringDeserializer<Error> = name.into_deserializer();
            Some((BarrierOutcome::deserialize(name).ok()?, count))
        });
        Ok(known.collect())
    }
}
