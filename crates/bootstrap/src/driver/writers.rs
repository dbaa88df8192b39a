//! Who writes the report.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use lastline_jobs::{NotWritten, OpenDir, REPORT_FILE, Report, report_text, write_report};

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

    /// Writes it beside the files, and with `everywhere` where it was asked for, too; where it could
    /// not, and whether every place answered in time. One that does not is told and given up: its disk
    /// may hang for ever.
    pub(super) fn write(
        &self,
        report: &Report,
        everywhere: bool,
        clock: &Clock,
    ) -> impl Future<Output = (Vec<NotWritten>, bool)> + use<> + Send + 'static {
        let text: Arc<[u8]> = report_text(report).into();
        let beside = self.dir.as_ref().map(|(dir, thread)| {
            let (dir, text, path) = (Arc::clone(dir), Arc::clone(&text), dir.path());
            let written = thread.run(move || dir.replace(REPORT_FILE, &text));
            (path.join(REPORT_FILE), false, written)
        });
        let asked = self.asked.as_ref().filter(|_| everywhere).map(|(path, thread)| {
            let place = path.clone();
            (path.clone(), true, thread.run(move || write_report(&text, &place)))
        });
        let (clock, places) = (clock.clone(), beside.into_iter().chain(asked).collect::<Vec<_>>());
        async move {
            let (mut not_written, mut in_time) = (Vec::new(), true);
            for (path, asked, written) in places {
                let cause = match clock.within(LAST_MOMENT, written).await {
                    Some(Ok(Ok(()))) => continue,
                    Some(Ok(Err(error))) => error.to_string(),
                    Some(Err(_)) => String::from("what wrote it panicked"),
                    None => {
                        in_time = false;
                        String::from("its disk does not answer")
                    }
                };
                not_written.push(NotWritten::new(path, asked, cause));
            }
            (not_written, in_time)
        }
    }
}
