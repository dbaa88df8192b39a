//! This process's own terminal: how large ranks' terminals are beside what stands before their lines,
//! and raw mode while one rank has all that is typed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use lastline_bootstrap::TerminalSize;
use lastline_client::{Label, Template};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr,
    tcgetpgrp, tcsetattr,
};

/// A terminal that is narrower is of no use to most programs, in characters.
const MIN_COLUMNS: u16 = 20;
/// The highest process id that Linux gives, whose digits a prefix may have.
const MAX_PID: u32 = 4_194_304;

/// The size of a rank's terminal. Where its lines go to a terminal, `prefix` takes some of the width:
/// that of the last of so many ranks, which is the widest.
pub(crate) fn rank_size(prefix: &Template, ranks: u32, job: &str) -> TerminalSize {
    let last = ranks.saturating_sub(1);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let label = Label { rank: last, local_rank: last, host, pid: MAX_PID, job: job.to_owned() };
    let taken = if isatty(rustix::stdio::stdout()) { prefix.columns(&label) } else { 0 };
    beside(TerminalSize::of_driver(), taken)
}

fn beside(size: TerminalSize, taken: usize) -> TerminalSize {
    let taken = u16::try_from(taken).unwrap_or(u16::MAX);
    let least = MIN_COLUMNS.min(size.columns);
    TerminalSize { columns: size.columns.saturating_sub(taken).max(least), ..size }
}

/// What is made of a terminal's modes.
type Change = fn(Termios) -> Termios;

/// How the terminal was before it was changed, and how that was.
static BEFORE: Mutex<Option<(Termios, Change)>> = Mutex::new(None);
/// It is changed, and has to be restored.
static IS_CHANGED: AtomicBool = AtomicBool::new(false);
static AT_EXIT: Once = Once::new();

/// The terminal is raw as long as this lives. However the process ends, but for SIGKILL, it is
/// restored.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Makes the terminal that is stdin raw: every key is passed on as it is, and none is echoed or
    /// makes a signal. What is written is treated as ever. `None` where it is no terminal, or another
    /// program's turn.
    pub(crate) fn enter() -> Option<Self> {
        change(raw).then_some(Self(()))
    }
}

/// Whether the terminal that is stdin shows what is typed, as it did before. However the process ends,
/// but for SIGKILL, it does again. Nothing happens where it is no terminal, or another program's turn.
pub(crate) fn show_typed(shown: bool) {
    if shown {
        restore();
    } else if !change(hidden) {
        tracing::debug!("what is typed is not hidden");
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Runs `stop`, in which this process stands still and others have the terminal, with the terminal
/// as it was before.
pub(crate) fn restored_during(stop: impl FnOnce()) {
    let changed = restore();
    stop();
    if let Some(again) = changed
        && !change(again)
    {
        tracing::debug!("the terminal is not what it was made any more");
    }
}

fn before() -> MutexGuard<'static, Option<(Termios, Change)>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// To change the terminal of another's turn would stop this process (SIGTTOU).
fn is_our_turn() -> bool {
    let stdin = rustix::stdio::stdin();
    isatty(stdin) && tcgetpgrp(stdin).is_ok_and(|group| group == rustix::process::getpgrp())
}

fn change(how: Change) -> bool {
    AT_EXIT.call_once(|| {
        #[expect(unsafe_code, reason = "std has nothing that runs whatever calls `exit`")]
        // SAFETY: the function is one of C's kind, lives for ever, and does not unwind.
        let registered = unsafe { libc::atexit(restore_at_exit) };
        if registered != 0 {
            tracing::debug!("the terminal is restored only where this program ends by itself");
        }
    });
    let stdin = rustix::stdio::stdin();
    if !is_our_turn() {
        return false;
    }
    let Ok(modes) = tcgetattr(stdin) else { return false };
    if tcsetattr(stdin, OptionalActions::Now, &how(modes.clone())).is_err() {
        return false;
    }
    *before() = Some((modes, how));
    IS_CHANGED.store(true, Ordering::Release);
    true
}

/// The input half of `cfmakeraw`. The output half stays: ranks' terminals leave newlines alone, and
/// this one adds the returns.
fn raw(mut modes: Termios) -> Termios {
    modes.input_modes.remove(
        InputModes::IGNBRK
            | InputModes::BRKINT
            | InputModes::PARMRK
            | InputModes::ISTRIP
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ICRNL
            | InputModes::IXON,
    );
    modes.local_modes.remove(
        LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN,
    );
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

fn hidden(mut modes: Termios) -> Termios {
    modes.local_modes.remove(LocalModes::ECHO);
    modes
}

/// How it was changed, if it was.
fn restore() -> Option<Change> {
    if !IS_CHANGED.swap(false, Ordering::AcqRel) {
        return None;
    }
    let (modes, how) = before().take()?;
    if is_our_turn()
        && let Err(error) = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &modes)
    {
        tracing::warn!(%error, "the terminal is not restored: `stty sane` does it");
    }
    Some(how)
}

extern "C" fn restore_at_exit() {
    restore();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_takes_its_characters_of_a_width_and_leaves_some() {
        let size = TerminalSize { rows: 50, columns: 80 };
        assert_eq!(beside(size, 4), TerminalSize { rows: 50, columns: 76 });
        assert_eq!(beside(size, 0), size);
        assert_eq!(beside(size, 1000).columns, 20);
        let narrow = TerminalSize { rows: 50, columns: 10 };
        assert_eq!(beside(narrow, 4).columns, 10);
    }
}
