//! From where a receiver that comes later wants output.

use serde::{Deserialize, Serialize};

use crate::{Offset, StreamId};

/// From where a receiver wants what hosts have sent, or would have sent, before it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// All of it, from the first byte of each stream on. The default.
    #[default]
    Start,
    /// Only what is read from now on.
    Now,
    /// Of each stream that is named what follows this place; of the others all.
    After(Vec<(StreamId, Offset)>),
}

impl Resume {
    /// From where `stream` is wanted, of which there is output up to `now`.
    pub fn of(&self, stream: StreamId, now: Offset) -> Offset {
        match self {
            Self::Start => Offset::ZERO,
            Self::Now => now,
            Self::After(places) => {
                let place = places.iter().find(|(named, _)| *named == stream);
                place.map_or(Offset::ZERO, |(_, place)| *place).min(now)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Launch, Stream};

    #[test]
    fn a_place_is_never_beyond_what_there_is() {
        let [one, other] = Stream::SEPARATE.map(|stream| StreamId::new(Launch(1), 0, stream));
        let (seen, now) = (Resume::After(vec![(one, Offset(7))]), Offset(9));
        assert_eq!((seen.of(one, now), seen.of(other, now)), (Offset(7), Offset::ZERO));
        assert_eq!(seen.of(one, Offset(3)), Offset(3));
        assert_eq!((Resume::Start.of(one, now), Resume::Now.of(one, now)), (Offset::ZERO, now));
    }
}
