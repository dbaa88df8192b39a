//! Ranks that stand still: what is said of them.

use std::collections::BTreeMap;

use lastline_line::RankSet;

use super::ranks::Ranks;

/// What to say of ranks that were stopped by a signal and of which it was not said: a sentence for
/// each signal.
pub(super) fn newly_stopped(ranks: &mut Ranks) -> Vec<String> {
    let mut stopped: BTreeMap<i32, RankSet> = BTreeMap::new();
    for run in ranks.iter_mut().filter(|run| run.is_running() && !run.told_still) {
        if let Some(signal) = run.process.as_ref().and_then(|process| process.stopped_by()) {
            run.told_still = true;
            stopped.entry(signal).or_default().insert(run.rank);
        }
    }
    stopped.iter().map(|(signal, ranks)| sentence(*signal, ranks)).collect()
}

fn sentence(signal: i32, ranks: &RankSet) -> String {
    let why = match signal {
        libc::SIGTTIN => {
            "SIGTTIN: it reads from the terminal, which is not its own (`--stdin rank0` passes \
             input on, `--pty` gives a terminal)"
        }
        libc::SIGTTOU => "SIGTTOU: it writes to or changes a terminal that is not its own",
        libc::SIGTSTP => "SIGTSTP; SIGCONT lets it go on",
        libc::SIGSTOP => "SIGSTOP; SIGCONT lets it go on",
        _ => "a signal; SIGCONT lets it go on",
    };
    format!("{} stands still, stopped by {why}", named(ranks))
}

/// `rank 3`, or `each of ranks 0-3,7`.
fn named(ranks: &RankSet) -> String {
    if ranks.len() == 1 { format!("rank {ranks}") } else { format!("each of ranks {ranks}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_who_stands_and_why() {
        let mut ranks = RankSet::first(3);
        let said = sentence(libc::SIGSTOP, &ranks);
        assert!(said.starts_with("each of ranks 0-2 stands still, stopped by SIGSTOP;"), "{said}");
        ranks.remove(0);
        ranks.remove(2);
        let said = sentence(libc::SIGTTIN, &ranks);
        assert!(said.starts_with("rank 1 stands still, stopped by SIGTTIN: it reads"), "{said}");
    }
}
