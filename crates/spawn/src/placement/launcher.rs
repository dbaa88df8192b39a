//! What launchers say of a task in its variables.

use super::{PlacementError, Task, Variables};

/// Which task this is, by the first launcher that says so.
pub(super) fn task(variables: &Variables) -> Result<Option<Task>, PlacementError> {
    let reader = |launcher| Reader { launcher, variables };
    if let Some(task) = open_mpi(&reader("Open MPI"))? {
        return Ok(Some(task));
    }
    let (slurm, pmi) = (slurm(&reader("Slurm"))?, pmi(&reader("PMI"))?);
    // Slurm says more, where both speak of the same tasks: a launcher that starts its own daemons by
    // srun leaves them the variables of those.
    let place = |task: &Task| (task.index, task.tasks);
    let task = match (slurm, pmi) {
        (Some(slurm), Some(pmi)) if place(&slurm) != place(&pmi) => Some(pmi),
        (slurm, pmi) => slurm.or(pmi),
    };
    if task.is_some() {
        return Ok(task);
    }
    if let Some(task) = unsized_task(&reader("Kubernetes"), "JOB_COMPLETION_INDEX")? {
        // A pod is a machine of its own.
        return Ok(Some(Task { local: Some((0, 1)), ..task }));
    }
    unsized_task(&reader("PMIx"), "PMIX_RANK")
}

/// Reads the variables of one launcher.
struct Reader<'a> {
    launcher: &'static str,
    variables: &'a Variables,
}

impl Reader<'_> {
    fn text(&self, variable: &str) -> Option<&str> {
        self.variables.get(variable).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn wrong(&self, variable: &'static str) -> PlacementError {
        let value = self.text(variable).unwrap_or_default().to_owned();
        PlacementError::Variable { launcher: self.launcher, variable, value }
    }

    fn number(&self, variable: &'static str) -> Result<Option<u32>, PlacementError> {
        let Some(text) = self.text(variable) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| self.wrong(variable))
    }

    /// Which one, and of how many; nothing where only one is said.
    fn pair(
        &self,
        which: &'static str,
        of: &'static str,
    ) -> Result<Option<(u32, u32)>, PlacementError> {
        Ok(self.number(which)?.zip(self.number(of)?))
    }

    fn task(&self, variable: &'static str, index: u32, tasks: Option<u32>) -> Task {
        let launcher = self.launcher;
        Task { launcher, index, tasks, local: None, node: None, variable, master_addr: None }
    }
}

fn open_mpi(read: &Reader<'_>) -> Result<Option<Task>, PlacementError> {
    let Some((index, tasks)) = read.pair("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")? else {
        return Ok(None);
    };
    // OMPI_COMM_WORLD_NODE_RANK is no number of the node: it counts the processes on it.
    let local = read.pair("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")?;
    Ok(Some(Task { local, ..read.task("OMPI_COMM_WORLD_RANK", index, Some(tasks)) }))
}

/// A task of srun. A batch script has SLURM_PROCID, too, which is 0, and SLURM_NTASKS, which is what
/// it may start: only of a step is there a number of tasks that run.
fn slurm(read: &Reader<'_>) -> Result<Option<Task>, PlacementError> {
    let Some((index, tasks)) = read.pair("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")? else {
        return Ok(None);
    };
    let node = read.pair("SLURM_NODEID", "SLURM_STEP_NUM_NODES")?;
    let per_node = read.text("SLURM_STEP_TASKS_PER_NODE").map(|text| {
        tasks_of_node(text, node.map_or(0, |(node, _)| node))
            .ok_or_else(|| read.wrong("SLURM_STEP_TASKS_PER_NODE"))
    });
    let local = read.number("SLURM_LOCALID")?.zip(per_node.transpose()?);
    let first_node = read.text("SLURM_STEP_NODELIST").and_then(first_node);
    let task = read.task("SLURM_PROCID", index, Some(tasks));
    Ok(Some(Task { local, node, master_addr: first_node, ..task }))
}

fn pmi(read: &Reader<'_>) -> Result<Option<Task>, PlacementError> {
    let Some((index, tasks)) = read.pair("PMI_RANK", "PMI_SIZE")? else {
        return Ok(None);
    };
    let local = read.pair("MPI_LOCALRANKID", "MPI_LOCALNRANKS")?;
    Ok(Some(Task { local, ..read.task("PMI_RANK", index, Some(tasks)) }))
}

fn unsized_task(read: &Reader<'_>, variable: &'static str) -> Result<Option<Task>, PlacementError> {
    Ok(read.number(variable)?.map(|index| read.task(variable, index, None)))
}

/// How many tasks a node has, of a list such as `2(x3),1`: two on each of three, one on the fourth.
fn tasks_of_node(list: &str, node: u32) -> Option<u32> {
    let mut before = 0_u32;
    for part in list.split(',') {
        let (tasks, times) = match part.trim().split_once("(x") {
            Some((tasks, times)) => (tasks, times.strip_suffix(')')?.parse().ok()?),
            None => (part.trim(), 1_u32),
        };
        let tasks = tasks.parse().ok()?;
        before = before.checked_add(times)?;
        if node < before {
            return Some(tasks);
        }
    }
    None
}

/// The first name of a list such as `rack[1-2]n[03-04,7],login`: `rack1n03`.
pub(super) fn first_node(list: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = list.trim();
    loop {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        name.push_str(&rest[..end]);
        match rest[end..].strip_prefix('[') {
            Some(inside) => {
                let (numbers, behind) = inside.split_once(']')?;
                name.push_str(&numbers[..numbers.find(['-', ',']).unwrap_or(numbers.len())]);
                rest = behind;
            }
            None => return Some(name).filter(|name| !name.is_empty()),
        }
    }
}
