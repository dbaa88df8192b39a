"""What the tests share."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 30.0
"""How many seconds anything may take that a test waits for."""

ROOT = Path(__file__).resolve().parents[3]
"""The checkout."""

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def short_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Jobs of a test are on a list of its own, and sockets in a directory with a short name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with tempfile.TemporaryDirectory(prefix="ll-", dir="/tmp") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", short)
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{short}/run")
        yield Path(short)


def wait_for(reached: Callable[[], Any]) -> Any:
    """What `reached` gives, as soon as that is true."""
    until = time.monotonic() + DEADLINE
    while not (found := reached()):
        assert time.monotonic() < until, "it was not reached in time"
        time.sleep(0.005)
    return found


def is_gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has.

    One that ends between opening its file and reading it gives ESRCH instead of ENOENT.
    """
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


class Program:
    """A Python program in a process of its own."""

    def __init__(self, dir: Path, text: str) -> None:
        path = dir / "program.py"
        path.write_text(text)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=dir,
        )

    def line(self) -> str:
        """The next line that it says, without its newline."""
        assert self.process.stdout is not None
        said, out = b"", self.process.stdout.fileno()
        while not said.endswith(b"\n"):
            assert select.select([out], [], [], DEADLINE)[0], f"it says nothing after {said!r}"
            byte = os.read(out, 1)
            assert byte, f"it has ended after {said!r}"
            said += byte
        return said.decode().rstrip("\n")

    def tell(self, line: str) -> None:
        """Gives it a line of input."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        try:
            out, err = self.process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"it hangs; stdout:\n{out}\nstderr:\n{err}") from None
        return self.process.returncode, out, err


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Program]:
    """Starts a program of this text."""
    return lambda text: Program(tmp_path, text)
