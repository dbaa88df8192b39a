//! The examples do what they show.

use std::process::Command;

use crate::support::example;

#[test]
fn every_part_of_a_mesh_can_be_somebody_elses() {
    let ran = Command::new(example("swap")).output().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{text}{}", String::from_utf8_lossy(&ran.stderr));
    let lines: Vec<&str> = text.lines().collect();
    // Its own spawner, fold and printer; its own storage and sink; its own link, without a loss.
    assert!(
        lines.contains(&"2: STEP 3 OF RANK 2") && lines.contains(&"0: RANK 0 IS DONE"),
        "{text}"
    );
    let totals = [
        "16 lines, 264 bytes read",
        "264 bytes filed, 264 bytes counted",
        "4 ranks, balanced: true",
    ];
    assert_eq!(lines[16..], totals, "{text}");
}
