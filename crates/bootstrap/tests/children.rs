//! Alone in its process, whose children it counts.

use lastline_bootstrap::{Console, LoggingMesh, Plan};
use lastline_client::Labels;
use lastline_line::Off;
use lastline_testing::PrintRecorder;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_over_leaves_no_process_behind_not_even_a_zombie() {
    // The guardian is let go by whoever is last: a race of the job's end with that of starting.
    for _ in 0..200 {
        let console = Console {
            fold: Box::new(Off),
            printer: Box::new(PrintRecorder::new()),
            labels: Labels::default(),
            raw_partials: false,
        };
        let mesh = LoggingMesh::spawn(Plan::new("test", vec!["true".into()]), console).unwrap();
        assert!(mesh.wait().await.unwrap().balanced);
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        // A task may end while it is looked at.
        let lists = tasks.filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok());
        let children: String = lists.collect();
        assert!(children.is_empty(), "left: {children}");
    }
}
