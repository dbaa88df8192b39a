//! Which ranks of a job a process starts, and what the others have to do with it.

use std::collections::HashMap;

mod error;
mod launcher;

pub use error::PlacementError;

/// The variables of a process, by name.
pub type Variables = HashMap<String, String>;

/// Which ranks of a job are started here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// How many ranks the whole job has.
    pub world_size: u32,
    /// The first rank that is started here.
    pub first_rank: u32,
    /// How many are started here.
    pub procs: u32,
    /// The number of the first one among those of its machine, where several processes start ranks.
    pub local_first: u32,
    /// How many ranks its machine has.
    pub local_world_size: u32,
    /// The number of its machine, from 0.
    pub node_rank: u32,
    /// How many machines there are.
    pub nodes: u32,
    /// Where the first machine is found, where that is known.
    pub master_addr: Option<String>,
    /// The port there at which ranks meet, when somebody has said so.
    pub master_port: Option<u16>,
    /// Whose variables said so: `Slurm`, `Open MPI`, `PMI`, `PMIx`, `Kubernetes`; none when it was said
    /// by options, or there is nothing to say.
    pub launcher: Option<&'static str>,
}

/// What the user says of a process's place in a job. Default: one rank, and nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementFlags {
    /// `-n`: how many ranks are started here, and by every other process of the job.
    pub procs: u32,
    /// `--nnodes`: how many processes start ranks, one on each machine.
    pub nnodes: Option<u32>,
    /// `--node-rank`: which of them this is, from 0.
    pub node_rank: Option<u32>,
    /// `--world-size`: how many ranks the whole job has.
    pub world_size: Option<u32>,
    /// `--rank`: the first rank that is started here.
    pub rank: Option<u32>,
    /// `--master-addr`: where the first machine is found.
    pub master_addr: Option<String>,
    /// `--master-port`: the port there at which ranks meet.
    pub master_port: Option<u16>,
}

impl Default for PlacementFlags {
    fn default() -> Self {
        Self {
            procs: 1,
            nnodes: None,
            node_rank: None,
            world_size: None,
            rank: None,
            master_addr: None,
            master_port: None,
        }
    }
}

/// One process of several that start ranks, as it is known before ranks are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Task {
    launcher: &'static str,
    /// Which of all tasks.
    index: u32,
    /// How many tasks there are; unknown to some launchers.
    tasks: Option<u32>,
    /// Which of the tasks on its machine, and how many those are.
    local: Option<(u32, u32)>,
    /// Which machine, and of how many.
    node: Option<(u32, u32)>,
    /// The variable that says the index.
    variable: &'static str,
    master_addr: Option<String>,
}

impl Placement {
    /// All ranks of a job are started here.
    pub fn alone(procs: u32) -> Self {
        Self {
            world_size: procs,
            first_rank: 0,
            procs,
            local_first: 0,
            local_world_size: procs,
            node_rank: 0,
            nodes: 1,
            master_addr: None,
            master_port: None,
            launcher: None,
        }
    }

    /// Where this process stands among those that start ranks of one job: by what the user says
    /// (`--rank`, `--node-rank`), or else by the variables of the launcher that started it. Each
    /// starts `flags.procs` ranks, so that the first rank of a task is its index times as many.
    ///
    /// Read are, the first that are there: Open MPI's `OMPI_COMM_WORLD_RANK`, `…_SIZE`,
    /// `…_LOCAL_RANK`, `…_LOCAL_SIZE` ([documentation][ompi]); Slurm's `SLURM_PROCID`,
    /// `SLURM_LOCALID`, `SLURM_NODEID`, `SLURM_STEP_NUM_TASKS`, `SLURM_STEP_NUM_NODES`,
    /// `SLURM_STEP_TASKS_PER_NODE`, `SLURM_STEP_NODELIST`, which `srun` sets for each task
    /// ([srun][srun]) and a batch script has not all of ([sbatch][sbatch]); `PMI_RANK`, `PMI_SIZE` of
    /// [PMI-1][pmi], `MPI_LOCALRANKID`, `MPI_LOCALNRANKS` of [Hydra][hydra]; the index of an indexed Job
    /// of Kubernetes, `JOB_COMPLETION_INDEX` ([documentation][job]); and [`PMIX_RANK`][pmix]. The last
    /// two do not say of how many.
    ///
    /// Where a launcher says no number of the machine, ranks are taken to fill one after the other.
    ///
    /// [ompi]: https://docs.open-mpi.org/en/v5.0.x/tuning-apps/environment-var.html
    /// [srun]: https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    /// [sbatch]: https://slurm.schedmd.com/sbatch.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
    /// [pmi]: https://flux-framework.readthedocs.io/projects/flux-rfc/en/latest/spec_13.html
    /// [hydra]: https://github.com/pmodels/mpich/blob/main/doc/wiki/how_to/Using_the_Hydra_Process_Manager.md
    /// [job]: https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode
    /// [pmix]: https://pmix.github.io/standard
    ///
    /// # Errors
    ///
    /// When what is said is half of what is needed, or contradicts itself.
    pub fn from_launcher(
        variables: &Variables,
        flags: &PlacementFlags,
    ) -> Result<Self, PlacementError> {
        check_pairs(flags)?;
        let task = if flags.rank.is_some() || flags.node_rank.is_some() {
            None
        } else {
            launcher::task(variables)?
        };
        let mut placement = match task {
            Some(task) => of_task(&task, flags)?,
            None => of_flags(flags)?,
        };
        let given = flags.master_addr.clone().or_else(|| variables.get("MASTER_ADDR").cloned());
        placement.master_addr = given.or(placement.master_addr);
        placement.master_port = flags.master_port;
        Ok(placement)
    }

    /// Whether other processes start ranks of the same job.
    pub fn is_part(&self) -> bool {
        self.world_size > self.procs
    }

    /// The number of one of its ranks among those of its machine.
    pub fn local_rank(&self, rank: u32) -> u32 {
        self.local_first + rank.saturating_sub(self.first_rank)
    }
}

/// Options of which one says nothing without the other.
fn check_pairs(flags: &PlacementFlags) -> Result<(), PlacementError> {
    let unpaired = |set, missing, meaning| Err(PlacementError::Unpaired { set, missing, meaning });
    if flags.node_rank.is_some() && flags.nnodes.is_none() {
        return unpaired("--node-rank", "--nnodes", "how many machines there are");
    }
    if flags.rank.is_some() && flags.world_size.is_none() && flags.nnodes.is_none() {
        return unpaired("--rank", "--world-size", "how many ranks the whole job has");
    }
    Ok(())
}

/// How many ranks the options say that there are.
fn told_world(flags: &PlacementFlags) -> Result<Option<u64>, PlacementError> {
    let by_nodes = flags.nnodes.map(|nodes| u64::from(nodes) * u64::from(flags.procs));
    let told = flags.world_size.map(u64::from);
    match (by_nodes, told) {
        (Some(one_ranks), Some(other_ranks)) if one_ranks != other_ranks => {
            let one = format!("`--nnodes` with {} ranks on each", flags.procs);
            Err(PlacementError::WorldSize { one, one_ranks, other: "`--world-size`", other_ranks })
        }
        (by_nodes, told) => Ok(told.or(by_nodes)),
    }
}

fn of_task(task: &Task, flags: &PlacementFlags) -> Result<Placement, PlacementError> {
    let procs = flags.procs;
    let counted = task.tasks.map(|tasks| u64::from(tasks) * u64::from(procs));
    let world = match (counted, told_world(flags)?) {
        (Some(one_ranks), Some(other_ranks)) if one_ranks != other_ranks => {
            let tasks = task.tasks.unwrap_or_default();
            let one = format!("{}, with {tasks} tasks of {procs} ranks each,", task.launcher);
            let other = if flags.world_size.is_some() { "`--world-size`" } else { "`--nnodes`" };
            return Err(PlacementError::WorldSize { one, one_ranks, other, other_ranks });
        }
        (counted, told) => counted.or(told),
    };
    let Task { launcher, variable, index, .. } = *task;
    let unknown = PlacementError::SizeUnknown { launcher, variable, task: index };
    let world = world.ok_or(unknown)?;
    let first = u64::from(index) * u64::from(procs);
    let mut placement = placed(world, first, procs)?;
    if let Some((local, tasks)) = task.local {
        placement.local_first = local * procs;
        placement.local_world_size = tasks * procs;
        let here = placement.local_world_size.max(1);
        placement.node_rank =
            (placement.first_rank - placement.local_first.min(placement.first_rank)) / here;
        placement.nodes = placement.world_size.div_ceil(here);
    }
    if let Some((node, nodes)) = task.node {
        (placement.node_rank, placement.nodes) = (node, nodes);
    }
    placement.launcher = Some(launcher);
    placement.master_addr.clone_from(&task.master_addr);
    Ok(placement)
}

fn of_flags(flags: &PlacementFlags) -> Result<Placement, PlacementError> {
    let procs = flags.procs;
    if let (Some(node_rank), Some(nnodes)) = (flags.node_rank, flags.nnodes)
        && node_rank >= nnodes
    {
        return Err(PlacementError::NodeOutOfRange { node_rank, nnodes });
    }
    let Some(world) = told_world(flags)? else {
        return Ok(Placement::alone(procs));
    };
    let by_node = flags.node_rank.map(|node| u64::from(node) * u64::from(procs));
    let first = match flags.rank.map(u64::from).or(by_node) {
        Some(first) => first,
        // All of it is here.
        None if world == u64::from(procs) => 0,
        None => {
            let (set, missing, meaning) = if flags.world_size.is_some() {
                ("--world-size", "--rank", "the first rank that is started here")
            } else {
                ("--nnodes", "--node-rank", "which machine this is, from 0")
            };
            return Err(PlacementError::Unpaired { set, missing, meaning });
        }
    };
    let mut placement = placed(world, first, procs)?;
    if let Some(node_rank) = flags.node_rank {
        placement.node_rank = node_rank;
    }
    Ok(placement)
}

/// One process on each machine, unless more is known.
fn placed(world: u64, first: u64, procs: u32) -> Result<Placement, PlacementError> {
    let world_size = u32::try_from(world).unwrap_or(u32::MAX);
    if first + u64::from(procs) > u64::from(world_size) {
        let last_rank = first + u64::from(procs.max(1)) - 1;
        return Err(PlacementError::OutOfRange { first_rank: first, last_rank, world_size });
    }
    let first_rank = u32::try_from(first).unwrap_or(u32::MAX);
    let nodes = world_size.div_ceil(procs.max(1));
    let node_rank = first_rank / procs.max(1);
    Ok(Placement { world_size, first_rank, node_rank, nodes, ..Placement::alone(procs) })
}

#[cfg(test)]
mod tests;
