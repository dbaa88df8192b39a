//! Lines as JSON: one object a line, all on stdout.

use std::io;

use lastline_line::{Entry, Field, Folded, Line, Stream, StreamId, Timestamp};
use serde::Serialize;

use crate::output::{BoxWrite, Outputs};
use crate::printer::{Missing, PrintError, Printer};

/// Prints one JSON object a line.
///
/// A line has `rank, stream, offset, time, line`, or `line_base64` where it is not UTF-8, and
/// `"partial": true` where it had no newline (also a state of a progress bar), `"continuation": true` where its start was printed
/// before. A folded entry has `ranks, count, fields, first, last` beside its `line`. Bytes that are
/// missing are `rank, stream, offset, missing_bytes, cause`, where they would stand.
pub struct JsonPrinter {
    outputs: Outputs,
}

#[derive(Serialize)]
struct Object<'a> {
    rank: u32,
    stream: Stream,
    offset: u64,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continuation: bool,
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
    fields: Vec<serde_json::Value>,
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
        Self { outputs: Outputs::new(stdout, stderr) }
    }

    fn put(&mut self, object: &impl Serialize) -> Result<(), PrintError> {
        let (buffer, result) = self.outputs.switch(Stream::Stdout);
        let mut serializer = serde_json::Serializer::with_formatter(&mut *buffer, Harmless);
        object.serialize(&mut serializer).expect("BUG: strings and numbers become JSON in memory");
        buffer.push(b'\n');
        result
    }
}

impl Printer for JsonPrinter {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        match entry {
            Entry::Line(line) => self.put(&line_object(line)),
            Entry::Folded(folded) => self.put(&folded_object(folded)),
        }
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.outputs.flush()
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        let (buffer, result) = self.outputs.switch(Stream::Stderr);
        buffer.extend_from_slice(format!("lastline: {text}\n").as_bytes());
        result.and(self.outputs.flush())
    }

    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        let Missing { stream: StreamId { rank, stream, .. }, span, cause } = *missing;
        let (offset, missing_bytes) = (span.from.0, span.len());
        self.put(&MissingObject { rank, stream, offset, missing_bytes, cause })?;
        self.note(&missing.to_string())
    }

    fn output_of(&self, _stream: Stream) -> Stream {
        Stream::Stdout
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

fn folded_object<'a>(folded: &Folded<'a>) -> Object<'a> {
    let address = |of: lastline_line::Address| Address {
        rank: of.stream.rank,
        stream: of.stream.stream,
        offset: of.start.0,
    };
    let entry = FoldedObject {
        ranks: folded.ranks.to_string(),
        except: folded.except.map(ToString::to_string),
        count: folded.count,
        lines: folded.lines,
        fields: folded.fields.iter().map(field).collect(),
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
        time: String::new(),
        line,
        line_base64,
        partial: false,
        continuation: false,
        entry: None,
    }
}

fn field(field: &Field) -> serde_json::Value {
    match field {
        Field::Same(value) => serde_json::json!({ "value": value }),
        Field::Numbers { min, max } => serde_json::json!({ "min": min, "max": max }),
        Field::Samples { values, others } => {
            serde_json::json!({ "samples": values, "others": others })
        }
    }
}

fn rfc3339(time: Timestamp) -> String {
    let micros = i64::try_from(time.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string()
}
