#!/usr/bin/env python3
"""Compares Lastline with other ways to run the same commands, side by side.

    python3 benches/compare.py [--quick] [--only WORD] [--rounds N]

Builds the release binary, then runs each contender in turn, round after round, and prints one
table: medians, the median of the ratios within a round, and the target beside each figure. A tool
that is not installed is skipped in words. Needs Python 3.9 and Linux; files are on /dev/shm when
that is a tmpfs. A missed target is marked and fails nothing; a lost byte does.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pwd
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pressure

ROOT = Path(__file__).resolve().parent.parent
MB = 1_000_000
MIB = 1 << 20
F_GETPIPE_SZ = 1032
NOTHING = subprocess.DEVNULL


class Run:
    """One command, run to its end: wall and CPU seconds, of it and of all that it waited for."""

    def __init__(self, argv, env=None, check=True):
        start = time.perf_counter()
        child = subprocess.Popen(argv, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING, env=env)
        _, status, used = os.wait4(child.pid, 0)
        self.wall = time.perf_counter() - start
        self.cpu = used.ru_utime + used.ru_stime
        child.returncode = os.waitstatus_to_exitcode(status)
        if check and child.returncode != 0:
            raise SystemExit(f"{' '.join(map(str, argv))[:200]}: exit code {child.returncode}")


class Table:
    """Prints rows as they come."""

    ROW = "{:<50}  {:>11}  {:>11}  {:>7}  {:<10} {}"

    def __init__(self):
        self.missed = 0
        self.say("", "lastline", "other", "ratio", "target", "")
        self.say("-" * 50, "-" * 11, "-" * 11, "-" * 7, "-" * 10, "")

    def say(self, *cells):
        print(self.ROW.format(*cells).rstrip(), flush=True)

    def head(self, text):
        print(f"\n{text}", flush=True)

    def skip(self, text, why):
        print(f"  {text}: skipped, {why}", flush=True)

    def row(self, name, own, other, ratio, target, met):
        self.missed += not met
        self.say("  " + name, own, other, ratio, target, "" if met else "missed")

    def ratios(self, name, own, other, most):
        """`own` and `other` are seconds, one of each for every round."""
        ratio = statistics.median(a / b for a, b in zip(own, other))
        own, other = statistics.median(own), statistics.median(other)
        target = f"<= {most:.3g}x"
        self.row(name, seconds(own), seconds(other), f"{ratio:.2f}x", target, ratio <= most)

    def figure(self, name, value, unit, most):
        met = value <= most
        self.row(name, f"{value:.3g} {unit}", "", "", f"<= {most:g} {unit}", met)


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


class Bench:
    def __init__(self, options, place):
        self.options, self.place, self.table = options, place, Table()
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        self.programs = (ROOT / target) / "release"
        # Where another user may run it.
        self.lastline = place / "lastline"
        # Where files are on a disk.
        self.disk = self.programs
        shutil.copy2(self.programs / "lastline", self.lastline)
        for name in ("state", "runtime"):
            (place / name).mkdir()
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LASTLINE_")}
        self.env["XDG_STATE_HOME"] = str(place / "state")
        self.env["XDG_RUNTIME_DIR"] = str(place / "runtime")

    @contextlib.contextmanager
    def folder(self):
        path = self.place / "out"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path)

    def lines(self, line_bytes, size):
        """A file of numbered lines of `line_bytes` each."""
        path = self.place / f"lines-{line_bytes}-{size}"
        if not path.exists():
            count = size // line_bytes
            with path.open("wb") as file:
                for number in range(count):
                    file.write(f"{number} ".encode().ljust(line_bytes - 1, b"x") + b"\n")
        return path

    # The contenders.

    def run_lastline(self, procs, command, files=True, expect=None):
        with self.folder() as out:
            argv = [self.lastline, "run", "-n", str(procs), "--on-failure", "continue"]
            argv += ["--log-dir", out / "logs"] if files else ["--no-files"]
            run = Run([*argv, "--", *command], self.env)
            if expect is not None:
                check_files(out / "logs", procs, expect)
        return run

    def run_tee(self, procs, inputs):
        """`cat | tee FILE`, so many at once."""
        with self.folder() as out:
            one = f'cat {inputs} | tee "$OUT/$i" > /dev/null'
            script = f"for i in $(seq {procs}); do ({one}) & done; wait"
            if procs == 1:
                script = f"i=1; {one}"
            return Run(["sh", "-c", script], {**self.env, "OUT": str(out)})

    def rounds(self, *contenders):
        """Each contender once a round; the runs of each, after one round that does not count."""
        runs = [[] for _ in contenders]
        warm = 0 if self.options.quick else 1
        for number in range(warm + self.options.rounds):
            for contender, kept in zip(contenders, runs):
                run = contender()
                if number >= warm:
                    kept.append(run)
        return runs

    # The rows.

    def flood(self, line_bytes, most_wall, most_cpu):
        size = (5 if self.options.quick else 25) * MB
        file = self.lines(line_bytes, size)
        size = file.stat().st_size
        self.table.head(f"8 ranks x {size // MB} MB, lines of {line_bytes} bytes")
        own, tee = self.rounds(
            lambda: self.run_lastline(8, ["cat", file], expect=size),
            lambda: self.run_tee(8, file),
        )
        against = "`cat | tee FILE` x 8"
        self.table.ratios(f"wall, {against}", walls(own), walls(tee), most_wall)
        if most_cpu:
            self.table.ratios(f"CPU, {against}", cpus(own), cpus(tee), most_cpu)
        return file, size

    def floods(self):
        file, size = self.flood(100, 1.25, 1.5)
        self.others(file, size)
        self.flood(20, 2, None)
        self.flood(4000, 1.25, None)

    def others(self, file, size):
        jobs = [str(file)] * 8
        parallel = ["parallel", "--will-cite", "-j8", "--line-buffer", "--tag", "cat", ":::", *jobs]
        mpirun = ["mpirun", "-n", "8", "--tag-output", "--oversubscribe"]
        mpirun += ["--allow-run-as-root"] if os.geteuid() == 0 else []
        mpirun += ["cat", str(file)]
        table = [
            ("parallel --line-buffer --tag", parallel, 1 / 3),
            ("mpirun --tag-output", mpirun, 1 / 5),
        ]
        for name, argv, most in table:
            why = unusable(argv[0])
            if why:
                self.table.skip(name, why)
                continue
            own, other = self.rounds(
                lambda: self.run_lastline(8, ["cat", file], expect=size),
                lambda: Run(argv, self.env),
            )
            self.table.ratios(f"wall, `{name}`", walls(own), walls(other), most)

    def one_rank(self):
        file = self.lines(100, 25 * MB)
        times = 4 if self.options.quick else 40
        inputs, size = [str(file)] * times, times * 25 * MB
        self.table.head(f"1 rank, {size / 1e9:g} GB, lines of 100 bytes")
        own, tee = self.rounds(
            lambda: self.run_lastline(1, ["cat", *inputs], expect=size),
            lambda: self.run_tee(1, " ".join(inputs)),
        )
        self.table.ratios("wall, `cat | tee FILE`", walls(own), walls(tee), 1.25)

    def starts(self):
        self.table.head("starting")
        rounds = 4 * self.options.rounds
        own, bare = [], []
        for _ in range(rounds):
            own.append(self.run_lastline(1, ["true"], files=False).wall)
            bare.append(Run(["true"]).wall)
        more = statistics.median(a - b for a, b in zip(own, bare)) * 1000
        self.table.figure("`run -n 1 --no-files -- true` above `true`", more, "ms", 6)
        xargs = ["sh", "-c", "seq 1000 | xargs -P 64 -n 1 echo"]
        own, other = self.rounds(
            lambda: self.run_lastline(1000, ["echo", "hello"], expect=6),
            lambda: Run(xargs, self.env),
        )
        name = "1,000 ranks that print a line, `xargs -P 64`"
        self.table.ratios(name, walls(own), walls(other), 1.5)

    def waits(self):
        self.table.head("waiting")
        lines = "50" if self.options.quick else "250"
        p50, p99 = self.percentiles("latency", lines)
        self.table.figure("write to console's write, 8 quiet ranks, p50", p50, "ms", 0.5)
        self.table.figure("the same, p99", p99, "ms", 3)
        for streams, most in ((8, 0.2), (64, 0.5), (512, 2)):
            p50, _ = self.percentiles("barrier", str(streams), "100" if self.options.quick else "500")
            self.table.figure(f"barrier over {streams} idle streams, p50", p50, "ms", most)

    def percentiles(self, *argv):
        """The medians of p50 and p99 over the rounds."""
        found = []
        for _ in range(self.options.rounds):
            argv = [str(self.programs / argv[0]), *argv[1:]]
            done = subprocess.run(argv, stdin=NOTHING, stdout=subprocess.PIPE, check=True)
            found.append(json.loads(done.stdout))
        return [statistics.median(one[key] for one in found) for key in ("p50_ms", "p99_ms")]

    def pressure(self):
        size = (5 if self.options.quick else 25) * MB
        file = self.lines(100, size)
        pressure.stopped_console(self, file, size)
        pressure.kept_files(self, file, size)

    def long(self):
        pressure.long_run(self)

    def memory(self):
        self.table.head("peak memory of the lastline process (VmHWM)")
        self.memory_as(None)
        if os.geteuid() != 0:
            print("  (this user has no privileges; there is nothing more to try)")
            return
        try:
            nobody = pwd.getpwnam("nobody")
        except KeyError:
            self.table.skip("as an unprivileged user", "there is no user `nobody`")
            return
        self.memory_as(nobody)

    def memory_as(self, user):
        who = f", as {user.pw_name}" if user else ""
        file = self.lines(100, 25 * MB)
        for quiet, most in ((False, 64), (True, 48)):
            name = "1,000 quiet ranks" if quiet else "8 flooding ranks"
            command = ["sh", "-c", "echo here; exec sleep 4"] if quiet else ["cat", file]
            peaks, pipes = [], []
            for _ in range(1 if self.options.quick else self.options.rounds):
                with self.folder() as out:
                    peak, pipe = self.watch(1000 if quiet else 8, command, user, out)
                peaks.append(peak)
                pipes.append(pipe)
            self.table.figure(f"{name}{who}", statistics.median(peaks), "MiB", most)
            if quiet and (user or os.geteuid() != 0):
                least = min(pipes)
                row = (f"a new pipe of the same user meanwhile{who}", f"{least // 1024} KiB", "", "")
                self.table.row(*row, ">= 64 KiB", least >= 64 << 10)

    def watch(self, procs, command, user, out):
        """Runs a job and looks at it until its end: its peak in MiB, and the least pipe."""
        env, options = dict(self.env), {}
        env["XDG_STATE_HOME"], env["XDG_RUNTIME_DIR"] = str(out / "state"), str(out / "runtime")
        if user:
            os.chown(out, user.pw_uid, user.pw_gid)
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        argv = [self.lastline, "run", "-n", str(procs), "--log-dir", out / "logs", "--", *command]
        job = subprocess.Popen(
            argv, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING, env=env, cwd=out, **options
        )
        peak, least, look = 0, 1 << 30, 0
        while job.poll() is None:
            peak = peak_kib(job.pid) or peak
            look += 1
            if look % 20 == 0:
                least = min(least, new_pipe_bytes(user))
            time.sleep(0.005)
        if job.returncode != 0:
            raise SystemExit(f"{procs} ranks of {command[0]}: exit code {job.returncode}")
        return peak / 1024, least


def walls(runs):
    return [run.wall for run in runs]


def cpus(runs):
    return [run.cpu for run in runs]


def check_files(logs, procs, size):
    """Every rank's file has the bytes that the rank wrote."""
    sizes = [(logs / f"rank-{rank}.stdout.log").stat().st_size for rank in range(procs)]
    report = json.loads((logs / "report.json").read_text())
    lost = any(s["lost"] for rank in report["ranks"] for s in rank["streams"].values())
    if set(sizes) != {size} or not report["balanced"] or lost:
        raise SystemExit(f"bytes are missing: files {sorted(set(sizes))}, each should have {size}")


def unusable(tool):
    """Why a tool cannot be compared with; nothing when it can."""
    if not shutil.which(tool):
        return "it is not installed"
    if tool == "parallel":
        told = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
        if "GNU parallel" not in told.stdout:
            return "the `parallel` here is another one"
    return None


def peak_kib(pid):
    """VmHWM, while there is one."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) if found else None


def new_pipe_bytes(user):
    """How big a pipe is that another program of this user makes now."""
    answer, tell = os.pipe()
    child = os.fork()
    if child == 0:
        if user:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        read, _ = os.pipe()
        os.write(tell, str(fcntl.fcntl(read, F_GETPIPE_SZ)).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(answer) as file:
        size = int(file.read())
    os.waitpid(child, 0)
    return size


def is_tmpfs(path):
    mounts = Path("/proc/mounts").read_text().splitlines()
    return any(line.split()[1:3] == [path, "tmpfs"] for line in mounts)


def version(*argv):
    if not shutil.which(argv[0]):
        return f"no {argv[0]}"
    told = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (told.stdout or told.stderr).splitlines()[0]


def load():
    """The load of the last minute, one's own work included."""
    return f"{os.getloadavg()[0]:.1f}"


def describe(place):
    cores = os.sched_getaffinity(0)
    print(f"{len(cores)} cores, load {load()}, Linux {os.uname().release}")
    tools = [("tee", "--version"), ("parallel", "--version"), ("mpirun", "--version")]
    print("; ".join(version(*tool) for tool in tools))
    kind = "a tmpfs" if str(place).startswith("/dev/shm") else "no tmpfs: a disk is measured too"
    print(f"files in {place.parent} ({kind})\n", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less data, two rounds, no warm-up")
    parser.add_argument("--rounds", type=int, help="how often each contender runs (default: 5)")
    parser.add_argument("--only", default="", help="floods, one_rank, starts, waits, pressure, memory or long")
    parser.add_argument("--no-build", action="store_true", help="take the binary that is there")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    if not options.no_build:
        build = ["cargo", "build", "--release", "--locked", "-p", "lastline", "-p", "lastline-benches"]
        subprocess.run(build, cwd=ROOT, check=True)
    memory = "/dev/shm" if is_tmpfs("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="lastline-bench-", dir=memory) as place:
        place = Path(place)
        place.chmod(0o755)
        describe(place)
        bench = Bench(options, place)
        parts = [bench.floods, bench.one_rank, bench.starts, bench.waits, bench.pressure, bench.memory]
        # 50 GB take minutes: only when asked for.
        parts += [bench.long] if options.only else []
        for part in parts:
            if part.__name__.startswith(options.only):
                part()
        missed = bench.table.missed
        print(f"\n{missed or 'no'} target{'' if missed == 1 else 's'} missed; load {load()} at the end")


if __name__ == "__main__":
    sys.exit(main())
