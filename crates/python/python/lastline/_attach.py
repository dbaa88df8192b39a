"""Driving a job whose ranks others run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native
from ._console import console_of
from ._kinds import OF_ATTACHED, check_kinds
from ._mesh import UNCHANGED, Mesh, _Unchanged
from ._waiting import called, live
from ._words import counted

if TYPE_CHECKING:
    StrPath = str | os.PathLike[str]


class AttachedMesh(Mesh):
    """A job whose ranks `lastline run --via` runs, in other processes or on other machines.

    Leaving a `with` block runs a barrier and detaches, also when an exception or Ctrl-C is the reason: the
    job runs on, and `attach` may be called again, by anybody. `stop` stops it. A mesh that nobody has any
    more is detached, and so is one that is attached when the interpreter ends.
    """

    def __init__(self, native: _native.Mesh, stops_on_failure: bool) -> None:
        super().__init__(native, None, 0, stops_on_failure)

    @property
    def world_size(self) -> int:
        """How many ranks the whole job has; 0 as long as no host has said so."""
        return self._native.world_size() or 0

    @property
    def detached(self) -> bool:
        """Whether it was left."""
        return self._native.detached

    def detach(self) -> None:
        """Leaves the job, which runs on. What was received is shown first. An event loop uses
        `detach_async`."""
        live.discard(self)
        self._native.detach()

    async def detach_async(self) -> None:
        """As `detach`, for event loops."""
        live.discard(self)
        await called(self._native.begin_detach)

    def results(self) -> list[Any]:
        """There are none: functions are ranks of `spawn` alone."""
        raise _native.LastlineError("a job that was attached to has no results: functions are for spawn")

    def logging_option(
        self,
        *,
        stream_to_client: bool | _Unchanged = UNCHANGED,
        aggregate_window_sec: float | _Unchanged | None = UNCHANGED,
        level: int | str | _Unchanged = UNCHANGED,
    ) -> None:
        """As for `spawn`, but for the level, which only reaches the ranks of `spawn`."""
        if not isinstance(level, _Unchanged):
            raise ValueError("level reaches the ranks of spawn alone, and these are others'")
        super().logging_option(stream_to_client=stream_to_client, aggregate_window_sec=aggregate_window_sec)

    def __enter__(self) -> AttachedMesh:
        return self

    async def __aenter__(self) -> AttachedMesh:
        return self

    def __repr__(self) -> str:
        state = "detached" if self.detached else "runs" if self.report is None else "is over"
        return f"<AttachedMesh {self.job}: {counted(self.world_size, 'rank')}, {state}>"

    def _over(self) -> Any:
        if self.detached:
            raise _native.LastlineError("this process has left the job, which runs on without it")
        return super()._over()

    def _has_barrier(self) -> bool:
        return not self.detached and super()._has_barrier() and bool(self.ranks)

    def _goes_on(self) -> bool:
        """Whether the job runs, nobody has stopped it, and it was not left."""
        return self.report is None and not self._native.stopping and not self.detached

    def _leave(self, error: BaseException | None) -> None:
        if self._goes_on():
            self.detach()
        else:
            self._await_end(quiet=error is not None)

    async def _leave_async(self, error: BaseException | None) -> None:
        if self._goes_on():
            await self.detach_async()
        elif not self.detached:
            await self.wait_async()

    def _interrupt(self) -> None:
        """Ctrl-C leaves the ranks of others alone."""

    def _stop_unless_over(self, signal: int | None = None) -> None:
        if self._pid == os.getpid() and self._goes_on():
            self._native.detach()

    def _await_end(self, quiet: bool = True) -> None:
        if not self.detached:
            super()._await_end(quiet)


def attach(
    job: str,
    *,
    via: str,
    from_start: bool = True,
    lost_after: float = 60.0,
    log_dir: StrPath | None = None,
    fold: str = "off",
    fold_window: float | None = None,
    prefix: str = "auto",
    show: str | None = None,
    console: str = "auto",
    color: str = "auto",
    on_failure: str | None = None,
    silent_after: float = 60.0,
    teardown_timeout: float = 30.0,
    flush_timeout: float = 5.0,
    report: StrPath | None = None,
) -> AttachedMesh:
    """Drives a job whose ranks `lastline run --via` runs, as `lastline attach --via` does, and gives its
    mesh. Ranks may have begun, or come later.

    `via` is where the two meet: `unix:PATH`, where one driver can be at a time, or `nats://HOST:PORT`.
    Output comes from the start of the job, or from now on with `from_start=False`. A host of which nothing
    is heard for `lost_after` seconds is lost. Whether a failure stops the other ranks is as `lastline run`
    was told where they run, unless `on_failure` says it. The other options are those of `spawn`.

    Raises `LastlineError` when the place cannot be used, or another driver is there; `ValueError` for an
    option that cannot be. Waits for a broker: an event loop uses `asyncio.to_thread(lastline.attach, …)`.
    """
    options = {
        "job": job,
        "via": via,
        "from_start": from_start,
        "lost_after": lost_after,
        "log_dir": log_dir,
        "fold": fold,
        "fold_window": fold_window,
        "prefix": prefix,
        "show": show,
        "console": console,
        "color": color,
        "on_failure": on_failure,
        "silent_after": silent_after,
        "teardown_timeout": teardown_timeout,
        "flush_timeout": flush_timeout,
        "report": report,
    }
    check_kinds(OF_ATTACHED, options)
    native = _native.attach({**options, "console": console_of(console)})
    return AttachedMesh(native, on_failure != "continue")
