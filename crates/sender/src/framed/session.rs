//! One driver of a transport that has several, one after the other.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lastline_line::wire::{Frame, encode_message, encode_output, window_bytes};
use lastline_line::{ReadBack, Resume, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;

use super::connection::{Connection, Progress, WRITE_BYTES};
use super::link::Link;
use super::reconnecting::ReconnectingOptions;
use super::replay::Replay;
use super::transport::wake;
use super::window::Window;
use crate::forwarder::Fetched;
use crate::reading::Reading;
use crate::reads::fetch;

/// How long to wait before asking files again what they have.
const ASK_AGAIN: Duration = Duration::from_millis(5);
/// Why what was sent before is lost for who comes later.
const NO_FILES: &str = "it was sent to a driver that is gone, and is in no file";

/// Why a session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The transport was dropped, and all of it is with the driver.
    Delivered,
    /// The driver has gone.
    Gone,
    /// It is the driver of this other job.
    OtherJob(String),
}

/// Gives a driver what it is owed and what comes, until one of the sides has ended.
pub(super) async fn run<C: AsyncRead + AsyncWrite>(
    io: C,
    link: &Link,
    options: &ReconnectingOptions,
) -> io::Result<Ended> {
    let mut io = Connection::new(io);
    let mut session = Session { link, options, window: Window::default(), owed: None };
    loop {
        session.queue_owed();
        let done = session.fill(&mut io);
        if done && io.is_written() {
            io.close().await;
            return Ok(Ended::Delivered);
        }
        let progress = tokio::select! {
            progress = io.progress() => progress?,
            () = link.work.notified() => continue,
            () = Owed::progress(session.owed.as_mut()) => continue,
        };
        match progress {
            Progress::Read => {
                while let Some(frame) = io.frame()? {
                    match frame {
                        Frame::Job(job)
                            if options.job.as_ref().is_some_and(|ours| *ours != job) =>
                        {
                            return Ok(Ended::OtherJob(job));
                        }
                        frame => session.take(frame),
                    }
                }
            }
            Progress::Wrote => {}
            Progress::Ended => return Ok(Ended::Gone),
            Progress::Unwritable(error) => {
                // What the driver sent before it went still counts.
                io.linger(|frame| session.take(frame)).await;
                return Err(error);
            }
        }
    }
}

struct Session<'a> {
    link: &'a Link,
    options: &'a ReconnectingOptions,
    window: Window,
    /// What was sent before; unknown until the driver has said what it wants.
    owed: Option<Owed>,
}

impl Session<'_> {
    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Control(control) => self.link.push_control(control),
            Frame::Resume(resume) => self.resume(&resume),
            Frame::Credit { bytes } => {
                if self.owed.is_none() {
                    self.resume(&Resume::Start);
                }
                self.window.credit(bytes);
            }
            _ => tracing::trace!("a frame that a host has no use for"),
        }
    }

    fn resume(&mut self, resume: &Resume) {
        if self.owed.is_some() {
            return tracing::debug!("the driver says twice from where it wants output");
        }
        let files = self.options.read_back.clone();
        let filed = |stream| files.as_ref().map(|files| files.filed(stream)).unwrap_or_default();
        let replay = self.link.lock().places.resume(resume, filed);
        self.owed = Some(Owed { replay, files, reading: Reading::default(), fetching: None });
    }

    /// Queues what is owed as there is room; when that is all, what comes now may follow.
    fn queue_owed(&mut self) {
        let Some(owed) = &mut self.owed else {
            return;
        };
        let mut queues = self.link.lock();
        if queues.live {
            return;
        }
        while queues.has_room(0, self.options.window) {
            match owed.replay.pop() {
                Some(message) => queues.push_data(message),
                None if owed.replay.is_over() => {
                    queues.live = true;
                    let ready = queues.ready.take();
                    drop(queues);
                    return wake(ready);
                }
                None => return owed.fetch(),
            }
        }
    }

    /// Puts into the connection what may be sent, events before output; true when the transport was
    /// dropped and all of it is.
    fn fill<C: AsyncRead + AsyncWrite>(&mut self, io: &mut Connection<C>) -> bool {
        let mut queues = self.link.lock();
        while let Some(event) = queues.events.pop_front() {
            encode_message(&event, &mut io.out);
        }
        let (mut ready, mut output, mut output_bytes) = (None, Vec::new(), 0);
        while io.out.len() + output_bytes < WRITE_BYTES
            && let Some(message) = queues.data.pop_front()
        {
            let bytes = window_bytes(&message);
            if !self.window.has_room(bytes as u64) {
                queues.data.push_front(message);
                break;
            }
            self.window.in_flight += bytes as u64;
            output.push(message);
            output_bytes += bytes;
            queues.data_bytes -= bytes;
            if queues.live {
                ready = queues.ready.take().or(ready);
            }
        }
        let done = queues.dropped && queues.live && queues.data.is_empty();
        drop(queues);
        match self.options.fold {
            true => encode_output(&output, &mut io.out),
            false => output.iter().for_each(|message| encode_message(message, &mut io.out)),
        }
        wake(ready);
        done
    }
}

/// What a driver is owed, and who reads it.
struct Owed {
    replay: Replay,
    files: Option<Arc<dyn ReadBack>>,
    reading: Reading,
    fetching: Option<oneshot::Receiver<Option<Fetched>>>,
}

impl Owed {
    /// Begins to read what is wanted next.
    fn fetch(&mut self) {
        let Some((stream, span)) = self.replay.wanted().filter(|_| self.fetching.is_none()) else {
            return;
        };
        let (done, fetched) = oneshot::channel();
        self.fetching = Some(match self.files.clone() {
            Some(files) => match self.reading.run(move || fetch(&*files, stream, span)) {
                Ok(fetched) => fetched,
                Err(error) => {
                    tracing::debug!(%error, "no thread to read files back: tried again");
                    done.send(None).map(drop).unwrap_or_default();
                    fetched
                }
            },
            None => {
                let gone = Some(Err((span.to, String::from(NO_FILES))));
                done.send(gone).map(drop).unwrap_or_default();
                fetched
            }
        });
    }

    /// Ready when something was read; never, while nothing is being read. Cancel-safe.
    async fn progress(owed: Option<&mut Self>) {
        let Some(Self { fetching: fetching @ Some(_), replay, .. }) = owed else {
            return std::future::pending().await;
        };
        let fetched = match fetching {
            Some(fetching) => fetching.await,
            None => return,
        };
        *fetching = None;
        let to = replay.wanted().map(|(_, span)| span.to).unwrap_or_default();
        let panicked = |_| Some(Err((to, String::from("reading back failed: it panicked"))));
        let fetched = fetched.unwrap_or_else(panicked);
        let is_there = fetched.is_some();
        replay.read(fetched, now());
        if !is_there {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}
