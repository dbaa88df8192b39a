#!/usr/bin/env python3
"""Draws docs/serve.png: a real run of 64 ranks of which one fails, as `lastline serve` shows it.

    cargo build --release -p lastline
    pip install playwright            # and a Chromium, as Debian's package
    python3 docs/page.py [FILE] [light|dark]

The ranks are this file itself: they say what those of a training job say, rank 37 comes upon a loss that
is no number, ranks 12 and 40 have been silent for a while then, and some others see that one is missing.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZE = {"width": 1180, "height": 1060}


def rank():
    """What one rank does."""
    number, luck = int(os.environ["RANK"]), random.Random(os.environ["RANK"])

    def told_to_end(*_):
        if number % 16 == 5:
            warning = "\x1b[33mWARNING\x1b[0m watchdog: all_reduce waits for rank 37"
            print(warning, file=sys.stderr, flush=True)
        os._exit(1)

    signal.signal(signal.SIGTERM, told_to_end)
    print(f"rank {number} of {os.environ['WORLD_SIZE']}: data is ready on cuda:{number % 8}", flush=True)
    # All begin a step at the same time of day.
    begin = float(sys.argv[2])
    for step in range(1, 10_000):
        time.sleep(max(0.0, begin + step * 0.4 + luck.uniform(0, 0.05) - time.time()))
        if number == 37 and step == 60:
            print(f"\x1b[1mstep {step}\x1b[0m loss nan grad_norm inf", flush=True)
            time.sleep(0.1)
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if number in (12, 40) and step > 28:
            continue
        loss = 2.4 / (1 + step / 20) + luck.uniform(0, 0.05)
        print(f"\x1b[1mstep {step}\x1b[0m loss {loss:.3f} lr 0.001 {luck.randint(180, 220)} ms", flush=True)


def main(file, scheme):
    """Runs the job, and takes the picture."""
    from playwright.sync_api import expect, sync_playwright

    lastline = os.environ.get("LASTLINE", ROOT / "target/release/lastline")
    with tempfile.TemporaryDirectory() as place:
        env = {**os.environ, "XDG_STATE_HOME": f"{place}/state", "XDG_RUNTIME_DIR": place}
        shutil.copy(__file__, f"{place}/train.py")
        job = [lastline, "run", "-n", "64", "--job", "train-64", "--fold", "ranks", "--quiet", "--"]
        job += ["python3", "train.py", "rank", str(round(time.time()) + 8)]
        subprocess.run(
            job, cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
        server = subprocess.Popen([lastline, "serve", "train-64"], env=env, stdout=subprocess.PIPE, text=True)
        url = server.stdout.readline().strip()
        with sync_playwright() as playwright:
            args = ["--no-sandbox"] if os.geteuid() == 0 else []
            chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=args)
            page = chromium.new_context(viewport=SIZE, color_scheme=scheme).new_page()
            page.goto(url)
            expect(page.locator("#others .moment")).to_be_visible()
            expect(page.locator("#log .row").last).to_be_visible()
            page.wait_for_timeout(500)  # The heat map is drawn when there is time.
            page.screenshot(path=file)
        server.terminate()
        server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        rank()
    else:
        main(*(sys.argv[1:] + [str(ROOT / "docs/serve.png"), "light"][len(sys.argv) - 1 :]))
