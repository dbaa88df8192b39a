"""Notebooks, executed by a real kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lastline
import pytest
from conftest import is_gone, wait_for

nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")

IMPORT = "import asyncio, os, sys, lastline"
SLEEPS = "['sh', '-c', 'echo $$ > pid$RANK; echo ready; exec sleep 600']"


class Notebook:
    """Cells that a kernel runs one by one."""

    def __init__(self, dir: Path) -> None:
        self.notebook = nbformat.v4.new_notebook()
        resources = {"metadata": {"path": str(dir)}}
        self.client = nbclient.NotebookClient(
            self.notebook, timeout=60, allow_errors=True, resources=resources
        )

    def start(self, text: str) -> Any:
        """Begins a cell; to be awaited."""
        cell = nbformat.v4.new_code_cell(text)
        self.notebook.cells.append(cell)
        index = len(self.notebook.cells) - 1
        return self.client.async_execute_cell(cell, index)

    async def run(self, text: str) -> dict[str, str]:
        """What a cell wrote to stdout and stderr, and the name of the error it ended with."""
        cell = await self.start(text)
        return outputs(cell)


def outputs(cell: Any) -> dict[str, str]:
    found = {"stdout": "", "stderr": "", "error": "", "html": ""}
    for output in cell.outputs:
        if output.output_type == "stream":
            found[output.name] += output.text
        elif output.output_type == "error":
            found["error"] = output.ename
        elif "data" in output:
            found["html"] += output.data.get("text/html", "")
    return found


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    # A kernel that knows it is tested by pytest leaves its descriptors alone.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    yield Notebook(tmp_path)


def with_kernel(notebook: Notebook, test: Any) -> None:
    async def run() -> None:
        async with notebook.client.async_setup_kernel():
            await test(notebook)

    asyncio.run(run())


def test_output_is_in_the_cell_that_runs(notebook: Notebook) -> None:
    async def cells(n: Notebook) -> None:
        script = "echo first; until [ -e go ]; do sleep 0.01; done; echo second; exec sleep 600"
        # One write: `print` makes two, and another thread's may come between them.
        found = await n.run(
            f"{IMPORT}\nimport sys\nm = lastline.spawn(['sh', '-c', {script!r}], procs=2)\n"
            "it = m.lines(); next(it), next(it); x = sys.stdout.write('of the cell\\n')"
        )
        assert sorted(found["stdout"].splitlines()) == ["[0] first", "[1] first", "of the cell"]
        # Nobody waits in this cell but the barrier at its end.
        found = await n.run("open('go', 'w').close(); x = next(it), next(it)")
        assert sorted(found["stdout"].splitlines()) == ["[0] second", "[1] second"]
        assert (await n.run("1"))["stdout"] == ""
        found = await n.run("m.stop(); m.wait()")
        assert "nothing lost" in found["html"] and not found["error"]

    with_kernel(notebook, cells)


def test_async_cells_are_cells_like_others(notebook: Notebook) -> None:
    async def cells(n: Notebook) -> None:
        found = await n.run(
            f"{IMPORT}\n"
            "async with lastline.spawn(['sh', '-c', 'echo a; echo b >&2'], procs=2) as m:\n"
            "    texts = sorted([line.text async for line in m.lines()])\n"
            "    verdicts = await m.flush_async()\n"
            "    report = await m.wait_async()\n"
            "print(texts, verdicts.all_reached, report.ok)"
        )
        assert not found["error"]
        assert "['a', 'a', 'b', 'b'] True True" in found["stdout"]
        assert "[0] a" in found["stdout"] and "[1] b" in found["stderr"]

    with_kernel(notebook, cells)


def test_a_rank_that_fails_is_seen(notebook: Notebook) -> None:
    async def cells(n: Notebook) -> None:
        script = "[ $RANK = 1 ] && { echo why >&2; exit 3; }; exec sleep 600"
        found = await n.run(f"{IMPORT}\nm = lastline.spawn(['sh', '-c', {script!r}], procs=2)\nm.wait()")
        assert "[1] why" in found["stderr"]
        assert "rank 1 failed first: exit code 3" in found["html"]
        found = await n.run("m.report.raise_for_failure()")
        assert found["error"] == "RankFailed"

    with_kernel(notebook, cells)


@pytest.mark.parametrize("waits", ["m.wait()", "await m.wait_async()", "for l in m.lines(): pass"])
def test_an_interrupted_cell_stops_the_job(notebook: Notebook, tmp_path: Path, waits: str) -> None:
    async def cells(n: Notebook) -> None:
        await n.run(f"{IMPORT}\nm = lastline.spawn({SLEEPS}, procs=2, log_dir='logs')")
        running = asyncio.ensure_future(n.start(f"open('running', 'w').close()\n{waits}"))
        while not (tmp_path / "running").exists():
            await asyncio.sleep(0.01)
        await n.client.km.interrupt_kernel()
        found = outputs(await running)
        assert found["error"] in ("KeyboardInterrupt", "CancelledError")
        found = await n.run("print(m.wait().stopped_by)")
        assert found["stdout"] == "signal 2 (SIGINT)\n"

    with_kernel(notebook, cells)
    assert all(is_gone(int((tmp_path / f"pid{rank}").read_text())) for rank in (0, 1))


def test_what_the_process_writes_to_its_descriptors_is_in_the_cell_once(notebook: Notebook) -> None:
    async def cells(n: Notebook) -> None:
        before = "before = os.fstat(1).st_ino, os.fstat(2).st_ino"
        await n.run(f"{IMPORT}\n{before}\n%load_ext lastline.notebook\n%load_ext lastline.notebook")
        for _ in range(2):
            await n.run("lastline.spawn(['true'], no_files=True).wait()")
        lines = 2000
        found = await n.run(
            f"for i in range({lines}): _ = os.write(1, b'out %d\\n' % i)\n"
            "_ = os.write(2, b'to stderr \\xc3'); _ = os.write(2, b'\\xa9\\n')\n_ = os.system('echo child')"
        )
        assert found["stdout"] == "".join(f"out {i}\n" for i in range(lines)) + "child\n"
        assert found["stderr"] == "to stderr é\n"
        found = await n.run(
            "%unload_ext lastline.notebook\nprint(before == (os.fstat(1).st_ino, os.fstat(2).st_ino))"
        )
        assert found["stdout"] == "True\n"

    with_kernel(notebook, cells)


def test_what_a_spawn_has_turned_on_can_be_turned_off(notebook: Notebook) -> None:
    async def cells(n: Notebook) -> None:
        await n.run(f"{IMPORT}\nbefore = os.fstat(1).st_ino")
        await n.run("lastline.spawn(['true'], no_files=True).wait()")
        found = await n.run("%unload_ext lastline.notebook\nprint(before == os.fstat(1).st_ino)")
        assert found["stdout"] == "True\n"

    with_kernel(notebook, cells)


def test_a_barrier_that_is_not_reached_says_so(notebook: Notebook, tmp_path: Path) -> None:
    async def cells(n: Notebook) -> None:
        # A console that takes nothing for a while, so that nothing can have arrived.
        await n.run(
            f"{IMPORT}\nimport threading, lastline.notebook, lastline._console as console_module\n"
            "lastline.notebook.deadline = 0.2\ngo = threading.Event()\nwrite = console_module._write\n"
            "def slow(output, text):\n    go.wait()\n    write(output, text)\n"
            "console_module._write = slow"
        )
        found = await n.run(f"m = lastline.spawn({SLEEPS}, log_dir='logs')\nit = m.lines(); x = next(it)")
        assert "lastline: not everything that job" in found["stderr"]
        assert "not all that this process wrote" not in found["stderr"]
        assert "rank 0 stdout: shown up to byte 0" in found["stderr"]
        found = await n.run("go.set()")
        assert found["stdout"] == "ready\n" and found["stderr"] == ""

    with_kernel(notebook, cells)


def test_a_kernel_that_ends_stops_its_jobs(notebook: Notebook, tmp_path: Path) -> None:
    async def cells(n: Notebook) -> None:
        await n.run(f"{IMPORT}\nm = lastline.spawn({SLEEPS}, log_dir='logs')\nx = next(m.lines())")

    with_kernel(notebook, cells)
    report = wait_for(lambda: lastline.report(tmp_path / "logs"))
    assert report.stopped_by == "owner" and report.balanced
    assert is_gone(int((tmp_path / "pid0").read_text()))
