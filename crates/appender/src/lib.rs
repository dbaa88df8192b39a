//! Files the streams of a job, and reads them back.

mod appender;
mod archive;
mod dir;
mod error;
mod event;
mod files;
mod filing;
mod index;
mod layout;
mod names;
mod note;
mod options;
mod outage;
mod pool;
mod reader;
mod reason;
mod record;
mod rotate;
mod shared;
mod sink;
mod space;
mod storage;
mod stream;
mod writer;

pub use appender::{Appender, StreamWritten, Written};
pub use archive::{Archive, Extent, IndexState};
pub use dir::DirStorage;
pub use error::AppenderError;
pub use names::{FamilyId, INDEX_NAME};
pub use note::Note;
pub use options::{Fsync, OnNote, Options};
pub use reason::Reason;
pub use sink::FileSink;
pub use space::DEFAULT_MIN_FREE_BYTES;
pub use storage::{Append, Attributes, Space, Storage};
