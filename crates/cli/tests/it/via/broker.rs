//! Hosts and drivers that meet at a NATS server; on machines of their own, which are namespaces here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use super::{Job, all_end_with, check_lines, check_refused, halves, lines};
use crate::support::{Place, Running, not_run, report, wait_until};

/// A server of this test alone, with its files in the place.
pub(super) struct Broker {
    pub(super) port: u16,
    options: &'static [&'static str],
    server: Option<Running>,
}

impl Broker {
    /// None, and a word about it, where there is no server to be had.
    fn start(place: &Place, options: &'static [&'static str]) -> Option<Self> {
        if !place.has("nats-server") {
            not_run("no broker", &io::Error::other("nats-server"));
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut broker = Self { port, options, server: None };
        broker.up(place);
        Some(broker)
    }

    pub(super) fn up(&mut self, place: &Place) {
        let (port, files) = (self.port.to_string(), place.path("broker"));
        let files = files.to_str().unwrap();
        let words = ["-js", "-sd", files, "-a", "127.0.0.1", "-p", &port];
        let words = [&words, self.options].concat();
        self.server = Some(Running::start(place.wrap("nats-server", &words)));
        wait_until("the broker listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub(super) fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.signal(Signal::KILL);
        drop(server);
    }
}

/// A job that meets at a broker; none where there is no broker.
pub(super) fn job() -> Option<(Job, Broker)> {
    let mut job = Job::new();
    let broker = Broker::start(&job.place, &[])?;
    job.url = format!("nats://127.0.0.1:{}", broker.port);
    Some((job, broker))
}

#[test]
fn every_driver_at_a_broker_shows_every_line() {
    let Some((job, _broker)) = job() else { return };
    let first = job.start_attach(&[]);
    let tasks = job.tasks(&halves(500));
    first.line();
    let second = job.start_attach(&["--log-dir", job.place.path("two").to_str().unwrap()]);
    second.line();
    job.open("gate");
    all_end_with(tasks, 0);
    check_lines(&first.wait().expect(0).out(), &lines(1, 1_000));
    check_lines(&second.wait().expect(0).out(), &lines(1, 1_000));
    // All hosts have gone, and the broker has it still.
    let late = job.start_attach(&["--log-dir", job.place.path("three").to_str().unwrap()]);
    check_lines(&late.wait().expect(0).out(), &lines(1, 1_000));
    report(&job.dir());
}

#[test]
fn a_driver_at_a_broker_goes_on_where_one_was_killed() {
    let Some((job, _broker)) = job() else { return };
    let first = job.start_attach(&[]);
    let tasks = job.tasks(&halves(2_000));
    let mut seen: BTreeSet<String> = (0..500).map(|_| first.line()).collect();
    // Its last write may be shown twice, and that may have been its first.
    let noted = || fs::metadata(job.dir().join("seen")).is_ok_and(|file| file.len() > 0);
    wait_until("it is noted what was shown", noted);
    first.signal(Signal::KILL);
    seen.extend(first.wait().out().lines().map(str::to_owned));
    job.open("gate");
    all_end_with(tasks, 0);
    let done = job.start_attach(&["--from", "last-seen"]).wait().expect(0);
    let again: BTreeSet<String> = done.out().lines().map(str::to_owned).collect();
    let missing = lines(1, 4_000).difference(&seen).filter(|line| !again.contains(*line)).count();
    assert_eq!(missing, 0);
    assert!(done.out().lines().count() < 16_000, "what was shown is not shown again");
}

/// The broker is away from when each rank has said its first half until all have filed their last line.
fn ranks_go_on_without(job: &Job, broker: &mut Broker, last: &[u8]) {
    // Each has its place in the job.
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    broker.kill();
    job.open("gate");
    for rank in 0..4 {
        let file = job.dir().join(format!("node-{rank}/rank-{rank}.stdout.log"));
        let goes_on = || fs::read(&file).is_ok_and(|text| text.ends_with(last));
        wait_until("ranks go on meanwhile", goes_on);
    }
    broker.up(&job.place);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_loses_nothing() {
    let Some((job, mut broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    let tasks = job.tasks(&halves(2_000));
    driver.line();
    ranks_go_on_without(&job, &mut broker, b" 4000\n");
    all_end_with(tasks, 0);
    check_lines(&driver.wait().expect(0).out(), &lines(1, 4_000));
    report(&job.dir());
}

#[test]
fn ranks_do_not_wait_for_a_broker_that_is_away() {
    let Some((job, mut broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    // More than all that a host holds in memory, in both halves.
    let script = halves(20_000).replace("line", &"x".repeat(100));
    let task = |rank| job.task(rank, &["--buffer", "1MiB"], &["sh", "-c", &script]);
    let tasks: Vec<Running> = (0..4).map(task).collect();
    driver.line();
    ranks_go_on_without(&job, &mut broker, b" 40000\n");
    all_end_with(tasks, 0);
    let line = format!(" {} ", "x".repeat(100));
    let wanted = lines(1, 40_000).into_iter().map(|text| text.replace(" line ", &line)).collect();
    check_lines(&driver.wait().expect(0).out(), &wanted);
    report(&job.dir());
}

#[test]
fn a_job_at_a_broker_is_flushed_and_stopped_from_anywhere() {
    let Some((job, _broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    let tasks = job.tasks("echo up; exec sleep 60");
    (0..4).for_each(|_| drop(driver.line()));
    let flushed = job.place.lastline(&["flush", "--via", &job.url, "j"]).expect(0);
    assert_eq!(flushed.out(), "reached\n");
    job.place.lastline(&["stop", "--via", &job.url, "j"]).expect(0);
    tasks.into_iter().for_each(|task| drop(task.wait()));
    driver.wait();
    assert_eq!(report(&job.dir())["ranks"][3]["stopped_by_lastline"], true);
}

#[test]
fn a_driver_that_wants_what_comes_now_does_not_wait_for_streams_that_have_ended() {
    let Some((job, _broker)) = job() else { return };
    let first = job.task(0, &[], &["echo", "early"]);
    let others: Vec<Running> =
        (1..4).map(|rank| job.task(rank, &[], &["sh", "-c", &halves(3)])).collect();
    (1..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    first.wait().expect(0);
    let flush = || job.place.lastline(&["flush", "--via", &job.url, "j"]).expect(0);
    assert_eq!(flush().out(), "reached\n");
    let driver = job.start_attach(&["--from", "now", "--strict"]);
    wait_until("the driver listens", || job.place.control("j").exists());
    job.place.lastline(&["flush", "j"]).expect(0);
    job.open("gate");
    all_end_with(others, 0);
    let done = driver.wait().expect(0);
    let wanted = lines(4, 6).into_iter().filter(|line| !line.starts_with("[0]")).collect();
    check_lines(&done.out(), &wanted);
    assert!(done.err().contains("nothing lost"), "{}", done.err());
    // All streams have ended before this one, which is told so.
    let dir = job.place.path("late");
    let late = ["--from", "now", "--strict", "--log-dir", dir.to_str().unwrap()];
    let late = job.start_attach(&late).wait().expect(0);
    assert_eq!(late.out(), "");
}

#[test]
fn who_asks_for_a_job_that_a_broker_does_not_know_is_told_so_and_makes_none() {
    let Some((job, _broker)) = job() else { return };
    // Twice: the first has not made it.
    for asked in ["stop", "flush", "stop", "flush"] {
        let refused = job.place.lastline(&[asked, "--via", &job.url, "jj"]).expect(2);
        assert!(refused.err().contains("the broker has no job `jj`"), "{asked}: {}", refused.err());
    }
}

#[test]
fn a_driver_that_is_stopped_while_the_broker_is_away_says_that_the_ranks_run_on() {
    let Some((job, mut broker)) = job() else { return };
    let driver = job.start_attach(&["--teardown-timeout", "2s"]);
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    driver.line();
    broker.kill();
    driver.signal(Signal::INT);
    let said = driver.wait().expect(130).err();
    assert!(said.contains("the ranks run on"), "{said}");
    broker.up(&job.place);
    job.open("gate");
    all_end_with(tasks, 0);
}

#[test]
fn who_was_refused_at_a_broker_is_in_the_drivers_report() {
    let Some((job, _broker)) = job() else { return };
    let driver = job.start_attach(&[]);
    let tasks = job.tasks(&halves(3));
    (0..4).for_each(|rank| job.wait_for(&format!("half{rank}")));
    let other = job.place.path("other");
    let again = job.task(2, &["--log-dir", other.to_str().unwrap()], &["echo", "mine"]);
    let refused = again.wait().expect(2);
    assert!(refused.err().contains("lastline: refused: rank 2 is taken by "), "{}", refused.err());
    job.open("gate");
    all_end_with(tasks, 0);
    let done = driver.wait().expect(0);
    check_lines(&done.out(), &lines(1, 6));
    check_refused(&job, &done.err(), "rank 2 is taken by ");
    assert!(
        !other.join("node-2").exists(),
        "nothing is in the way of who comes with the right ranks"
    );
}

#[test]
fn who_one_is_at_a_broker_stands_in_the_url_and_is_not_shown() {
    let mut job = Job::new();
    let Some(broker) = Broker::start(&job.place, &["--user", "ann", "--pass", "p@ss"]) else {
        return;
    };
    job.url = format!("nats://ann:p@ss@127.0.0.1:{}", broker.port);
    job.open("gate");
    let driver = job.start_attach(&[]);
    let tasks = job.tasks(&halves(3));
    let told: String = tasks.into_iter().map(|task| task.wait().expect(0).err()).collect();
    let done = driver.wait().expect(0);
    check_lines(&done.out(), &lines(1, 6));
    let told = told + &done.err();
    assert!(told.contains("nats://127.0.0.1") && !told.contains("p@ss"), "{told}");
    job.url = job.url.replace("p@ss", "wrong");
    let refused = job.start_attach(&[]).wait().expect(1).err();
    let said = format!(
        "lastline: the broker at nats://127.0.0.1:{} does not let this client in: ",
        broker.port
    );
    assert!(
        refused.starts_with(&said) && refused.contains("nats://user:password@HOST:PORT"),
        "{refused}"
    );
}

/// Network namespaces on one bridge, as machines on one network. Removed when it is dropped.
struct Machines {
    place: Place,
    tag: String,
}

/// The machine of the broker; the others have 10.77.0.2 and so on.
const HUB: &str = "10.77.0.1";

impl Machines {
    /// As many, and one for the broker. None, and a word about it, where they cannot be made.
    fn new(count: u8) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (process, made) = (std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let machines = Self { place: Place::new(), tag: format!("ll{process}-{made}") };
        if !machines.place.has("ip") || !machines.place.has("nats-server") {
            not_run("no machines or no broker", &io::Error::other("ip, nats-server"));
            return None;
        }
        if let Err(error) = machines.wire(count) {
            not_run("namespaces cannot be made", &io::Error::other(error));
            return None;
        }
        Some(machines)
    }

    fn name(&self, machine: u8) -> String {
        format!("{}-{machine}", self.tag)
    }

    fn ip(&self, words: &[&str]) -> Result<(), String> {
        let done = Running::start(self.place.wrap("ip", words)).wait();
        if done.status.success() { Ok(()) } else { Err(done.err()) }
    }

    fn wire(&self, count: u8) -> Result<(), String> {
        let hub = self.name(0);
        self.ip(&["netns", "add", &hub])?;
        self.ip(&["-n", &hub, "link", "add", "hub", "type", "bridge"])?;
        self.ip(&["-n", &hub, "addr", "add", &format!("{HUB}/24"), "dev", "hub"])?;
        for up in ["lo", "hub"] {
            self.ip(&["-n", &hub, "link", "set", up, "up"])?;
        }
        for machine in 1..=count {
            let (own, port) = (self.name(machine), format!("port{machine}"));
            self.ip(&["netns", "add", &own])?;
            let words = ["-n", &own, "link", "add", "net", "type", "veth", "peer", "name", &port];
            self.ip(&[&words[..], &["netns", &hub]].concat())?;
            let address = format!("10.77.0.{}/24", machine + 1);
            self.ip(&["-n", &own, "addr", "add", &address, "dev", "net"])?;
            self.ip(&["-n", &hub, "link", "set", &port, "master", "hub"])?;
            for up in ["lo", "net"] {
                self.ip(&["-n", &own, "link", "set", up, "up"])?;
            }
            self.ip(&["-n", &hub, "link", "set", &port, "up"])?;
        }
        Ok(())
    }

    /// Cuts a machine off, or lets it back.
    fn link(&self, machine: u8, state: &str) {
        let port = format!("port{machine}");
        self.ip(&["-n", &self.name(0), "link", "set", &port, state]).unwrap();
    }

    fn start(&self, machine: u8, program: &str, words: &[&str]) -> Running {
        let name = self.name(machine);
        let words = [&["netns", "exec", &name, program], words].concat();
        Running::start(self.place.wrap("ip", &words))
    }

    fn broker(&self) -> Running {
        let files = self.place.path("broker");
        let words = ["-js", "-sd", files.to_str().unwrap(), "-a", HUB, "-p", "4222"];
        let broker = self.start(0, "nats-server", &words);
        let reached = |machine| {
            let test = format!("exec 3<>/dev/tcp/{HUB}/4222");
            self.start(machine, "bash", &["-c", &test]).wait().status.success()
        };
        wait_until("the broker is reached", || reached(1));
        broker
    }

    fn lastline(&self, machine: u8, words: &[&str]) -> Running {
        self.start(machine, env!("CARGO_BIN_EXE_lastline"), words)
    }

    fn attach(&self, machine: u8, options: &[&str]) -> Running {
        let url = format!("nats://{HUB}:4222");
        let words = ["attach", "--via", &url, "--job", "j"];
        self.lastline(machine, &[&words, options].concat())
    }

    /// A host with one of three ranks, on a machine of its own.
    fn host(&self, rank: u8, script: &str) -> Running {
        let (url, number) = (format!("nats://{HUB}:4222"), rank.to_string());
        let words = ["run", "--via", &url, "--job", "j", "--nnodes", "3", "--node-rank", &number];
        let options = ["--on-failure", "continue", "--", "sh", "-c", script];
        self.lastline(rank + 1, &[&words[..], &options].concat())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for machine in 0..=9 {
            // Not all of them were made.
            self.ip(&["netns", "del", &self.name(machine)]).unwrap_or_default();
        }
    }
}

/// The lines of three ranks.
fn of_three(to: u32) -> BTreeSet<String> {
    lines(1, to).into_iter().filter(|line| !line.starts_with("[3]")).collect()
}

#[test]
fn a_host_that_is_cut_off_and_comes_back_loses_nothing() {
    let Some(machines) = Machines::new(4) else { return };
    let _broker = machines.broker();
    let driver = machines.attach(4, &[]);
    let hosts: Vec<Running> = (0..3).map(|rank| machines.host(rank, &halves(1_000))).collect();
    (0..3).for_each(|rank| {
        wait_until("half", || machines.place.path(&format!("half{rank}")).exists());
    });
    driver.line_with(" 1000");
    machines.link(2, "down");
    fs::write(machines.place.path("gate"), "").unwrap();
    // Its rank has ended, and nobody knows.
    let file = machines.place.job("j").join("node-1/rank-1.stdout.log");
    wait_until("it is filed", || fs::read(&file).is_ok_and(|text| text.ends_with(b" 2000\n")));
    machines.link(2, "up");
    all_end_with(hosts, 0);
    check_lines(&driver.wait().expect(0).out(), &of_three(2_000));
    report(&machines.place.job("j"));
}

#[test]
fn a_host_that_stays_away_is_lost_and_the_others_are_shown_to_their_end() {
    let Some(machines) = Machines::new(4) else { return };
    let _broker = machines.broker();
    let driver = machines.attach(4, &["--lost-after", "5s", "--on-failure", "continue"]);
    let mut hosts: Vec<Running> = (0..3).map(|rank| machines.host(rank, &halves(10))).collect();
    (0..3).for_each(|rank| {
        wait_until("half", || machines.place.path(&format!("half{rank}")).exists());
    });
    let cut = hosts.remove(1);
    machines.link(2, "down");
    fs::write(machines.place.path("gate"), "").unwrap();
    all_end_with(hosts, 0);
    let done = driver.wait().expect(1);
    assert!(done.err().contains("silent for 5"), "{}", done.err());
    let shown: BTreeSet<String> = done.out().lines().map(str::to_owned).collect();
    let others = of_three(20).into_iter().filter(|line| !line.starts_with("[1]"));
    assert!(others.collect::<BTreeSet<_>>().is_subset(&shown), "{}", done.out());
    let report = report(&machines.place.job("j"));
    assert!(report["ranks"][1]["error"].is_string(), "{report:#}");
    drop(cut);
}

#[test]
fn an_id_that_is_used_again_is_refused_or_begins_anew() {
    let Some((job, _broker)) = job() else { return };
    let fails = "echo first; [ $RANK != 0 ] || exit 7";
    for task in job.tasks(fails) {
        task.wait();
    }
    let late = job.start_attach(&[]).wait().expect(7);
    assert!(late.err().contains("lastline: job j is over: this is what "), "{}", late.err());
    let elsewhere = job.place.path("elsewhere");
    let options = ["--log-dir", elsewhere.to_str().unwrap()];
    let refused = job.task(0, &options, &["touch", "ran"]).wait().expect(2);
    let words = "lastline: refused: the broker still has the job, which is over: ";
    assert!(refused.err().starts_with(words), "{}", refused.err());
    assert!(!job.place.path("ran").exists() && !elsewhere.exists());
    for run in 0..3 {
        let script = format!("echo run {run}");
        let task = |rank| job.task(rank, &["--overwrite"], &["sh", "-c", &script]);
        all_end_with((0..4).map(task).collect(), 0);
        let done = job.start_attach(&[]).wait().expect(0);
        let wanted: BTreeSet<String> = (0..4).map(|rank| format!("[{rank}] run {run}")).collect();
        check_lines(&done.out(), &wanted);
    }
}
