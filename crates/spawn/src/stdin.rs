//! What ranks read.
//!
//! A rank leads a group of its own, so one that read an inherited terminal itself would be stopped
//! by SIGTTIN. What lastline is given is read here, by a plain thread, and written to pipes; only
//! a file or pipe that rank 0 alone reads is handed to it as it is.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// Who reads what this process is given on its stdin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StdinMode {
    /// Nobody.
    #[default]
    Null,
    /// Rank 0.
    Rank0,
    /// Every rank gets all of it.
    All,
}

/// The stdin of each rank, by rank; ranks beyond the end, or with `None`, read nothing.
///
/// # Errors
///
/// When the system gives no pipe or no thread.
pub fn open_stdin(mode: StdinMode, procs: u32) -> io::Result<Vec<Option<OwnedFd>>> {
    let own = rustix::stdio::stdin();
    let readers = match mode {
        StdinMode::Null => return Ok(Vec::new()),
        StdinMode::Rank0 if !rustix::termios::isatty(own) => {
            return Ok(vec![Some(own.try_clone_to_owned()?)]);
        }
        StdinMode::Rank0 => 1,
        StdinMode::All => procs,
    };
    let (mut ends, mut writers) = (Vec::new(), Vec::new());
    for _ in 0..readers {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        ends.push(Some(read));
        writers.push(std::fs::File::from(write));
    }
    std::thread::Builder::new().name("lastline-stdin".into()).spawn(move || pump(writers))?;
    Ok(ends)
}

/// Copies stdin to every writer until its end. A rank that closes its stdin, or ends, is left out
/// from then on; the slowest of the others sets the pace.
fn pump(mut writers: Vec<std::fs::File>) {
    let mut buffer = vec![0; 64 << 10];
    let own = rustix::stdio::stdin();
    while !writers.is_empty() {
        let read = match rustix::io::read(own.as_fd(), &mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => {
                tracing::warn!("stdin cannot be read, and ranks get nothing more of it: {error}");
                return;
            }
        };
        writers.retain_mut(|writer| writer.write_all(&buffer[..read]).is_ok());
    }
}
