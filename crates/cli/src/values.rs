//! What options may be set to.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser};
use lastline_appender::{Compression, Fsync};
use lastline_client::Template;
use lastline_line::Stream;

use crate::units::{duration, size};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FoldMode {
    /// Every line as it comes
    Off,
    /// What several ranks say becomes one entry, with the ranks that did or did not say it
    Ranks,
    /// All similar lines of a while become one entry, with their number
    Similar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    /// Zstandard, with a table by which any place of a file is found
    Zstd,
}

impl From<Compress> for Compression {
    fn from(how: Compress) -> Self {
        match how {
            Compress::Zstd => Self::Zstd,
        }
    }
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

impl From<OnFailure> for lastline_bootstrap::OnFailure {
    fn from(action: OnFailure) -> Self {
        match action {
            OnFailure::Stop => Self::Stop,
            OnFailure::Continue => Self::Continue,
        }
    }
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Streams {
    #[default]
    Both,
    Stdout,
    Stderr,
    /// Both of ranks that were run with --merge
    Merged,
}

impl Streams {
    /// The one that is meant, where it is not both.
    pub(crate) fn only(self) -> Option<Stream> {
        match self {
            Self::Both => None,
            Self::Stdout => Some(Stream::Stdout),
            Self::Stderr => Some(Stream::Stderr),
            Self::Merged => Some(Stream::Merged),
        }
    }
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

/// `NAME=value`, of any bytes.
pub(crate) fn variable() -> impl TypedValueParser<Value = (OsString, OsString)> {
    OsStringValueParser::new().try_map(|text| {
        let bytes = text.as_bytes();
        match bytes.iter().position(|byte| *byte == b'=') {
            Some(at) if at > 0 => {
                let part = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
                Ok((part(&bytes[..at]), part(&bytes[at + 1..])))
            }
            _ => Err(format!("`{}` sets no variable (write `NAME=value`)", text.display())),
        }
    })
}

/// The most ranks of one host.
const MAX_PROCS: u32 = 100_000;

/// How many ranks; tells those who are used to `mpirun -np`.
pub(crate) fn procs(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(procs) if (1..=MAX_PROCS).contains(&procs) => Ok(procs),
        _ if text == "p" => Err(String::from("write `-n 4` for `-np 4`")),
        _ => Err(format!("write a number of ranks from 1 to {MAX_PROCS}, as in `-n 4`")),
    }
}

/// The least size of a file: below it there would be a file for nearly every line.
const MIN_FILE_BYTES: u64 = 4 << 10;

/// The size at which a new file begins.
pub(crate) fn file_size(text: &str) -> Result<u64, String> {
    at_least(MIN_FILE_BYTES, text)
}

/// The size of all files together. Files are an eighth of it where nothing is said of them.
pub(crate) fn total_size(text: &str) -> Result<u64, String> {
    at_least(8 * MIN_FILE_BYTES, text)
}

fn at_least(least: u64, text: &str) -> Result<u64, String> {
    match size(text)? {
        bytes if bytes >= least => Ok(bytes),
        bytes => Err(format!(
            "that is {bytes} B; the least is {} KiB (write `64KiB`, `100MB`)",
            least >> 10
        )),
    }
}

/// A number of jobs.
pub(crate) fn jobs(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| String::from("write a number of jobs, as in `--keep 20`"))
}

/// A number of lines.
pub(crate) fn lines(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| String::from("write a number of lines, as in `--tail 20`"))
}

/// A file to write to; `-` is stdout.
pub(crate) fn output_file() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(|text| match text == "-" {
        true => PathBuf::from("/dev/stdout"),
        false => PathBuf::from(text),
    })
}
