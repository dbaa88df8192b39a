//! Lastline in a terminal with somebody at the keys.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use lastline_line::Exit;
use lastline_spawn::{
    Echo, Output, Process, ProcessOptions, ProcessSpawner, RankSpec, Spawner as _, TerminalSize,
};
use rustix::termios::LocalModes;

use crate::support::{PATIENCE, Place, wait_until};

/// Lastline in a terminal of its own, its stdin, stdout and stderr.
pub(crate) struct Typed {
    pub(crate) process: Arc<dyn Process>,
    /// Keeps the terminal from being hung up.
    pub(crate) slave: OwnedFd,
    keys: File,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Who starts it has to live as long.
    _spawner: ProcessSpawner,
}

impl Typed {
    pub(crate) fn start(place: &Place, size: TerminalSize, args: &[&str]) -> Self {
        let mut options = ProcessOptions::default();
        options.guardian = false;
        let mut spawner = ProcessSpawner::new(options).unwrap();
        let words = [env!("CARGO_BIN_EXE_lastline")].iter().chain(args).map(OsString::from);
        let mut spec = RankSpec::new(0, words.collect());
        spec.workdir = Some(place.path(""));
        let own = ["state", "run"].map(|name| Some(place.path(name).into_os_string()));
        let [state, run] = own;
        spec.env = vec![("XDG_STATE_HOME".into(), state), ("XDG_RUNTIME_DIR".into(), run)];
        spec.env.push(("TERM".into(), Some("dumb".into())));
        (spec.terminal, spec.stdin_is_terminal, spec.echo) = (Some(size), true, Echo::On);
        let spawned = spawner.spawn(spec).unwrap();
        let Output::Terminal { master, slave } = spawned.output else {
            panic!("a terminal was asked for")
        };
        let (keys, mut screen) = (File::from(master.try_clone().unwrap()), File::from(master));
        let seen = Arc::<Mutex<Vec<u8>>>::default();
        let shown = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = screen.read(&mut buffer) {
                shown.lock().unwrap().extend_from_slice(&buffer[..bytes]);
            }
        });
        Self { process: spawned.process, slave, keys, seen, _spawner: spawner }
    }

    pub(crate) fn seen(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen).replace('\r', "")
    }

    #[track_caller]
    pub(crate) fn expect(&self, text: &str) {
        wait_until(&format!("{text:?} is shown"), || self.seen().contains(text));
    }

    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether it echoes, reads by lines, and makes signals of keys.
    pub(crate) fn modes(&self) -> [bool; 3] {
        let modes = rustix::termios::tcgetattr(&self.slave).unwrap().local_modes;
        [LocalModes::ECHO, LocalModes::ICANON, LocalModes::ISIG].map(|mode| modes.contains(mode))
    }

    /// Whether a signal has made it stand still.
    pub(crate) fn is_stopped(&self) -> bool {
        self.process.stopped_by().is_some()
    }

    #[track_caller]
    pub(crate) fn wait(&self) -> Exit {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = async { tokio::time::timeout(PATIENCE, self.process.wait()).await };
        runtime.block_on(ended).unwrap_or_else(|_| panic!("{}", self.seen()))
    }

    /// What a terminal of this size shows by now, and whether that is the other screen.
    pub(crate) fn screen(&self, size: TerminalSize) -> (String, bool) {
        let mut parser = vt100::Parser::new(size.rows, size.columns, 0);
        parser.process(&self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        (parser.screen().contents(), parser.screen().alternate_screen())
    }
}
