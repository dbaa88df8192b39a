//! Who writes the report.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lastline_jobs::{
    NotWritten, OpenDir, REPORT_FILE, Report, goes_into_file, report_text, write_report,
};
use tokio::sync::oneshot;

use super::run::Settings;
use crate::SpawnError;
use crate::blocking::Blocking;
use crate::clock::Clock;
use crate::shutdown::LAST_MOMENT;

/// Who writes the report: a thread for each place, so that a disk that hangs keeps the other place
/// from nothing.
pub(super) struct ReportWriters {
    dir: Option<(Arc<OpenDir>, Blocking)>,
    asked: Option<(PathBuf, Blocking)>,
}

impl ReportWriters {
    /// Starts the threads for the places that there are.
    pub(super) fn start(settings: &Settings) -> Result<Self, SpawnError> {
        let thread = || Blocking::start("lastline-report", 1);
        let dir = settings.dir.clone().map(|dir| thread().map(|thread| (dir, thread)));
        let asked = settings.asked.clone().map(|path| thread().map(|thread| (path, thread)));
        Ok(Self { dir: dir.transpose()?, asked: asked.transpose()? })
    }

    /// Writes it beside the files, and where it was asked for, too, when there is time for who reads it
    /// there; where it could not, and whether every place answered in time. One that does not is told and
    /// given up: its disk may hang for ever, and nobody may read from a FIFO.
    pub(super) fn write(
        &self,
        report: &Report,
        reader_within: Option<Duration>,
        clock: &Clock,
    ) -> impl Future<Output = (Vec<NotWritten>, bool)> + use<> + Send + 'static {
        let text: Arc<[u8]> = report_text(report).into();
        let beside = self.dir.as_ref().map(|(dir, thread)| {
            let (dir, text, path) = (Arc::clone(dir), Arc::clone(&text), dir.path());
            let written = thread.run(move || dir.replace(REPORT_FILE, &text));
            Writing { path: path.join(REPORT_FILE), for_reader: None, written }
        });
        let asked = self.asked.as_ref().zip(reader_within).map(|((path, thread), within)| {
            let [kind, place] = [path.clone(), path.clone()];
            let into_file = thread.run(move || goes_into_file(&kind));
            let written = thread.run(move || write_report(&text, &place));
            Writing { path: path.clone(), for_reader: Some((into_file, within)), written }
        });
        let (clock, places) = (clock.clone(), beside.into_iter().chain(asked).collect::<Vec<_>>());
        async move {
            let (mut not_written, mut in_time) = (Vec::new(), true);
            for Writing { path, for_reader, written } in places {
                let asked = for_reader.is_some();
                let (time, late) = patience(for_reader, &clock).await;
                let cause = match clock.within(time, written).await {
                    Some(Ok(Ok(()))) => continue,
                    Some(Ok(Err(error))) => error.to_string(),
                    Some(Err(_)) => String::from("what wrote it panicked"),
                    None => {
                        in_time = false;
                        String::from(late)
                    }
                };
                not_written.push(NotWritten::new(path, asked, cause));
            }
            (not_written, in_time)
        }
    }
}

/// Whether something goes into a file, and how long its reader is waited for where it does not.
type ForReader = (oneshot::Receiver<io::Result<bool>>, Duration);

/// A report that is being written.
struct Writing {
    path: PathBuf,
    /// Where somebody asked for it.
    for_reader: Option<ForReader>,
    written: oneshot::Receiver<io::Result<()>>,
}

/// How long it may take to write to a place, and what it means when it takes longer.
async fn patience(for_reader: Option<ForReader>, clock: &Clock) -> (Duration, &'static str) {
    if let Some((into_file, within)) = for_reader
        && let Some(Ok(Ok(false))) = clock.within(LAST_MOMENT, into_file).await
    {
        return (within.max(LAST_MOMENT), "nobody reads it");
    }
    (LAST_MOMENT, "its disk does not answer")
}
