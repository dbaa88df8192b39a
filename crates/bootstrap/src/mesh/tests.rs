//! What a job keeps of starts that are over.

use lastline_client::{Labels, Verdict};
use lastline_line::Off;
use lastline_testing::{PATIENCE, PrintRecorder, until};

use super::*;
use crate::Files;
use crate::driver::Wanted;

const RESTARTS: u32 = 20;

/// A rank that is started again so often, and then stays.
fn often(dir: &Path) -> (LoggingMesh, PrintRecorder) {
    let script = r#"echo out; echo err >&2; [ $LASTLINE_RESTART_COUNT = 20 ] || exit 3
        exec sleep 1000"#;
    let mut plan = Plan::new("test", vec!["sh".into(), "-c".into(), script.into()]);
    plan.max_restarts = RESTARTS;
    plan.files = Some(Files::new(dir.to_path_buf(), Default::default()));
    let printer = PrintRecorder::new();
    let shown = Box::new(printer.clone());
    let console = Console {
        fold: Box::new(Off),
        printer: shown,
        labels: Labels::default(),
        raw_partials: false,
    };
    (LoggingMesh::spawn(plan, console).unwrap(), printer)
}

#[tokio::test]
async fn of_starts_that_are_over_nothing_is_kept_that_reads_and_all_is_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let (mesh, printer) = often(dir.path());
    let starts = RESTARTS as usize + 1;
    // Barriers while starts come and go: each is answered by what there is.
    while printer.lines().len() < 2 * starts {
        let verdicts = mesh.flush_within(PATIENCE).await;
        assert!(verdicts.all_reached(), "{verdicts:?}");
    }
    let look = mesh.host.look();
    until(|| look(Wanted::LastLine).len() == 2).await;
    let verdicts = mesh.flush().await;
    let ended = verdicts.streams.iter().filter(|(_, verdict)| *verdict == Verdict::Ended);
    assert_eq!((verdicts.streams.len(), ended.count()), (2 * starts, 2 * RESTARTS as usize));
    let ranks = mesh.ranks();
    assert_eq!(
        (ranks[0].bytes, ranks[0].lines, &ranks[0].last_lines[..]),
        (8, 2, &["err".into()][..])
    );
    assert_eq!(mesh.driver().snapshot().ledger.read_bytes, 8 * starts as u64);
    mesh.stop(StopCause::Owner);
    let report = tokio::time::timeout(PATIENCE, mesh.wait()).await.expect("it ends").unwrap();
    assert!(report.balanced);
    assert_eq!(report.ranks.len(), starts);
    for start in &report.ranks {
        for stream in start.streams.values() {
            assert_eq!((stream.ledger.read_bytes, stream.ledger.filed_bytes), (4, 4));
        }
    }
}
