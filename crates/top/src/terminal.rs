//! The terminal's modes: taken when a view begins, and given back however it ends.

use std::io::{self, Stdout, stdout};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

type Drawn = Terminal<CrosstermBackend<Stdout>>;

/// Whether a view has the terminal. Held while one draws, and while others have it for a while.
static IS_TAKEN: Mutex<bool> = Mutex::new(false);

/// The terminal shows a view as long as this lives.
pub(crate) struct Taken {
    terminal: Drawn,
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
        let mut is_taken = is_taken();
        enter()?;
        let terminal = blank().inspect_err(|_| give_back())?;
        *is_taken = true;
        Ok(Self { terminal })
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _held = is_taken();
        self.terminal.draw(draw).map(drop)
    }

    /// All of it is to be drawn again, at the size that the terminal has now.
    pub(crate) fn draw_anew(&mut self) -> io::Result<()> {
        let _held = is_taken();
        self.terminal = blank()?;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut is_taken = is_taken();
        give_back();
        *is_taken = false;
    }
}

/// Runs `stop`, in which this process stands still, and gives others the terminal meanwhile if a view
/// has it. The view draws itself anew when it hears SIGCONT.
pub fn given_back_during(stop: impl FnOnce()) {
    let is_taken = is_taken();
    if *is_taken {
        give_back();
    }
    stop();
    if *is_taken {
        // Where it is not had again, drawing fails.
        drop(enter());
    }
}

fn is_taken() -> MutexGuard<'static, bool> {
    IS_TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A terminal that shows nothing. Its size is ours to follow: otherwise each change of it would have
/// the terminal asked where its cursor is, whose answer comes among the keys, or never.
fn blank() -> io::Result<Drawn> {
    execute!(stdout(), Clear(ClearType::All))?;
    let (width, height) = size()?;
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    Terminal::with_options(CrosstermBackend::new(stdout()), TerminalOptions { viewport })
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
