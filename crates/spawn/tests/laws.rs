//! The laws of a spawner and of its processes, with a guardian and without.

use lastline_spawn::{ProcessOptions, ProcessSpawner};
use lastline_testing::laws;

fn hold(guardian: bool) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime with threads of its own");
    let _entered = runtime.enter();
    laws::spawner::all(|| {
        let mut options = ProcessOptions::default();
        options.guardian = guardian;
        ProcessSpawner::new(options).expect("a guardian")
    });
}

#[test]
fn the_laws_hold_with_a_guardian() {
    hold(true);
}

#[test]
fn the_laws_hold_without_one() {
    hold(false);
}
