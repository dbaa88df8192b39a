//! What is wrong with what is said of a place.

/// Why it is not known which ranks are to be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// One option is of no use without another.
    #[error("`{set}` needs `{missing}`, too: {meaning}")]
    Unpaired {
        /// What was said.
        set: &'static str,
        /// What was not.
        missing: &'static str,
        /// What that would say.
        meaning: &'static str,
    },
    /// A launcher says which task this is, and not of how many.
    #[error(
        "{launcher} says by {variable} that this is task {task}, and not of how many: give `--world-size`, the ranks of the whole job, or `--nnodes`"
    )]
    SizeUnknown {
        /// Which launcher.
        launcher: &'static str,
        /// By which variable.
        variable: &'static str,
        /// What it says.
        task: u32,
    },
    /// A launcher's variable is missing, or holds what it cannot.
    #[error("{launcher} sets {variable} to `{value}`, where a number was expected")]
    Variable {
        /// Which launcher.
        launcher: &'static str,
        /// Which variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// Two say otherwise of the whole.
    #[error("{one} makes {one_ranks} ranks in all, and {other} says {other_ranks}")]
    WorldSize {
        /// Who says the one.
        one: String,
        /// How many.
        one_ranks: u64,
        /// Who says the other.
        other: &'static str,
        /// How many.
        other_ranks: u64,
    },
    /// The ranks that would be started are not of the job.
    #[error(
        "ranks {first_rank} to {last_rank} would be started here, and the job has {world_size} (0 to {}): `--rank` is the first rank of this process, `-n` how many it starts",
        world_size.saturating_sub(1)
    )]
    OutOfRange {
        /// The first.
        first_rank: u64,
        /// The last.
        last_rank: u64,
        /// How many there are.
        world_size: u32,
    },
    /// A machine that is not one of them.
    #[error("`--node-rank {node_rank}` is none of `--nnodes {nnodes}`, which are numbered from 0")]
    NodeOutOfRange {
        /// Which was named.
        node_rank: u32,
        /// How many there are.
        nnodes: u32,
    },
}
