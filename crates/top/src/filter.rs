//! Which entries of the log are shown.

use lastline_line::{RankSet, Stream};
use lastline_watch::Entry;
use regex::{Regex, RegexBuilder};

/// How large a regular expression may become, in bytes.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Some ranks, one stream, a text: an entry is shown that fits all that are given.
///
/// Written as `0-3,7 stderr error|warn`: a word that is a set of ranks, `stdout` or `stderr`, and the
/// rest, which is a regular expression. One of small letters alone is found in capitals, too.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    ranks: Option<RankSet>,
    stream: Option<Stream>,
    text: Option<Regex>,
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError(String);

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FilterError {}

impl std::str::FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let (mut filter, mut rest) = (Self::default(), text.trim());
        while let Some(word) = rest.split_whitespace().next() {
            match word {
                "stdout" if filter.stream.is_none() => filter.stream = Some(Stream::Stdout),
                "stderr" if filter.stream.is_none() => filter.stream = Some(Stream::Stderr),
                "merged" if filter.stream.is_none() => filter.stream = Some(Stream::Merged),
                word if filter.ranks.is_none() && is_ranks(word) => {
                    let ranks = word.parse();
                    filter.ranks = Some(ranks.map_err(|error| FilterError(format!("{error}")))?);
                }
                _ => break,
            }
            rest = rest[word.len()..].trim_start();
        }
        if !rest.is_empty() {
            let regex = RegexBuilder::new(rest)
                .case_insensitive(!rest.chars().any(char::is_uppercase))
                .size_limit(MAX_REGEX_BYTES)
                .build();
            filter.text = Some(regex.map_err(|error| FilterError(short(&error)))?);
        }
        Ok(filter)
    }
}

/// What is wrong with a regular expression, in one line.
fn short(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn is_ranks(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word.chars().all(|character| character.is_ascii_digit() || ",-".contains(character))
}

impl Filter {
    /// Everything fits.
    pub fn is_empty(&self) -> bool {
        self.ranks.is_none() && self.stream.is_none() && self.text.is_none()
    }

    /// Whether an entry is shown, whose text without control sequences is `plain`.
    pub fn fits(&self, entry: &Entry, plain: &str) -> bool {
        self.stream.is_none_or(|stream| entry.stream == stream)
            && self.ranks.as_ref().is_none_or(|ranks| ranks.iter().any(|r| entry.ranks.contains(r)))
            && self.text.as_ref().is_none_or(|text| text.is_match(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_ranks_a_stream_and_the_rest_is_a_text() {
        let filter: Filter = " 0-3,7  stderr out of memory ".parse().unwrap();
        assert_eq!(filter.ranks.unwrap().to_string(), "0-3,7");
        assert_eq!(
            (filter.stream, filter.text.unwrap().as_str()),
            (Some(Stream::Stderr), "out of memory")
        );
        let filter: Filter = "error 3".parse().unwrap();
        assert!(filter.ranks.is_none());
        assert!(filter.text.unwrap().is_match("ERROR 3"));
        assert!("".parse::<Filter>().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_filter_is_said_in_one_line() {
        for text in ["(", "5-2", "a{99999}{99999}"] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{error}");
        }
    }
}
