//! The rim: threads that wait for keys, signals, the job and its files, and one loop that draws.

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crossterm::event::{Event, KeyCode, KeyModifiers, poll, read};
use lastline_watch::now;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, raise};

use crate::app::{App, Leaving};
use crate::feed::{Feed, Happening, OwnLogs};
use crate::own_log::{self, Want};
use crate::terminal::{Taken, given_back_during};

/// The least time between two frames: twenty a second are enough.
const FRAME: Duration = Duration::from_millis(50);
/// How much may have happened that is not taken in yet; then whoever tells waits.
const WAITING: usize = 256;
/// How long keys are waited for before the time is told instead, which also says whether anybody
/// listens still.
const TICK: Duration = Duration::from_millis(250);

/// Shows a job on the terminal that stdout is, until whoever looks has seen enough, or a signal ends
/// it; what is to become of the job.
///
/// SIGTSTP, which Ctrl-Z sends, pauses this process. Where the job runs inside it, that is left to whoever
/// runs the job, with [`given_back_during`].
///
/// # Errors
///
/// When the terminal cannot be used. It is as before by then.
pub fn run(mut app: App, mut feed: Box<dyn Feed>, logs: Box<dyn OwnLogs>) -> io::Result<Leaving> {
    let (tell, told) = mpsc::sync_channel(WAITING);
    let wants = read_own_logs(logs, tell.clone())?;
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGCONT])?;
    if !app.inside {
        signals.add_signal(SIGTSTP)?;
    }
    let handle = signals.handle();
    let stop = tell.clone();
    Builder::new().name("lastline-signals".into()).spawn(move || {
        for signal in signals.forever() {
            let happened = match signal {
                SIGTSTP => {
                    // Until somebody continues this process.
                    given_back_during(|| drop(emulate_default_handler(SIGTSTP)));
                    continue;
                }
                SIGCONT => Happening::Resized,
                _ => Happening::Stop,
            };
            if stop.send(happened).is_err() {
                return;
            }
        }
    })?;
    let mut taken = Taken::take()?;
    let keys = tell.clone();
    Builder::new().name("lastline-keys".into()).spawn(move || tell_keys(&keys))?;
    Builder::new().name("lastline-feed".into()).spawn(move || {
        feed.tell(&tell);
        // It has said why, if there is a reason.
        drop(tell.send(Happening::Over(None)));
    })?;
    let left = show(&mut app, &mut taken, &told, &wants);
    handle.close();
    left
}

fn show(
    app: &mut App,
    taken: &mut Taken,
    told: &Receiver<Happening>,
    wants: &Sender<Want>,
) -> io::Result<Leaving> {
    let mut drawn = Instant::now();
    app.handle_event(Happening::Now(now()));
    taken.draw(|frame| app.draw(frame))?;
    loop {
        let mut next = told.recv().map_err(RecvTimeoutError::from);
        // All that has happened, or as much as happens until the next frame.
        loop {
            match next {
                Ok(happening) => happens(app, taken, happening)?,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(Leaving::GoOn),
            }
            if let Some(leaving) = app.leaving() {
                return Ok(leaving);
            }
            // However much more there is, a frame is due.
            let left = FRAME.saturating_sub(drawn.elapsed());
            if left.is_zero() {
                break;
            }
            next = told.recv_timeout(left);
        }
        app.handle_event(Happening::Now(now()));
        taken.draw(|frame| app.draw(frame))?;
        drawn = Instant::now();
        // Drawing says how much has room.
        if let Some(want) = app.take_want() {
            drop(wants.send(want));
        }
    }
}

fn happens(app: &mut App, taken: &mut Taken, happening: Happening) -> io::Result<()> {
    match happening {
        Happening::Key(key)
            if key.code == KeyCode::Char('z') && key.modifiers.contains(KeyModifiers::CONTROL) =>
        {
            raise(SIGTSTP)
        }
        Happening::Key(key)
            if key.code == KeyCode::Char('l') && key.modifiers.contains(KeyModifiers::CONTROL) =>
        {
            taken.draw_anew()
        }
        Happening::Resized => taken.draw_anew(),
        happening => {
            app.handle_event(happening);
            Ok(())
        }
    }
}

/// Tells keys until nobody listens.
fn tell_keys(tell: &SyncSender<Happening>) {
    loop {
        let happening = match poll(TICK) {
            Ok(false) => Happening::Now(now()),
            Ok(true) => match read() {
                Ok(Event::Key(key)) => Happening::Key(key),
                Ok(Event::Mouse(mouse)) => Happening::Mouse(mouse),
                Ok(Event::Resize(..)) => Happening::Resized,
                Ok(_) => continue,
                Err(_) => Happening::Stop,
            },
            // The terminal is gone.
            Err(_) => Happening::Stop,
        };
        if tell.send(happening).is_err() {
            return;
        }
    }
}

/// Reads what is asked for, on a thread of its own: a disk may take its time.
fn read_own_logs(
    mut logs: Box<dyn OwnLogs>,
    tell: SyncSender<Happening>,
) -> io::Result<Sender<Want>> {
    let (wants, wanted) = mpsc::channel::<Want>();
    Builder::new().name("lastline-files".into()).spawn(move || {
        while let Ok(mut want) = wanted.recv() {
            // Only the last of several is of any use.
            while let Ok(newer) = wanted.try_recv() {
                want = newer;
            }
            let window = own_log::read(&mut *logs, &want);
            if tell.send(Happening::Read(window)).is_err() {
                return;
            }
        }
    })?;
    Ok(wants)
}
