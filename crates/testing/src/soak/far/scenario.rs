//! What happens in a run with several processes, all of it made from a seed.

use fastrand::Rng;

use crate::soak::content::Shape;
use crate::soak::scenario::{End, RankPlan};

/// Where hosts and drivers meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Socket,
    Broker,
}

/// What happens, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The broker is killed, as `kill -9` does.
    BrokerDies,
    BrokerComes,
    /// A host is killed, and its ranks with it.
    HostDies(usize),
    /// A host stands still.
    HostStops(usize),
    HostGoesOn(usize),
    /// The driver is killed, and another one started.
    DriverDies,
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) seed: u64,
    pub(super) way: Way,
    /// The ranks of each host.
    pub(super) hosts: Vec<Vec<RankPlan>>,
    /// Each so many milliseconds after all ranks run.
    pub(super) events: Vec<(u64, Event)>,
    /// Where a driver begins that follows one that was killed.
    pub(super) from: &'static str,
    /// The first driver is there before the hosts are.
    pub(super) driver_first: bool,
    pub(super) buffer: u64,
}

/// The latest that anything is to happen.
const WITHIN_MILLIS: u64 = 1500;

/// The rank of the run of this seed.
pub(in crate::soak) fn rank_plan(seed: u64, rank: u32) -> RankPlan {
    let ranks = Scenario::of(seed).hosts.into_iter().flatten();
    ranks.into_iter().nth(rank as usize).expect("BUG: it is a rank of this run")
}

impl Scenario {
    pub(super) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed ^ 0xfa5);
        let way = if rng.u8(0..3) == 0 { Way::Socket } else { Way::Broker };
        let most = [2_000, 60_000, 1_000_000][rng.usize(0..3)];
        let hosts: Vec<Vec<RankPlan>> = (0..rng.usize(2..=4)).map(|_| ranks(rng, most)).collect();
        let events = events(rng, way, hosts.len());
        Self {
            seed,
            way,
            events,
            from: if rng.bool() { "last-seen" } else { "start" },
            driver_first: rng.bool(),
            buffer: [64 << 10, 8 << 20][rng.usize(0..2)],
            hosts,
        }
    }

    pub(super) fn needs_broker(&self) -> bool {
        self.way == Way::Broker
    }

    pub(super) fn ranks(&self) -> u32 {
        u32::try_from(self.hosts.iter().map(Vec::len).sum::<usize>()).expect("BUG: a few")
    }

    /// The host of a rank.
    pub(super) fn host_of(&self, rank: u32) -> usize {
        let begins = |host: &usize| self.first_rank(*host) <= rank;
        (0..self.hosts.len()).rev().find(begins).expect("BUG: the first has rank 0")
    }

    /// The first rank of a host.
    pub(super) fn first_rank(&self, host: usize) -> u32 {
        u32::try_from(self.hosts[..host].iter().map(Vec::len).sum::<usize>()).expect("BUG: a few")
    }
}

fn ranks(rng: &mut Rng, most: u64) -> Vec<RankPlan> {
    (0..rng.u32(1..=3)).map(|_| rank(rng, most)).collect()
}

/// It writes and pauses for as long as things happen, or is over before.
fn rank(rng: &mut Rng, most: u64) -> RankPlan {
    let shapes = [Shape::Short, Shape::Alike, Shape::Long, Shape::Binary];
    let end = match rng.u8(0..12) {
        0 => End::Exit(rng.u8(1..=255)),
        1 => End::Signal([libc::SIGKILL, libc::SIGUSR1][rng.usize(0..2)]),
        _ => End::Exit(0),
    };
    let pauses = rng.u64(0..8);
    RankPlan {
        shape: shapes[rng.usize(0..shapes.len())],
        bytes: [rng.u64(0..=most), if rng.bool() { 0 } else { rng.u64(0..=most / 4) }],
        write_bytes: [most / 200 + 1, 4000, 64 << 10][rng.usize(0..3)],
        pauses,
        pause_millis: rng.u64(1..400),
        end,
    }
}

fn events(rng: &mut Rng, way: Way, hosts: usize) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    let mut at = || rng.u64(0..WITHIN_MILLIS);
    if way == Way::Broker && at() % 2 == 0 {
        let from = at();
        events.extend([(from, Event::BrokerDies), (from + 1 + 2 * at(), Event::BrokerComes)]);
    }
    if at() % 3 == 0 {
        let host = usize::try_from(at()).expect("BUG: it is small") % hosts;
        events.push((at(), Event::HostDies(host)));
    }
    if at() % 3 == 0 {
        let (host, from) = (usize::try_from(at()).expect("BUG: it is small") % hosts, at());
        events.extend([(from, Event::HostStops(host)), (from + at(), Event::HostGoesOn(host))]);
    }
    for _ in 0..[0, 0, 1, 1, 2][usize::try_from(at() % 5).expect("BUG: it is small")] {
        events.push((at(), Event::DriverDies));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}
