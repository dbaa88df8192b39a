//! Alone in its process, which reaps whatever child ends.

use lastline_spawn::{Exit, ProcessOptions, ProcessSpawner, RankSpec, Spawner};
use rustix::process::{WaitOptions, wait};

#[tokio::test]
async fn what_another_part_of_the_process_has_reaped_is_over_and_nobody_knows_how() {
    let mut options = ProcessOptions::default();
    options.guardian = false;
    let mut spawner = ProcessSpawner::new(options).unwrap();
    let command = ["sh", "-c", "sleep 3178 & exit 3"].map(Into::into).into();
    let process = spawner.spawn(RankSpec::new(0, command)).unwrap().process;
    let (reaped, _status) = wait(WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(u32::try_from(reaped.as_raw_nonzero().get()).ok(), process.id());
    assert_eq!(process.wait().await, Exit::Unknown);
    assert_eq!(process.exit(), Some(Exit::Unknown));
    // What it left is still its group, whose number nobody gets meanwhile.
    assert!(process.has_members());
    process.signal(libc::SIGKILL);
    lastline_testing::until(|| !process.has_members()).await;
    process.release();
}
