//! Ends what is left: processes in the ranks' groups, readers that did not end by themselves.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lastline_spawn::{Process, has_members_of, kill_until_empty};
use lastline_tee::Tee;
use tokio::sync::oneshot;

use crate::blocking::Blocking;
use crate::clock::Clock;
use crate::shutdown::LAST_MOMENT;

/// How often it is looked whether a group is empty.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is to be ended.
pub(super) struct Abort {
    pub(super) processes: Vec<Arc<dyn Process>>,
    pub(super) tees: Vec<Tee>,
    /// From SIGTERM to SIGKILL.
    pub(super) grace: Duration,
    /// What is left in the groups may stay.
    pub(super) leave: bool,
    pub(super) blocking: Blocking,
    pub(super) clock: Clock,
}

/// Ends all of it; `hurried` ends the grace.
pub(super) async fn run(work: Abort, hurried: oneshot::Receiver<()>) {
    let Abort { processes, tees, grace, leave, blocking, clock } = work;
    tees.iter().for_each(Tee::stop);
    if leave {
        processes.iter().for_each(|process| process.release());
    } else {
        let grace = clock.now() + grace;
        end_groups(processes, clock.sleep_until(Some(grace)), hurried, &blocking).await;
    }
    for tee in &tees {
        if clock.within(LAST_MOMENT, tee.join()).await.is_none() {
            tee.kill();
        }
    }
}

/// SIGTERM to every group, and SIGKILL to what is left after the grace, until nobody is: what
/// appears in a group while it is being ended is ended, too.
async fn end_groups(
    mut left: Vec<Arc<dyn Process>>,
    grace: impl Future<Output = ()>,
    hurried: oneshot::Receiver<()>,
    blocking: &Blocking,
) {
    for process in &left {
        process.signal(libc::SIGTERM);
        // What stands hears nothing else.
        process.signal(libc::SIGCONT);
    }
    // Most leave nobody behind.
    left.retain(|process| {
        let may_have_members = process.reap();
        if !may_have_members {
            process.release();
        }
        may_have_members
    });
    left = still_there(left, blocking).await;
    let emptied = async {
        while !left.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
            // Whoever ends this while it is looked has all of them still.
            left = still_there(left.clone(), blocking).await;
        }
    };
    tokio::select! {
        () = emptied => {}
        () = grace => {}
        // Sent, or dropped with the stage.
        _ = hurried => {}
    }
    if !left.is_empty() {
        // Whoever panics there has been told of.
        blocking.run(move || end_now(&left)).await.unwrap_or_default();
    }
}

/// Those whose group has a member; the others are released. `/proc` may be long.
async fn still_there(
    processes: Vec<Arc<dyn Process>>,
    blocking: &Blocking,
) -> Vec<Arc<dyn Process>> {
    if processes.is_empty() {
        return processes;
    }
    let looked = blocking.run(move || {
        let there = has_members_of(&processes);
        let (there, gone): (Vec<_>, Vec<_>) =
            processes.into_iter().zip(there).partition(|(_, there)| *there);
        gone.iter().for_each(|(process, _)| process.release());
        there.into_iter().map(|(process, _)| process).collect()
    });
    looked.await.unwrap_or_default()
}

/// What an earlier start of a rank has left in its group goes with it. Blocks.
pub(super) fn end_before_restart(process: &Arc<dyn Process>, leave: bool) {
    if !leave && process.reap() {
        end_now(std::slice::from_ref(process));
    }
    process.release();
}

/// Ends them here and now: SIGKILL, and a moment to see them gone. Blocks; needs no runtime.
pub(super) fn end_now(processes: &[Arc<dyn Process>]) {
    if !kill_until_empty(processes) {
        tracing::debug!("what was killed is not gone yet");
    }
    processes.iter().for_each(|process| process.release());
}
