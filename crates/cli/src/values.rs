//! What options may be set to.

use std::ffi::OsString;

use clap::ValueEnum;
use lastline_appender::Fsync;
use lastline_client::Template;
use lastline_line::Stream;

use crate::units::duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FoldMode {
    /// Every line as it comes
    Off,
    /// What several ranks say becomes one entry, with the ranks that did or did not say it
    Ranks,
    /// All similar lines of a while become one entry, with their number
    Similar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FilterMode {
    /// What several labels say becomes one entry, with the labels that did or did not say it
    #[default]
    Ranks,
    /// All similar lines of a while become one entry, with their number
    Similar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines
    #[default]
    Text,
    /// One object a line
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFailure {
    /// Stop them
    #[default]
    Stop,
    /// Let them go on
    Continue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// Read it back from the file later
    Spool,
    /// Let the rank wait
    Block,
    /// Do not show it, and say so
    Drop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum StdinMode {
    /// Nobody
    #[default]
    Null,
    /// Rank 0
    Rank0,
    /// Every rank gets all of it
    All,
}

/// What stands before each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefix {
    /// `[{rank}] `, and nothing for one rank.
    Auto,
    /// This.
    Template(Template),
}

impl Prefix {
    /// The template for a job of so many ranks.
    pub(crate) fn template(&self, ranks: u32) -> Template {
        match self {
            Self::Template(template) => template.clone(),
            Self::Auto if ranks > 1 => Template::rank(),
            Self::Auto => Template::empty(),
        }
    }
}

/// A variable sets a flag as people write it: `1`, `true`, `yes`, `on`, and their opposites.
pub(crate) fn flag() -> clap::builder::BoolishValueParser {
    clap::builder::BoolishValueParser::new()
}

pub(crate) fn prefix(text: &str) -> Result<Prefix, String> {
    Ok(match text {
        "auto" => Prefix::Auto,
        "never" => Prefix::Template(Template::empty()),
        text => Prefix::Template(Template::parse(text).map_err(|error| error.to_string())?),
    })
}

pub(crate) fn fsync(text: &str) -> Result<Fsync, String> {
    Ok(match text {
        "never" => Fsync::Never,
        "end" => Fsync::End,
        seconds => match duration(seconds) {
            Ok(every) if !every.is_zero() => Fsync::Every(every),
            _ => return Err("write `never`, `end`, or a number of seconds above zero".into()),
        },
    })
}

pub(crate) fn variable(text: &str) -> Result<(OsString, OsString), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err(format!("`{text}` sets no variable (write `NAME=value`)")),
    }
}

pub(crate) fn stream(text: &str) -> Result<Stream, String> {
    let named = |stream: &Stream| stream.name() == text;
    Stream::ALL.into_iter().find(named).ok_or_else(|| "write `stdout` or `stderr`".into())
}
