"""Jobs that are on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from . import _native
from ._kinds import OF_JOBS, check_kinds
from ._output import Lines
from ._report import Report, parse
from ._sizes import size_in_bytes

if TYPE_CHECKING:
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
    check_kinds(OF_JOBS, {"job": job})
    text = _native.report(None if job is None else str(job))
    return None if text is None else parse(text)


def logs(
    job: str | Path | None = None,
    *,
    rank: int | str | None = None,
    stream: str | None = None,
    tail: int | None = None,
    follow: bool = False,
) -> Lines:
    """The lines in a job's files, merged by the time of their arrival; for `for` and `async for`.

    `job` is an id or a directory, the latest job when `None`; `rank` is one rank or several as in
    `"0-3,8"`; `stream` is `stdout`, `stderr`, or `merged` of ranks run with `merge`; `tail` gives the last
    so many lines alone. With `follow` it goes on while the job runs, whoever runs it, and ends with it. What
    no file holds raises `LinesLeftOut`, and iterating may go on behind it. A thread of its own reads the
    files; who wants no more lines calls `close`, or lets the iterator go.

    Raises `LastlineError` when there is no such job, `ValueError` when it has no such rank.
    """
    values = {"job": job, "rank": rank, "stream": stream, "tail": tail, "follow": follow}
    check_kinds(OF_JOBS, values)
    if stream not in (None, "stdout", "stderr", "merged"):
        raise ValueError(f"stream={stream!r}: write 'stdout', 'stderr' or 'merged'")
    name, ranks = None if job is None else str(job), None if rank is None else str(rank)
    return Lines(_native.logs(name, ranks, stream, tail, follow))


def prune(
    *,
    keep: int | None = None,
    older_than: float | timedelta | None = None,
    max_size: int | str | None = None,
) -> list[str]:
    """Removes jobs that are over, oldest first, until the rest is within all that is said here, and gives
    the ids of those that are off the list; as `lastline prune`.

    `keep` is how many jobs stay; those that started more than `older_than` seconds ago go; `max_size` is
    for all files together, in bytes or as in `"10GiB"`. A job that runs stays, and so do files in a
    directory that was chosen with `log_dir`: only the list forgets them.
    """
    check_kinds(OF_JOBS, {"keep": keep, "older_than": older_than, "max_size": max_size})
    seconds = older_than.total_seconds() if isinstance(older_than, timedelta) else older_than
    return _native.prune(keep, seconds, size_in_bytes(max_size))
