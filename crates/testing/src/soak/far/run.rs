//! Carries out a scenario with several processes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::broker::Broker;
use super::scenario::{Event, Scenario, Way};
use crate::soak::diary::{self, Said};
use crate::soak::place::Place;
use crate::soak::run::{Programs, clear_options};

/// Longer than any run may take.
const DEADLINE: Duration = Duration::from_secs(90);
/// After how long a silent host is lost: longer than any stands still, or the broker is away.
pub(super) const LOST_AFTER: &str = "6s";
/// How often the runner looks.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// How long a driver that met any host may take to its end behind all of them: it may give up the others
/// ([`LOST_AFTER`]), and tears down.
const UNMET_AFTER: Duration = Duration::from_secs(15);

/// What was seen of a run.
#[derive(Debug)]
pub(super) struct Seen {
    /// How the last driver ended; `None` when it did not in time.
    pub(super) status: Option<ExitStatus>,
    /// How each host ended; `None` when it did not in time.
    pub(super) hosts: Vec<Option<ExitStatus>>,
    /// Whether each host was killed while it ran.
    pub(super) killed: Vec<bool>,
    /// The consoles of all drivers, in the order in which they were started.
    pub(super) consoles: Vec<PathBuf>,
    pub(super) said: Vec<Option<[Said; 2]>>,
    /// All hosts had told an earlier driver all and were gone, so that the last one met nobody at the
    /// socket: it waits, as one does that comes before the hosts, and was ended.
    pub(super) unmet: bool,
    pub(super) left_over: Vec<String>,
    pub(super) logs: PathBuf,
}

/// The processes of a run.
struct Stage<'a> {
    scenario: &'a Scenario,
    programs: &'a Programs,
    dir: PathBuf,
    logs: PathBuf,
    url: String,
    broker: Option<Broker>,
    hosts: Vec<Child>,
    killed: Vec<bool>,
    drivers: Vec<Child>,
    unmet: bool,
}

/// Runs it from its start to the end of all of its processes.
pub(super) fn run(scenario: &Scenario, programs: &Programs, place: &mut Place) -> io::Result<Seen> {
    let (started, dir) = (Instant::now(), place.path().to_owned());
    let broker = scenario.needs_broker().then(Broker::start).transpose()?;
    let socket = || format!("unix:{}", dir.join("meet").display());
    let url = broker.as_ref().map_or_else(socket, Broker::url);
    let killed = vec![false; scenario.hosts.len()];
    let (hosts, drivers, logs) = (Vec::new(), Vec::new(), place.logs());
    let mut stage =
        Stage { scenario, programs, dir, logs, url, broker, hosts, killed, drivers, unmet: false };
    let played = stage.play(started);
    let hosts = stage.hosts.iter_mut().map(Child::try_wait).collect::<io::Result<_>>();
    let status = stage.drivers.last_mut().map(Child::try_wait).transpose();
    stage.end();
    played?;
    let said = (0..scenario.ranks()).map(|rank| diary::read(&stage.dir, rank)).collect();
    let consoles = (0..stage.drivers.len()).map(|at| console(&stage.dir, at)).collect();
    let left_over = left_over(place);
    place.release();
    let Stage { killed, logs, unmet, .. } = stage;
    let (status, hosts) = (status?.flatten(), hosts?);
    Ok(Seen { status, hosts, killed, consoles, said, unmet, left_over, logs })
}

fn console(dir: &Path, driver: usize) -> PathBuf {
    dir.join(format!("console-{driver}"))
}

impl Stage<'_> {
    fn play(&mut self, started: Instant) -> io::Result<()> {
        if self.scenario.driver_first {
            self.attach("start")?;
        }
        for host in 0..self.scenario.hosts.len() {
            let child = self.host(host)?;
            self.hosts.push(child);
        }
        if !self.scenario.driver_first {
            self.attach("start")?;
        }
        let mut events = self.scenario.events.iter().peekable();
        let (mut all_run_since, mut hosts_over_since) = (None, None);
        while started.elapsed() < DEADLINE {
            if all_run_since.is_none() && self.all_run() {
                all_run_since = Some(Instant::now());
            }
            let ran = all_run_since.map_or(0, |since| since.elapsed().as_millis());
            while all_run_since.is_some()
                && let Some((_, event)) = events.next_if(|(at, _)| u128::from(*at) <= ran)
            {
                self.happen(*event)?;
            }
            if events.peek().is_none() && self.is_over()? {
                return Ok(());
            }
            if hosts_over_since.is_none() && self.hosts_are_over()? {
                hosts_over_since = Some(Instant::now());
            }
            let over = hosts_over_since.is_some_and(|since| since.elapsed() >= UNMET_AFTER);
            if over && events.peek().is_none() && self.may_be_unmet() {
                self.unmet = true;
                return Ok(());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    fn hosts_are_over(&mut self) -> io::Result<bool> {
        let ended = self.hosts.iter_mut().map(|host| Ok(host.try_wait()?.is_some()));
        Ok(ended.collect::<io::Result<Vec<bool>>>()?.into_iter().all(|ended| ended))
    }

    /// Whether nobody may have been there for the last driver, so that it has nothing to show.
    fn may_be_unmet(&self) -> bool {
        let last = console(&self.dir, self.drivers.len() - 1);
        let empty = std::fs::metadata(last).is_ok_and(|file| file.len() == 0);
        empty && self.scenario.way == Way::Socket && self.drivers.len() > 1
    }

    fn all_run(&self) -> bool {
        (0..self.scenario.ranks()).all(|rank| diary::read(&self.dir, rank).is_some())
    }

    fn is_over(&mut self) -> io::Result<bool> {
        for child in self.hosts.iter_mut().chain(self.drivers.last_mut()) {
            if child.try_wait()?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn happen(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::BrokerDies => self.broker.as_mut().map_or(Ok(()), Broker::die),
            Event::BrokerComes => self.broker.as_mut().map_or(Ok(()), Broker::come),
            Event::HostStops(host) => self.signal(host, Signal::STOP),
            Event::HostGoesOn(host) => self.signal(host, Signal::CONT),
            Event::HostDies(host) => {
                self.killed[host] = self.hosts[host].try_wait()?.is_none();
                self.signal(host, Signal::KILL)
            }
            Event::DriverDies => {
                let Some(driver) = self.drivers.last_mut() else { return Ok(()) };
                if driver.try_wait()?.is_some() {
                    return Ok(());
                }
                driver.kill()?;
                driver.wait()?;
                self.attach(self.scenario.from)
            }
        }
    }

    fn signal(&mut self, host: usize, signal: Signal) -> io::Result<()> {
        let child = &mut self.hosts[host];
        // Its id may be somebody else's when it was waited for.
        match child.try_wait()? {
            Some(_) => Ok(()),
            None => Ok(kill_process(Pid::from_child(child), signal)?),
        }
    }

    /// What every lastline of the run has: the place, and nothing of who runs this.
    fn lastline(&self, words: &[&str], name: &str) -> io::Result<Command> {
        let mut command = Command::new(&self.programs.lastline);
        command.args(words).args(["--via", &self.url, "--job", "far", "--on-failure", "continue"]);
        command.arg("--log-dir").arg(&self.logs);
        clear_options(&mut command);
        command.env("XDG_STATE_HOME", self.dir.join("state"));
        command.env("XDG_RUNTIME_DIR", self.dir.join("run"));
        let words = File::create(self.dir.join(format!("words-{name}")))?;
        command.stdin(Stdio::null()).stderr(words).current_dir(&self.dir);
        Ok(command)
    }

    fn host(&self, host: usize) -> io::Result<Child> {
        let (size, first) = (self.scenario.ranks(), self.scenario.first_rank(host));
        let mut command = self.lastline(&["run"], &format!("host-{host}"))?;
        command.args(["-n", &self.scenario.hosts[host].len().to_string()]);
        command.args(["--world-size", &size.to_string(), "--rank", &first.to_string()]);
        command.args(["--buffer", &self.scenario.buffer.to_string(), "--"]);
        command.arg(&self.programs.rank).arg("soak-far").arg(self.scenario.seed.to_string());
        command.arg(&self.dir).stdout(Stdio::null());
        spawn(command)
    }

    fn attach(&mut self, from: &str) -> io::Result<()> {
        let number = self.drivers.len();
        let mut command = self.lastline(&["attach"], &format!("driver-{number}"))?;
        command.args(["--from", from, "--lost-after", LOST_AFTER, "--format", "json"]);
        command.args(["--fold", "off", "--silent-after", "0"]);
        command.stdout(File::create(console(&self.dir, number))?);
        self.drivers.push(spawn(command)?);
        Ok(())
    }

    /// Nothing of it is left running, but what others were to end.
    fn end(&mut self) {
        for child in self.hosts.iter_mut().chain(&mut self.drivers) {
            // Most have ended.
            if child.kill().is_ok() {
                drop(child.wait());
            }
        }
        self.broker = None;
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner starts lastline")]
fn spawn(mut command: Command) -> io::Result<Child> {
    command.spawn()
}

/// Processes that are still there after the guardians' grace.
fn left_over(place: &Place) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = place.processes();
        if found.is_empty() || Instant::now() >= deadline {
            return found;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}
