//! Runs the real binary, each time in a place of its own, and never without a deadline.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use lastline_jobs::JobsPlace;
use lastline_watch::control_name;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The child program.
pub(crate) fn rank() -> String {
    let beside = Path::new(env!("CARGO_BIN_EXE_lastline")).parent().expect("a directory");
    let path = beside.join("examples/rank");
    assert!(path.exists(), "{} is missing: build the examples too", path.display());
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A directory for one test: the jobs, the sockets and whatever else.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ll").tempdir().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The files of a job in the default place.
    pub(crate) fn job(&self, job: &str) -> PathBuf {
        self.path("state/lastline/jobs").join(job)
    }

    /// A file here that may be executed. Another process writes it: none can be executed while anybody
    /// has it open for writing, and a child that another test starts meanwhile would inherit that.
    pub(crate) fn executable(&self, name: &str, content: &[u8]) -> PathBuf {
        let script = "cat >\"$0\" && chmod 755 \"$0\"";
        let mut command = self.wrap("sh", &["-c", script, name]);
        command.stdin(Stdio::piped());
        let mut writer = Running::start(command);
        writer.stdin().write_all(content).unwrap();
        writer.wait().expect(0);
        self.path(name)
    }

    /// `lastline` where another user may run it, who may not enter the place where it was built, and
    /// who may write here.
    pub(crate) fn lastline_for_anybody(&self) -> PathBuf {
        for dir in ["", "run"] {
            fs::set_permissions(self.path(dir), fs::Permissions::from_mode(0o777)).unwrap();
        }
        self.executable("lastline", &fs::read(env!("CARGO_BIN_EXE_lastline")).unwrap())
    }

    /// That `lastline`, run by a user who has no rights of anybody's; nothing where there is no way to
    /// become one.
    pub(crate) fn as_another_user(&self, binary: &Path, args: &[&str]) -> Option<Command> {
        let can = rustix::process::geteuid().is_root() && self.has("setpriv");
        let user = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
        let binary = [binary.to_str().unwrap()];
        can.then(|| self.wrap("setpriv", &[&user[..], &binary, args].concat()))
    }

    /// Whether a program is installed.
    pub(crate) fn has(&self, program: &str) -> bool {
        let found = self.wrap("sh", &["-c", "command -v \"$0\"", program]);
        Running::start(found).wait().status.success()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.wrap(env!("CARGO_BIN_EXE_lastline"), args)
    }

    /// A command that sees this place as its user's.
    pub(crate) fn wrap(&self, program: &str, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).process_group(0);
        let own = std::env::vars_os().filter(|(key, _)| {
            key.to_str().is_some_and(|key| {
                key.starts_with("LASTLINE_") || key.starts_with("PYTHON") || key == "NO_COLOR"
            })
        });
        own.for_each(|(key, _)| {
            command.env_remove(key);
        });
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_RUNTIME_DIR", self.path("run"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        inherit_nothing(&mut command);
        command
    }

    /// Starts `lastline` and comes back at once.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args))
    }

    /// Runs `lastline` to its end.
    pub(crate) fn lastline(&self, args: &[&str]) -> Done {
        self.start(args).wait()
    }

    /// Where a running job is asked.
    pub(crate) fn control(&self, job: &str) -> PathBuf {
        let jobs = JobsPlace::at(self.path("state/lastline/jobs"));
        self.path("run/lastline").join(control_name(Some(&jobs), job))
    }

    /// Runs a job of ranks that are our own program.
    pub(crate) fn ranks(&self, options: &[&str], behaviour: &[&str]) -> Done {
        self.start_ranks(options, behaviour).wait()
    }

    pub(crate) fn start_ranks(&self, options: &[&str], behaviour: &[&str]) -> Running {
        let rank = rank();
        let args: Vec<&str> =
            [&["run"], options, &["--", &rank], behaviour].into_iter().flatten().copied().collect();
        Running::start(self.command(&args))
    }

    /// A gate that is shut until it is dropped.
    pub(crate) fn gate(&self) -> (File, String) {
        let path = self.path("gate");
        let gate = File::create(&path).unwrap();
        gate.lock().unwrap();
        (gate, path.to_str().unwrap().to_owned())
    }
}

/// Whatever who runs the tests has ignored, as nohup and shells do, is not ignored in what they
/// start.
fn inherit_nothing(command: &mut Command) {
    #[expect(unsafe_code, reason = "std knows neither of signals nor of other descriptors")]
    // SAFETY: between fork and exec it makes system calls only.
    unsafe {
        command.pre_exec(|| {
            let ends = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
            for signal in ends.into_iter().chain([libc::SIGUSR1, libc::SIGUSR2]) {
                libc::signal(signal, libc::SIG_DFL);
            }
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
}

/// A process that runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    started: Instant,
    lines: Receiver<String>,
    err_lines: Receiver<String>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let started = Instant::now();
        #[expect(clippy::disallowed_methods, reason = "the tests start lastline itself")]
        let mut child = command.spawn().unwrap();
        let (lines, stdout) = read_lines(child.stdout.take());
        let (err_lines, stderr) = read_lines(child.stderr.take());
        Self { child, started, lines, err_lines, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Whether every thread of it is stopped; a signal to stop takes a moment.
    pub(crate) fn stands(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        // Of a thread that ends meanwhile nothing can be read.
        let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).ok();
        fs::read_dir(tasks)
            .unwrap()
            .flatten()
            .filter_map(stat)
            .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// The processes that it has started, the guardian among them.
    pub(crate) fn children(&self) -> Vec<u32> {
        let tasks = format!("/proc/{}/task", self.pid().as_raw_nonzero());
        let tasks = fs::read_dir(tasks).unwrap().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let all: String = lists.collect();
        all.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("stdin is piped")
    }

    /// The next whole line on stdout.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    /// Waits for a line on stdout that has this in it; gives it back whole.
    #[track_caller]
    pub(crate) fn line_with(&self, what: &str) -> String {
        line_with(&self.lines, what)
    }

    /// The same of stderr.
    #[track_caller]
    pub(crate) fn err_line_with(&self, what: &str) -> String {
        line_with(&self.err_lines, what)
    }

    /// Waits for the process alone, not for its outputs.
    #[track_caller]
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let pidfd = rustix::process::pidfd_open(self.pid(), rustix::process::PidfdFlags::empty());
        wait_readable(&pidfd.unwrap(), "lastline does not end");
        self.child.wait().unwrap()
    }

    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let status = self.wait_exit();
        let took = self.started.elapsed();
        let all = |output: &Receiver<Vec<u8>>| match output.recv_timeout(PATIENCE) {
            Ok(bytes) => bytes,
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
            Err(RecvTimeoutError::Timeout) => panic!("somebody still holds lastline's outputs"),
        };
        let (stdout, stderr) = (all(&self.stdout), all(&self.stderr));
        Done { status, stdout, stderr, took }
    }
}

/// Reads to the end; gives each line when it comes, and all of it then.
fn read_lines(pipe: Option<impl Read + Send + 'static>) -> (Receiver<String>, Receiver<Vec<u8>>) {
    let ((told, lines), (all, seen)) = (channel(), channel());
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let (mut pipe, mut seen) = (BufReader::new(pipe), Vec::new());
            loop {
                let from = seen.len();
                if pipe.read_until(b'\n', &mut seen).unwrap() == 0 {
                    break;
                }
                // Nobody has to listen to the lines.
                drop(told.send(String::from_utf8_lossy(&seen[from..]).trim_end().to_owned()));
            }
            drop(all.send(seen));
        });
    }
    (lines, seen)
}

#[track_caller]
fn line_with(lines: &Receiver<String>, what: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).expect("the line in time");
        if line.contains(what) {
            return line;
        }
    }
}

impl Drop for Running {
    #[expect(clippy::print_stdout, reason = "the words of a failed test")]
    fn drop(&mut self) {
        // It has usually ended.
        let ended = self.child.try_wait();
        drop(self.child.kill());
        drop(self.child.wait());
        // Why a test has failed is often said by a process that it did not ask yet.
        if std::thread::panicking()
            && let Ok(words) = self.stderr.recv_timeout(LAST_WORDS)
        {
            println!("a lastline ({ended:?}) had said: {}", String::from_utf8_lossy(&words));
        }
    }
}

/// How long the last words of what a failed test leaves are waited for: its children may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits until a pidfd says that its process has exited.
#[track_caller]
pub(crate) fn wait_readable(fd: &impl std::os::fd::AsFd, otherwise: &str) {
    let timeout = rustix::event::Timespec::try_from(PATIENCE).unwrap();
    let flags = rustix::event::PollFlags::IN;
    let mut fds = [rustix::event::PollFd::new(fd, flags)];
    assert_eq!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(1), "{otherwise}");
}

/// Waits until `predicate` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut predicate: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !predicate() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Says that a test cannot be run here.
#[expect(clippy::print_stderr, reason = "a test tells who reads its output")]
pub(crate) fn not_run(why: &str, error: &io::Error) {
    eprintln!("not run: {why}: {error}");
}

/// What a process did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) took: Duration,
}

impl Done {
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        let signal = self.status.signal();
        self.status.code().unwrap_or_else(|| panic!("ended by signal {signal:?}: {}", self.err()))
    }

    /// Fails unless the exit code is this.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.err());
        self
    }

    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// The lines of stdout, sorted: ranks come in any order.
    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.out().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// What rank `rank` printed on stdout, its prefix taken away.
    pub(crate) fn of_rank(&self, rank: u32) -> Vec<u8> {
        let prefix = format!("[{rank}] ").into_bytes();
        let lines = self.stdout.split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(|line| line.strip_prefix(&prefix[..])).flatten().copied().collect()
    }
}

pub(crate) fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

/// The report in `dir`, which balances.
#[track_caller]
pub(crate) fn report(dir: &Path) -> Value {
    let report = json(&dir.join("report.json"));
    check(&report);
    report
}

/// Does the arithmetic of every ledger again.
#[track_caller]
pub(crate) fn check(report: &Value) {
    assert_eq!(report["balanced"], true, "{report:#}");
    let sum = |gaps: &Value| -> u64 {
        let gaps = gaps.as_array().unwrap().iter();
        gaps.map(|gap| gap["to"].as_u64().unwrap() - gap["from"].as_u64().unwrap()).sum()
    };
    for stream in report["ranks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rank| rank["streams"].as_object().unwrap().values())
    {
        let number = |name: &str| stream[name].as_u64().unwrap();
        let withheld = stream["withheld"].as_object().unwrap().values();
        let withheld: u64 = withheld.map(|bytes| bytes.as_u64().unwrap()).sum();
        let read = number("read_bytes");
        assert_eq!(read, number("filed_bytes") + sum(&stream["not_filed"]), "{stream:#}");
        assert_eq!(read, number("shown_bytes") + withheld + sum(&stream["lost"]), "{stream:#}");
    }
}

/// A stream of a rank in a report.
pub(crate) fn stream<'a>(report: &'a Value, rank: usize, stream: &str) -> &'a Value {
    &report["ranks"][rank]["streams"][stream]
}

/// What a rank's stdout file holds; nothing when there is none.
pub(crate) fn file(dir: &Path, rank: u32, stream: &str) -> Vec<u8> {
    match fs::read(dir.join(format!("rank-{rank}.{stream}.log"))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.unwrap(),
    }
}

/// Writes to a child's stdin and leaves it open.
pub(crate) fn tell(stdin: &mut impl Write, text: &str) {
    stdin.write_all(text.as_bytes()).unwrap();
    stdin.flush().unwrap();
}
