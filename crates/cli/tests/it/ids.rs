//! An id is one job's: who is asked by it, and who is not.

use crate::support::{Place, Running, report, wait_until};

fn on_the_list(place: &Place, job: &str) {
    wait_until("it is on the list", || place.job(job).join("job.json").exists());
}

#[test]
fn a_second_job_of_an_id_is_refused_while_the_first_one_runs() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let first = place.start_ranks(&["--job", "j", "--log-dir", "one"], &["gate", &path]);
    on_the_list(&place, "j");
    let second = ["run", "--job", "j", "--log-dir", "two", "--", "echo", "second"];
    let refused = place.lastline(&second).expect(2);
    assert!(refused.err().contains("the job `j` is running in "), "{}", refused.err());
    assert!(refused.out().is_empty() && !place.path("two").exists());
    assert!(place.lastline(&["jobs"]).expect(0).out().contains("running"));
    drop(gate);
    first.wait().expect(0);
    place.lastline(&second).expect(0);
    assert_eq!(place.lastline(&["logs", "j"]).expect(0).out(), "second\n");
}

#[test]
fn a_job_is_asked_in_its_own_place_alone() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--job", "ci", "--log-dir", "logs"], &["gate", &path]);
    on_the_list(&place, "ci");
    let elsewhere = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("XDG_STATE_HOME", place.path("other"));
        Running::start(command).wait()
    };
    for ask in ["flush", "stop"] {
        let none = elsewhere(&[ask, "ci"]).expect(2);
        assert!(none.err().contains("there is no job `ci` in "), "{}", none.err());
    }
    elsewhere(&["run", "--job", "ci", "--", "true"]).expect(0);
    for ask in ["flush", "stop"] {
        let over = elsewhere(&[ask, "ci"]).expect(1);
        assert!(over.err().contains("it is over"), "{}", over.err());
    }
    // By its directory it is known anywhere.
    let logs = place.path("logs");
    assert_eq!(elsewhere(&["flush", logs.to_str().unwrap()]).expect(0).out(), "reached\n");
    assert_eq!(place.lastline(&["flush", "ci"]).expect(0).out(), "reached\n");
    drop(gate);
    run.wait().expect(0);
    assert_eq!(report(&logs)["first_failure"], serde_json::Value::Null);
}

#[test]
fn jobs_without_files_are_asked_by_their_ids_and_a_second_one_says_that_it_is_not() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let options = ["--no-files", "--job", "j", "--grace", "1s"];
    let first = place.start_ranks(&options, &["gate", &path]);
    wait_until("it listens", || place.control("j").exists());
    let second = place.start_ranks(&options, &["gate", &path]);
    second.line();
    place.lastline(&["stop", "j"]).expect(0);
    first.wait().expect(143);
    drop(gate);
    let said = second.wait().expect(0).err();
    assert!(said.contains("another job of this id"), "{said}");
}

#[test]
fn a_job_whose_socket_is_gone_is_told_from_one_without_a_driver() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--job", "j"], &["gate", &path]);
    run.line();
    std::fs::remove_file(place.control("j")).unwrap();
    let none = place.lastline(&["stop", "j"]).expect(1).err();
    assert!(
        none.contains("is not there: it could not be made") && !none.contains("--via"),
        "{none}"
    );
    drop(gate);
    run.wait().expect(0);
}
