//! Lines of a rank as they travel to the page.

use std::io;

use lastline_line::{Launch, Offset, ReadBack as _, Stream, StreamId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::files::JobFiles;
use crate::rows::Row;
use crate::window;

/// The most rows of a page.
const MOST_ROWS: usize = 1000;

/// Which lines: of one stream, from or around a place.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    rank: u32,
    stream: Option<Stream>,
    /// Of this start of the rank, 16 hexadecimal digits; of its last without it.
    launch: Option<String>,
    /// Those that begin there.
    after: Option<u64>,
    /// Those that end there.
    before: Option<u64>,
    /// Those around it.
    at: Option<u64>,
    /// Those that came since then, in microseconds.
    time: Option<u64>,
    /// Those at the end.
    end: Option<bool>,
    most: Option<usize>,
}

/// A row of the page.
#[derive(Debug, Serialize)]
pub(crate) struct PageRow {
    from: u64,
    to: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continued: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<String>,
}

/// Rows that follow each other.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Page {
    items: Vec<PageRow>,
    /// The stream begins with the first.
    start: bool,
    /// It ends with the last, as far as it is filed.
    end: bool,
    /// How long it is, in bytes.
    size: u64,
    /// Which of the rank's streams says most.
    likely: Option<Stream>,
}

/// The lines that are wanted. Blocks for the disk.
pub(crate) fn page(files: &JobFiles, wanted: &Wanted) -> io::Result<Page> {
    let of_rank: Vec<StreamId> = files
        .archives()
        .streams()
        .into_iter()
        .filter(|stream| stream.rank == wanted.rank)
        .collect();
    let launch = wanted.launch.as_deref().and_then(|text| u64::from_str_radix(text, 16).ok());
    let is_wanted = |stream: &&StreamId| {
        // A rank that writes both as one has no other.
        let is_it = |wanted| stream.stream == wanted || stream.stream == Stream::Merged;
        wanted.stream.is_none_or(is_it)
            && launch.is_none_or(|launch| stream.launch == Launch(launch))
    };
    let likely = of_rank.iter().max_by_key(|stream| files.filed(**stream));
    let likely = likely.map(|stream| stream.stream);
    let wanted_ones = of_rank.iter().filter(is_wanted).copied();
    let Some(stream) = files.archives().begun_last(wanted_ones) else {
        return Ok(Page { start: true, end: true, likely, ..Page::default() });
    };
    let size = files.filed(stream);
    let rows = rows(files, stream, wanted)?;
    let start = rows.first().is_none_or(|row| row.span().from == Offset::ZERO);
    let end = rows.last().is_none_or(|row| row.span().to >= size);
    let items = rows.into_iter().map(|row| page_row(files, stream, row)).collect();
    Ok(Page { items, start, end, size: size.0, likely })
}

fn rows(files: &JobFiles, stream: StreamId, wanted: &Wanted) -> io::Result<Vec<Row>> {
    let most = wanted.most.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
    let time = wanted.time.map(|time| files.archives().arrived_since(stream, Timestamp(time)).0);
    if let Some(at) = wanted.at {
        let behind = window::forward(files, stream, Offset(at), most)?;
        let from = behind.first().map_or(Offset(at), |row| row.span().from);
        let mut rows = window::backward(files, stream, from, most / 3)?;
        rows.extend(behind);
        return Ok(rows);
    }
    if let Some(before) = wanted.before {
        return window::backward(files, stream, Offset(before), most);
    }
    if wanted.end == Some(true) {
        return window::backward(files, stream, files.filed(stream), most);
    }
    window::forward(files, stream, Offset(time.or(wanted.after).unwrap_or(0)), most)
}

fn page_row(files: &JobFiles, stream: StreamId, row: Row) -> PageRow {
    let span = row.span();
    let mut made = PageRow {
        from: span.from.0,
        to: span.to.0,
        time: files.archives().time_of(stream, span.from),
        text: None,
        continued: false,
        open: false,
        gone: None,
    };
    match row {
        Row::Line { text, continued, open, .. } => {
            made.text = Some(String::from_utf8_lossy(&text).into_owned());
            (made.continued, made.open) = (continued, open);
        }
        Row::Gone { cause, .. } => made.gone = Some(cause),
    }
    made
}
