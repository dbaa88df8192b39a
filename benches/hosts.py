#!/usr/bin/env python3
"""What distance costs: the same job in one process, through a Unix socket, and through NATS.

    python3 benches/hosts.py [flood] [barrier] [outage] [many] [--rounds N]

Builds the release binary and its helpers. Needs `nats-server` in PATH, Python 3.9 and Linux. Each
contender in turn, round after round; a ratio is the median of the ratios within a round. The broker is a
process of this script's own with file storage, on the loopback; all that it and the job write is on /dev/shm
when that is a tmpfs. A missed target is marked and fails nothing; a byte too few fails.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("LASTLINE_BIN", ROOT / "target/release"))
NOTHING = subprocess.DEVNULL
RANKS = 8
FOLD_AFTER_MS = 100
"""How long a host gathers with --pre-fold."""
CHUNK = 64 << 10
TICKS = os.sysconf("SC_CLK_TCK")
LINE = "epoch {:06} step {:08} loss 0.{:06} lr 0.0003 tokens {:09} grad_norm 1.842 and a few more words more\n"


def until(predicate, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


def helper(name, *args):
    """What one of the measuring programs prints."""
    argv = [BIN / name, *map(str, args)]
    return json.loads(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)


def usage(pid):
    """Processor seconds and MiB of memory of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    status = Path(f"/proc/{pid}/status").read_text()
    resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return (int(fields[11]) + int(fields[12])) / TICKS, resident


class Broker:
    """A server with JetStream, which can be killed and run again."""

    def __init__(self, place):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.place, self.url, self.server = place, f"nats://127.0.0.1:{self.port}", None
        self.config = place / "server.conf"
        store = f'jetstream {{ store_dir: "{place}/store", max_file_store: 64GB }}'
        self.config.write_text(f"host: 127.0.0.1\nport: {self.port}\n{store}\n")
        self.run()

    def run(self):
        argv = ["nats-server", "-c", self.config, "-l", self.place / "server.log"]
        self.server = subprocess.Popen(argv, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)
        until(self.answers, "the broker")

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            return asked.recv(4) == b"INFO"
        return False

    def kill(self):
        self.server.kill()
        self.server.wait()


class Place:
    """Where a job has its files, and the driver its console."""

    def __init__(self, root):
        self.path = Path(tempfile.mkdtemp(dir=root))
        self.env = dict(os.environ, XDG_STATE_HOME=f"{self.path}/state", XDG_RUNTIME_DIR=str(self.path))
        self.jobs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for job in self.jobs:
            if job.poll() is None:
                job.kill()
                job.wait()
        shutil.rmtree(self.path)

    def start(self, *argv, stdout=NOTHING):
        argv = [BIN / "lastline", *map(str, argv)]
        log = (self.path / "words").open("a")
        job = subprocess.Popen(argv, env=self.env, stdin=NOTHING, stdout=stdout, stderr=log)
        self.jobs.append(job)
        return job

    def host(self, via, job, command, *options):
        logs = self.path / "logs"
        return self.start("run", "--via", via, "--job", job, "--log-dir", logs, *options, "--", *command)

    def attach(self, via, job, *options, stdout=NOTHING):
        argv = ["attach", "--via", via, "--job", job, "--log-dir", self.path / "driver", "--quiet", *options]
        return self.start(*argv, stdout=stdout)

    def end(self, *jobs):
        for job in jobs:
            assert job.wait(600) == 0, f"exit code {job.returncode}: {(self.path / 'words').read_text()}"

    def check(self, expected):
        """Every byte was read, filed and shown."""
        path = self.path / "driver" / "report.json"
        report = json.loads(path.read_text())
        streams = [stream for rank in report["ranks"] for stream in rank["streams"].values()]
        assert report["balanced"], f"{path} is not balanced"
        for what in ("read_bytes", "filed_bytes", "shown_bytes"):
            assert sum(stream[what] for stream in streams) == expected, what


def write_source(path, size):
    lines = written = 0
    with path.open("w") as file:
        while written < size:
            written += file.write(LINE.format(lines % 7, lines, lines * 7919 % 999983, lines))
            lines += 1
        # Whole chunks, so that the raw way has the same bytes; and whole lines, so that a console without
        # prefixes has them, too, and no newline of lastline's own.
        file.write("x" * (-written % CHUNK - 1) + "\n")
    return path.stat().st_size, lines + 1


def flooding(place, source):
    """Ranks that wait for each other, then write all at once."""
    begin = place.path / "begin"
    script = f"echo > {place.path}/ready.$RANK; until [ -e {begin} ]; do sleep 0.005; done; exec cat {source}"
    return ["sh", "-c", script]


def all_ready(place, ranks=RANKS):
    until(lambda: len(list(place.path.glob("ready.*"))) == ranks, "ranks")


class Flood:
    """Eight ranks to the driver's output, which is /dev/null."""

    def __init__(self, root, broker, source, size):
        self.root, self.broker, self.source, self.size = root, broker, source, size
        self.number = 0

    def measured(self, place, ends):
        all_ready(place)
        time.sleep(0.3)
        began = time.perf_counter()
        (place.path / "begin").touch()
        place.end(ends)
        took = time.perf_counter() - began
        place.end(*place.jobs)
        place.check(RANKS * self.size)
        return took

    def local(self):
        with Place(self.root) as place:
            argv = ["run", "-n", RANKS, "--job", "local", "--quiet", "--log-dir", place.path / "driver"]
            return self.measured(place, place.start(*argv, "--", *flooding(place, self.source)))

    def through(self, via, job):
        with Place(self.root) as place:
            via = via or f"unix:{place.path}/socket"
            driver = place.attach(via, job)
            place.host(via, job, flooding(place, self.source), "-n", RANKS)
            return self.measured(place, driver)

    def socket(self):
        return self.through(None, "flood")

    def nats(self):
        self.number += 1
        return self.through(self.broker.url, f"flood-{self.number}")

    def raw(self):
        return helper("raw", self.broker.url, RANKS, self.size // CHUNK)["seconds"]


def flood(options, root, broker):
    size, lines = write_source(root / "source", options.megabytes << 20)
    runs = Flood(root, broker, root / "source", size)
    ways = [runs.local, runs.socket, runs.nats, runs.raw]
    times = {way.__name__: [] for way in ways}
    for _ in range(options.rounds):
        for way in ways:
            times[way.__name__].append(way())
    for way, taken in times.items():
        took = statistics.median(taken)
        print(f"{way:>7}: {RANKS * size / took / 1e6:6.0f} MB/s, {RANKS * lines / took / 1e6:5.2f} million lines/s "
              f"({min(taken):.2f}..{max(taken):.2f} s)")
    for way, beside, target in (("socket", "local", 0.7), ("nats", "raw", 0.6), ("nats", "local", 0)):
        ratios = [other / own for own, other in zip(times[way], times[beside])]
        ratio = statistics.median(ratios)
        mark = "" if ratio >= target else f"  below {target}"
        print(f"{way} against {beside}: {ratio:.2f} ({min(ratios):.2f}..{max(ratios):.2f}){mark}")


def three_hosts(place, broker, job, command, ranks=RANKS):
    return [place.host(broker.url, job, command, "-n", ranks, "--nnodes", 3, "--node-rank", node)
            for node in range(3)]


def barrier(options, root, broker):
    """Barriers over 3 hosts of 8 ranks that sleep, and that print."""
    busy = "while :; do echo step $((i += 1)) loss 0.123; sleep 0.1; done"
    for what, script in (("idle", "exec sleep 600"), ("that print ten lines a second", busy)):
        figures = []
        for round_ in range(options.rounds):
            with Place(root) as place:
                job = f"barrier-{what[:4]}-{round_}"
                hosts = three_hosts(place, broker, job, ["sh", "-c", script])
                figures.append(helper("round_trips", broker.url, job, 3 * RANKS, 500))
                stopped = place.start("stop", "--via", broker.url, job)
                place.end(stopped)
                for host in hosts:
                    host.wait(60)
        for at, target in (("p50_ms", 10), ("p99_ms", 50)):
            values = [figure[at] for figure in figures]
            value = statistics.median(values)
            mark = "" if value <= target else f"  above {target} ms"
            print(f"barrier over 3 hosts of 8 ranks {what}: {at[:3]} {value:.2f} ms "
                  f"({min(values):.2f}..{max(values):.2f}){mark}")


def outage(options, root, broker):
    """What ranks wrote while the broker was away for a minute, and when the driver has it."""
    size, _ = write_source(root / "source", options.megabytes << 20)
    total = RANKS * size
    taken, raw = [], []
    for round_ in range(options.outages):
        with Place(root) as place:
            job, console = f"outage-{round_}", place.path / "console"
            # They live on, so that it is the output that is waited for and not the end.
            command = flooding(place, root / "source")
            command[2] = command[2].replace("exec ", "") + f"; until [ -e {place.path}/end ]; do sleep 0.1; done"
            driver = place.attach(broker.url, job, "--prefix", "never", stdout=console.open("wb"))
            place.host(broker.url, job, command, "-n", RANKS)
            all_ready(place)
            time.sleep(1)
            broker.kill()
            away = time.monotonic()
            (place.path / "begin").touch()
            files = place.path / "logs"
            until(lambda: sum(log.stat().st_size for log in files.glob("*/rank-*.log")) == total, "files")
            filed = time.monotonic() - away
            time.sleep(max(0, options.away - filed))
            broker.run()
            began = time.perf_counter()
            until(lambda: console.stat().st_size == total, "the driver", 600)
            taken.append(time.perf_counter() - began)
            (place.path / "end").touch()
            place.end(driver, *place.jobs)
            place.check(total)
        raw.append(helper("raw", broker.url, RANKS, size // CHUNK)["seconds"])
        above = taken[-1] - raw[-1]
        mark = "" if above <= 10 else "  above 10 s"
        print(f"{total / 1e6:.0f} MB were filed in {filed:.1f} s while the broker was away, for {options.away:.0f} s "
              f"in all; once it was back the driver had all of it in {taken[-1]:.2f} s; raw takes {raw[-1]:.2f} s: "
              f"{above:.2f} s more{mark}", flush=True)


def many(options, root, broker):
    """Hosts that one process plays, each of whose ranks says the same every second."""
    for fold, gathered in (("ranks", []), ("off", []), ("ranks", [FOLD_AFTER_MS])):
        with Place(root) as place:
            job = f"many-{fold}-{len(gathered)}"
            driver = place.attach(broker.url, job, "--fold", fold, "--format", "text")
            argv = [BIN / "many_hosts", broker.url, job, options.hosts, RANKS, options.seconds, *gathered]
            hosts = subprocess.Popen(list(map(str, argv)), stdin=NOTHING, stdout=subprocess.PIPE, text=True)
            assert hosts.stdout.readline() == "begun\n"
            looks = [(time.monotonic(), usage(driver.pid), usage(hosts.pid), usage(broker.server.pid))]
            while hosts.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    hosts.wait(15)
                if hosts.returncode is None:
                    looks.append((time.monotonic(), usage(driver.pid), usage(hosts.pid), usage(broker.server.pid)))
            said = json.loads(hosts.stdout.read())
            place.end(driver)
            (start, *first), (end, *last) = looks[0], looks[-1]
            shares = [(b[0] - a[0]) / (end - start) for a, b in zip(first, last)]
            memory = ", ".join(f"{look[1][1]:.0f}" for look in looks)
            how = f"--fold {fold}{' and --pre-fold' if gathered else ''}"
            print(f"{options.hosts} hosts of {RANKS} ranks, {how}, {said['lines']} lines in "
                  f"{said['seconds']:.0f} s (worst second {said['worst_ms']} ms late): driver {shares[0]:.0%} of a core, "
                  f"hosts {shares[1]:.0%}, broker {shares[2]:.0%}; driver's MiB every 15 s: {memory}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {part.__name__: part for part in (flood, barrier, outage, many)}
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all, when none is named")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=64, help="of each rank")
    parser.add_argument("--away", type=float, default=60, help="seconds that the broker is away")
    parser.add_argument("--outages", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120, help="that many hosts speak for")
    options = parser.parse_args()
    if not shutil.which("nats-server"):
        raise SystemExit("not run: there is no nats-server")
    if "LASTLINE_BIN" not in os.environ:
        build = ["cargo", "build", "--release", "--bins", "-p", "lastline", "-p", "lastline-benches"]
        subprocess.run(build, cwd=ROOT, check=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for part in options.parts or parts:
        with tempfile.TemporaryDirectory(dir=shm) as root:
            root = Path(root)
            broker = Broker(root)
            try:
                parts[part](options, root, broker)
            finally:
                broker.kill()
    print("load", os.getloadavg())


if __name__ == "__main__":
    main()
