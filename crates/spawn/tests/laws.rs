//! The laws of a spawner and of its processes, with a guardian and without.

use lastline_spawn::{ProcessOptions, ProcessSpawner};
use lastline_testing::laws;

fn hold(guardian: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    laws::spawner::all(|| {
        let mut options = ProcessOptions::default();
        options.guardian = guardian;
        ProcessSpawner::new(options).unwrap()
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
