//! What is told when the only rank fails: its last lines, unless they stand just above.

use crate::support::{Place, Running};

/// How lastline tells of one rank that fails; its outputs are one pipe, or two.
fn one_rank_fails(options: &[&str], script: &str, one_pipe: bool) -> String {
    let place = Place::new();
    let args = [&["run", "--job", "j"], options, &["--", "sh", "-c", script]].concat();
    let mut command = place.command(&args);
    let mut both = String::new();
    let pipe = one_pipe.then(|| {
        let (read, write) = std::io::pipe().unwrap();
        command.stdout(write.try_clone().unwrap()).stderr(write);
        read
    });
    let run = Running::start(command);
    if let Some(mut pipe) = pipe {
        std::io::Read::read_to_string(&mut pipe, &mut both).unwrap();
    }
    let done = run.wait().expect(3);
    both + &done.err()
}

#[test]
fn what_stands_just_above_is_not_told_again_of_one_rank() {
    let told = one_rank_fails(&[], "echo why >&2; exit 3", false);
    assert!(told.starts_with("why\nlastline: rank 0 failed: exit code 3, after "), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
    let told = one_rank_fails(&[], "echo why; exit 3", true);
    assert!(told.starts_with("why\nlastline: rank 0 failed: exit code 3, after "), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn what_stands_elsewhere_or_otherwise_is_told_of_one_rank_too() {
    for (options, script) in [
        (&[][..], "echo why; exit 3"),
        (&["--format", "json"], "echo why >&2; exit 3"),
        (&["--fold", "ranks"], "echo why >&2; exit 3"),
    ] {
        let told = one_rank_fails(options, script, false);
        assert!(told.contains(" s; its last lines:\nlastline:   why\n"), "{options:?}: {told}");
    }
    let long = "echo 'Traceback (most recent call last):' >&2; i=0; while [ $i -lt 60 ]; do \
        echo '  File \"a.py\", line '$i', in f' >&2; i=$((i+1)); done; echo 'ValueError: x' >&2; exit 3";
    let told = one_rank_fails(&[], long, false);
    assert!(told.contains("lines left out"), "{told}");
}
