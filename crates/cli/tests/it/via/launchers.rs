//! Tasks that MPI's launcher and a Slurm of one machine start.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::Job;
use crate::support::{Running, not_run, report, wait_until};

/// A program that has its place from MPI, and adds up the ranks of all.
const PROGRAM: &str = r#"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    int rank, size, sum;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    printf("rank %d of %d, sum %d, RANK %s\n", rank, size, sum, getenv("RANK"));
    MPI_Finalize();
    return 0;
}
"#;

/// Whether these are installed; says so when one is not.
fn has(job: &Job, programs: &[&str]) -> bool {
    let missing = programs.iter().find(|program| !job.place.has(program));
    if let Some(missing) = missing {
        not_run("a launcher is not installed", &io::Error::other(*missing));
    }
    missing.is_none()
}

#[test]
fn mpirun_starts_a_job_of_four_ranks() {
    let job = Job::new();
    if !has(&job, &["mpirun", "mpicc"]) {
        return;
    }
    fs::write(job.place.path("sum.c"), PROGRAM).unwrap();
    Running::start(job.place.wrap("mpicc", &["-o", "sum", "sum.c"])).wait().expect(0);
    let driver = job.attach(&[]);
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let words = ["-n", "4", "--allow-run-as-root", "--oversubscribe", lastline, "run", "--via"];
    let words = [&words[..], &[&job.url, "--job", "j", "--", "./sum"]].concat();
    let mpirun = Running::start(job.place.wrap("mpirun", &words));
    let launched = mpirun.wait();
    assert_eq!(launched.code(), 0, "{}", launched.err());
    let done = driver.wait().expect(0);
    let wanted: Vec<String> =
        (0..4).map(|rank| format!("[{rank}] rank {rank} of 4, sum 6, RANK {rank}")).collect();
    assert_eq!(done.sorted(), wanted);
    assert_eq!(report(&job.dir())["world_size"], 4);
}

/// Slurm's daemons on this machine; they end with it.
struct Slurm {
    _munge: Running,
    _control: Running,
    _node: Running,
    conf: String,
}

impl Slurm {
    /// Starts them, as root, with everything of theirs in the place of the test.
    fn start(job: &Job) -> io::Result<Self> {
        let dir = job.place.path("slurm");
        for name in ["state", "spool"] {
            fs::create_dir_all(dir.join(name))?;
        }
        let path = |name: &str| dir.join(name).to_str().expect("text").to_owned();
        let (socket, key) = (path("munge.socket"), path("munge.key"));
        fs::write(&key, [7; 128])?;
        std::os::unix::fs::chown(&key, Some(0), Some(0))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&key, mode)?;
        fs::write(path("slurm.conf"), configuration(&dir, &socket)?)?;
        let start = |program: &str, words: &[&str]| {
            let mut command = job.place.wrap(program, words);
            command.env("SLURM_CONF", path("slurm.conf"));
            Running::start(command)
        };
        let own = |option: &str, name: &str| format!("--{option}={}", path(name));
        let munge = start(
            "munged",
            &[
                "--foreground",
                "--force",
                &format!("--socket={socket}"),
                &format!("--key-file={key}"),
                &own("pid-file", "munge.pid"),
                &own("log-file", "munge.log"),
                &own("seed-file", "munge.seed"),
            ],
        );
        wait_until("munge listens", || Path::new(&socket).exists());
        let control = start("slurmctld", &["-D", "-f", &path("slurm.conf")]);
        let node = start("slurmd", &["-D", "-f", &path("slurm.conf")]);
        let slurm =
            Self { _munge: munge, _control: control, _node: node, conf: path("slurm.conf") };
        wait_until("the node is idle", || {
            std::thread::park_timeout(Duration::from_millis(100));
            let mut command = job.place.wrap("sinfo", &["-h", "-o", "%t"]);
            command.env("SLURM_CONF", &slurm.conf);
            Running::start(command).wait().out().trim() == "idle"
        });
        Ok(slurm)
    }
}

/// One node, this machine, with room for four tasks, and ports that are free now.
fn configuration(dir: &Path, socket: &str) -> io::Result<String> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.split('.').next().unwrap_or(&host).to_owned();
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr().map(|address| address.port())
    };
    let (control, node, dir) = (free()?, free()?, dir.display());
    Ok(format!(
        "ClusterName=here\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={control}\n\
         SlurmdPort={node}\nAuthType=auth/munge\nAuthInfo=socket={socket}\nSlurmUser=root\n\
         StateSaveLocation={dir}/state\nSlurmdSpoolDir={dir}/spool\n\
         SlurmctldPidFile={dir}/ctld.pid\nSlurmdPidFile={dir}/d.pid\n\
         SlurmctldLogFile={dir}/ctld.log\nSlurmdLogFile={dir}/d.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nReturnToService=2\n\
         SlurmdParameters=config_overrides\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n\
         PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
    ))
}

#[test]
fn srun_starts_a_job_of_four_ranks() {
    let job = Job::new();
    if !has(&job, &["srun", "slurmctld", "slurmd", "munged"]) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return not_run("Slurm's daemons", &io::Error::other("only root may start them"));
    }
    let slurm = match Slurm::start(&job) {
        Ok(slurm) => slurm,
        Err(error) => return not_run("Slurm's daemons", &error),
    };
    let driver = job.attach(&[]);
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let script = "echo task $SLURM_PROCID is rank $RANK of $WORLD_SIZE, local $LOCAL_RANK";
    let words = ["-n", "4", lastline, "run", "--via", &job.url, "--job", "j", "--"];
    let mut srun = job.place.wrap("srun", &[&words[..], &["sh", "-c", script]].concat());
    srun.env("SLURM_CONF", &slurm.conf);
    let launched = Running::start(srun).wait();
    assert_eq!(launched.code(), 0, "{}", launched.err());
    let done = driver.wait().expect(0);
    let wanted: Vec<String> = (0..4)
        .map(|rank| format!("[{rank}] task {rank} is rank {rank} of 4, local {rank}"))
        .collect();
    assert_eq!(done.sorted(), wanted);
}
