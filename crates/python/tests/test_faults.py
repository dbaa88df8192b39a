"""What goes wrong around a job must not hang, crash, or leave ranks behind."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lastline
import pytest
from conftest import Program, is_gone, wait_for

Start = Callable[[str], Program]

SLEEPS = ["sh", "-c", "echo $$; exec sleep 600"]
BEGIN = """
import lastline, os, signal, sys, threading, time
mesh = lastline.spawn(["sh", "-c", "echo $$ > pid; echo ready; exec sleep 600"], log_dir="logs")
next(mesh.lines())
"""


def assert_ended(dir: Path) -> None:
    """The rank is gone, and the job has its report."""
    assert is_gone(int((dir / "pid").read_text()))
    report = lastline.report(dir / "logs")
    assert report is not None and report.balanced and not report.to_dict().get("broken_off")
    assert report.ranks[0].streams["stdout"].filed_bytes == len("ready\n")


def test_an_exception_in_the_block_stops_the_job_and_passes() -> None:
    with pytest.raises(ZeroDivisionError), lastline.spawn(SLEEPS, procs=2, console="none") as mesh:
        pid = int(next(mesh.lines()).text)
        _ = 1 / 0
    assert mesh.report is not None and mesh.report.balanced and is_gone(pid)


def test_the_interpreter_ends_without_a_stop(program: Start, tmp_path: Path) -> None:
    assert program(BEGIN + "print('bye')").finish()[0] == 0
    assert_ended(tmp_path)


def test_the_interpreter_ends_by_an_exception(program: Start, tmp_path: Path) -> None:
    code, _, err = program(BEGIN + "raise KeyError('mine')").finish()
    assert code == 1 and err.rstrip().endswith("KeyError: 'mine'")
    assert_ended(tmp_path)


def test_a_fork_of_the_driver_leaves_the_job_alone(program: Start, tmp_path: Path) -> None:
    text = (
        BEGIN
        + """
import gc, warnings
warnings.simplefilter("ignore", DeprecationWarning)
child = os.fork()
if child == 0:
    try:
        mesh.flush()
    except RuntimeError as error:
        print("child:", error)
    mesh = None
    gc.collect()
    own = lastline.spawn(["echo", "of the child"], no_files=True).wait()
    sys.exit(0 if own.ok else 9)
assert os.waitpid(child, 0)[1] == 0
assert mesh.flush().all_reached and mesh.ranks[0].state == "running"
"""
    )
    code, out, err = program(text).finish()
    assert code == 0, err
    assert "forked child can do nothing with it" in out and "of the child" in out
    assert_ended(tmp_path)


def test_a_job_that_is_over_holds_nothing(short_dir: Path) -> None:
    def held() -> int:
        return len(os.listdir("/proc/self/fd")) + threading.active_count()

    def left() -> list[Path]:
        return [path for path in short_dir.rglob("*") if path.name not in ("run", "lastline")]

    lastline.spawn(["true"], console="none").wait()
    wait_for(lambda: not left())
    before = held()
    meshes = [lastline.spawn(["true"], console="none") for _ in range(20)]
    assert all(mesh.wait().ok for mesh in meshes)
    wait_for(lambda: not left())
    wait_for(lambda: held() < before + len(meshes))


def test_a_function_leaves_nothing_when_the_interpreter_ends(program: Start, short_dir: Path) -> None:
    text = """
import lastline
if __name__ == "__main__":
    with lastline.spawn(abs, console="none", procs=2) as mesh:
        mesh.wait()
    assert mesh.results() == [0, 1]
"""
    code, _, err = program(text).finish()
    assert code == 0, err
    assert [path for path in short_dir.iterdir() if path.name != "run"] == []


def test_a_fork_drops_a_mesh_without_a_word(program: Start, tmp_path: Path) -> None:
    text = """
import lastline, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
def start_and_fork():
    mesh = lastline.spawn(["sleep", "600"], console="none")
    child = os.fork()
    return child, (mesh if child else None)
child, mesh = start_and_fork()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert os.path.exists(mesh._control.path)
"""
    code, _, err = program(text).finish()
    assert (code, err) == (0, "")


def test_forked_children_have_jobs_of_their_own(program: Start, tmp_path: Path) -> None:
    text = """
import lastline, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)
lastline.spawn(["true"], console="none").wait()
for _ in range(8):
    # Its threads are at work while this process forks.
    mesh = lastline.spawn(["true"], procs=4, console="none")
    read, write = os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            own = lastline.spawn(["true"], console="none")
            os.write(write, own.job.encode() + b"\\n")
            os._exit(0 if own.wait().ok else 9)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    jobs = {mesh.job, *os.read(read, 4096).decode().split()}
    assert len(jobs) == 3, jobs
    assert mesh.wait().ok
"""
    code, _, err = program(text).finish()
    assert code == 0, err


def test_two_jobs_at_once_do_not_mix() -> None:
    one = lastline.spawn(["sh", "-c", "for i in 1 2 3; do echo one $i; done"], procs=4, console="none")
    two = lastline.spawn(["sh", "-c", "for i in 1 2 3; do echo two $i; done"], procs=4, console="none")
    with one, two:
        assert {line.text for line in one.lines()} == {f"one {i}" for i in (1, 2, 3)}
        assert {line.text for line in two.lines()} == {f"two {i}" for i in (1, 2, 3)}
        assert one.wait().lines == two.wait().lines == 12


def test_a_thread_flushes_while_another_stops() -> None:
    mesh = lastline.spawn(SLEEPS, procs=4, console="none")
    next(mesh.lines())
    verdicts: list[lastline.Verdicts] = []
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            verdicts.append(mesh.flush(timeout=10))

    threads = [threading.Thread(target=flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(verdicts) > 20)
    mesh.stop()
    report = mesh.wait()
    over.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert report.balanced and all(verdicts)


def test_a_callback_that_raises_is_told_and_changes_nothing(program: Start) -> None:
    text = """
import lastline
mesh = lastline.spawn(["sh", "-c", "[ $RANK = 1 ] && exit 4; exec sleep 600"], procs=2, console="none")
def callback(rank):
    raise RuntimeError(f"callback for rank {rank.rank}")
mesh.on_failure(callback)
report = mesh.wait()
for thread in __import__("threading").enumerate():
    if thread.name == "lastline-failures":
        thread.join(10)
print(report.first_failure.code, report.balanced)
"""
    code, out, err = program(text).finish()
    assert (code, out) == (0, "4 True\n") and "RuntimeError: callback for rank 1" in err


def test_ctrl_c_in_wait_stops_the_job(program: Start, tmp_path: Path) -> None:
    text = (
        BEGIN
        + """
def tell(main=threading.get_ident()):
    # Before it waits, the signal would not find it there.
    while sys._current_frames()[main].f_code is not type(mesh).wait.__code__:
        time.sleep(0.001)
    print("waiting", flush=True)

threading.Thread(target=tell).start()
try:
    mesh.wait()
except KeyboardInterrupt:
    print("interrupted:", mesh.report.stopped_by)
"""
    )
    started = program(text)
    assert started.process.stdout is not None
    while started.process.stdout.readline() != "waiting\n":
        pass
    started.process.send_signal(signal.SIGINT)
    code, out, _ = started.finish()
    assert code == 0 and "SIGINT" in out
    assert_ended(tmp_path)


@pytest.mark.parametrize(
    "waits", ["mesh.wait()", "list(mesh.lines())", "list(mesh.batches())", "list(mesh.entries())"]
)
def test_ctrl_c_ends_whatever_waits(program: Start, tmp_path: Path, waits: str) -> None:
    text = (
        BEGIN
        + f"""
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begun = time.monotonic()
try:
    {waits}
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - begun < 5)
"""
    )
    code, out, err = program(text).finish()
    assert code == 0 and "interrupted True" in out, err
    assert_ended(tmp_path)


def test_daemon_threads_wait_when_the_interpreter_ends(program: Start, tmp_path: Path) -> None:
    text = (
        BEGIN
        + """
def flush():
    while True:
        mesh.flush()
targets = [mesh.wait, lambda: list(mesh.lines()), lambda: list(mesh.entries()), flush]
for target in targets * 3:
    threading.Thread(target=target, daemon=True).start()
mesh.on_failure(print)
"""
    )
    code, _, err = program(text).finish()
    assert code == 0 and "Fatal" not in err and "panicked" not in err, err
    assert_ended(tmp_path)


def test_a_mesh_that_nobody_has_is_stopped_and_drained(tmp_path: Path) -> None:
    mesh = lastline.spawn(SLEEPS, log_dir=tmp_path / "logs", console="none")
    mesh.on_failure(print)
    pid = int(next(mesh.lines()).text)
    del mesh
    gc.collect()
    wait_for(lambda: is_gone(pid))
    report = wait_for(lambda: lastline.report(tmp_path / "logs"))
    assert report.balanced and report.stopped_by == "owner"


def test_who_has_its_output_has_the_mesh(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = f"echo one; while [ ! -e {go} ]; do sleep 0.01; done; echo two"

    def start(**options: Any) -> lastline.Mesh:
        go.unlink(missing_ok=True)
        return lastline.spawn(["sh", "-c", script], console="none", **options)

    def rest(output: Iterator[Any]) -> list[Any]:
        gc.collect()
        go.touch()
        return list(output)

    lines = iter(start().lines())
    assert next(lines).text == "one" and [line.text for line in rest(lines)] == ["two"]
    batches = iter(start().batches())
    assert next(batches).data == b"one\n" and [batch.data for batch in rest(batches)] == [b"two\n"]
    entries = iter(start(fold="similar", fold_window=0.01).entries())
    assert next(entries).text == "one" and [entry.text for entry in rest(entries)] == ["two"]


def test_a_mesh_with_its_own_iterator_is_stopped_when_nobody_has_them() -> None:
    mesh: Any = lastline.spawn(SLEEPS, console="none")
    mesh.mine = mesh.lines()
    pid = int(next(mesh.mine).text)
    del mesh
    gc.collect()
    wait_for(lambda: is_gone(pid))


def test_a_consumer_that_stops_keeps_nobody_waiting() -> None:
    script = "for i in range(300_000): print('line', i)"
    mesh = lastline.spawn([sys.executable, "-c", script], buffered=True, no_files=True, console="none")
    for line in mesh.lines():
        assert line.text == "line 0"
        break
    wait_for(lambda: mesh.ranks[0].state == "exited")
    assert mesh.wait().ok


def test_an_error_inside_of_an_async_consumer_passes() -> None:
    import asyncio

    async def consume() -> None:
        async with lastline.spawn(SLEEPS, console="none") as mesh:
            async for line in mesh.lines():
                raise LookupError(line.text)

    with pytest.raises(LookupError) as raised:
        asyncio.run(consume())
    assert is_gone(int(str(raised.value)))


def test_the_driver_is_killed(program: Start, tmp_path: Path) -> None:
    filed = "while not os.path.exists('logs/rank-0.stdout.log'): time.sleep(0.01)\n"
    started = program(BEGIN + filed + "os.kill(os.getpid(), signal.SIGKILL)")
    assert started.finish()[0] == -signal.SIGKILL
    wait_for(lambda: is_gone(int((tmp_path / "pid").read_text())))
    report = lastline.report(tmp_path / "logs")
    assert report is not None and report.to_dict()["broken_off"]
    assert report.ranks[0].streams["stdout"].filed_bytes == len("ready\n")
