//! What things of a job are called at the broker.

use std::fmt::Write as _;

use lastline_line::{HostId, Stream};

/// The longest name that a server takes, in bytes (`JSMaxNameLen` of nats-server).
const MAX_NAME_BYTES: usize = 255;

/// A job id as one token of a subject: letters, digits and `-` stand for themselves, every other
/// byte for `_` and its two hexadecimal digits. So different ids have different tokens.
pub(crate) fn token(job: &str) -> String {
    job.bytes().fold(String::new(), |mut token, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            token.push(char::from(byte));
        } else {
            let written = write!(token, "_{byte:02X}");
            written.expect("BUG: a string takes what is written to it");
        }
        token
    })
}

/// The names of one job: its stream and its subjects.
///
/// | | |
/// |---|---|
/// | `LASTLINE_<job>` | the stream, which stores `log.>` and `ctl.>` |
/// | `lastline.<job>.log.<rank>.<stdout\|stderr>` | output, with marks, skips and ends between; all of a host that folds stands under `stdout` of its first rank, where a host that takes its ranks over meets it |
/// | `lastline.<job>.ctl.host.<id>` | events of a host, where it has the ends of its streams stored, and that it has left |
/// | `lastline.<job>.ctl.claim.<rank>` | which host has a rank |
/// | `lastline.<job>.ctl.world` | how many ranks the job has |
/// | `lastline.<job>.ctl.anew` | that the job began anew: what was stored before is of another one |
/// | `lastline.<job>.ctl.refused` | hosts that were not let in |
/// | `lastline.<job>.ctl.stop` | that the ranks are to be stopped |
/// | `lastline.<job>.live.<id>` | heartbeats; not stored |
/// | `lastline.<job>.ask.all`, `.ask.<id>` | controls; not stored |
/// | `lastline.<job>.inbox.>` | answers of the broker |
///
/// `<job>` is the job's id, where letters, digits and `-` stand for themselves and every other byte
/// is `_` and two hexadecimal digits; `<id>` is a host's id, 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    token: String,
}

impl Names {
    /// The names of `job`; `None` when it is empty or too long to be part of a name.
    pub fn new(job: &str) -> Option<Self> {
        let names = Self { token: token(job) };
        let fits = !job.is_empty() && names.stream().len() <= MAX_NAME_BYTES;
        fits.then_some(names)
    }

    /// The stream.
    pub fn stream(&self) -> String {
        format!("LASTLINE_{}", self.token)
    }

    /// What all subjects of the job match.
    pub fn all(&self) -> String {
        self.subject(">")
    }

    /// What the stream stores.
    pub fn stored(&self) -> Vec<String> {
        vec![self.all_output(), self.all_events()]
    }

    pub(crate) fn all_output(&self) -> String {
        self.subject("log.>")
    }

    pub(crate) fn all_events(&self) -> String {
        self.subject("ctl.>")
    }

    pub(crate) fn output(&self, rank: u32, stream: Stream) -> String {
        self.subject(&format!("log.{rank}.{stream}"))
    }

    pub(crate) fn host(&self, id: HostId) -> String {
        self.subject(&format!("ctl.host.{id}"))
    }

    pub(crate) fn claim(&self, rank: u32) -> String {
        self.subject(&format!("ctl.claim.{rank}"))
    }

    pub(crate) fn world(&self) -> String {
        self.subject("ctl.world")
    }

    pub(crate) fn anew(&self) -> String {
        self.subject("ctl.anew")
    }

    pub(crate) fn refused(&self) -> String {
        self.subject("ctl.refused")
    }

    pub(crate) fn stop(&self) -> String {
        self.subject("ctl.stop")
    }

    pub(crate) fn live(&self, id: HostId) -> String {
        self.subject(&format!("live.{id}"))
    }

    pub(crate) fn all_live(&self) -> String {
        self.subject("live.*")
    }

    pub(crate) fn ask_all(&self) -> String {
        self.subject("ask.all")
    }

    pub(crate) fn ask(&self, id: HostId) -> String {
        self.subject(&format!("ask.{id}"))
    }

    pub(crate) fn inbox(&self) -> String {
        self.subject("inbox")
    }

    fn subject(&self, rest: &str) -> String {
        format!("lastline.{}.{rest}", self.token)
    }

    /// What a stored event's subject is about.
    pub(crate) fn about(&self, subject: &str) -> Option<About> {
        let rest = subject.strip_prefix(&self.subject("ctl."))?;
        match rest.split_once('.') {
            None if rest == "world" => Some(About::World),
            None if rest == "refused" => Some(About::Refused),
            None if rest == "anew" => Some(About::Anew),
            Some(("host", id)) => parse_id(id).map(About::Host),
            Some(("claim", rank)) => rank.parse().ok().map(About::Claim),
            _ => None,
        }
    }
}

/// What a stored event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A host: an event of its own.
    Host(HostId),
    /// A rank: whose it is.
    Claim(u32),
    /// How many ranks there are.
    World,
    /// A host that was not let in.
    Refused,
    /// The job begins anew.
    Anew,
}

/// The id of a host at the end of the subject of its heartbeats.
pub(crate) fn id_at_the_end(subject: &str) -> Option<HostId> {
    let (_, id) = subject.rsplit_once('.')?;
    parse_id(id)
}

/// A host's id as it is written.
pub(crate) fn parse_id(text: &str) -> Option<HostId> {
    u64::from_str_radix(text, 16).ok().map(HostId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_becomes_one_token_of_its_own() {
        assert_eq!(token("train-7"), "train-7");
        assert_eq!(token("a.b"), "a_2Eb");
        assert_eq!(token("a_2Eb"), "a_5F2Eb");
        assert_eq!(token("ü*>"), "_C3_BC_2A_3E");
        assert_eq!(Names::new(""), None);
        assert_eq!(Names::new(&"x".repeat(247)), None);
        assert!(Names::new(&"x".repeat(246)).is_some());
    }

    #[test]
    fn subjects_say_what_they_are_about() {
        let names = Names::new("a.b").unwrap();
        assert_eq!(names.stream(), "LASTLINE_a_2Eb");
        assert_eq!(names.output(3, Stream::Stderr), "lastline.a_2Eb.log.3.stderr");
        assert_eq!(names.about(&names.host(HostId(0xabc))), Some(About::Host(HostId(0xabc))));
        assert_eq!(names.about(&names.claim(17)), Some(About::Claim(17)));
        assert_eq!(names.about(&names.world()), Some(About::World));
        assert_eq!(names.about(&names.refused()), Some(About::Refused));
        assert_eq!(names.about(&names.anew()), Some(About::Anew));
        assert_eq!(names.about(&names.stop()), None);
        assert_eq!(names.about("lastline.other.ctl.world"), None);
        assert_eq!(id_at_the_end(&names.live(HostId(7))), Some(HostId(7)));
    }
}
