"""Disks that do not answer: they keep nobody waiting but who waits for what is on them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import DEADLINE, ROOT, Program, wait_for

DISK = ROOT / "target" / "debug" / "examples" / "hanging_disk"


class Disk:
    """A file system that answers or does not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        pipe = subprocess.PIPE
        self._program = subprocess.Popen([DISK, path], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._program.stdout is not None and self._program.stderr is not None
        if not self._program.stdout.readline():
            pytest.skip(f"not run: a file system cannot be mounted here: {self._program.stderr.read()}")

    def say(self, word: str) -> str:
        assert self._program.stdin is not None and self._program.stdout is not None
        self._program.stdin.write(f"{word}\n")
        self._program.stdin.flush()
        return self._program.stdout.readline().strip()

    def wait_until_waited_for(self) -> None:
        wait_for(lambda: self.say("waits") == "yes")

    def end(self) -> None:
        self._program.communicate(timeout=DEADLINE)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if not DISK.exists():
        pytest.skip("not run: cargo build -p lastline-testing --examples makes the disk")
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.end()


COUNT = 1_000_000  # 7 MB: what waits in memory is a part of it.

FILED = f"""
lastline.spawn(["seq", "{COUNT}"], job="hung", log_dir="disk", console="none").wait()
lines = lastline.logs("hung")
"""
RUNNING = f"""
script = "seq {COUNT}; until [ -e go ]; do sleep 0.01; done"
mesh = lastline.spawn(["sh", "-c", script], log_dir="disk", console="none")
lines = mesh.lines()
while mesh.ranks[0].lines < {COUNT}:
    time.sleep(0.01)
open("go", "w").close()
mesh.wait()
"""

IN_A_LOOP = """
async def count():
    global counted
    async for _ in lines:
        counted += 1

async def turn():
    while True:
        await asyncio.sleep(0.001)
        say("turns")

async def both():
    turning = asyncio.create_task(turn())
    await count()
    turning.cancel()

asyncio.run(both())
"""
IN_A_THREAD = """
def count():
    global counted
    for _ in lines:
        counted += 1

counting = threading.Thread(target=count)
counting.start()
while counting.is_alive():
    counting.join(0.001)
    say("turns")
"""


@pytest.mark.parametrize("consumer", [IN_A_LOOP, IN_A_THREAD], ids=["in a loop", "in a thread"])
@pytest.mark.parametrize("job", [FILED, RUNNING], ids=["filed", "running"])
def test_lines_are_read_from_files_beside_loop_and_lock(
    disk: Disk, program: Callable[[str], Program], job: str, consumer: str
) -> None:
    """`turns` is said by what only runs where neither the loop nor the lock is kept."""
    head = "import asyncio, threading, time, lastline\ncounted = 0\n"
    say = "turned = 0\ndef say(word):\n    global turned\n    turned += 1\n"
    say += "    if turned <= 1000: print(word, flush=True)\n"
    tail = "print('counted', counted, flush=True)\n"
    begin = "first = next(iter(lines))\ncounted = 1\nprint('ready', flush=True)\ninput()\n"
    driver = program(head + say + job + begin + consumer + tail)
    assert driver.line() == "ready"
    disk.say("hang")
    driver.tell("go")
    disk.wait_until_waited_for()
    for _ in range(100):
        assert driver.line() == "turns"
    disk.say("release")
    code, out, err = driver.finish()
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"counted {COUNT}"


def test_an_iterator_is_closed_whose_disk_does_not_answer(
    disk: Disk, program: Callable[[str], Program]
) -> None:
    text = "import lastline\n" + RUNNING
    text = "import time\n" + text + "next(iter(lines))\nprint('ready', flush=True)\ninput()\n"
    text += """
import threading
rest = []
counting = threading.Thread(target=lambda: rest.extend(lines))
counting.start()
input()
lines.close()
counting.join(10)
print("alive" if counting.is_alive() else "closed", flush=True)
"""
    driver = program(text)
    assert driver.line() == "ready"
    disk.say("hang")
    driver.tell("go")
    disk.wait_until_waited_for()
    driver.tell("close it")
    assert driver.line() == "closed"
    assert driver.finish()[0] == 0
