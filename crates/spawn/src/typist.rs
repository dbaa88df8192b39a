//! What this process is typed, typed on into a rank's terminal.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::terminal::{edit_itself, hides_typed};

/// How often it is looked whether what is typed is to be hidden: before somebody who sees a prompt
/// begins to type.
const LOOK_EVERY: Duration = Duration::from_millis(50);
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
    on_echo: Option<OnEcho>,
    /// What is typed is hidden, and that was told.
    hidden: bool,
}

/// Is told whether what is typed is to be shown, whenever that changes; on the thread that reads it, or
/// on that which [stops](Typist::stop) it.
#[derive(Clone)]
pub struct OnEcho(Arc<dyn Fn(bool) + Send + Sync>);

impl OnEcho {
    /// Calls `tell`, which must not block.
    pub fn new(tell: impl Fn(bool) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }
}

impl fmt::Debug for OnEcho {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnEcho").finish_non_exhaustive()
    }
}

impl Typist {
    /// One that follows what the rank's terminal shows of what is typed, where that is
    /// [shown elsewhere](crate::Echo::Elsewhere).
    pub fn new(on_echo: Option<OnEcho>) -> Self {
        Self(Arc::new(Mutex::new(Typing { on_echo, ..Typing::default() })))
    }

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
        self.follow();
    }

    /// Tells whether what is typed is to be shown, if that is news; false when nobody wants to know.
    fn follow(&self) -> bool {
        let mut typing = self.typing();
        let Some(OnEcho(tell)) = typing.on_echo.clone() else { return false };
        let hidden = typing.master.as_deref().is_some_and(hides_typed);
        if std::mem::replace(&mut typing.hidden, hidden) != hidden {
            tell(!hidden);
        }
        true
    }

    /// Waits until there is something to read, if it has to follow meanwhile.
    fn follow_until_typed(&self, from: BorrowedFd<'_>) {
        let look = Timespec::try_from(LOOK_EVERY).ok();
        let mut fds = [PollFd::from_borrowed_fd(from, PollFlags::IN)];
        while self.follow() && matches!(rustix::event::poll(&mut fds, look.as_ref()), Ok(0)) {}
    }

    fn read_on(&self, from: BorrowedFd<'_>) {
        let mut buffer = [0; 4096];
        loop {
            self.follow_until_typed(from);
            match rustix::io::read(from, &mut buffer) {
                Ok(0) => return self.put_end(),
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

    fn put_end(&self) {
        if let Some(Err(error)) = self.typing().master.as_deref().map(edit_itself) {
            tracing::debug!(%error, "the end of stdin is not the end of the rank's");
        }
        self.put(&[END_OF_INPUT]);
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
        let (master, slave) =
            crate::terminal::open(Default::default(), Default::default()).unwrap();
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
    fn who_shows_what_is_typed_is_told_while_it_is_to_be_hidden() {
        let (master, slave) =
            crate::terminal::open(Default::default(), crate::Echo::Elsewhere).unwrap();
        let told = Arc::<Mutex<Vec<bool>>>::default();
        let tell = Arc::clone(&told);
        let typist = Typist::new(Some(OnEcho::new(move |shown| tell.lock().unwrap().push(shown))));
        typist.typing().master = Some(Arc::new(master));
        let echo = |on| {
            let mut modes = rustix::termios::tcgetattr(&slave).unwrap();
            modes.local_modes.set(rustix::termios::LocalModes::ECHO, on);
            let at_once = rustix::termios::OptionalActions::Now;
            rustix::termios::tcsetattr(&slave, at_once, &modes).unwrap();
        };
        for on in [true, false, false, true, false] {
            echo(on);
            assert!(typist.follow());
        }
        typist.stop();
        assert_eq!(*told.lock().unwrap(), [false, true, false, true]);
    }

    #[test]
    fn without_a_terminal_nothing_waits() {
        let typist = Typist::default();
        typist.put(&[b'x'; 100_000]);
        let (master, slave) =
            crate::terminal::open(Default::default(), Default::default()).unwrap();
        typist.typing().master = Some(Arc::new(master));
        typist.stop();
        typist.put(b"x");
        let mut fds = [PollFd::new(&slave, PollFlags::IN)];
        // It was hung up: nobody has the master any more.
        assert_eq!(rustix::event::poll(&mut fds, Some(&Default::default())), Ok(1));
        assert!(fds[0].revents().contains(PollFlags::HUP));
    }
}
