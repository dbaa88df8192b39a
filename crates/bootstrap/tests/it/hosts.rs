//! Several hosts and one driver, each host with a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use lastline_bootstrap::{
    Driver, DriverBuilder, Host, HostBuilder, OnFailure, Placement, Plan, RankState, Report,
    SpawnError, StopCause, new_host_id,
};
use lastline_client::Verdict;
use lastline_line::{BarrierOutcome, Exit, HostEvent, HostMessage, Message, Stream, Version};
use lastline_sender::framed::{self, InboxHandle};
use lastline_sender::send;
use lastline_testing::{PATIENCE, PrintRecorder, SpawnerDouble, until};
use serde_json::Value;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;

use crate::far::{Far, Way};
use crate::support::console;

const WINDOW: usize = 1 << 20;
/// Far above what a busy machine takes for a heartbeat, where nobody is to be lost.
const NEVER_LOST: Duration = Duration::from_secs(600);
const HOUR: i64 = 3_600_000_000;

fn plan(on_failure: OnFailure) -> Plan {
    let mut plan = Plan::new("far", vec!["sh".into()]);
    plan.on_failure = on_failure;
    plan.grace = Duration::from_secs(1);
    plan.teardown_timeout = Duration::from_secs(8);
    plan.drain = Duration::from_millis(100);
    plan
}

/// The driver's side.
struct Drive {
    driver: Driver,
    inbox: InboxHandle,
    printer: PrintRecorder,
}

impl Drive {
    fn start(on_failure: OnFailure, lost_after: Duration) -> Self {
        Self::of(plan(on_failure), lost_after)
    }

    fn of(plan: Plan, lost_after: Duration) -> Self {
        let (inbox, receiver) = framed::shared_inbox(WINDOW);
        let printer = PrintRecorder::new();
        let builder = DriverBuilder::new(plan, console(printer.clone()));
        let driver = builder.lost_after(lost_after).start(receiver).unwrap();
        Self { driver, inbox, printer }
    }

    /// A host's connection arrives.
    fn serve(&self, io: DuplexStream) -> JoinHandle<()> {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            // How a connection ends is the host's business.
            framed::serve(io, inbox).await.unwrap_or_default();
        })
    }

    async fn report(self) -> Arc<Report> {
        tokio::time::timeout(PATIENCE, self.driver.wait()).await.expect("it ends").unwrap()
    }
}

/// One host, and what the test has of it.
struct Part {
    host: Host,
    spawner: SpawnerDouble,
    far: Far,
    /// Its end of the connection for a driver.
    io: Option<DuplexStream>,
}

/// A host that runs these ranks, and has no driver yet.
fn part(world: u32, ranks: std::ops::Range<u32>, far: Far, on_failure: OnFailure) -> Part {
    let (near, io) = tokio::io::duplex(64 << 10);
    let mut plan = plan(on_failure);
    plan.procs = ranks.end - ranks.start;
    let mut placement = Placement::alone(plan.procs);
    (placement.world_size, placement.first_rank) = (world, ranks.start);
    placement.node_rank = ranks.start / plan.procs;
    plan.placement = Some(placement);
    let spawner = SpawnerDouble::new();
    let builder = HostBuilder::new(plan).spawner(Box::new(spawner.clone())).id(new_host_id());
    let way = Way { far: far.clone(), inner: framed::transport(near, WINDOW) };
    let host = builder.heartbeat(Duration::from_millis(20)).start(way).unwrap();
    Part { host, spawner, far, io: Some(io) }
}

impl Part {
    fn connect(mut self, drive: &Drive) -> (Self, JoinHandle<()>) {
        let serving = drive.serve(self.io.take().expect("it has no driver yet"));
        (self, serving)
    }

    fn says(&self, rank: u32, text: &str) {
        self.spawner.rank(rank).write(Stream::Stdout, text.as_bytes());
    }

    fn ends(&self, rank: u32, code: i32) {
        self.spawner.rank(rank).end(Exit::Code(code));
    }

    /// Ends the rank as soon as it is told to.
    async fn ends_when_told(&self, rank: u32) {
        let rank = self.spawner.rank(rank);
        until(|| !rank.signals().is_empty()).await;
        rank.end(Exit::Signal(15));
    }

    /// Ends whatever was started as soon as it is told to, until nothing is started any more.
    async fn end_what_is_told(&self) {
        until(|| {
            for rank in self.spawner.started() {
                let rank = self.spawner.rank(rank);
                if !rank.signals().is_empty() {
                    rank.end(Exit::Signal(15));
                }
            }
            self.spawner.is_dismissed()
        })
        .await;
    }

    async fn over(self) -> Result<(), SpawnError> {
        tokio::time::timeout(PATIENCE, self.host.wait()).await.expect("it ends")
    }
}

/// Waits until all ranks of a job run, as its driver knows.
async fn all_run(drive: &Drive, ranks: usize) {
    let handle = drive.driver.handle();
    until(|| {
        let known = handle.ranks();
        known.len() == ranks && known.iter().all(|rank| rank.launch.is_some())
    })
    .await;
}

async fn three(drive: &Drive, far: [Far; 3], on_failure: OnFailure) -> Vec<Part> {
    let parts = far.into_iter().zip([0..2, 2..4, 4..6]);
    let parts = parts.map(|(far, ranks)| part(6, ranks, far, on_failure).connect(drive).0);
    let parts: Vec<Part> = parts.collect();
    all_run(drive, 6).await;
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hosts_are_one_job() {
    let drive = Drive::start(OnFailure::Stop, NEVER_LOST);
    let parts = three(&drive, Default::default(), OnFailure::Stop).await;
    for rank in 0..6 {
        let part = &parts[rank as usize / 2];
        part.says(rank, &format!("this is {rank}\n"));
        let env = part.spawner.rank(rank).spec().env.clone();
        let given = |name: &str, value: String| env.contains(&(name.into(), Some(value.into())));
        assert!(given("RANK", rank.to_string()) && given("WORLD_SIZE", "6".into()), "{env:?}");
        assert!(given("LOCAL_RANK", (rank % 2).to_string()), "{env:?}");
        assert!(given("NODE_RANK", (rank / 2).to_string()), "{env:?}");
    }
    assert_eq!(drive.driver.handle().world_size(), Some(6));
    let verdicts = drive.driver.handle().flush().await;
    assert!(verdicts.all_reached(), "{verdicts:?}");
    assert_eq!((verdicts.streams.len(), verdicts.version), (12, Version(1)));
    let mut lines = drive.printer.lines();
    lines.sort();
    let expected: Vec<String> = (0..6).map(|rank| format!("{rank}:this is {rank}")).collect();
    assert_eq!(lines, expected);
    (0..6).for_each(|rank| parts[rank as usize / 2].ends(rank, 0));
    for part in parts {
        part.over().await.unwrap();
    }
    // Somebody still listens for more hosts.
    let inbox = drive.inbox.clone();
    let report = drive.report().await;
    drop(inbox);
    assert!(report.balanced, "{:?}", report.imbalances);
    assert_eq!((report.world_size, report.ranks.len()), (6, 6));
    assert!(report.ranks.iter().map(|rank| rank.rank).eq(0..6));
    let hosts: Vec<_> =
        report.hosts.iter().map(|host| (host.node, host.first_rank, host.procs)).collect();
    assert_eq!(hosts, [(0, 0, 2), (1, 2, 2), (2, 4, 2)]);
    for host in &report.hosts {
        let (offset, within) =
            (host.clock_offset_seconds.unwrap(), host.clock_offset_uncertainty_seconds.unwrap());
        assert!(offset.abs() <= within, "{host:?}");
        assert_eq!((&host.lost, host.heartbeat_lost), (&None, false));
    }
    assert!(report.barriers[0].version == 1, "as one counts them who has asked for them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_lost_and_stays_so() {
    let drive = Drive::start(OnFailure::Continue, Duration::from_millis(1500));
    let parts = three(&drive, Default::default(), OnFailure::Continue).await;
    parts[1].says(2, "before\n");
    assert!(drive.driver.handle().flush().await.all_reached());
    parts[1].far.mute(true);
    let handle = drive.driver.handle();
    let is_lost = |rank: usize| matches!(handle.ranks()[rank].state, RankState::Lost(_));
    until(|| is_lost(2) && is_lost(3)).await;
    let verdicts = handle.flush().await;
    assert_eq!(verdicts.unreachable.len(), 1, "{verdicts:?}");
    assert!(verdicts.unreachable[0].silent_for >= Duration::from_millis(1500));
    assert_eq!((verdicts.summary(), verdicts.missing_hosts), (BarrierOutcome::Lost, 0));
    let lost =
        verdicts.streams.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Lost { .. }));
    assert!(lost.map(|(stream, _)| stream.rank).eq([2, 2, 3, 3]) || verdicts.streams.len() == 12);
    // It was only cut off, and speaks again.
    parts[1].far.mute(false);
    parts[1].says(3, "after\n");
    (0..6).for_each(|rank| parts[rank as usize / 2].ends(rank, 0));
    let report = drive.report().await;
    assert!(report.balanced, "{:?}", report.imbalances);
    let host = &report.hosts[1];
    assert!(host.lost.as_deref().is_some_and(|why| why.starts_with("silent for 1.")), "{host:?}");
    assert!(host.heartbeat_lost && host.silent_seconds.is_some_and(|s| s >= 1.5), "{host:?}");
    assert!(report.ranks[2].error.is_some() && report.ranks[3].error.is_some());
    assert!([0, 1, 4, 5].iter().all(|rank: &usize| report.ranks[*rank].succeeded()));
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_silence_is_a_minute() {
    let drive = Drive::start(OnFailure::Continue, Duration::from_secs(60));
    let one = part(1, 0..1, Far::default(), OnFailure::Continue).connect(&drive).0;
    let mut changes = drive.driver.handle().watch();
    let mut wait_for = async |wanted: fn(&RankState) -> bool| {
        while !changes.next().await.unwrap().iter().any(|rank| wanted(&rank.state)) {}
    };
    wait_for(|state| *state == RankState::Running).await;
    let begun = tokio::time::Instant::now();
    one.far.mute(true);
    wait_for(|state| matches!(state, RankState::Lost(_))).await;
    let seconds = begun.elapsed().as_secs_f64();
    assert!((59.0..62.0).contains(&seconds), "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_claims_what_another_runs_is_refused_at_both_ends() {
    let drive = Drive::start(OnFailure::Stop, NEVER_LOST);
    let first = part(2, 0..2, Far::default(), OnFailure::Stop).connect(&drive).0;
    all_run(&drive, 2).await;
    first.says(0, "one\n");
    // It has run before there was a driver to ask.
    let second = part(2, 1..2, Far::default(), OnFailure::Stop);
    second.says(1, "not of this job\n");
    let (second, _) = second.connect(&drive);
    second.ends_when_told(1).await;
    match second.over().await {
        Err(SpawnError::Refused { why }) => {
            assert!(why.starts_with("rank 1 runs on ") && why.contains("claims it, too"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    // And one that says otherwise of the whole.
    let third = part(8, 4..6, Far::default(), OnFailure::Stop).connect(&drive).0;
    third.end_what_is_told().await;
    match third.over().await {
        Err(SpawnError::Refused { why }) => assert!(why.contains("2 ranks in all"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(drive.driver.handle().flush().await.all_reached(), "nobody waits for them");
    (0..2).for_each(|rank| first.ends(rank, 0));
    first.over().await.unwrap();
    let printer = drive.printer.clone();
    let report = drive.report().await;
    assert_eq!(printer.lines(), ["0:one"]);
    assert!(report.balanced && report.first_failure.is_none(), "{report:?}");
    assert_eq!((report.ranks.len(), report.world_size), (2, 2));
    assert_eq!(report.totals().bytes, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_failure_is_found_though_a_clock_is_an_hour_off() {
    let drive = Drive::start(OnFailure::Continue, NEVER_LOST);
    // What ends on the second one did so five seconds before it is heard.
    let ahead = Far::ahead(HOUR, -5_000_000);
    let far = [Far::default(), ahead, Far::ahead(-HOUR, 0)];
    let parts = three(&drive, far, OnFailure::Continue).await;
    let handle = drive.driver.handle();
    let is_over = |rank: usize| matches!(handle.ranks()[rank].state, RankState::Exited(_));
    for (rank, code) in [(0, 3), (4, 4), (2, 5)] {
        parts[rank / 2].ends(u32::try_from(rank).unwrap(), code);
        until(|| is_over(rank)).await;
    }
    [1, 3, 5].iter().for_each(|rank| parts[rank / 2].ends(u32::try_from(*rank).unwrap(), 0));
    for part in parts {
        part.over().await.unwrap();
    }
    let report = drive.report().await;
    let first = report.first_failure.as_ref().unwrap();
    assert_eq!((first.rank, first.code), (2, Some(5)));
    assert!(!first.clocks_unmeasured && first.clock_uncertainty_seconds.is_none(), "{first:?}");
    for (host, hours) in report.hosts.iter().zip([0.0, 1.0, -1.0]) {
        let wrong = (host.clock_offset_seconds.unwrap() - hours * 3600.0).abs();
        assert!(wrong <= host.clock_offset_uncertainty_seconds.unwrap(), "{host:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stops_the_ranks_of_other_hosts() {
    let drive = Drive::start(OnFailure::Stop, NEVER_LOST);
    let parts = three(&drive, Default::default(), OnFailure::Stop).await;
    parts[0].ends(0, 3);
    let [one, two, three] = &parts[..] else { unreachable!() };
    tokio::join!(
        one.ends_when_told(1),
        two.ends_when_told(2),
        two.ends_when_told(3),
        three.ends_when_told(4),
        three.ends_when_told(5),
    );
    for part in parts {
        part.over().await.unwrap();
    }
    let report = drive.report().await;
    assert!(report.balanced, "{:?}", report.imbalances);
    assert_eq!(report.first_failure.as_ref().map(|first| first.rank), Some(0));
    assert!(report.ranks[1..].iter().all(|rank| rank.stopped_by_lastline), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_while_the_job_is_stopped_holds_nobody_up() {
    let mut plan = plan(OnFailure::Stop);
    plan.teardown_timeout = Duration::from_secs(2);
    let drive = Drive::of(plan, NEVER_LOST);
    let parts = three(&drive, Default::default(), OnFailure::Stop).await;
    parts[2].far.mute(true);
    drive.driver.handle().stop(StopCause::Owner);
    tokio::join!(
        parts[0].ends_when_told(0),
        parts[0].ends_when_told(1),
        parts[1].ends_when_told(2),
        parts[1].ends_when_told(3),
    );
    let report = drive.report().await;
    assert!(report.balanced, "{:?}", report.imbalances);
    let lost: Vec<bool> = report.hosts.iter().map(|host| host.lost.is_some()).collect();
    assert_eq!(lost, [false, false, true], "{report:?}");
    assert!(report.ranks[4..].iter().all(|rank| rank.error.is_some()), "{report:?}");
    [4, 5].iter().for_each(|rank| parts[2].ends(*rank, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ranks_whose_host_was_killed_may_come_from_another_one() {
    let drive = Drive::start(OnFailure::Continue, NEVER_LOST);
    let stays = part(2, 0..1, Far::default(), OnFailure::Continue).connect(&drive).0;
    let (killed, connection) = part(2, 1..2, Far::default(), OnFailure::Continue).connect(&drive);
    all_run(&drive, 2).await;
    killed.says(1, "first\n");
    assert!(drive.driver.handle().flush().await.all_reached());
    connection.abort();
    let handle = drive.driver.handle();
    until(|| matches!(handle.ranks()[1].state, RankState::Lost(_))).await;
    let again = part(2, 1..2, Far::default(), OnFailure::Continue).connect(&drive).0;
    until(|| handle.ranks()[1].state == RankState::Running).await;
    again.says(1, "second\n");
    stays.ends(0, 0);
    again.ends(1, 0);
    killed.ends(1, 0);
    for part in [stays, again, killed] {
        part.over().await.unwrap();
    }
    let printer = drive.printer.clone();
    let report = drive.report().await;
    assert_eq!(printer.lines(), ["1:first", "1:second"]);
    assert!(report.balanced, "{:?}", report.imbalances);
    let ranks: Vec<_> = report.ranks.iter().map(|rank| (rank.rank, rank.error.is_some())).collect();
    assert_eq!(ranks, [(0, false), (1, true), (1, false)]);
    assert!(report.ranks[1].launch.is_some() && report.ranks[1].launch != report.ranks[2].launch);
}

/// A report without what differs between two drivers of one job.
fn comparable(report: &Report) -> Value {
    let mut report = serde_json::to_value(report).unwrap();
    for field in ["ended", "barriers", "teardown"] {
        report[field] = Value::Null;
    }
    for host in report["hosts"].as_array_mut().unwrap() {
        for field in ["clock_offset_seconds", "clock_offset_uncertainty_seconds"] {
            host[field] = Value::Null;
        }
    }
    report["first_failure"]["clocks_unmeasured"] = Value::Null;
    report["first_failure"]["clock_uncertainty_seconds"] = Value::Null;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_comes_late_tells_what_the_first_one_told() {
    let drive = Drive::start(OnFailure::Continue, NEVER_LOST);
    let parts = three(&drive, Default::default(), OnFailure::Continue).await;
    for rank in 0..6 {
        let part = &parts[rank as usize / 2];
        part.says(rank, "hello\nworld\n");
        part.ends(rank, i32::try_from(rank).unwrap() % 2);
    }
    let far: Vec<Far> = parts.iter().map(|part| part.far.clone()).collect();
    for part in parts {
        part.over().await.unwrap();
    }
    let first = drive.report().await;
    assert!(first.balanced && first.first_failure.is_some(), "{first:?}");

    let late = Drive::start(OnFailure::Continue, NEVER_LOST);
    let mut sending = Vec::new();
    for far in far {
        let (near, io) = tokio::io::duplex(64 << 10);
        late.serve(io);
        let mut transport = framed::transport(near, WINDOW);
        sending.push(tokio::spawn(async move {
            let is_event = |message: &Message| matches!(message, Message::Host(_));
            // Answers to the other driver's barriers are not for this one.
            let is_old = |message: &Message| {
                let barrier = |said: &HostMessage| matches!(said.event, HostEvent::Barrier { .. });
                matches!(message, Message::Host(said) if barrier(said))
                    || matches!(message, Message::Heartbeat(_))
            };
            let sent = far.sent().into_iter().filter(|message| !is_old(message));
            let (events, output): (Vec<_>, Vec<_>) = sent.partition(is_event);
            for message in events.into_iter().chain(output) {
                send(&mut transport, message).await.unwrap();
            }
            transport
        }));
    }
    let report = late.report().await;
    assert_eq!(comparable(&report), comparable(&first));
}
