//! What stands before a labelled line.

use lastline_line::Stream;
use regex::bytes::Regex;

/// How the launchers of the field label lines; tried in this order.
const KNOWN: [&str; 5] = [
    // mpirun --tag-output, --output tag: `[1,3]<stdout>:`
    r"^\[\d+,(\d+)\](?:<(?P<stream>stdout|stderr)>)?:",
    // torchrun --tee, kubectl logs --prefix, lastline: `[default3]:`, `[pod/train-3/main] `, `[3] `
    r"^\[([^\]\s]+)\](?::| |$)",
    // docker compose: `train-3  | `
    r"^(\S+) +\|(?: |$)",
    // srun --label, pdsh, clush, dsh, GNU parallel --tagstring '{}:': `3: `, `node7: `
    r"^([^\s:]+):(?: |$)",
    // GNU parallel --tag: `node7<tab>`
    r"^(\S+)\t",
];

/// The first of them are written by launchers alone, whatever the label is.
const BY_LAUNCHERS_ALONE: [usize; 2] = [0, 2];
/// As many labels of one shape say that the input is labelled so, and in no other way.
const SETTLED_BY: u32 = 2;
/// As many labels of another shape, and none of the settled one, say that this was wrong.
const UNSETTLED_BY: u32 = 16;

/// How labels look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    pattern: usize,
    /// They are numbers alone.
    numbers: bool,
}

impl Shape {
    fn of(pattern: usize, label: &[u8]) -> Self {
        Self { pattern, numbers: label.iter().all(u8::is_ascii_digit) }
    }

    /// Whether a label of this shape is hardly anything else: a word and a colon begin many lines.
    fn is_sure(self, label: &[u8]) -> bool {
        BY_LAUNCHERS_ALONE.contains(&self.pattern) || label.iter().any(u8::is_ascii_digit)
    }
}

/// Tells a line's label from its text.
///
/// Where the pattern is not given, the first labels tell how the input is labelled: what looks like a label of
/// another kind is text from then on, as `[1]:` and `RuntimeError: ` are behind `[default0]:`.
#[derive(Clone, Debug)]
pub(crate) struct LabelPrefix {
    patterns: Vec<Regex>,
    /// The one that fitted last.
    last: usize,
    settled: Option<Shape>,
    /// A shape that may be the settled one, and how often it was there.
    next: Option<(Shape, u32)>,
    /// A blank after a prefix that has none belongs to it; found out at the first line with such a label
    /// and a text.
    blank: Option<bool>,
}

/// A line, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Labelled<'a> {
    pub(crate) label: &'a [u8],
    pub(crate) stream: Stream,
    pub(crate) text: &'a [u8],
}

impl LabelPrefix {
    /// Lines begin with what `pattern` finds; the label is its first group, or all of it.
    ///
    /// # Errors
    ///
    /// When the pattern is none, or would find nothing in every line.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
        if regex.is_match(b"") {
            return Err(String::from("it also fits an empty label; write `+` for `*`"));
        }
        Ok(Self { patterns: vec![regex], last: 0, settled: None, next: None, blank: None })
    }

    /// The prefixes of the launchers that are known.
    pub(crate) fn known() -> Self {
        let compile = |pattern| Regex::new(pattern).expect("BUG: the patterns are well-formed");
        Self {
            patterns: KNOWN.map(compile).into(),
            last: 0,
            settled: None,
            next: None,
            blank: None,
        }
    }

    /// The parts of a line, if it has a label.
    pub(crate) fn split<'a>(&mut self, line: &'a [u8]) -> Option<Labelled<'a>> {
        let first = std::iter::once(self.last);
        let others = (0..self.patterns.len()).filter(|at| *at != self.last);
        let found = first.chain(others).find_map(|at| {
            let found = self.patterns[at].captures(line)?;
            let whole = found.get(0).filter(|whole| whole.start() == 0)?;
            let stream = match found.name("stream").map(|name| name.as_bytes()) {
                Some(b"stderr") => Stream::Stderr,
                _ => Stream::Stdout,
            };
            let label = found.iter().flatten().nth(1).unwrap_or(whole);
            Some((at, label.as_bytes(), stream, whole.end()))
        });
        let (at, label, stream, end) = found?;
        if self.patterns.len() > 1 && !self.is_label(Shape::of(at, label), label) {
            return None;
        }
        self.last = at;
        let text = &line[end..];
        let has_blank = text.first() == Some(&b' ');
        let asks =
            !text.is_empty() && !line[..end].ends_with(b" ") && !line[..end].ends_with(b"\t");
        let blank = asks && *self.blank.get_or_insert(has_blank) && has_blank;
        Some(Labelled { label, stream, text: &text[usize::from(blank)..] })
    }
}

impl LabelPrefix {
    /// Whether what looks like a label is one, by those before it.
    fn is_label(&mut self, shape: Shape, label: &[u8]) -> bool {
        if self.settled == Some(shape) {
            self.next = None;
            return true;
        }
        if shape.is_sure(label) {
            let before = self.next.filter(|(next, _)| *next == shape).map_or(0, |(_, times)| times);
            self.next = Some((shape, before + 1));
            let enough = if self.settled.is_none() { SETTLED_BY } else { UNSETTLED_BY };
            if before + 1 >= enough {
                (self.settled, self.next) = (Some(shape), None);
            }
        }
        self.settled.is_none_or(|settled| settled == shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(prefix: &mut LabelPrefix, line: &str) -> Option<(String, Stream, String)> {
        let found = prefix.split(line.as_bytes())?;
        let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some((string(found.label), found.stream, string(found.text)))
    }

    #[test]
    fn what_launchers_write_is_known() {
        let table = [
            ("3: step 1", "3", "step 1"),
            ("node7: load: 0.3", "node7", "load: 0.3"),
            ("node7:", "node7", ""),
            ("[default0]:    raise ValueError", "default0", "   raise ValueError"),
            ("[pod/train-3/main] ready", "pod/train-3/main", "ready"),
            ("train-3  | ready", "train-3", "ready"),
            ("train-3  |", "train-3", ""),
            ("host-a\tdone", "host-a", "done"),
            ("[3] step 1", "3", "step 1"),
        ];
        for (line, label, text) in table {
            let found = split(&mut LabelPrefix::known(), line);
            assert_eq!(found, Some((label.into(), Stream::Stdout, text.into())), "{line}");
        }
        let mut known = LabelPrefix::known();
        let found = split(&mut known, "[1,3]<stderr>:oops");
        assert_eq!(found, Some(("3".into(), Stream::Stderr, "oops".into())));
        for line in ["", "no label here", "[] x", " 3: x"] {
            assert_eq!(split(&mut LabelPrefix::known(), line), None, "{line}");
        }
    }

    #[test]
    fn what_looks_like_another_kind_of_label_is_text() {
        let labels = |lines: &[&str]| {
            let mut known = LabelPrefix::known();
            let label = |line: &&str| split(&mut known, line).map(|(label, ..)| label);
            lines.iter().map(label).collect::<Vec<_>>()
        };
        let text = ["RuntimeError: bad shard", "Failures:", "[1]:", "[0] x", "srun: error: node7"];
        for own in [
            ["[default0]:a", "[default1]:b"],
            ["train-0  | a", "train-1  | b"],
            ["[1,0]<stdout>:a", "[1,1]<stdout>:b"],
        ] {
            let found = labels(&[&own[..], &text, &own].concat());
            let own = [true, true];
            let is_label: Vec<bool> = found.iter().map(Option::is_some).collect();
            assert_eq!(is_label, [&own[..], &[false; 5], &own].concat(), "{found:?}");
        }
        let found = labels(&["0: a", "1: b", "srun: error: x", "slurmstepd: error: y", "12: c"]);
        assert_eq!(found, [Some("0".into()), Some("1".into()), None, None, Some("12".into())]);
        // Names of which few have numbers.
        let found = labels(&["node7: a", "login: b", "node8: c", "gateway: d"]);
        assert!(found.iter().all(Option::is_some), "{found:?}");
        // What came before the first labels does not keep them from being found.
        let first = ["[run-7] begins", "[run-7] goes on"];
        let found = labels(&[&first[..], &["3: x"; 20]].concat());
        assert_eq!(found.last().unwrap().as_deref(), Some("3"), "{found:?}");
    }

    #[test]
    fn a_blank_is_the_prefixs_where_the_first_line_has_one() {
        let mut prefix = LabelPrefix::new(r"^(\S+):").unwrap();
        assert_eq!(split(&mut prefix, "n1: a").unwrap().2, "a");
        assert_eq!(split(&mut prefix, "n1:   b").unwrap().2, "  b");
        let mut prefix = LabelPrefix::new(r"^(\S+):").unwrap();
        assert_eq!(split(&mut prefix, "n1:a").unwrap().2, "a");
        assert_eq!(split(&mut prefix, "n1:  b").unwrap().2, "  b");
    }

    #[test]
    fn what_launchers_put_right_before_the_text_takes_none_of_it() {
        for label in ["[1,0]<stdout>:", "[default0]:"] {
            let mut known = LabelPrefix::known();
            let mut text = |text: &str| split(&mut known, &format!("{label}{text}")).unwrap().2;
            assert_eq!(
                ["", "hello", "  two", " one"].map(&mut text),
                ["", "hello", "  two", " one"]
            );
            let mut known = LabelPrefix::known();
            let mut text = |text: &str| split(&mut known, &format!("{label}{text}")).unwrap().2;
            assert_eq!([" hello", "   two", "one"].map(&mut text), ["hello", "  two", "one"]);
        }
        let mut known = LabelPrefix::known();
        let text = ["3:   two", "3: one"].map(|line| split(&mut known, line).unwrap().2);
        assert_eq!(text, ["  two", "one"]);
    }

    #[test]
    fn a_pattern_that_labels_nothing_is_refused() {
        assert!(LabelPrefix::new("(").is_err());
        assert!(LabelPrefix::new(r"^(\w*)").is_err());
        let mut whole = LabelPrefix::new(r"^\w+>").unwrap();
        assert_eq!(split(&mut whole, "n1>x").unwrap().0, "n1>");
        let mut elsewhere = LabelPrefix::new(r"rank(\d+)").unwrap();
        assert_eq!(split(&mut elsewhere, "at rank3 x"), None);
    }
}
