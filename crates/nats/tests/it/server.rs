//! A real server for a test, on a free port of the loopback and with a directory of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use lastline_nats::NatsOptions;
use lastline_testing::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Whether tests with a server can be run; says so when they cannot.
#[expect(clippy::print_stdout, reason = "tests that were not run are counted by this")]
pub(crate) fn is_there() -> bool {
    static THERE: OnceLock<bool> = OnceLock::new();
    let there = *THERE.get_or_init(|| {
        let mut command = Command::new("nats-server");
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
        let status = command.status();
        status.is_ok_and(|status| status.success())
    });
    if !there {
        println!("not run: there is no nats-server");
    }
    there
}

/// A server that ends with the test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Option<Child>,
    port: u16,
    place: TempDir,
}

impl Server {
    /// Starts a server with JetStream.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// Starts a server whose configuration has `more`.
    pub(crate) fn with(more: &str) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        Self::with_place(place, more)
    }

    /// Starts a server whose configuration has `more`, in a directory that may hold files for it.
    pub(crate) fn with_place(place: TempDir, more: &str) -> Self {
        let mut server = Self { child: None, port: 0, place };
        server.configure(-1, more);
        server.run();
        // From now on the same one.
        server.configure(i32::from(server.port), more);
        server
    }

    fn configure(&self, port: i32, more: &str) {
        let store = self.place.path().join("store");
        let config = format!(
            "host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{}\" }}\n{more}\n",
            store.display()
        );
        std::fs::write(self.place.path().join("server.conf"), config).expect("a configuration");
    }

    /// Starts it, again if it was killed.
    pub(crate) fn run(&mut self) {
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(self.place.path().join("server.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
        let mut child = command.spawn().expect("nats-server starts");
        let mut words = BufReader::new(child.stderr.take().expect("it was asked for"));
        let mut said = String::new();
        loop {
            let mut line = String::new();
            let read = words.read_line(&mut line).expect("the server's words");
            assert!(read > 0, "the server ends: {said}");
            said.push_str(&line);
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                let (_, port) = address.trim().rsplit_once(':').expect("an address");
                self.port = port.parse().expect("a port");
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        // It must never wait for somebody to read what it says.
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            drop(words.read_to_end(&mut rest));
        });
        self.child = Some(child);
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it is dead");
        }
    }

    /// It stands still until [`go_on`](Self::go_on): its connections stay, and it answers nothing.
    pub(crate) fn stand_still(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it is a child of this process");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn options(&self, job: &str) -> NatsOptions {
        let mut options = NatsOptions::new(format!("nats://127.0.0.1:{}", self.port), job);
        options.linger = PATIENCE;
        options
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
