"""Arguments of a wrong kind: refused by their names, and nothing is done."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import lastline
import lastline.rank
import pytest
from conftest import wait_for

SPAWN: list[tuple[str, Any, str]] = [
    ("procs", "4", "a whole number of ranks"),
    ("procs", 2.0, "a whole number of ranks"),
    ("procs", True, "a whole number of ranks"),
    ("procs", None, "a whole number of ranks"),
    ("command", 5, "a list of words"),
    ("args", 5, "a list of values"),
    ("args", "abc", "a list of values"),
    ("kwargs", [1], "a dict of values by their names"),
    ("env", ["A=1"], "a dict of text by names"),
    ("fold", True, "text"),
    ("console", None, "text"),
    ("console", 5, "text"),
    ("log_dir", 5, "a path"),
    ("log_dir", b"logs", "a path"),
    ("grace", "10 s", "a number of seconds"),
    ("grace", None, "a number of seconds"),
    ("flush_timeout", True, "a number of seconds"),
    ("rotate", 1.5, "a number of bytes, or text as in '8MiB'"),
    ("buffer", True, "a number of bytes, or text as in '8MiB'"),
    ("buffer", None, "a number of bytes, or text as in '8MiB'"),
    ("strict", "yes", "True or False"),
    ("no_files", 1, "True or False"),
    ("no_files", None, "True or False"),
    ("show", [1, 2], "ranks as text, as in '0-3,8'"),
    ("fsync", True, "'never', 'end' or a number of seconds"),
    ("compress", True, "text"),
]


def refused(name: str, value: Any, words: str) -> Any:
    return pytest.raises(TypeError, match=re.escape(f"{name}={value!r}: write {words}"))


@pytest.mark.parametrize(("name", "value", "words"), SPAWN)
def test_spawn_takes_no_value_of_another_kind(
    tmp_path: Path, short_dir: Path, name: str, value: Any, words: str
) -> None:
    arguments: dict[str, Any] = {"command": ["true"], "log_dir": tmp_path / "logs", name: value}
    with refused(name, value, words):
        lastline.spawn(**arguments)
    assert not (tmp_path / "logs").exists() and not list(short_dir.glob("lastline-*"))


def test_sizes_and_counts_are_not_below_zero() -> None:
    for name in ("buffer", "rotate", "max_size", "min_free"):
        options: dict[str, Any] = {name: -1}
        with pytest.raises(ValueError, match=f"{name}=-1: write a number of bytes"):
            lastline.spawn(["true"], **options)
    with pytest.raises(ValueError, match="tail=1267650600228229401496703205376: write a number of lines"):
        lastline.logs(tail=2**100)


def test_attach_takes_no_value_of_another_kind(short_dir: Path) -> None:
    given: dict[str, Any] = {"job": "far", "via": f"unix:{short_dir}/socket"}
    values = [
        ("job", None, "text"),
        ("via", Path("/tmp"), "text"),
        ("from_start", 1, "True or False"),
        ("lost_after", "60s", "a number of seconds"),
    ]
    for name, value, words in values:
        with refused(name, value, words):
            lastline.attach(**{**given, name: value})


def test_jobs_on_the_disk_are_left_alone_by_a_value_of_another_kind() -> None:
    for job in ("a", "b"):
        lastline.spawn(["echo", job], job=job, console="none").wait()
    wait_for(lambda: len(lastline.jobs()) == 2)
    pruned: list[tuple[str, Any, str]] = [
        ("keep", True, "a number of jobs"),
        ("keep", "1", "a number of jobs"),
        ("older_than", "1d", "a number of seconds, or a timedelta"),
        ("older_than", False, "a number of seconds, or a timedelta"),
        ("max_size", 1.5, "a number of bytes"),
        ("max_size", True, "a number of bytes"),
    ]
    for name, value, words in pruned:
        with refused(name, value, words):
            lastline.prune(**{name: value})
    assert len(lastline.jobs()) == 2
    assert lastline.prune(older_than=timedelta(days=1)) == []
    read: list[tuple[str, Any, str]] = [
        ("job", 5, "an id, or a directory"),
        ("rank", True, "a rank, or several"),
        ("rank", [0, 1], "a rank, or several"),
        ("stream", 1, "'stdout', 'stderr' or 'merged'"),
        ("tail", "3", "a number of lines"),
        ("tail", True, "a number of lines"),
        ("follow", "no", "True or False"),
    ]
    for name, value, words in read:
        with refused(name, value, words):
            lastline.logs(**{name: value})
    with refused("job", 5, "an id, or a directory"):
        lastline.report(5)  # type: ignore[arg-type]


def test_a_mesh_takes_no_value_of_another_kind() -> None:
    with lastline.spawn(["sleep", "600"], console="none") as mesh:
        asked: list[tuple[Any, str, Any, str]] = [
            (mesh.flush, "timeout", "5", "a number of seconds"),
            (mesh.wait, "timeout", True, "a number of seconds"),
            (mesh.lines, "from_start", "no", "True or False"),
            (mesh.batches, "from_start", None, "True or False"),
            (mesh.recent, "rank", "0", "the number of a rank"),
            (mesh.restart, "rank", True, "the number of a rank"),
            (mesh.signal, "signal", "SIGTERM", "a signal, as in signal.SIGUSR1"),
            (mesh.stop, "signal", True, "a signal, as in signal.SIGUSR1"),
            (mesh.on_failure, "callback", "print", "a function"),
            (mesh.logging_option, "stream_to_client", 0, "True or False"),
            (mesh.logging_option, "stream_to_client", None, "True or False"),
            (mesh.logging_option, "aggregate_window_sec", "3s", "a number of seconds"),
            (mesh.logging_option, "level", True, "a level of logging"),
        ]
        for method, name, value, words in asked:
            with refused(name, value, words):
                method(**{name: value})
        with refused("timeout", "5", "a number of seconds"):
            asyncio.run(mesh.flush_async("5"))  # type: ignore[arg-type]
        with refused("timeout", "5", "a number of seconds"):
            lastline.rank.flush("5")  # type: ignore[arg-type]
        with refused("rank", "0", "the number of a rank"):
            mesh.signal(15, rank="0")  # type: ignore[arg-type]
        assert mesh.report is None and mesh.ranks[0].signal is None


def test_a_window_that_is_refused_changes_nothing_else(tmp_path: Path) -> None:
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo shown"
    with lastline.spawn(["sh", "-c", script], console="none") as mesh:
        with pytest.raises(ValueError, match="aggregate_window_sec=-1: no number of seconds"):
            mesh.logging_option(aggregate_window_sec=-1)
        mesh.logging_option(stream_to_client=False)
        with pytest.raises(ValueError, match="aggregate_window_sec=-1: no number of seconds"):
            mesh.logging_option(stream_to_client=True, aggregate_window_sec=-1)
        (tmp_path / "go").touch()
        stdout = mesh.wait().ranks[0].streams["stdout"]
    assert stdout.withheld["streaming_off"] == len("shown\n")
