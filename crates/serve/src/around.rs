//! What ranks said around a moment: before it and after it, folded, and who said nothing.

use std::io;

use lastline_fold::{Ranks, RanksOptions};
use lastline_line::{Fold, Line, Offset, RankSet, StreamId, Timestamp};
use lastline_watch::Entry;
use serde::Serialize;

use crate::files::JobFiles;
use crate::rows::Row;
use crate::window;

/// The most lines that are read of all streams together, on each side.
const MOST_LINES: usize = 20_000;
/// The most lines of one stream, on each side.
const MOST_OF_STREAM: usize = 200;

/// What ranks said around a moment.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Around {
    /// How long before and after it, in seconds.
    pub(crate) seconds: f64,
    /// What was said before it.
    before: Vec<Entry>,
    /// What was said from it on.
    after: Vec<Entry>,
    /// Who said nothing before it.
    silent: String,
    /// How many bytes further from it are left out.
    left_out_bytes: u64,
}

/// A line of a rank, with its time.
struct Said {
    stream: StreamId,
    time: Timestamp,
    row: Row,
}

/// What all `ranks` said from so many seconds before `moment` to as many after. Of each stream the lines
/// that are nearest to it are taken. Blocks for the disk.
pub(crate) fn around(
    files: &JobFiles,
    ranks: &RankSet,
    moment: Timestamp,
    seconds: f64,
) -> io::Result<Around> {
    let micros = (seconds * 1e6) as u64;
    let (from, to) = (Timestamp(moment.0.saturating_sub(micros)), Timestamp(moment.0 + micros));
    let streams: Vec<StreamId> = files
        .archives()
        .streams()
        .into_iter()
        .filter(|stream| ranks.contains(stream.rank))
        .collect();
    let most = (MOST_LINES / streams.len().max(1)).clamp(1, MOST_OF_STREAM);
    let (mut before, mut after, mut left_out_bytes) = (Vec::new(), Vec::new(), 0);
    let mut silent = ranks.clone();
    for stream in streams {
        let [from, moment, to] =
            [from, moment, to].map(|at| files.archives().arrived_since(stream, at));
        if from < moment {
            silent.remove(stream.rank);
            let rows = window::backward(files, stream, moment, most)?;
            let rows: Vec<Row> = rows.into_iter().filter(|row| row.span().to > from).collect();
            left_out_bytes += rows.first().map_or(0, |row| row.span().from - from);
            before.extend(said(files, stream, rows));
        }
        if moment < to {
            let rows = window::forward(files, stream, moment, most)?;
            let within = |row: &Row| row.span().from >= moment && row.span().from < to;
            let rows: Vec<Row> = rows.into_iter().filter(within).collect();
            left_out_bytes += rows.last().map_or(0, |row| to - row.span().to);
            after.extend(said(files, stream, rows));
        }
    }
    let silent = silent.to_string();
    Ok(Around { seconds, before: folded(before), after: folded(after), silent, left_out_bytes })
}

fn said(files: &JobFiles, stream: StreamId, rows: Vec<Row>) -> impl Iterator<Item = Said> {
    let time = move |at: Offset| files.archives().time_of(stream, at).unwrap_or_default();
    rows.into_iter().map(move |row| Said { stream, time: time(row.span().from), row })
}

/// The same, in the order of time, with what several ranks say as one entry.
fn folded(mut said: Vec<Said>) -> Vec<Entry> {
    said.sort_by_key(|said| said.time);
    let mut entries = Vec::new();
    let mut fold = Ranks::of_speakers(RanksOptions::default());
    let mut emit = |entry: lastline_line::Entry<'_>| entries.push(Entry::from(&entry));
    for Said { stream, time, row } in &said {
        let Row::Line { span, text, continued, open } = row else { continue };
        let line = Line {
            stream: *stream,
            start: span.from,
            bytes: span.len(),
            time: *time,
            text,
            continuation: *continued,
            partial: *open,
            redrawn: false,
        };
        // Nothing is due before the end: whoever said the same in that time stands together.
        fold.push(&line, Timestamp::default(), &mut emit);
    }
    fold.finish(&mut emit);
    entries
}
