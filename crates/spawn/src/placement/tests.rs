use super::launcher::first_node;
use super::*;

fn variables(set: &[(&str, &str)]) -> Variables {
    set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flags(procs: u32) -> PlacementFlags {
    PlacementFlags { procs, ..PlacementFlags::default() }
}

fn found(set: &[(&str, &str)], flags: &PlacementFlags) -> Placement {
    let placement = Placement::from_launcher(&variables(set), flags).expect("a place");
    check(&placement);
    placement
}

fn refused(set: &[(&str, &str)], flags: &PlacementFlags) -> String {
    Placement::from_launcher(&variables(set), flags).expect_err("no place").to_string()
}

/// What holds of every place.
fn check(placement: &Placement) {
    let Placement { world_size, first_rank, procs, .. } = *placement;
    assert!(first_rank + procs <= world_size, "{placement:?}");
    assert!(placement.node_rank < placement.nodes, "{placement:?}");
    assert!(placement.local_first + procs <= placement.local_world_size, "{placement:?}");
    assert!(placement.local_world_size <= world_size, "{placement:?}");
}

/// What `srun -N 3` sets for each of five tasks: 2 on two nodes each, 1 on the last.
fn slurm_tasks() -> Vec<Vec<(&'static str, &'static str)>> {
    let places =
        [("0", "0", "0"), ("1", "0", "1"), ("2", "1", "0"), ("3", "1", "1"), ("4", "2", "0")];
    let task = |(index, node, local)| {
        vec![
            ("SLURM_PROCID", index),
            ("SLURM_NODEID", node),
            ("SLURM_LOCALID", local),
            ("SLURM_NTASKS", "5"),
            ("SLURM_STEP_NUM_TASKS", "5"),
            ("SLURM_STEP_NUM_NODES", "3"),
            ("SLURM_STEP_TASKS_PER_NODE", "2(x2),1"),
            ("SLURM_STEP_NODELIST", "gpu[07-08,11]"),
        ]
    };
    places.map(task).into()
}

#[test]
fn the_tasks_of_a_launcher_have_every_rank_once() {
    for procs in [1, 2, 8] {
        let places: Vec<Placement> =
            slurm_tasks().iter().map(|task| found(task, &flags(procs))).collect();
        let ranks = places.iter().flat_map(|at| at.first_rank..at.first_rank + at.procs);
        assert!(ranks.eq(0..5 * procs), "{procs}");
        assert!(places.iter().all(|at| at.world_size == 5 * procs && at.nodes == 3));
        // Local ranks are those of a machine, from 0, each once.
        for node in 0..3 {
            let here = places.iter().filter(|at| at.node_rank == node);
            let local = here.clone().flat_map(|at| {
                (at.first_rank..at.first_rank + procs).map(|rank| at.local_rank(rank))
            });
            let count = here.clone().next().expect("a task").local_world_size;
            assert!(local.eq(0..count), "node {node}");
        }
        assert_eq!(places[4].master_addr.as_deref(), Some("gpu07"));
        assert_eq!(places[4].launcher, Some("Slurm"));
    }
}

#[test]
fn a_batch_script_is_no_task() {
    let batch = [
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_NODEID", "0"),
        ("SLURM_NTASKS", "4"),
        ("SLURM_NNODES", "4"),
        ("SLURM_TASKS_PER_NODE", "1(x4)"),
        ("SLURM_JOB_NODELIST", "gpu[07-10]"),
    ];
    assert_eq!(found(&batch, &flags(2)), Placement::alone(2));
}

#[test]
fn mpirun_and_hydra_say_which_task_this_is() {
    let open_mpi = [
        ("OMPI_COMM_WORLD_RANK", "5"),
        ("OMPI_COMM_WORLD_SIZE", "8"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "4"),
        // Of the process among those of its node.
        ("OMPI_COMM_WORLD_NODE_RANK", "1"),
        ("PMIX_RANK", "5"),
        // mpirun's own daemons are tasks of srun.
        ("SLURM_PROCID", "1"),
        ("SLURM_STEP_NUM_TASKS", "2"),
    ];
    let placement = found(&open_mpi, &flags(1));
    assert_eq!((placement.first_rank, placement.world_size), (5, 8));
    assert_eq!((placement.node_rank, placement.nodes, placement.local_first), (1, 2, 1));
    assert_eq!(placement.launcher, Some("Open MPI"));

    let hydra = [
        ("PMI_RANK", "3"),
        ("PMI_SIZE", "4"),
        ("MPI_LOCALRANKID", "3"),
        ("MPI_LOCALNRANKS", "4"),
        ("SLURM_PROCID", "0"),
        ("SLURM_STEP_NUM_TASKS", "1"),
    ];
    let placement = found(&hydra, &flags(2));
    assert_eq!((placement.first_rank, placement.world_size, placement.procs), (6, 8, 2));
    assert_eq!((placement.local_first, placement.local_world_size, placement.nodes), (6, 8, 1));
    assert_eq!(placement.launcher, Some("PMI"));
}

#[test]
fn a_pod_knows_its_number_and_is_told_of_how_many() {
    let pod = [("JOB_COMPLETION_INDEX", "2")];
    let told = PlacementFlags { nnodes: Some(3), ..flags(4) };
    let placement = found(&pod, &told);
    assert_eq!((placement.first_rank, placement.world_size, placement.node_rank), (8, 12, 2));
    assert_eq!(placement.nodes, 3);
    assert_eq!(found(&pod, &PlacementFlags { world_size: Some(12), ..flags(4) }), placement);
    let error = refused(&pod, &flags(4));
    assert!(error.contains("JOB_COMPLETION_INDEX") && error.contains("--world-size"), "{error}");
    let error = refused(&[("PMIX_RANK", "1")], &flags(1));
    assert!(error.starts_with("PMIx says by PMIX_RANK that this is task 1"), "{error}");
}

#[test]
fn the_user_says_it_and_wins() {
    let slurm = &slurm_tasks()[3];
    let told = PlacementFlags { nnodes: Some(2), node_rank: Some(1), ..flags(4) };
    let placement = found(slurm, &told);
    assert_eq!((placement.first_rank, placement.world_size, placement.node_rank), (4, 8, 1));
    assert_eq!(placement.launcher, None);
    let told = PlacementFlags {
        world_size: Some(7),
        rank: Some(3),
        master_addr: Some("head".into()),
        master_port: Some(29_500),
        ..flags(4)
    };
    let placement = found(&[("MASTER_ADDR", "other")], &told);
    assert_eq!((placement.first_rank, placement.world_size), (3, 7));
    assert_eq!(placement.master_addr.as_deref(), Some("head"));
    assert_eq!(placement.master_port, Some(29_500));
    assert_eq!(found(&[("MASTER_ADDR", "other")], &flags(1)).master_addr.as_deref(), Some("other"));
    // Of a job that has all its ranks here there is nothing to say.
    assert_eq!(
        found(&[], &PlacementFlags { world_size: Some(4), ..flags(4) }),
        Placement::alone(4)
    );
}

#[test]
fn what_is_half_said_or_contradicts_itself_is_told() {
    let cases: [(PlacementFlags, &str); 8] = [
        (PlacementFlags { node_rank: Some(0), ..flags(1) }, "`--node-rank` needs `--nnodes`"),
        (PlacementFlags { nnodes: Some(2), ..flags(1) }, "`--nnodes` needs `--node-rank`"),
        (PlacementFlags { rank: Some(0), ..flags(1) }, "`--rank` needs `--world-size`"),
        (PlacementFlags { world_size: Some(2), ..flags(1) }, "`--world-size` needs `--rank`"),
        (
            PlacementFlags { nnodes: Some(2), node_rank: Some(2), ..flags(1) },
            "`--node-rank 2` is none of `--nnodes 2`",
        ),
        (
            PlacementFlags { world_size: Some(4), rank: Some(3), ..flags(2) },
            "ranks 3 to 4 would be started here, and the job has 4 (0 to 3)",
        ),
        (
            PlacementFlags { world_size: Some(5), nnodes: Some(2), node_rank: Some(0), ..flags(2) },
            "`--nnodes` with 2 ranks on each makes 4 ranks in all, and `--world-size` says 5",
        ),
        (PlacementFlags { world_size: Some(0), rank: Some(0), ..flags(1) }, "the job has 0"),
    ];
    for (flags, expected) in cases {
        let error = refused(&[], &flags);
        assert!(error.contains(expected), "{flags:?}: {error}");
    }
    let slurm = &slurm_tasks()[0];
    let error = refused(slurm, &PlacementFlags { world_size: Some(6), ..flags(1) });
    assert!(error.starts_with("Slurm, with 5 tasks of 1 ranks each, makes 5 ranks"), "{error}");
    let error = refused(&[("SLURM_PROCID", "x"), ("SLURM_STEP_NUM_TASKS", "2")], &flags(1));
    assert!(error.contains("SLURM_PROCID to `x`"), "{error}");
}

#[test]
fn the_first_of_a_list_of_nodes_has_its_digits() {
    let table = [
        ("node[1-3,7]", Some("node1")),
        ("node[08-10]", Some("node08")),
        ("login,node[1-2]", Some("login")),
        ("rack[1-2]n[03-04,7]x", Some("rack1n03x")),
        ("a.example.org", Some("a.example.org")),
        ("node[1-2", None),
        ("", None),
    ];
    for (list, first) in table {
        assert_eq!(first_node(list).as_deref(), first, "{list}");
    }
}
