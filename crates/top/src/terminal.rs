//! The terminal's modes: taken when a view begins, and given back however it ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// The terminal shows a view as long as this lives.
pub(crate) struct Taken {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Taken {
    /// Takes it: another screen, keys as they are typed, the mouse.
    pub(crate) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                before(panic);
            }));
        });
        enter()?;
        let terminal =
            Terminal::new(CrosstermBackend::new(stdout())).inspect_err(|_| give_back())?;
        Ok(Self { terminal })
    }

    /// Lets others have it while `stop` runs.
    pub(crate) fn given_back_during(&mut self, stop: impl FnOnce()) -> io::Result<()> {
        give_back();
        stop();
        enter()?;
        self.terminal.clear()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableMouseCapture, crossterm::cursor::Hide)
        .inspect_err(|_| give_back())
}

/// As it was before. Where even that cannot be written there is nobody to be told.
fn give_back() {
    drop(execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, crossterm::cursor::Show));
    drop(disable_raw_mode());
}
