"""Functions as ranks, and what ranks may ask of the driver."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

import lastline
import lastline.rank
import pytest
from conftest import wait_for


def multiply(rank: int, by: int, *, plus: int = 0) -> int:
    print("rank", rank, "multiplies")
    return rank * by + plus


def fail_in_one(rank: int) -> int:
    if rank == 1:
        raise ValueError("rank one cannot")
    return rank


class Unpicklable(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__("cannot be rebuilt")


class Changing(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(f"failed: {name}")


class Mute(Exception):
    def __str__(self) -> str:
        raise LookupError


RAISED = {
    "it cannot be rebuilt": Unpicklable(1, 2),
    "it is another when rebuilt": Changing("mine"),
    "one within cannot be rebuilt": ValueError(Unpicklable(1, 2)),
    "it says nothing": Mute(),
}


def raise_this(rank: int, which: str) -> None:
    raise RAISED[which]


def exit_early(rank: int) -> None:
    os._exit(5)


def leave_early(rank: int) -> None:
    sys.exit(0)


def return_unpicklable(rank: int) -> Any:
    return threading.Lock()


def world(rank: int) -> tuple[str, str]:
    return os.environ["RANK"], os.environ["WORLD_SIZE"]


def log_until_told(rank: int, go: str) -> list[str]:
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING)
    seen = [logging.getLevelName(logging.getLogger().level)]
    print("ready", flush=True)
    while not Path(go).exists():
        level = logging.getLevelName(logging.getLogger().level)
        if level not in seen:
            seen.append(level)
            logging.debug("debug is on")
    return seen


def checkpoint(rank: int) -> bool:
    print("before the checkpoint")
    return lastline.rank.flush(timeout=20)


def test_what_a_function_returns_comes_back_by_rank() -> None:
    mesh = lastline.spawn(multiply, procs=3, args=[10], kwargs={"plus": 1}, console="none")
    assert mesh.results() == [1, 11, 21]
    assert {line.text for line in mesh.lines()} == {f"rank {rank} multiplies" for rank in range(3)}
    assert lastline.spawn(world, procs=2, console="none").results() == [("0", "2"), ("1", "2")]


def test_what_a_rank_raised_is_raised_with_its_traceback() -> None:
    mesh = lastline.spawn(fail_in_one, procs=2, on_failure="continue", console="none")
    with pytest.raises(lastline.RankException) as raised:
        mesh.results()
    assert raised.value.rank == 1
    assert isinstance(raised.value.__cause__, ValueError)
    assert "in fail_in_one" in str(raised.value) and "_rank.py" not in str(raised.value)
    assert "rank one cannot" in str(raised.value)
    report = mesh.wait()
    assert report.first_failure is not None and report.first_failure.code == 1
    assert report.first_failure.last_lines[-1] == "ValueError: rank one cannot"


@pytest.mark.parametrize(
    ("which", "name", "message"),
    [
        ("it cannot be rebuilt", "test_functions.Unpicklable", "cannot be rebuilt"),
        ("it is another when rebuilt", "test_functions.Changing", "failed: mine"),
        ("one within cannot be rebuilt", "ValueError", "cannot be rebuilt"),
        ("it says nothing", "test_functions.Mute", "its own words cannot be had"),
    ],
)
def test_an_exception_that_cannot_travel_is_told_by_its_text(which: str, name: str, message: str) -> None:
    with pytest.raises(lastline.RankException) as raised:
        lastline.spawn(raise_this, args=[which], console="none").results()
    cause = raised.value.__cause__
    assert isinstance(cause, lastline.ExceptionText)
    assert (cause.type_name, cause.message, str(cause)) == (name, message, f"{name}: {message}")
    assert "in raise_this" in cause.traceback and cause.traceback in str(raised.value)


def test_a_rank_that_ends_without_returning_is_told() -> None:
    with pytest.raises(lastline.RankFailed, match="exit code 5") as raised:
        lastline.spawn(exit_early, console="none").results()
    assert raised.value.report.ranks[0].code == 5
    with pytest.raises(lastline.RankFailed, match="rank 0 ended without returning: exit code 0"):
        lastline.spawn(leave_early, console="none").results()
    with pytest.raises(lastline.RankException, match="cannot be sent back"):
        lastline.spawn(return_unpicklable, console="none").results()


def test_a_command_has_no_results_and_nobody_waits_for_them() -> None:
    with (
        lastline.spawn(["sleep", "600"], console="none") as mesh,
        pytest.raises(lastline.LastlineError, match="only functions have results"),
    ):
        mesh.results()
    assert mesh.report is not None and mesh.report.stopped_by == "owner"


def test_what_cannot_be_sent_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(TypeError, match="cannot be sent to the ranks"):
        lastline.spawn(lambda rank: rank)
    with pytest.raises(TypeError, match="the arguments cannot be sent"):
        lastline.spawn(multiply, args=[sys.stdout])


def test_a_script_without_a_guard_is_told_what_to_do(program) -> None:  # type: ignore[no-untyped-def]
    text = "import lastline\ndef f(rank): return 1\nprint(lastline.spawn(f, no_files=True).results())\n"
    code, _, err = program(text).finish()
    assert code == 1 and "if __name__ == '__main__':" in err
    guarded = (
        "import lastline\ndef f(rank): return 40 + rank\n"
        "if __name__ == '__main__':\n    print(lastline.spawn(f, procs=3, no_files=True).results())\n"
    )
    assert program(guarded).finish()[:2] == (0, "[40, 41, 42]\n")


def test_a_function_that_ranks_cannot_find_says_where_to_put_it(program) -> None:  # type: ignore[no-untyped-def]
    text = (
        "import lastline\nif __name__ == '__main__':\n    def f(rank): return 1\n"
        "    print(lastline.spawn(f, no_files=True).results())\n"
    )
    code, _, err = program(text).finish()
    assert code == 1 and "LookupError" in err and "put its definition above that" in err


def test_the_level_of_loggers_changes_while_ranks_run(tmp_path: Path) -> None:
    mesh = lastline.spawn(log_until_told, procs=2, args=[str(tmp_path / "go")], console="none")
    lines = mesh.lines()
    assert [next(lines).text, next(lines).text] == ["ready", "ready"]
    mesh.logging_option(level=logging.DEBUG)
    assert [next(lines).text, next(lines).text] == ["debug is on", "debug is on"]
    (tmp_path / "go").touch()
    assert mesh.results() == [["WARNING", "DEBUG"]] * 2


def test_a_rank_asks_for_a_barrier() -> None:
    mesh = lastline.spawn(checkpoint, procs=2, console="none")
    assert mesh.results() == [True, True]
    # One more is the end's.
    assert len(mesh.wait().barriers) == 3


def test_a_rank_without_a_driver_runs_just_the_same(program, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    text = "import lastline.rank\nprint(lastline.rank.connect(), lastline.rank.flush())\n"
    assert program(text).finish() == (0, "False False\n", "")
    monkeypatch.setenv("LASTLINE_RANK_CONTROL", "/no/such/socket")
    assert program(text).finish() == (0, "False False\n", "")


def test_what_was_for_the_ranks_goes_with_the_mesh(short_dir: Path) -> None:
    mesh = lastline.spawn(world, console="none")
    assert mesh.results() and list(short_dir.glob("lastline-*"))
    del mesh
    wait_for(lambda: not list(short_dir.glob("lastline-*")))
