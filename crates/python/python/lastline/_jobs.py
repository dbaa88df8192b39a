"""Jobs that are on the disk."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import _native
from ._report import Report, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Job:
    """A job on the list of jobs. `state` is `running`, `finished` or `broken`: interrupted before it
    could write its report."""

    id: str
    dir: Path
    command: tuple[str, ...]
    world_size: int
    started: str
    state: str
    bytes: int


def jobs() -> list[Job]:
    """The jobs of this user that are there, oldest first."""
    return [
        Job(id, dir, tuple(command), world_size, started, state, bytes)
        for id, dir, command, world_size, started, state, bytes in _native.jobs()
    ]


def report(job: str | Path | None = None) -> Report | None:
    """The report of a job: of this id or directory, or of the latest one. `None` while it runs; of one
    that was interrupted, what its files say."""
    text = _native.report(None if job is None else str(job))
    return None if text is None else parse(text)


def logs(
    job: str | Path | None = None,
    *,
    rank: int | str | None = None,
    stream: str | None = None,
    tail: int | None = None,
) -> Iterator[_native.Line]:
    """The lines in a job's files, merged by the time of their arrival.

    `job` is an id or a directory, the latest job when `None`; `rank` is one rank or several as in
    `"0-3,8"`; `stream` is `stdout` or `stderr`; `tail` gives the last so many lines alone. What no file
    holds raises `LinesLeftOut`, and iterating may go on behind it.
    """
    if stream not in (None, "stdout", "stderr"):
        raise ValueError(f"stream={stream!r}: write 'stdout' or 'stderr'")
    lines = _native.logs(None if job is None else str(job), None if rank is None else str(rank), stream)
    return iter(lines) if tail is None else iter(deque(lines, maxlen=tail))
