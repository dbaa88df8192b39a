//! The files of a host: closing them, and what they say at the end.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use lastline_appender::{Appender, StreamWritten, Written};
use lastline_line::{HostEvent, Offset, Span, StreamId};
use lastline_watch::FiledTally;

use crate::blocking::Blocking;
use crate::running_time::GAP;

/// Why nothing is filed when nobody wants files.
const FILES_OFF: &str = "files are off (--no-files)";
/// Why bytes are not filed that no writer speaks of.
const NOT_FILED: &str = "not filed before the deadline of the teardown";
/// How often it is looked whether the disk answers.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a disk may take for one batch of writes, half a MiB, before that is said.
const SLOW: Duration = Duration::from_secs(5);

/// What the files have; none when there are no files.
pub(super) struct Filed(Option<Written>);

/// Empties and closes them.
pub(super) async fn close(
    files: Option<Arc<Appender>>,
    within: Duration,
    blocking: &Blocking,
) -> Filed {
    let Some(files) = files else {
        return Filed(None);
    };
    let closing = Arc::clone(&files);
    let closed = blocking.run(move || closing.close(within)).await;
    Filed(Some(closed.unwrap_or_else(|_| files.written())))
}

/// What they have now.
pub(super) fn filed(files: Option<&Appender>) -> Filed {
    Filed(files.map(Appender::written))
}

/// What they have of each stream.
pub(super) fn tally(files: &Appender) -> HashMap<StreamId, FiledTally> {
    let streams = files.written().streams.into_iter();
    let counted = streams.map(|(stream, written)| {
        (stream, FiledTally::new(written.filed_bytes, written.not_filed.bytes()))
    });
    counted.collect()
}

impl Filed {
    /// What there is to say of streams of which so many bytes were read: what no writer accounts for
    /// was not filed.
    pub(super) fn events(&self, read: impl Iterator<Item = (StreamId, u64)>) -> Vec<HostEvent> {
        let mut events: Vec<HostEvent> =
            read.map(|(stream, read_bytes)| self.of(stream, read_bytes)).collect();
        let unsynced = self.0.iter().flat_map(|written| {
            [("index", written.index_not_synced), ("directory", written.directory_not_synced)]
        });
        events.extend(unsynced.filter_map(|(what, reason)| {
            let cause = reason?.words().into_owned();
            Some(HostEvent::NotSynced { what: what.to_owned(), cause })
        }));
        events
    }

    fn of(&self, stream: StreamId, read_bytes: u64) -> HostEvent {
        let known = self.0.as_ref().and_then(|written| written.streams.get(&stream));
        let StreamWritten { filed_bytes, mut not_filed, not_synced, .. } =
            known.cloned().unwrap_or_default();
        let settled = Offset(filed_bytes + not_filed.bytes());
        let cause = if self.0.is_some() { NOT_FILED } else { FILES_OFF };
        not_filed.declare(Span::new(settled, Offset(read_bytes)), cause);
        HostEvent::Filed { stream, filed_bytes, not_filed, not_synced }
    }
}

/// Says, while a job runs, that its disk does not answer. Ends with the files.
pub(super) fn watch_disk(files: &Arc<Appender>) {
    let files = Arc::downgrade(files);
    tokio::spawn(async move {
        let (mut told, mut busy) = (false, Duration::ZERO);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(without_answer) = Weak::upgrade(&files).as_deref().map(Appender::busy_for)
            else {
                return;
            };
            // While this process stood still, no disk was asked for anything.
            busy = without_answer.min(busy + LOOK_EVERY + GAP);
            let hangs = busy >= SLOW;
            if hangs && !told {
                let seconds = busy.as_secs();
                tracing::warn!(
                    "the disk of the files has not answered for {seconds} s; the job goes on, and its \
                     ranks wait once --buffer is full of what is not filed"
                );
            } else if told && !hangs {
                tracing::warn!("the disk of the files answers again");
            }
            told = hangs;
        }
    });
}
