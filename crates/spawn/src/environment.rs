//! The variables that a rank is given.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;

use crate::Placement;

/// What the variables are made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Environment {
    /// The job's id: `LASTLINE_JOB_ID`.
    pub job: String,
    /// Which ranks are started here, and of how many.
    pub placement: Placement,
    /// Where the ranks find each other: `MASTER_PORT`, unless a launcher or the user has set that. One
    /// that an outer job has set is kept by a job of one rank, which is a rank of that job.
    pub master_port: u16,
    /// No other job takes the port while this is held.
    _claim: Option<Arc<UnixListener>>,
    /// Do not set `PYTHONUNBUFFERED`. Default: false.
    pub buffered: bool,
    /// What the user asked for; it wins over everything. Default: nothing.
    pub extra: Vec<(OsString, OsString)>,
}

/// A prefix of variables that are lastline's own options: a lastline inside a rank must not take
/// them for its own.
const OPTION_PREFIX: &[u8] = b"LASTLINE_RUN_";

/// Says which `MASTER_PORT` is a job's own: a job inside of it does not take it for a launcher's.
const OWN_PORT: &str = "LASTLINE_MASTER_PORT";
/// How many ports are tried that other jobs have.
const CLAIMS: usize = 16;

impl Environment {
    /// For the ranks of `job` that are started here. They meet at a port that is free now; where others
    /// start ranks of the job, too, at one that all of them find without asking: made of its id.
    pub fn new(job: impl Into<String>, placement: Placement) -> Self {
        let (job, extra) = (job.into(), Vec::new());
        let (master_port, _claim) = match placement.master_port {
            Some(port) => (port, None),
            None if placement.is_part() => (port_of(&job), None),
            None => claim_port(),
        };
        Self { job, placement, master_port, _claim, buffered: false, extra }
    }

    /// What `rank`, as the whole job counts, gets on top of the variables `inherited`; `None` takes
    /// one away. It was started `restarts` times before.
    ///
    /// What a launcher has set is kept: the address of the master, unless the placement has one; and a
    /// rank's own numbers where it is the only rank of the job that is known of here.
    pub fn of(
        &self,
        rank: u32,
        restarts: u32,
        inherited: &[(OsString, OsString)],
    ) -> Vec<(OsString, Option<OsString>)> {
        let has = |name: &str| inherited.iter().any(|(key, _)| key == OsStr::new(name));
        let mut env: Vec<(OsString, Option<OsString>)> = Vec::new();
        let mut set = |name: &str, value: String| env.push((name.into(), Some(value.into())));
        let (at, own) = (&self.placement, rank.to_string());
        let placed = at.is_part() || at.launcher.is_some();
        let numbers = [
            ("RANK", rank),
            ("LOCAL_RANK", at.local_rank(rank)),
            ("WORLD_SIZE", at.world_size),
            ("LOCAL_WORLD_SIZE", at.local_world_size),
            ("NODE_RANK", at.node_rank),
        ];
        for (name, value) in numbers {
            if placed || at.procs > 1 || !has(name) {
                set(name, value.to_string());
            }
        }
        // Of several machines none is the first one that this one is sure to reach.
        let here = (at.nodes == 1 && !has("MASTER_ADDR")).then(|| String::from("127.0.0.1"));
        if let Some(address) = at.master_addr.clone().or(here) {
            set("MASTER_ADDR", address);
        }
        let value = |name: &str| inherited.iter().find(|(key, _)| key == OsStr::new(name));
        let port = value("MASTER_PORT").map(|(_, port)| port);
        let of_outer_job = port.is_some() && port == value(OWN_PORT).map(|(_, port)| port);
        let told = at.master_port.is_some();
        if told || port.is_none() || of_outer_job && (placed || at.procs > 1) {
            set("MASTER_PORT", self.master_port.to_string());
            set(OWN_PORT, self.master_port.to_string());
        }
        if !self.buffered && !has("PYTHONUNBUFFERED") {
            set("PYTHONUNBUFFERED", String::from("1"));
        }
        set("LASTLINE_JOB_ID", self.job.clone());
        set("LASTLINE_RANK", own);
        set("LASTLINE_RESTART_COUNT", restarts.to_string());
        let options = inherited.iter().filter(|(key, _)| key.as_bytes().starts_with(OPTION_PREFIX));
        env.extend(options.map(|(key, _)| (key.clone(), None)));
        env.extend(self.extra.iter().map(|(key, value)| (key.clone(), Some(value.clone()))));
        env
    }
}

/// A port for the ranks of a job that several processes start, which is the same for all of them: among
/// 10,000 below those that Linux gives to whoever asks for any (32768 and above). FNV-1a spreads the ids
/// (Fowler, Noll, Vo; <http://www.isthe.com/chongo/tech/comp/fnv/>).
fn port_of(job: &str) -> u16 {
    const FIRST: u32 = 20_000;
    const PORTS: u32 = 10_000;
    let hash = job
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u16::try_from(FIRST + hash % PORTS).expect("BUG: below 30,000")
}

/// A port that is free, and that no other job has been given, as long as the claim is held.
///
/// The port itself cannot be held: a rank listens on it. What is held is an abstract socket of its
/// name, of which there is one in a network, as of the port.
fn claim_port() -> (u16, Option<Arc<UnixListener>>) {
    let claim = || {
        let port = free_port();
        let name = SocketAddr::from_abstract_name(format!("lastline/port/{port}")).ok()?;
        Some((port, Some(Arc::new(UnixListener::bind_addr(&name).ok()?))))
    };
    (0..CLAIMS).find_map(|_| claim()).unwrap_or_else(|| (free_port(), None))
}

/// A port that was free a moment ago, for the ranks' rendezvous.
pub fn free_port() -> u16 {
    let bound = std::net::TcpListener::bind(("127.0.0.1", 0));
    // 29500 is the port that torchrun uses by default.
    bound.and_then(|listener| listener.local_addr()).map_or(29500, |address| address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(procs: u32, inherited: &[(&str, &str)], name: &str) -> Option<String> {
        given_at(Placement::alone(procs), inherited, name)
    }

    fn given_at(placement: Placement, inherited: &[(&str, &str)], name: &str) -> Option<String> {
        let last = placement.first_rank + placement.procs - 1;
        let environment = Environment {
            job: "j".into(),
            placement,
            master_port: 4000,
            _claim: None,
            buffered: false,
            extra: vec![("EXTRA".into(), "1".into())],
        };
        let inherited: Vec<(OsString, OsString)> =
            inherited.iter().map(|(key, value)| (key.into(), value.into())).collect();
        let mut env = inherited.clone();
        for (key, value) in environment.of(last, 0, &inherited) {
            env.retain(|(other, _)| *other != key);
            env.extend(value.map(|value| (key, value)));
        }
        let found = env.into_iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_string().unwrap())
    }

    #[test]
    fn ranks_get_what_torch_reads() {
        let table = [
            ("RANK", "3"),
            ("LOCAL_RANK", "3"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_WORLD_SIZE", "4"),
            ("NODE_RANK", "0"),
            ("MASTER_ADDR", "127.0.0.1"),
            ("MASTER_PORT", "4000"),
            ("LASTLINE_JOB_ID", "j"),
            ("LASTLINE_RANK", "3"),
            ("LASTLINE_RESTART_COUNT", "0"),
            ("PYTHONUNBUFFERED", "1"),
            ("EXTRA", "1"),
        ];
        for (name, value) in table {
            assert_eq!(given(4, &[], name).as_deref(), Some(value), "{name}");
        }
    }

    #[test]
    fn a_job_inside_another_has_a_port_of_its_own_unless_it_is_a_rank_of_that() {
        let outer = [("MASTER_PORT", "29"), ("LASTLINE_MASTER_PORT", "29"), ("RANK", "1")];
        assert_eq!(given(2, &outer, "MASTER_PORT").as_deref(), Some("4000"));
        assert_eq!(given(1, &outer, "MASTER_PORT").as_deref(), Some("29"));
        // Somebody has set another one in between.
        let set = [("MASTER_PORT", "30"), ("LASTLINE_MASTER_PORT", "29")];
        assert_eq!(given(2, &set, "MASTER_PORT").as_deref(), Some("30"));
    }

    #[test]
    fn no_two_jobs_at_a_time_are_given_one_port() {
        let all: Vec<Environment> =
            (0..200).map(|_| Environment::new("j", Placement::alone(2))).collect();
        let ports: std::collections::HashSet<u16> = all.iter().map(|one| one.master_port).collect();
        assert_eq!(ports.len(), all.len());
    }

    #[test]
    fn a_part_of_a_job_has_the_numbers_of_the_whole() {
        let variables = [
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let inherited = [("RANK", "0"), ("WORLD_SIZE", "1"), ("NODE_RANK", "9")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let flags = crate::PlacementFlags { procs: 2, ..Default::default() };
        let mut placement = Placement::from_launcher(&variables, &flags).unwrap();
        let table = [
            ("RANK", "7"),
            ("LOCAL_RANK", "3"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_WORLD_SIZE", "4"),
            ("NODE_RANK", "1"),
            ("LASTLINE_RANK", "7"),
        ];
        for (name, value) in table {
            let found = given_at(placement.clone(), &inherited, name);
            assert_eq!(found.as_deref(), Some(value), "{name}");
        }
        assert_eq!(given_at(placement.clone(), &inherited, "MASTER_ADDR"), None);
        placement.master_addr = Some("first".into());
        let found = given_at(placement, &[("MASTER_ADDR", "other")], "MASTER_ADDR");
        assert_eq!(found.as_deref(), Some("first"));
    }

    #[test]
    fn all_parts_of_a_job_meet_at_one_port() {
        let mut part = Placement::alone(2);
        part.world_size = 4;
        let port = |job: &str| Environment::new(job, part.clone()).master_port;
        assert_eq!(port("a job"), port("a job"));
        assert_ne!(port("a job"), port("another"));
        assert!((20_000..30_000).contains(&port("a job")));
        let told = Placement { master_port: Some(7), ..part.clone() };
        assert_eq!(Environment::new("a job", told).master_port, 7);
    }

    #[test]
    fn what_a_launcher_set_is_kept_and_lastlines_own_options_are_not_passed_on() {
        let launched = [("RANK", "7"), ("MASTER_ADDR", "head"), ("LASTLINE_RUN_JOB", "outer")];
        assert_eq!(given(1, &launched, "RANK").as_deref(), Some("7"));
        assert_eq!(given(2, &launched, "RANK").as_deref(), Some("1"));
        assert_eq!(given(1, &[("NODE_RANK", "2")], "NODE_RANK").as_deref(), Some("2"));
        assert_eq!(given(2, &[("NODE_RANK", "2")], "NODE_RANK").as_deref(), Some("0"));
        assert_eq!(given(2, &launched, "MASTER_ADDR").as_deref(), Some("head"));
        assert_eq!(given(2, &launched, "LASTLINE_RUN_JOB"), None);
        assert_eq!(given(2, &[("MASTER_PORT", "29")], "MASTER_PORT").as_deref(), Some("29"));
        assert_eq!(given(1, &[("PYTHONUNBUFFERED", "")], "PYTHONUNBUFFERED").as_deref(), Some(""));
    }
}
