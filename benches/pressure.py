"""Rows of compare.py: a console that stands still, files that are rotated or forced to disk, a long run."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path

MB = 1_000_000
NOTHING = subprocess.DEVNULL
STOP_SECONDS = 5
PROCS = 8


class Console:
    """What became of a job whose console a reader may let stand still first."""

    def __init__(self, bench, file, stop):
        with bench.folder() as out:
            argv = [bench.lastline, "run", "-n", str(PROCS), "--log-dir", out / "logs"]
            start = time.perf_counter()
            job = subprocess.Popen(
                [*argv, "--", "cat", file],
                stdin=NOTHING,
                stdout=subprocess.PIPE,
                stderr=NOTHING,
                env=bench.env,
            )
            time.sleep(stop)
            self.peak_mib = status_mib(job.pid, "VmHWM")
            lines = 0
            while piece := os.read(job.stdout.fileno(), 1 << 20):
                lines += piece.count(b"\n")
            job.stdout.close()
            if job.wait() != 0:
                raise SystemExit(f"the job with a stopped console: exit code {job.returncode}")
            self.wall = time.perf_counter() - start
            report = json.loads((out / "logs" / "report.json").read_text())
        wrote = file.read_bytes().count(b"\n") * PROCS
        if lines != wrote or not report["balanced"]:
            raise SystemExit(f"{lines} lines came out of a stopped console, {wrote} were written")
        self.ranks = max(at(rank["ended"]) - at(rank["started"]) for rank in report["ranks"])


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def status_mib(pid, field):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field + ":"))) / 1024


def stopped_console(bench, file, size):
    bench.table.head(f"{PROCS} ranks x {size // MB} MB, the console read {STOP_SECONDS} s late")
    stopped, free, null = bench.rounds(
        lambda: Console(bench, file, STOP_SECONDS),
        lambda: Console(bench, file, 0),
        lambda: Ranks(bench, file),
    )
    after = [run.wall - STOP_SECONDS for run in stopped]
    bench.table.ratios("the job without the stop, console read at once", after, [run.wall for run in free], 2)
    ranks = [run.ranks for run in stopped], [run.ranks for run in null]
    bench.table.ratios("its ranks, console at /dev/null", *ranks, 1.5)
    peak = statistics.median(run.peak_mib for run in stopped)
    bench.table.figure("peak memory while it stands still", peak, "MiB", 64)


class Ranks:
    """How long the ranks of a job run whose console is /dev/null."""

    def __init__(self, bench, file):
        with bench.folder() as out:
            argv = [bench.lastline, "run", "-n", str(PROCS), "--log-dir", out / "logs", "--", "cat", file]
            subprocess.run(argv, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING, env=bench.env, check=True)
            report = json.loads((out / "logs" / "report.json").read_text())
        self.ranks = max(at(rank["ended"]) - at(rank["started"]) for rank in report["ranks"])


def kept_files(bench, file, size):
    """On a disk, since a file in memory is forced to nowhere."""
    bench.table.head(f"{PROCS} ranks x {size // MB} MB, files on the disk under {bench.disk}")
    for options in (["--rotate", "10MB"], ["--fsync", "end"]):
        own, plain = bench.rounds(
            lambda options=options: Kept(bench, file, options),
            lambda: Kept(bench, file, []),
        )
        name = f"`{' '.join(options)}`, neither"
        bench.table.ratios(name, [run.wall for run in own], [run.wall for run in plain], 1.3)


class Kept:
    def __init__(self, bench, file, options):
        out = Path(tempfile.mkdtemp(prefix="lastline-bench-", dir=bench.disk))
        try:
            argv = [bench.lastline, "run", "-n", str(PROCS), "--log-dir", out / "logs", *options]
            start = time.perf_counter()
            subprocess.run(
                [*argv, "--", "cat", file],
                stdin=NOTHING,
                stdout=NOTHING,
                stderr=NOTHING,
                env=bench.env,
                check=True,
            )
            self.wall = time.perf_counter() - start
            size = sum(path.stat().st_size for path in (out / "logs").glob("rank-*"))
            if size != PROCS * file.stat().st_size:
                raise SystemExit(f"{options}: the files have {size} bytes")
        finally:
            shutil.rmtree(out)


def long_run(bench):
    """50 GB through one rank; memory as it goes."""
    file = bench.lines(100, 25 * MB)
    times = 80 if bench.options.quick else 2000
    marks = [gb for gb in (1, 10, 50) if gb * 1000 <= times * 25]
    bench.table.head(f"1 rank, {times * 25 // 1000} GB, `--rotate 100MB --max-size 1GB`")
    with bench.folder() as out:
        argv = [bench.lastline, "run", "--log-dir", out / "logs", "--rotate", "100MB", "--max-size", "1GB"]
        argv += ["--", "sh", "-c", f"for i in $(seq {times}); do cat {file}; done"]
        start = time.perf_counter()
        job = subprocess.Popen(argv, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING, env=bench.env)
        while job.poll() is None:
            if marks and has_read(job.pid) >= marks[0] * 999 * MB:
                resident = status_mib(job.pid, "VmRSS")
                bench.table.figure(f"memory at {marks.pop(0)} GB", resident, "MiB", 64)
            time.sleep(0.01)
        wall = time.perf_counter() - start
        left = sum(path.stat().st_size for path in (out / "logs").glob("rank-*"))
        report = json.loads((out / "logs" / "report.json").read_text())
    read = report["ranks"][0]["streams"]["stdout"]["read_bytes"]
    if job.returncode != 0 or not report["balanced"] or read != times * 25 * MB:
        raise SystemExit(f"the long run: exit code {job.returncode}, {read} bytes were read")
    print(f"  {read / MB / wall:,.0f} MB/s; {left / MB:,.0f} MB of files are left", flush=True)


def has_read(pid):
    """How many bytes the process has read."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line.split()[1] for line in lines if line.startswith("rchar:")))
