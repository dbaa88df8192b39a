//! A line that is too long to be held, made whole from the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;

use lastline_line::{Offset, ReadBack, ReadOutcome, StreamId};

/// How long one look for an answer takes; time in which this process stands still counts as one.
const LOOK: Duration = Duration::from_millis(100);

type Answer = Result<Vec<u8>, String>;

/// Reads files on threads of their own: a disk that hangs keeps one of those, and everybody else no
/// longer than is said.
#[derive(Debug, Default)]
pub(crate) struct LongLines {
    /// What was not answered in time, and may be still.
    unanswered: Option<Receiver<Answer>>,
}

impl LongLines {
    /// The `filed` bytes of `stream` from `start` on, and `rest` after them; in words why not. Waits for
    /// the file `within` so much time; not at all while it has not answered before.
    pub(crate) fn whole(
        &mut self,
        files: Arc<dyn ReadBack>,
        stream: StreamId,
        (start, filed): (Offset, u64),
        rest: &[u8],
        within: Duration,
    ) -> Answer {
        let hangs = |late: &Receiver<Answer>| matches!(late.try_recv(), Err(TryRecvError::Empty));
        if self.unanswered.as_ref().is_some_and(hangs) {
            return Err(no_answer());
        }
        self.unanswered = None;
        let (told, answer) = channel();
        let own = Arc::clone(&files);
        let work = move || {
            let read = AssertUnwindSafe(|| read(&*own, stream, start, filed));
            let panicked = |_| Err(String::from("reading back failed: it panicked"));
            // Nobody may wait any more.
            told.send(catch_unwind(read).unwrap_or_else(panicked)).unwrap_or_default();
        };
        let thread = std::thread::Builder::new().name("lastline-longline".into());
        let mut text = match thread.spawn(work) {
            Ok(_) => self.wait(answer, within)?,
            // Where none is to be had, better late than not at all.
            Err(_) => read(&*files, stream, start, filed)?,
        };
        text.extend_from_slice(rest);
        Ok(text)
    }

    fn wait(&mut self, answer: Receiver<Answer>, within: Duration) -> Answer {
        let mut waited = Duration::ZERO;
        loop {
            let look = LOOK.min(within.saturating_sub(waited));
            match answer.recv_timeout(look) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if waited + look < within => waited += look,
                Err(_) => break,
            }
        }
        self.unanswered = Some(answer);
        Err(no_answer())
    }
}

fn no_answer() -> String {
    String::from("not shown: the file that has it does not answer")
}

fn read(files: &dyn ReadBack, stream: StreamId, start: Offset, filed: u64) -> Answer {
    let front = usize::try_from(filed).map_err(|_| String::from("line too long"))?;
    let mut text = vec![0; front];
    let mut read = 0;
    while read < front {
        match files.read_back(stream, start + read as u64, &mut text[read..]) {
            Ok(ReadOutcome::Read(bytes)) => read += bytes,
            Ok(ReadOutcome::Gone { cause, .. }) => return Err(cause),
            Ok(ReadOutcome::NotYet) => return Err("not in the file after all".into()),
            Err(error) => return Err(format!("reading back failed: {error}")),
        }
    }
    Ok(text)
}
