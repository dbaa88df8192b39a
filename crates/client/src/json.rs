//! Lines as JSON: one object a line, all on stdout.

use std::io;
use std::sync::Arc;

use lastline_line::{
    Entry, Field, Folded, Line, Outlier, RankNames, RankNumbers, RankSet, Stream, StreamId,
    Timestamp, rank_list,
};
use serde::Serialize;

use crate::output::{BoxWrite, Output, Outputs};
use crate::printer::{Missing, PrintError, Printer};

/// Prints one JSON object a line.
///
/// A line has `rank, stream, offset, time, line`, where a time that is not known is `null`, or `line_base64` where it is not UTF-8, and
/// `"partial": true` where it had no newline (also a state of a progress bar), `"continuation": true` where its start was printed
/// before, and `label` where ranks have names. A folded entry has `ranks, count, fields, first, last`
/// beside its `line`. Bytes that are missing are `rank, stream, offset, missing_bytes, cause`, where
/// they would stand.
pub struct JsonPrinter {
    outputs: Outputs,
    names: Option<Arc<dyn RankNames>>,
}

#[derive(Serialize)]
struct Object<'a> {
    rank: u32,
    stream: Stream,
    offset: u64,
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continuation: bool,
    /// What the line's rank is called, where that is not its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    entry: Option<FoldedObject>,
}

#[derive(Serialize)]
struct MissingObject<'a> {
    rank: u32,
    stream: Stream,
    offset: u64,
    missing_bytes: u64,
    cause: &'a str,
}

#[derive(Serialize)]
struct FoldedObject {
    ranks: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    except: Option<String>,
    count: u64,
    lines: u64,
    fields: Vec<FieldObject>,
    first: Address,
    last: Address,
}

#[derive(Serialize)]
struct Address {
    rank: u32,
    stream: Stream,
    offset: u64,
}

/// Compact, and with every control character as `\u009b`: also those that JSON would let pass, which
/// some terminals act on.
struct Harmless;

impl serde_json::ser::Formatter for Harmless {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        // Nearly all have none: DEL is one byte, the others begin with this one.
        if memchr::memchr2(0x7f, 0xc2, fragment.as_bytes()).is_none() {
            return writer.write_all(fragment.as_bytes());
        }
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| c.is_control()) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", found as u32)?;
            rest = &rest[at + found.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

impl std::fmt::Debug for JsonPrinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonPrinter").finish_non_exhaustive()
    }
}

impl JsonPrinter {
    /// A printer whose objects go to `stdout`, and whose notes go to `stderr`.
    pub fn new(stdout: BoxWrite, stderr: BoxWrite) -> Self {
        Self { outputs: Outputs::new(stdout, stderr), names: None }
    }

    /// With what ranks are called, in an entry's `ranks` and `except` and a line's `label`. Default:
    /// their numbers, and no label.
    pub fn named(self, names: Arc<dyn RankNames>) -> Self {
        Self { names: Some(names), ..self }
    }

    fn put(&mut self, object: &impl Serialize) -> Result<(), PrintError> {
        let (buffer, result) = self.outputs.switch(Output::Stdout);
        let mut serializer = serde_json::Serializer::with_formatter(&mut *buffer, Harmless);
        object.serialize(&mut serializer).expect("BUG: strings and numbers become JSON in memory");
        buffer.push(b'\n');
        result
    }
}

impl Printer for JsonPrinter {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        match entry {
            Entry::Line(line) => {
                let ranks = RankSet::from_iter([line.stream.rank]);
                let label = self.names.as_deref().map(|names| rank_list(&ranks, names));
                self.put(&Object { label, ..line_object(line) })
            }
            Entry::Folded(folded) => {
                let names = self.names.clone();
                self.put(&folded_object(folded, names.as_deref().unwrap_or(&RankNumbers)))
            }
        }
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.outputs.flush()
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        let (buffer, result) = self.outputs.switch(Output::Stderr);
        buffer.extend_from_slice(format!("lastline: {text}\n").as_bytes());
        result.and(self.outputs.flush())
    }

    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        let Missing { stream: StreamId { rank, stream, .. }, span, cause } = *missing;
        let (offset, missing_bytes) = (span.from.0, span.len());
        self.put(&MissingObject { rank, stream, offset, missing_bytes, cause })?;
        self.note(&missing.to_string())
    }

    fn output_of(&self, _stream: Stream) -> Output {
        Output::Stdout
    }
}

fn line_object<'a>(line: &Line<'a>) -> Object<'a> {
    Object {
        rank: line.stream.rank,
        stream: line.stream.stream,
        offset: line.start.0,
        time: rfc3339(line.time),
        // Neither has a newline of its own.
        partial: line.partial || line.redrawn,
        continuation: line.continuation,
        entry: None,
        ..text_of(line.text)
    }
}

fn folded_object<'a>(folded: &Folded<'a>, names: &dyn RankNames) -> Object<'a> {
    let address = |of: lastline_line::Address| Address {
        rank: of.stream.rank,
        stream: of.stream.stream,
        offset: of.start.0,
    };
    let entry = FoldedObject {
        ranks: rank_list(folded.ranks, names),
        except: folded.except.map(|except| rank_list(except, names)),
        count: folded.count,
        lines: folded.lines,
        fields: folded.fields.fields().into_iter().map(|of| field(of, names)).collect(),
        first: address(folded.first),
        last: address(folded.last),
    };
    Object {
        rank: folded.first.stream.rank,
        stream: folded.stream,
        offset: folded.first.start.0,
        time: rfc3339(folded.time),
        entry: Some(entry),
        ..text_of(folded.text)
    }
}

fn text_of(text: &[u8]) -> Object<'_> {
    let line = std::str::from_utf8(text).ok();
    let line_base64 = line.is_none().then(|| data_encoding::BASE64.encode(text));
    Object {
        rank: 0,
        stream: Stream::Stdout,
        offset: 0,
        time: None,
        line,
        line_base64,
        partial: false,
        continuation: false,
        label: None,
        entry: None,
    }
}

/// A field as JSON: `value` where all agree; otherwise `min` and `max`, the common `value`, or
/// `samples`, with how many values are `distinct` and the `outliers`.
#[derive(Serialize)]
#[serde(untagged)]
enum FieldObject {
    Same {
        value: String,
    },
    Common {
        value: String,
        #[serde(flatten)]
        different: Different,
        outliers: Vec<OutlierObject>,
    },
    Numbers {
        min: String,
        max: String,
        #[serde(flatten)]
        different: Different,
        outliers: Vec<OutlierObject>,
    },
    Samples {
        samples: Vec<String>,
        #[serde(flatten)]
        different: Different,
    },
}

#[derive(Serialize)]
struct Different {
    distinct: u64,
    /// There may be more than `distinct`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

#[derive(Serialize)]
struct OutlierObject {
    ranks: String,
    value: String,
}

fn field(field: Field, names: &dyn RankNames) -> FieldObject {
    let named = |outliers: Vec<Outlier>| {
        let object =
            |of: Outlier| OutlierObject { ranks: rank_list(&of.ranks, names), value: of.value };
        outliers.into_iter().map(object).collect()
    };
    match field {
        Field::Same(value) => FieldObject::Same { value },
        Field::Common { value, distinct, more, outliers } => {
            let different = Different { distinct, more };
            FieldObject::Common { value, different, outliers: named(outliers) }
        }
        Field::Numbers { min, max, distinct, more, outliers } => {
            let different = Different { distinct, more };
            FieldObject::Numbers { min, max, different, outliers: named(outliers) }
        }
        Field::Samples { samples, distinct, more } => {
            FieldObject::Samples { samples, different: Different { distinct, more } }
        }
    }
}

fn rfc3339(time: Timestamp) -> Option<String> {
    let micros = i64::try_from(time.known()?.0).ok()?;
    jiff::Timestamp::from_microsecond(micros).ok().map(|time| time.to_string())
}
