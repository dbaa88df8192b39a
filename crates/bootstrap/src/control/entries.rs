//! Telling watchers what the console shows.
//!
//! Each has a queue at the client, bounded in bytes, which never waits: what finds no room there is
//! left out, and told in numbers where it would have stood.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use lastline_client::{EntryStream, SubscribeOptions, SubscribedEntry};
use lastline_watch::protocol::{EntryMessage, Hello, Shown};
use lastline_watch::{Entry, LeftOut, Places, keeps_order};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::slow::write_within;
use crate::driver::DriverHandle;
use crate::lock;

/// What is written at once, in bytes, where so much is there.
const WRITE_BYTES: usize = 64 << 10;
/// Telling all watchers together takes at most one part in so many of a core's time, as long as
/// there is more to tell than is written at once.
const TELL_SHARE: u32 = 20;

/// Lets whoever tells of a flood wait for their turn, so that a job has the same time for itself
/// however many look at it.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Option<Instant>>);

impl Turns {
    /// Something was told that took so long: when as much may be told again.
    fn after(&self, took: Duration) -> Instant {
        let mut free = lock(&self.0);
        let now = Instant::now();
        let turn = free.map_or(now, |free| free.max(now)) + took * TELL_SHARE;
        *free = Some(turn);
        turn
    }
}

/// Tells one watcher, until the job is over, or it goes.
pub(super) async fn tell(
    driver: &DriverHandle,
    turns: &Turns,
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let begun = driver.entries_from_here(SubscribeOptions::default()).await;
    let Some((stream, places)) = begun else { return Ok(()) };
    let hello = Hello::new(driver.job());
    let mut lines = EntryMessage::Hello(hello).to_line();
    let shown = places.iter().map(|(stream, offset)| Shown::new(*stream, *offset));
    lines.extend(EntryMessage::From(shown.collect()).to_line());
    write_within(&mut write, &lines).await?;
    let places = keeps_order(driver.fold()).then(|| Places::new(places.into_iter().collect()));
    let mut telling = Telling { stream, told_left_out: 0, places };
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            // It has nothing more to say, but may go.
            bytes = read.read(&mut ignored) => if bytes? == 0 { return Ok(()) },
            lines = telling.next() => match lines {
                Some((lines, took)) => {
                    write_within(&mut write, &lines).await?;
                    if lines.len() >= WRITE_BYTES {
                        tokio::time::sleep_until(turns.after(took).into()).await;
                    }
                }
                None => return write_within(&mut write, &EntryMessage::End {}.to_line()).await,
            },
        }
    }
}

struct Telling {
    stream: EntryStream,
    /// How many entries that were left out it was told of.
    told_left_out: u64,
    /// Where lines stand, where that can be told.
    places: Option<Places>,
}

impl Telling {
    /// The next lines, as many as are there, and how long it took to make them; none when no more
    /// will come. Cancel-safe: it waits for
    /// the first alone.
    async fn next(&mut self) -> Option<(Vec<u8>, Duration)> {
        let mut entry = self.stream.next().await?;
        let began = Instant::now();
        let (mut lines, mut left_out) = (Vec::new(), 0);
        loop {
            match entry {
                SubscribedEntry::LeftOut { stream, bytes, lines } => {
                    left_out += lines;
                    self.places.iter_mut().for_each(|places| places.skip(stream, bytes));
                }
                SubscribedEntry::Entry(entry) => {
                    self.say_left_out(std::mem::take(&mut left_out), &mut lines);
                    let mut entry = Entry::from(&entry.as_entry());
                    self.places.iter_mut().for_each(|places| places.place(&mut entry));
                    lines.extend(EntryMessage::Entry(Box::new(entry)).to_line());
                }
                _ => {}
            }
            if lines.len() >= WRITE_BYTES {
                break;
            }
            match self.ready().await {
                Some(next) => entry = next,
                None => break,
            }
        }
        self.say_left_out(left_out, &mut lines);
        Some((lines, began.elapsed()))
    }

    fn say_left_out(&mut self, lines: u64, into: &mut Vec<u8>) {
        if lines > 0 {
            let all = self.stream.left_out();
            let entries = all - std::mem::replace(&mut self.told_left_out, all);
            let left_out = LeftOut::new(entries, lines);
            into.extend(EntryMessage::LeftOut(left_out).to_line());
        }
    }

    /// What is there now.
    async fn ready(&mut self) -> Option<SubscribedEntry> {
        let mut next = pin!(self.stream.next());
        poll_fn(|context| match next.as_mut().poll(context) {
            Poll::Ready(entry) => Poll::Ready(entry),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }
}
