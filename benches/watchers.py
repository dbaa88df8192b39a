#!/usr/bin/env python3
"""What it costs a job that somebody looks at it.

Eight ranks flood, and nobody, one, ten who read, or one who never reads are told of the job over its
control socket, each by `watch` and by `entries`; in turn, round after round. A ratio is the median of
the ratios within each round. Then one snapshot of a job of 1,000 quiet ranks, and what its process
takes with ten watchers. Then what `lastline top` takes itself, on a terminal of 80 columns and 24 rows, beside
eight flooding and beside 1,000 quiet ranks. Needs Linux; builds the release binary unless `--binary` names one.
"""

import argparse
import contextlib
import fcntl
import json
import os
import resource
import socket
import statistics
import struct
import subprocess
import tempfile
import termios
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RANKS = 8
TARGET = 1.05


class Watcher:
    """One connection that asks for `request`, and reads what comes, or only its first line."""

    def __init__(self, path, request, reads):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(request.encode() + b"\n")
        self.bytes = len(self.socket.recv(64))
        self.thread = threading.Thread(target=self.read)
        if reads:
            self.thread.start()

    def read(self):
        while piece := self.socket.recv(1 << 20):
            self.bytes += len(piece)

    def close(self):
        if self.thread.is_alive():
            self.thread.join()
        self.socket.close()


def wait_for(predicate):
    until = time.monotonic() + 60
    while not predicate():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.005)


def start(binary, place, ranks, command, fold, *options):
    env = dict(os.environ, XDG_STATE_HOME=str(place / "state"), XDG_RUNTIME_DIR=str(place))
    argv = [binary, "run", "--job", "b", "-n", str(ranks), "--fold", fold, "--quiet"]
    argv += ["--log-dir", str(place / "logs"), *options, "--", *command]
    nothing = subprocess.DEVNULL
    job = subprocess.Popen(argv, env=env, stdin=nothing, stdout=nothing, stderr=nothing)
    sockets = place / "lastline"
    wait_for(lambda: any(sockets.glob("b.*.sock")))
    return job, next(sockets.glob("b.*.sock"))


def flood(binary, shm, source, fold, readers, stuck):
    """Seconds from the flood's start to the job's end."""
    with tempfile.TemporaryDirectory(dir=shm) as place:
        place = Path(place)
        script = f"until [ -e {place}/begin ]; do sleep 0.01; done; exec cat {source}"
        job, path = start(binary, place, RANKS, ["sh", "-c", script], fold)
        requests = ["watch 1", "entries 1"]
        watchers = [Watcher(path, it, True) for _ in range(readers) for it in requests]
        watchers += [Watcher(path, it, False) for _ in range(stuck) for it in requests]
        began = time.monotonic()
        (place / "begin").touch()
        assert job.wait() == 0
        took = time.monotonic() - began
        for watcher in watchers:
            watcher.close()
        report = json.loads((place / "logs" / "report.json").read_text())
        read = sum(stream["read_bytes"] for rank in report["ranks"] for stream in rank["streams"].values())
        assert report["balanced"] and read == RANKS * source.stat().st_size
        return took


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quiet(binary, shm, ranks):
    with tempfile.TemporaryDirectory(dir=shm) as place:
        place = Path(place)
        job, path = start(binary, place, ranks, ["sh", "-c", "echo ready; exec sleep 1000"], "off")
        try:
            def snapshot():
                began = time.monotonic()
                with socket.socket(socket.AF_UNIX) as asked:
                    asked.connect(str(path))
                    asked.sendall(b"watch 1\n")
                    lines = asked.makefile("rb")
                    lines.readline()
                    text = lines.readline()
                return text, time.monotonic() - began

            def all_run():
                ranks_seen = json.loads(snapshot()[0])["snapshot"]["ranks"]
                return sum(rank["bytes"] == 6 for rank in ranks_seen) == ranks

            wait_for(all_run)
            # Whoever comes first makes the job look, whoever comes later is told what it saw.
            time.sleep(1)
            text, took = snapshot()
            used = {}
            for watchers in (0, 10):
                told = [Watcher(path, "watch 1", True) for _ in range(watchers)]
                time.sleep(1)
                before = cpu_seconds(job.pid)
                time.sleep(5)
                used[watchers] = (cpu_seconds(job.pid) - before) / 5
                for watcher in told:
                    watcher.socket.shutdown(socket.SHUT_RDWR)
                    watcher.close()
            print(f"{ranks} quiet ranks: a snapshot is {len(text) / 1024:.0f} KiB and comes in "
                  f"{took * 1000:.1f} ms; the job takes {used[0] * 100:.1f} % of a core without a watcher, "
                  f"{used[10] * 100:.1f} % with ten")
        finally:
            job.terminate()
            job.wait()


def view(binary, shm, ranks, command):
    """What `top` takes of a processor within ten seconds, and of memory at its peak."""
    with tempfile.TemporaryDirectory(dir=shm) as place:
        place = Path(place)
        job, _ = start(binary, place, ranks, command, "ranks", "--rotate", "10MB", "--max-size", "50MB")
        main, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        env = dict(os.environ, XDG_STATE_HOME=str(place / "state"), XDG_RUNTIME_DIR=str(place), TERM="xterm-256color")
        top = subprocess.Popen([binary, "top", "b"], env=env, stdin=terminal, stdout=terminal, start_new_session=True)
        os.close(terminal)
        drawn = threading.Thread(target=drain, args=(main,))
        drawn.start()
        try:
            time.sleep(5)
            before, began = cpu_seconds(top.pid), time.monotonic()
            time.sleep(10)
            share = (cpu_seconds(top.pid) - before) / (time.monotonic() - began)
            status = Path(f"/proc/{top.pid}/status").read_text()
            peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
            mark = "" if peak <= 64 else "  above 64 MiB"
            print(f"top beside {ranks} ranks: {share:.1%} of a core, peak {peak:.0f} MiB{mark}")
        finally:
            for process in (top, job):
                process.terminate()
                process.wait()
            drawn.join()
            os.close(main)


def drain(terminal):
    # It ends in an error when nobody has the other end any more.
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", help="the release binary; built when it is not named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=64, help="of each rank")
    parser.add_argument("--ranks", type=int, default=1000, help="how many are quiet")
    options = parser.parse_args()
    binary = options.binary
    if not binary:
        subprocess.run(["cargo", "build", "--release", "-p", "lastline"], cwd=ROOT, check=True)
        binary = str(ROOT / "target/release/lastline")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    cases = {"nobody": (0, 0), "one": (1, 0), "ten": (10, 0), "one stuck": (0, 1)}
    with tempfile.TemporaryDirectory(dir=shm) as place:
        source = Path(place) / "source"
        line = "epoch {:06} step {:08} loss 0.{:06} lr 0.0003 tokens {:09}\n"
        with source.open("w") as file:
            written = number = 0
            while written < options.megabytes << 20:
                written += file.write(line.format(number % 7, number, number * 7919 % 999983, number))
                number += 1
        for fold in ("off", "ranks"):
            times = {case: [] for case in cases}
            for _ in range(options.rounds):
                for case, (readers, stuck) in cases.items():
                    times[case].append(flood(binary, shm, source, fold, readers, stuck))
            for case, taken in times.items():
                ratios = [with_it / without for with_it, without in zip(taken, times["nobody"])]
                ratio = statistics.median(ratios)
                mark = "" if ratio <= TARGET else f"  above {TARGET}"
                print(f"--fold {fold}, watched by {case}: {statistics.median(taken):.2f} s, {ratio:.3f}x "
                      f"({min(ratios):.3f}..{max(ratios):.3f}){mark}", flush=True)
    quiet(binary, shm, options.ranks)
    view(binary, shm, RANKS, ["yes", line.format(7, 7, 7, 7).strip()])
    view(binary, shm, options.ranks, ["sh", "-c", "echo ready; exec sleep 1000"])
    print("load", os.getloadavg())


if __name__ == "__main__":
    main()
