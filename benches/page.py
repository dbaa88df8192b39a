#!/usr/bin/env python3
"""What the page costs: its server's processor time and memory, and how long somebody waits.

    cargo build --release -p lastline
    pip install playwright            # and a Chromium, as Debian's package
    python3 benches/page.py [flood] [quiet] [latency] [first-page] [search]

The machine should have nothing else to do. `first-page` writes a job of 10 GB where temporary files go, and
removes it; `search` one of 1 GB.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LASTLINE = os.environ.get("LASTLINE", str(ROOT / "target/release/lastline"))
NOTHING = subprocess.DEVNULL
TICKS = os.sysconf("SC_CLK_TCK")
LINE = "rank {0} step 12345 loss 0.4321 grad_norm 1.234 lr 0.001 samples/s 987.65 data 3 ms\n"


class Bench:
    """A place for jobs, and a server of them."""

    def __init__(self):
        self.root = Path(tempfile.mkdtemp(prefix="ll-"))
        self.env = {**os.environ, "XDG_STATE_HOME": f"{self.root}/state", "XDG_RUNTIME_DIR": str(self.root)}
        self.server = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.terminate()
            self.server.wait()
        shutil.rmtree(self.root)

    def job(self, name, ranks, *command, fold="off"):
        argv = [LASTLINE, "run", "-n", str(ranks), "--job", name, "--quiet", "--fold", fold, "--", *command]
        return subprocess.Popen(argv, env=self.env, stdin=NOTHING, stdout=NOTHING, stderr=NOTHING)

    def serve(self):
        argv = [LASTLINE, "serve"]
        self.server = subprocess.Popen(argv, env=self.env, stdout=subprocess.PIPE, text=True)
        self.url = self.server.stdout.readline().strip()
        self.base = self.url.split("?")[0]
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self.opener.open(self.url).read()

    def get(self, path):
        return self.opener.open(self.base + path)

    def processor_seconds(self):
        fields = Path(f"/proc/{self.server.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mib(self):
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def logs(self, job):
        return self.root / "state/lastline/jobs" / job


def watched(bench, page, seconds):
    """The share of a processor that the server takes while a page looks at a running job."""
    page.goto(bench.url)
    page.wait_for_selector("#headline .badge")
    time.sleep(2)
    before, start = bench.processor_seconds(), time.monotonic()
    time.sleep(seconds)
    return (bench.processor_seconds() - before) / (time.monotonic() - start)


def flood(page):
    script = f"exec yes '{LINE.format(7).strip()}'"
    with Bench() as bench:
        job = bench.job("flood", 8, "sh", "-c", script)
        time.sleep(1)
        bench.serve()
        share = watched(bench, page, 10)
        print(f"8 flooding ranks, a page that looks: {share:.1%} of a core, peak {bench.peak_mib():.0f} MiB")
        job.terminate()
        job.wait()


def quiet(page):
    with Bench() as bench:
        job = bench.job("quiet", 1000, "sh", "-c", "echo ready; exec sleep 120")
        time.sleep(12)
        bench.serve()
        share = watched(bench, page, 10)
        print(f"1,000 quiet ranks, a page that looks: {share:.1%} of a core, peak {bench.peak_mib():.0f} MiB")
        job.terminate()
        job.wait()


CLOCK = "import time\nwhile True:\n    print('at', time.time_ns() // 1000, flush=True)\n    time.sleep(0.1)\n"
# What the page's document has of it, and when: each row of the log once.
SEEN = """() => new Promise((resolve) => {
  const waits = [];
  const look = (row) => {
    const found = /at (\\d+)/.exec(row.textContent);
    if (found) waits.push(Date.now() * 1000 - Number(found[1]));
    if (waits.length === 200) { watcher.disconnect(); resolve(waits); }
  };
  const added = (changes) => changes.forEach((change) => change.addedNodes.forEach(look));
  const watcher = new MutationObserver(added);
  watcher.observe(document.getElementById('log'), { childList: true });
})"""


def latency(page):
    with Bench() as bench:
        job = bench.job("clock", 1, sys.executable, "-c", CLOCK)
        time.sleep(1)
        bench.serve()
        page.goto(bench.url)
        page.wait_for_selector("#log .row")
        time.sleep(1)
        waits = [micros / 1000 for micros in page.evaluate(SEEN)]
        cuts = statistics.quantiles(waits, n=100)
        print(f"from a rank's write to the page's document: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms")
        job.terminate()
        job.wait()


def first_page(_page):
    with Bench() as bench:
        text = f"yes '{LINE.format(0).strip()}' | head -c 10000000000"
        if bench.job("large", 1, "sh", "-c", text).wait() != 0:
            raise SystemExit("the job of 10 GB failed")
        bench.serve()
        times = []
        for ask in ["end=true", "after=0", "at=7000000000"]:
            start = time.perf_counter()
            page = json.load(bench.get(f"api/jobs/large/lines?rank=0&stream=stdout&most=200&{ask}"))
            times.append(time.perf_counter() - start)
            assert len(page["items"]) >= 200, page
        shown = ", ".join(f"{seconds * 1000:.0f}" for seconds in times)
        print(f"a page of a log of 10 GB: {shown} ms (first of the end, then start, middle)")
        start = time.perf_counter()
        events = bench.get("api/jobs/large/live")
        while not events.readline().startswith(b"event: snapshot"):
            pass
        took = time.perf_counter() - start
        print(
            f"the job of 10 GB, its snapshot and heat map: {took * 1000:.0f} ms,"
            f" peak {bench.peak_mib():.0f} MiB"
        )


def search(_page):
    with Bench() as bench:
        source = bench.root / "lines"
        luck = random.Random(1)
        with source.open("w") as file:
            for n in range(125_000_000 // 66):
                loss = luck.random()
                file.write(
                    f"step {n} loss {loss:.6f} grad_norm {loss * 3:.5f} on node-{n % 64} data {n % 17} ms\n"
                )
        if bench.job("searched", 8, "cat", str(source)).wait() != 0:
            raise SystemExit("the job of 1 GB failed")
        bench.serve()
        logs = bench.logs("searched")
        files = sorted(logs.glob("rank-*.log"))
        total = sum(file.stat().st_size for file in files)
        for pattern, words in [("needle", "a word"), (r"loss 0\.99999\d .*node-6[0-3]", "an expression")]:
            ours, theirs = [], []
            for _ in range(5):
                start = time.perf_counter()
                ask = urllib.parse.urlencode({"text": pattern, "regex": "true", "case": "true"})
                text = bench.get(f"api/jobs/searched/search?{ask}").read()
                ours.append(time.perf_counter() - start)
                start = time.perf_counter()
                found = subprocess.run(
                    ["rg", "--no-config", "-c", pattern, *files], capture_output=True, text=True
                )
                theirs.append(time.perf_counter() - start)
            hits = text.count(b'"launch":')
            counted = sum(int(line.rsplit(":", 1)[1]) for line in found.stdout.splitlines())
            assert hits == counted, (hits, counted)
            one, other = statistics.median(ours), statistics.median(theirs)
            print(
                f"{words} in {total / 1e9:.2f} GB, {hits} lines: {one:.2f} s,"
                f" rg {other:.2f} s, {one / other:.2f} x"
            )
        print(f"its server: peak {bench.peak_mib():.0f} MiB")


def main():
    rows = {"flood": flood, "quiet": quiet, "latency": latency, "first-page": first_page, "search": search}
    wanted = sys.argv[1:] or list(rows)
    if not {"flood", "quiet", "latency"}.intersection(wanted):
        for name in wanted:
            rows[name](None)
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        args = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=args)
        for name in wanted:
            context = chromium.new_context()
            rows[name](context.new_page())
            context.close()


if __name__ == "__main__":
    main()
