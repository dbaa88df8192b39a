//! A host and its drivers, one after the other, at a Unix socket.

use std::time::Duration;

use lastline_bootstrap::{
    Claim, DriverBuilder, DriverHandle, HostBuilder, Listening, Placement, Plan, RankState,
    SpawnError, Url, new_host_id,
};
use lastline_line::{Exit, Resume, Stream};
use lastline_testing::{PATIENCE, PrintRecorder, SpawnerDouble, until};

use crate::support::console;

const NEVER_LOST: Duration = Duration::from_secs(600);

fn plan() -> Plan {
    let mut plan = Plan::new("via", vec!["sh".into()]);
    plan.placement = Some(Placement::alone(1));
    plan
}

async fn attach(url: &Url, resume: Resume) -> (DriverHandle, PrintRecorder, Listening) {
    let end = url.driver("via", resume, NEVER_LOST).await.unwrap();
    let printer = PrintRecorder::new();
    let driver = DriverBuilder::new(Plan::new("via", Vec::new()), console(printer.clone()));
    let driver = driver.lost_after(NEVER_LOST).start(end.inbox).unwrap();
    (driver.handle(), printer, end.listens.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_leaves_a_job_that_runs_on_and_another_sees_its_end() {
    let dir = tempfile::Builder::new().prefix("ll").tempdir().unwrap();
    let url: Url = format!("unix:{}/socket", dir.path().display()).parse().unwrap();
    let (id, placement) = (new_host_id(), Placement::alone(1));
    let claim = Claim {
        id,
        job: "via",
        placement: &placement,
        stop_others: true,
        pre_fold: true,
        overwrite: false,
        window_bytes: 1 << 20,
    };
    let way = url.reach(&claim).await.unwrap().open(None);
    let spawner = SpawnerDouble::new();
    let host = HostBuilder::new(plan()).spawner(Box::new(spawner.clone())).id(id);
    let host = host.start(way.transport).unwrap();

    let (first, shown, listening) = attach(&url, Resume::Start).await;
    let taken = url.driver("via", Resume::Start, NEVER_LOST).await.unwrap_err().to_string();
    assert!(taken.contains("attached") && taken.contains("already"), "{taken}");
    until(|| first.ranks().iter().any(|rank| rank.state == RankState::Running)).await;
    spawner.rank(0).write(Stream::Stdout, b"one\n");
    until(|| shown.lines() == ["0:one"]).await;
    let waiting = first.clone();
    let waiting = tokio::spawn(async move { waiting.wait().await });
    listening.close().await;
    first.detach().await;
    assert!(matches!(waiting.await.unwrap(), Err(SpawnError::Detached)));
    first.detach().await;
    assert!(spawner.rank(0).signals().is_empty());

    // What it prints while nobody is there is for who comes next.
    spawner.rank(0).write(Stream::Stdout, b"two\n");
    let (second, shown, _listening) = attach(&url, Resume::Now).await;
    until(|| second.ranks().iter().any(|rank| rank.state == RankState::Running)).await;
    spawner.rank(0).write(Stream::Stdout, b"three\n");
    until(|| shown.lines().contains(&String::from("0:three"))).await;
    spawner.rank(0).end(Exit::Code(0));
    let report = tokio::time::timeout(PATIENCE, second.wait()).await.unwrap().unwrap();
    assert!(report.balanced && report.first_failure.is_none());
    assert_eq!(report.totals().bytes, 14);
    // Over is over.
    second.detach().await;
    assert!(second.wait().await.is_ok());
    host.wait().await.unwrap();
}
