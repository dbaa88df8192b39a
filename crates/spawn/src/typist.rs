//! What this process is typed, typed on into a rank's terminal.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

/// What a terminal takes as the end of its input, as most are set: Ctrl-D.
const END_OF_INPUT: u8 = 4;

/// Types what this process reads on its stdin into the terminal of one rank, which may change: a rank
/// that is started again has another one. Clones are handles to the same one.
///
/// A plain thread reads, from the first terminal on; what it reads while there is none is gone. It
/// ends with stdin, or with the process.
#[derive(Clone, Debug, Default)]
pub struct Typist(Arc<Mutex<Typing>>);

#[derive(Debug, Default)]
struct Typing {
    master: Option<Arc<OwnedFd>>,
    reads: bool,
}

impl Typist {
    /// Whether there is somebody who types: stdin is a terminal.
    pub fn is_wanted() -> bool {
        rustix::termios::isatty(rustix::stdio::stdin())
    }

    fn typing(&self) -> MutexGuard<'_, Typing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types into the terminal of this master from now on.
    ///
    /// # Errors
    ///
    /// When the system gives no descriptor or no thread.
    pub fn type_into(&self, master: &OwnedFd) -> io::Result<()> {
        let master = Arc::new(master.try_clone()?);
        let mut typing = self.typing();
        typing.master = Some(master);
        if !typing.reads {
            let typist = self.clone();
            let thread = std::thread::Builder::new().name("lastline-typist".into());
            thread.spawn(move || typist.read_on(rustix::stdio::stdin()))?;
            typing.reads = true;
        }
        Ok(())
    }

    /// Lets go of the terminal: a master that is held here keeps it from being hung up.
    pub fn stop(&self) {
        self.typing().master = None;
    }

    fn read_on(&self, from: BorrowedFd<'_>) {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(from, &mut buffer) {
                Ok(0) => return self.put(&[END_OF_INPUT]),
                Ok(bytes) => self.put(&buffer[..bytes]),
                Err(Errno::INTR) => {}
                // Somebody who shares it has made it non-blocking.
                Err(Errno::AGAIN) if wait(from, PollFlags::IN) => {}
                Err(error) => {
                    tracing::debug!(%error, "stdin cannot be read any more");
                    return;
                }
            }
        }
    }

    fn put(&self, mut text: &[u8]) {
        let master = self.typing().master.clone();
        let Some(master) = master else { return };
        while !text.is_empty() {
            match rustix::io::write(&*master, text) {
                Ok(written) => text = &text[written..],
                Err(Errno::INTR) => {}
                // The reader of the master does not block.
                Err(Errno::AGAIN) if wait(master.as_fd(), PollFlags::OUT) => {}
                // The rank has ended.
                Err(_) => return,
            }
        }
    }
}

/// Waits until a descriptor is ready; whether it is.
fn wait(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    matches!(rustix::event::poll(&mut fds, None), Ok(_) | Err(Errno::INTR))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn what_is_read_is_typed_to_its_end() {
        let (master, slave) = crate::terminal::open(Default::default(), false).unwrap();
        let typist = Typist::default();
        typist.typing().master = Some(Arc::new(master.try_clone().unwrap()));
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"first\nsecond\n").unwrap();
        drop(write);
        typist.read_on(read.as_fd());
        let lines: Vec<String> =
            BufReader::new(std::fs::File::from(slave)).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["first", "second"]);
    }

    #[test]
    fn without_a_terminal_nothing_waits() {
        let typist = Typist::default();
        typist.put(&[b'x'; 100_000]);
        let (master, slave) = crate::terminal::open(Default::default(), false).unwrap();
        typist.typing().master = Some(Arc::new(master));
        typist.stop();
        typist.put(b"x");
        let mut fds = [PollFd::new(&slave, PollFlags::IN)];
        // It was hung up: nobody has the master any more.
        assert_eq!(rustix::event::poll(&mut fds, Some(&Default::default())), Ok(1));
        assert!(fds[0].revents().contains(PollFlags::HUP));
    }
}
