//! A job in a terminal: who runs, who is silent, who failed first, and what they said.
//!
//! [`App`] is all of it but the terminal: it takes [`Happening`]s (keys, what is seen of the job, the
//! time) and draws itself into a frame. It knows no clock, no file and no socket, so that a test
//! draws it into a buffer. [`run()`] is the rim: the terminal's modes, keys, signals, and the threads
//! that wait for them.
//!
//! ```
//! use lastline_line::Timestamp;
//! use lastline_top::{App, Happening};
//! use lastline_watch::{Snapshot, protocol::Message};
//! use ratatui::{Terminal, backend::TestBackend};
//!
//! let mut app = App::new(false);
//! app.handle_event(Happening::Seen(Message::Snapshot(Box::new(Snapshot::default()))));
//! app.handle_event(Happening::Now(Timestamp(0)));
//! let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
//! terminal.draw(|frame| app.draw(frame)).unwrap();
//! ```
//!
//! # Laws
//!
//! 1. **Harmless.** Whatever ranks wrote, what is drawn holds no control character.
//! 2. **Bounded.** The log keeps [`LOG_BYTES`]; of a rank's own log it holds what is on the screen.
//! 3. **Usable from 40 columns and 12 rows on.** A smaller terminal is told so.

mod app;
mod clean;
mod draw;
mod feed;
mod filter;
mod grid;
mod keys;
mod log;
mod own_log;
mod rates;
mod run;
mod terminal;
mod words;

pub use app::{App, Leaving, Screen};
pub use feed::{Feed, Happening, OwnLogs, Part};
pub use filter::{Filter, FilterError};
pub use log::LOG_BYTES;
pub use own_log::{Line, Window};
pub use run::run;
pub use terminal::given_back_during;
