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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};
    use std::sync::{Mutex, PoisonError};

    use lastline_line::Exit;
    use lastline_spawn::ExitFuture;

    use super::*;

    /// Has a member until it is sent SIGKILL, and says so after it is let go.
    #[derive(Debug)]
    struct Slow {
        looks: Mutex<Receiver<()>>,
        begun: AtomicUsize,
        killed: AtomicBool,
    }

    impl Process for Slow {
        fn id(&self) -> Option<u32> {
            None
        }

        fn signal(&self, signal: i32) {
            self.killed.fetch_or(signal == libc::SIGKILL, Ordering::AcqRel);
        }

        fn exit(&self) -> Option<Exit> {
            Some(Exit::Code(0))
        }

        fn wait(&self) -> ExitFuture {
            Box::pin(std::future::ready(Exit::Code(0)))
        }

        fn has_members(&self) -> bool {
            if self.killed.load(Ordering::Acquire) {
                return false;
            }
            self.begun.fetch_add(1, Ordering::AcqRel);
            // An error says that it need not wait any more.
            self.looks.lock().unwrap_or_else(PoisonError::into_inner).recv().unwrap_or_default();
            !self.killed.load(Ordering::Acquire)
        }

        fn reap(&self) -> bool {
            true
        }

        fn release(&self) {}
    }

    #[tokio::test]
    async fn what_is_being_looked_at_when_the_grace_ends_is_killed_too() {
        let (look, looks) = channel();
        let slow = Arc::new(Slow {
            looks: Mutex::new(looks),
            begun: AtomicUsize::new(0),
            killed: AtomicBool::new(false),
        });
        let (end, ended) = oneshot::channel::<()>();
        let (_hurry, hurried) = oneshot::channel();
        let blocking = Blocking::start("test", 2).unwrap();
        let left: Vec<Arc<dyn Process>> = vec![slow.clone()];
        look.send(()).unwrap();
        let ending = async { drop(ended.await) };
        let work = end_groups(left, ending, hurried, &blocking);
        let grace_ends = async {
            // The second look has begun, and does not come back.
            while slow.begun.load(Ordering::Acquire) < 2 {
                tokio::task::yield_now().await;
            }
            end.send(()).unwrap();
        };
        let both = async { tokio::join!(work, grace_ends) };
        tokio::time::timeout(lastline_testing::PATIENCE, both).await.expect("it ends");
        assert!(slow.killed.load(Ordering::Acquire), "it was left alive");
        drop(look);
    }
}
