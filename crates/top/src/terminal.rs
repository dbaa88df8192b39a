//! The terminal's modes: taken when a view begins, and given back however it ends.

use std::io::{self, Stdout, stdout};
use std::sync::Once;

use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode, size,
};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

type Drawn = Terminal<CrosstermBackend<Stdout>>;

/// The terminal shows a view as long as this lives.
pub(crate) struct Taken {
    pub(crate) terminal: Drawn,
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
        self.draw_anew()
    }

    /// All of it is to be drawn again, at the size that the terminal has now.
    pub(crate) fn draw_anew(&mut self) -> io::Result<()> {
        self.terminal = blank()?;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
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
