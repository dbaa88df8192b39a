//! Alone in its process, which ignores SIGCHLD.

use lastline_spawn::{Exit, ProcessOptions, ProcessSpawner, RankSpec, Spawner, own_sigchld};

#[tokio::test]
async fn how_a_process_ended_is_unknown_where_sigchld_is_ignored_and_that_it_ended_is_not() {
    #[expect(unsafe_code, reason = "std has no signal")]
    // SAFETY: no handler is installed.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
    }
    let mut spawner = ProcessSpawner::new(ProcessOptions::default()).unwrap();
    let mut shell = |script: &str| {
        let command = ["sh", "-c", script].map(Into::into).into();
        spawner.spawn(RankSpec::new(0, command))
    };
    // Its own children are none of that: the shell learns how they end.
    let held = shell("sh -c 'exit 5'; [ $? = 5 ] && exec sleep 600").unwrap();
    assert_eq!(held.process.exit(), None);
    let ended = shell("exit 3").unwrap().process;
    assert_eq!(ended.wait().await, Exit::Unknown);
    assert_eq!(ended.exit(), Some(Exit::Unknown));
    assert!(!ended.has_members());
    // Another process may have its number, or none.
    ended.signal(libc::SIGKILL);
    ended.release();
    held.process.signal(libc::SIGTERM);
    assert_eq!(held.process.wait().await, Exit::Unknown);
    held.process.release();

    let mut missing = RankSpec::new(0, vec!["missing".into()]);
    missing.program = Some("/no/such/program".into());
    let error = spawner.spawn(missing).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT));

    own_sigchld();
    let command = ["sh", "-c", "exit 3"].map(Into::into).into();
    let known = spawner.spawn(RankSpec::new(0, command)).unwrap().process;
    assert_eq!(known.wait().await, Exit::Code(3));
    known.release();
    spawner.dismiss();
}
