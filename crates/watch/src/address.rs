//! How streams and sets of ranks stand in JSON.
//!
//! A launch is 64 random bits, of which a reader whose numbers are doubles would lose some: it is
//! written as 16 hexadecimal digits, as reports and file indexes have it.

use lastline_line::Launch;

/// A [`StreamId`](lastline_line::StreamId) as `{"rank":3,"stream":"stderr","launch":"00…"}`.
pub(crate) mod stream {
    use lastline_line::{Launch, Stream, StreamId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Form {
        rank: u32,
        stream: Stream,
        #[serde(with = "super::launch")]
        launch: Launch,
    }

    pub(crate) fn serialize<S: Serializer>(id: &StreamId, to: S) -> Result<S::Ok, S::Error> {
        Form { rank: id.rank, stream: id.stream, launch: id.launch }.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<StreamId, D::Error> {
        let Form { rank, stream, launch } = Form::deserialize(from)?;
        Ok(StreamId::new(launch, rank, stream))
    }
}

/// A [`Launch`] as 16 hexadecimal digits.
pub(crate) mod launch {
    use lastline_line::Launch;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(launch: &Launch, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(launch)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Launch, D::Error> {
        super::parse_launch(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// The same, where there may be none.
pub(crate) mod optional_launch {
    use lastline_line::Launch;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        launch: &Option<Launch>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        launch.map(|launch| launch.to_string()).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Launch>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::parse_launch(&text)).transpose().map_err(serde::de::Error::custom)
    }
}

/// A [`RankSet`](lastline_line::RankSet) as `"0-3,8"`; no rank as `""`.
pub(crate) mod ranks {
    use lastline_line::RankSet;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(ranks: &RankSet, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(ranks)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RankSet, D::Error> {
        super::parse_ranks(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// The same, where there may be no set.
pub(crate) mod optional_ranks {
    use lastline_line::RankSet;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        ranks: &Option<RankSet>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        ranks.as_ref().map(ToString::to_string).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<RankSet>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| super::parse_ranks(&text)).transpose().map_err(serde::de::Error::custom)
    }
}

/// The launch that 16 hexadecimal digits name.
pub(crate) fn parse_launch(text: &str) -> Result<Launch, std::num::ParseIntError> {
    u64::from_str_radix(text, 16).map(Launch)
}

fn parse_ranks(text: &str) -> Result<lastline_line::RankSet, lastline_line::RankSetError> {
    if text.is_empty() { Ok(lastline_line::RankSet::new()) } else { text.parse() }
}
