//! What stands before a line.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};

use lastline_line::{RankNumbers, Stream, Timestamp, short_list};

/// How many hosts or processes are named before a folded line.
const MAX_SHOWN: usize = 3;

/// What is known of a rank, for its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// The rank.
    pub rank: u32,
    /// Its number on its host.
    pub local_rank: u32,
    /// The host's name.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// The job's id.
    pub job: String,
}

/// Why a text is no prefix template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A field that does not exist.
    #[error(
        "`{{{field}}}` is no field of a prefix \
         (there are {{rank}} {{local_rank}} {{host}} {{pid}} {{stream}} {{time}} {{job}})"
    )]
    Field {
        /// The name between the braces.
        field: String,
    },
    /// A brace that is not closed, or was never opened.
    #[error("`{{` and `}}` stand around a field; write `{{{{` or `}}}}` for the character itself")]
    Brace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Rank,
    LocalRank,
    Host,
    Pid,
    Stream,
    Time,
    Job,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A prefix with fields in braces, as in `[{rank}] `.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// No prefix.
    pub fn empty() -> Self {
        Self::default()
    }

    /// `[{rank}] `, the prefix when there are several ranks.
    pub fn rank() -> Self {
        Self::parse("[{rank}] ").expect("BUG: the template is well-formed")
    }

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// When a brace stands alone or a field does not exist.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(TemplateError::Brace);
            }
            let (name, after) = rest.split_once('}').ok_or(TemplateError::Brace)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Field(field(name)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Whether it is no prefix at all.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether it differs from line to line of one stream.
    pub(crate) fn has_time(&self) -> bool {
        self.parts.contains(&Part::Field(Field::Time))
    }

    /// How many characters it takes before a line of this rank.
    pub fn columns(&self, label: &Label) -> usize {
        let rank = label.rank.to_string();
        let labels = std::slice::from_ref(label);
        let of = |stream| self.render(&rank, labels, stream, Timestamp(1)).chars().count();
        Stream::ALL.into_iter().map(of).max().unwrap_or(0)
    }

    /// Whether it says more of a rank than its number.
    pub(crate) fn has_labels(&self) -> bool {
        let fields = [Field::LocalRank, Field::Host, Field::Pid];
        self.parts.iter().any(|part| fields.iter().any(|field| *part == Part::Field(*field)))
    }

    /// The prefix of a line that arrived at `time`, of ranks that are written `ranks` and of which
    /// `labels` are known: of several what all of them are, of processes a few and how many.
    pub(crate) fn render(
        &self,
        ranks: &str,
        labels: &[Label],
        stream: Stream,
        time: Timestamp,
    ) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Field(Field::Rank) => out.push_str(ranks),
                Part::Field(Field::LocalRank) => {
                    let ranks = labels.iter().map(|label| label.local_rank).collect();
                    out.push_str(&short_list(&ranks, &RankNumbers));
                }
                Part::Field(Field::Host) => {
                    put_some(&mut out, labels.iter().map(|label| &*label.host), "hosts");
                }
                Part::Field(Field::Pid) => {
                    put_some(&mut out, labels.iter().map(|label| label.pid), "processes");
                }
                Part::Field(Field::Stream) => out.push_str(stream.name()),
                Part::Field(Field::Time) => out.push_str(&clock_time(time)),
                Part::Field(Field::Job) => {
                    out.push_str(labels.first().map_or("", |label| &label.job));
                }
            }
        }
        out
    }
}

/// Puts what there is of several, each once, in their order: three at most, and how many they are.
fn put_some<T: Ord + Display>(out: &mut String, all: impl Iterator<Item = T>, noun: &str) {
    let all: BTreeSet<T> = all.collect();
    for (at, one) in all.iter().take(MAX_SHOWN).enumerate() {
        write!(out, "{}{one}", if at > 0 { "," } else { "" })
            .expect("BUG: writing to a string cannot fail");
    }
    if all.len() > MAX_SHOWN {
        write!(out, "…({} {noun})", all.len()).expect("BUG: writing to a string cannot fail");
    }
}

fn field(name: &str) -> Result<Field, TemplateError> {
    Ok(match name {
        "rank" => Field::Rank,
        "local_rank" => Field::LocalRank,
        "host" => Field::Host,
        "pid" => Field::Pid,
        "stream" => Field::Stream,
        "time" => Field::Time,
        "job" => Field::Job,
        other => return Err(TemplateError::Field { field: other.to_owned() }),
    })
}

/// Local time of day to the millisecond with its offset, `14:03:59.123+01:00`; as wide without one.
fn clock_time(time: Timestamp) -> String {
    let micros = time.known().and_then(|time| i64::try_from(time.0).ok());
    let Some(time) = micros.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
    else {
        return String::from("--:--:--.---------");
    };
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_puts_its_fields_in_place() {
        let label =
            Label { rank: 3, local_rank: 1, host: "node7".into(), pid: 42, job: "j".into() };
        let at = |text: &str, time| {
            let (template, label) = (Template::parse(text).unwrap(), std::slice::from_ref(&label));
            template.render("3", label, Stream::Stderr, Timestamp(time))
        };
        let render = |text: &str| at(text, 1);
        assert_eq!(render("[{rank}] "), "[3] ");
        assert_eq!(render("{host}/{local_rank}:{pid} {stream} {job}|"), "node7/1:42 stderr j|");
        assert_eq!(render("{{{rank}}} "), "{3} ");
        assert_eq!(render(""), "");
        assert_eq!(Template::rank().columns(&label), 4);
        assert_eq!(render("{time}").len(), "00:00:00.000+00:00".len());
        assert_eq!(at("{time}|", 0), "--:--:--.---------|", "it is not known");
    }

    #[test]
    fn what_several_ranks_say_is_said_of_all_of_them() {
        let label = |rank: u32| Label {
            rank,
            local_rank: rank % 4,
            host: format!("node{}", rank / 4),
            pid: 100 + rank,
            job: "j".into(),
        };
        let render = |text: &str, ranks: u32| {
            let labels: Vec<Label> = (0..ranks).map(label).collect();
            let template = Template::parse(text).unwrap();
            template.render("all", &labels, Stream::Stdout, Timestamp(0))
        };
        let text = "{rank} {local_rank} {host} {pid} {job}";
        assert_eq!(render(text, 3), "all 0-2 node0 100,101,102 j");
        assert_eq!(render(text, 8), "all 0-3 node0,node1 100,101,102…(8 processes) j");
        assert_eq!(render("{host}", 16), "node0,node1,node2…(4 hosts)");
    }

    #[test]
    fn a_wrong_template_is_refused_with_what_is_wrong() {
        let wrong = TemplateError::Field { field: "rnak".into() };
        assert_eq!(Template::parse("{rnak}"), Err(wrong));
        assert_eq!(Template::parse("{rank"), Err(TemplateError::Brace));
        assert_eq!(Template::parse("rank}"), Err(TemplateError::Brace));
    }
}
