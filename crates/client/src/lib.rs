//! The driver's side of a job: receives what ranks print, checks it, folds it, prints it, and
//! answers "has everything printed before now arrived?".
//!
//! A [`Client`] is one thread between an [`Inbox`](lastline_line::Inbox), a
//! [`Fold`](lastline_line::Fold) and a [`Printer`]. [`TextPrinter`] and [`JsonPrinter`] print on
//! any two writers, [`TerminalPrinter`] on a terminal that ranks share; [`Inherited`] is this process's
//! own console.
//!
//! ```
//! use std::time::Duration;
//! use lastline_client::{Client, Labels, Options, Template, TextOptions, TextPrinter};
//! use lastline_line::{Chunk, Launch, Message, Off, Offset, Stream, StreamId, Timestamp, Version};
//! use lastline_sender::{Transport, channel};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let (mut transport, inbox) = channel(1 << 20);
//! let mut text = TextOptions::default();
//! text.prefix = Template::rank();
//! let printer = TextPrinter::new(
//!     Box::new(std::io::stdout()), Box::new(std::io::stderr()), Labels::default(), text);
//! let client = Client::start(inbox, Box::new(Off), Box::new(printer), Options::default())?;
//!
//! let stream = StreamId::new(Launch(1), 3, Stream::Stdout);
//! let verdicts = client.barrier(Version(1), vec![stream], Duration::from_secs(5));
//! let chunk = Chunk::new(stream, Offset::ZERO, Timestamp(0), "hello\n".into());
//! let flush = Message::Flush { stream, version: Version(1), mark: chunk.end() };
//! transport.try_send(Message::Data(chunk)).expect("there is room");
//! transport.try_send(flush).expect("there is room");
//! assert!(verdicts.await.all_reached(), "`[3] hello` is on the console now");
//! # Ok::<_, std::io::Error>(()) })?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Theory of operation
//!
//! Each stream has an [`Account`]: the offset that it has come to, and what became of the bytes
//! below. A piece that was here before is trimmed, a hole is declared lost; both are counted.
//! Whole lines of several ranks are printed as blocks without looking at each; a line that is
//! open, redrawn, folded or monstrous takes the slower way. Bytes count as shown when the printer
//! has been flushed, which happens when the inbox is empty, at 64 KiB, and at every barrier.
//!
//! The newest state of a progress bar, and a line that stands open, are what a stream shows at the
//! moment. A printer that can ([`OpenLines`]) draws them all, ten times a second at most. For others
//! a state is printed as a line when a bar of the job has reached another tenth or none was printed
//! for ten seconds, and its end always; its bytes count then, and are not counted again when it is
//! drawn over. A line that has stood for two seconds is announced once, which counts for nothing.
//!
//! A rank that writes nothing while others do is named once ([`Options::silent_after`]).
//!
//! A barrier's mark comes behind the data it speaks of, so when the client meets it, all before it
//! has been printed; it flushes and answers. A stream that ends answers every barrier that waits
//! for it; a deadline answers for the rest.
//!
//! A barrier may also be opened before its streams are known ([`Client::open_barrier`]): each host
//! lists its own, and a mark that comes before its stream is listed counts.
//!
//! A stream whose host is lost is interrupted by its driver ([`Client::interrupt`]): behind everything
//! that came, what did not counts as lost.
//!
//! When a fold or a printer panics the client goes on receiving, so that nobody upstream waits;
//! what was not shown counts as lost, barriers are answered, and [`Client::failure`] says why.
//!
//! Lines and entries can be had beside the console, too: [`Client::subscribe`] and
//! [`Client::entries`]. A slow subscriber is given the sum of what it missed; nobody waits for it.
//!
//! # Laws
//!
//! Those of [`Printer`], and: for every stream, received = shown + withheld + lost + held; a
//! barrier says `Reached` or `Ended` only of what has been flushed; each caller gets its own
//! verdicts; an answer that nobody waits for changes nothing.
//!
//! # Your own printer
//!
//! 1. Implement [`Printer::print`] for the two kinds of [`Entry`](lastline_line::Entry).
//! 2. Implement [`Printer::flush`]; until it returns, nothing counts as shown.
//! 3. Where blocks can be printed faster than line by line, implement [`Printer::print_block`].
//! 4. Where something can be drawn again and again, say so by [`Printer::open_lines`] and implement
//!    [`Printer::draw`].
//!
//! # What it does not do
//!
//! It starts no process and writes no file. It does not ask tees for marks: whoever owns them
//! does, after opening the barrier.

mod account;
mod area;
mod bar;
mod barrier;
mod canvas;
mod client;
mod console;
mod entry;
mod join;
mod json;
mod lines;
mod long_line;
mod options;
mod output;
mod piece;
mod prefix;
mod presenter;
mod printer;
mod progress;
mod queue;
mod silence;
mod starts;
mod state;
mod subscribe;
mod tap;
mod terminal;
mod text;
mod turns;
mod verdict;
mod worker;

pub use account::Account;
pub use area::Area;
pub use bar::last_part;
pub use client::Client;
pub use entry::{OwnedEntry, OwnedFolded, OwnedLine};
pub use join::JoinError;
pub use json::JsonPrinter;
pub use options::Options;
pub use output::{BoxWrite, Inherited, Output};
pub use prefix::{Label, Template, TemplateError};
pub use printer::{Block, Missing, OpenLines, PrintError, Printer, Silent};
pub use starts::Starts;
pub use subscribe::{
    EntryStream, LineStream, SubscribeOptions, Subscribed, SubscribedEntry, SubscribedLine,
};
pub use terminal::{SizeOf, TerminalPrinter};
pub use text::{Labels, TextOptions, TextPrinter};
pub use verdict::{Unreachable, Verdict, Verdicts};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
