#!/usr/bin/env python3
"""Draws docs/top.svg: the run that docs/page.py makes, as `lastline top` shows it while it goes on.

cargo build --release -p lastline
pip install pyte                  # a terminal, as data
python3 docs/view.py
"""

import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import picture
import pyte

ROOT = Path(__file__).resolve().parent.parent
ROWS = 30
# The view asks for the first of 256 colours, which the terminal gives as what they are.
CODES = {colour: 30 + number for number, colour in enumerate(pyte.graphics.FG_BG_256[:7])}
DEADLINE = 60.0


class View:
    """`lastline top` in a terminal."""

    def __init__(self, argv, env):
        self.process, self.main = picture.on_terminal(argv, ROWS, env=env)
        self.screen = pyte.Screen(picture.COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)

    def wait_for(self, text):
        """Reads what it draws until this is on the screen."""
        until = time.monotonic() + DEADLINE
        while not any(text in row for row in self.screen.display):
            assert time.monotonic() < until, self.screen.display
            self.read(0.1)

    def read(self, seconds):
        until = time.monotonic() + seconds
        while select.select([self.main], [], [], max(0.0, until - time.monotonic()))[0]:
            self.stream.feed(os.read(self.main, 65536))

    def keys(self, keys):
        os.write(self.main, keys)

    def lines(self):
        """What is on the screen, each row with its colours as SGR sequences."""
        for row in range(ROWS):
            line, before = "", []
            for column in range(picture.COLUMNS):
                cell = self.screen.buffer[row][column]
                style = ["0", *(["1"] if cell.bold else [])]
                style += [str(CODES[cell.fg])] if cell.fg in CODES else []
                if style != before:
                    line += f"\x1b[{';'.join(style)}m"
                line, before = line + cell.data, style
            yield line.rstrip()


def shown(lastline, place):
    """What the view of a job in this directory shows, some seconds after one of its ranks has failed."""
    env = {**os.environ, "XDG_STATE_HOME": f"{place}/state", "XDG_RUNTIME_DIR": place}
    env["TERM"] = "xterm-256color"
    shutil.copy(ROOT / "docs/page.py", f"{place}/train.py")
    argv = [lastline, "run", "-n", "64", "--job", "train-64", "--fold", "ranks", "--quiet"]
    argv += ["--on-failure", "continue", "--", "python3", "train.py", "rank"]
    job = subprocess.Popen(
        [*argv, str(round(time.time()) + 8)],
        cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not any(Path(place, "lastline").glob("train-64.*.sock")):
            time.sleep(0.05)
        view = View([lastline, "top", "train-64"], env)
        view.wait_for("failed first")
        view.keys(b"\x1b")
        view.wait_for("log: following")
        view.keys(b"\tn")
        view.read(3)
        lines = list(view.lines())
        view.keys(b"q")
    finally:
        job.terminate()
        job.wait()
    return lines


def main():
    lastline = os.environ.get("LASTLINE", ROOT / "target/release/lastline")
    # Python's traceback names it: a path that says nothing of this machine.
    place = Path(tempfile.gettempdir()) / "demo"
    place.mkdir()
    try:
        lines = shown(lastline, place)
    finally:
        shutil.rmtree(place)
    about = "64 ranks in the terminal view: one has failed, two are silent"
    (ROOT / "docs/top.svg").write_text("\n".join(picture.draw(lines, about)) + "\n")


if __name__ == "__main__":
    main()
