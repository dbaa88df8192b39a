"""A job of this process."""

from __future__ import annotations

import os
import signal as signals
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from . import _native
from ._errors import RankFailed
from ._failures import tell_failures
from ._kinds import OF_MESH, check_kinds, check_signal, check_stop_signal
from ._output import Batches, Entries, Lines
from ._report import Report, parse
from ._status import RankStatus, Verdicts, rank_status, verdicts
from ._waiting import called, keep_in_sight
from ._words import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from ._control import ControlChannel


class _Unchanged:
    """The default of an option that is left as it is."""

    def __repr__(self) -> str:
        return "unchanged"


UNCHANGED = _Unchanged()


def _abandon(native: _native.Mesh, control: ControlChannel | None, pid: int) -> None:
    if control is None or pid != os.getpid():
        return  # It leaves by itself when nobody has it; and a forked child leaves it alone.
    if native.report() is None and not native.stopping:
        native.stop(None)
    control.close()


class Mesh:
    """A job that runs: its ranks, and all that carries their output.

    Leaving a `with` block runs a barrier and then stops the ranks that still run, in order and without
    losing a line; `wait` inside of it lets them come to their own end. A mesh that nobody has any more, nor
    an iterator of its output, is stopped and drained likewise, and so is one that runs when the interpreter
    ends.
    """

    def __init__(
        self, native: _native.Mesh, control: ControlChannel | None, procs: int, stops_on_failure: bool
    ) -> None:
        self._native = native
        self._control = control
        self._procs = procs
        self._stops_on_failure = stops_on_failure
        self._streaming = True
        self._report: Report | None = None
        self._pid = os.getpid()
        self._finalizer = weakref.finalize(self, _abandon, native, control, self._pid)
        self._finalizer.atexit = False
        keep_in_sight(self)

    @property
    def job(self) -> str:
        """The job's id."""
        return self._native.job

    @property
    def log_dir(self) -> Path | None:
        """Where its files are; `None` with `no_files`."""
        return self._native.dir

    @property
    def world_size(self) -> int:
        """How many ranks."""
        return self._procs

    @property
    def report(self) -> Report | None:
        """The report, when the job is over."""
        if self._report is None:
            text = self._native.report()
            if text is not None:
                self._report = parse(text, self._native.dir)
                for path, cause in self._native.not_written():
                    warnings.warn(f"the report was not written to {path}: {cause}", stacklevel=2)
        return self._report

    @property
    def ranks(self) -> list[RankStatus]:
        """Every rank as it stands."""
        return [rank_status(rank) for rank in self._native.ranks()]

    def recent(self, rank: int) -> list[str]:
        """The last lines of a rank, at most 20."""
        self._check_rank(rank)
        for status in self.ranks:
            if status.rank == rank:
                return list(status.last_lines)
        raise IndexError(f"nothing is known of rank {rank} yet")

    def lines(self, *, from_start: bool = True) -> Lines:
        """Every line as its rank wrote it, from the job's start or from now on.

        Several may be had at once. A slow one keeps nobody waiting and misses nothing: what waits for
        it beyond 1 MiB is read from the files. Without files the ranks wait for it, until `wait` or
        `stop` is called; what it cannot be given after that raises `LinesLeftOut`.
        """
        check_kinds(OF_MESH, {"from_start": from_start})
        return Lines(self._native.lines(from_start, self))

    def batches(self, *, from_start: bool = True) -> Batches:
        """As `lines`, many lines of one stream at once: the fast way to much output."""
        check_kinds(OF_MESH, {"from_start": from_start})
        return Batches(self._native.batches(from_start, self))

    def entries(self) -> Entries:
        """What the console prints, folded entries with their ranks and fields: the first call of a job
        that folds gives them from the start, others from now on. Where they come faster than they are
        taken, by more than 1 MiB, `LinesLeftOut` is raised, and iterating may go on."""
        return Entries(self._native.entries(self))

    def flush(self, timeout: float | None = None) -> Verdicts:
        """A barrier: when it returns, everything that the ranks wrote before the call has been shown, or
        the verdicts say which stream's was not, and why. After `timeout` seconds (the job's
        `flush_timeout`, if `None`) at the latest. An event loop uses `flush_async`."""
        check_kinds(OF_MESH, {"timeout": timeout})
        return verdicts(self._native.flush(timeout))

    async def flush_async(self, timeout: float | None = None) -> Verdicts:
        """As `flush`, for event loops."""
        check_kinds(OF_MESH, {"timeout": timeout})
        flushing = await called(lambda done: self._native.begin_flush(timeout, done))
        found = flushing.result()
        if found is None:
            raise _native.LastlineError("the barrier was interrupted")
        return verdicts(found)

    def logging_option(
        self,
        *,
        stream_to_client: bool | _Unchanged = UNCHANGED,
        aggregate_window_sec: float | _Unchanged | None = UNCHANGED,
        level: int | str | _Unchanged = UNCHANGED,
    ) -> None:
        """Changes, while the job runs, whether output is shown or filed alone; for how many seconds
        similar lines are gathered into one entry (`None`: not at all); and the level of the root logger in
        every rank that imports `lastline.rank`."""
        wanted = {
            "stream_to_client": stream_to_client,
            "aggregate_window_sec": aggregate_window_sec,
            "level": level,
        }
        check_kinds(OF_MESH, {name: value for name, value in wanted.items() if value is not UNCHANGED})
        streaming = self._streaming if isinstance(stream_to_client, _Unchanged) else stream_to_client
        gathers = not isinstance(aggregate_window_sec, _Unchanged) and aggregate_window_sec is not None
        if gathers and not streaming:
            raise ValueError(
                "aggregate_window_sec gathers what is shown, and with stream_to_client=False nothing"
                " is: leave one of them out"
            )
        if gathers and not 0 <= float(aggregate_window_sec) < float("inf"):  # type: ignore[arg-type]
            raise ValueError(f"aggregate_window_sec={aggregate_window_sec}: no number of seconds")
        number = None if isinstance(level, _Unchanged) else _level(level)
        # A window may be refused: nothing has been changed then.
        if not isinstance(aggregate_window_sec, _Unchanged):
            mode = "off" if aggregate_window_sec is None else "similar"
            self._native.set_fold(mode, aggregate_window_sec)
        if not isinstance(stream_to_client, _Unchanged):
            self._native.set_streaming(stream_to_client)
            self._streaming = stream_to_client
        if number is not None and self._control is not None:
            self._control.set_level(number)

    def signal(self, signal: int, rank: int | None = None) -> None:
        """Sends a signal, as `signal.SIGUSR1`, to the process group of a rank, or of every rank. Raises
        `ValueError` when there is no such signal, `IndexError` when there is no such rank."""
        check_signal(signal)
        if rank is not None:
            self._check_rank(rank)
        self._native.signal(rank, signal)

    def restart(self, rank: int) -> None:
        """Starts a rank again that is over, while the job runs."""
        self._check_rank(rank)
        self._native.restart(rank)

    def stop(self, signal: int | None = None) -> None:
        """Stops the ranks, and does not wait for them: SIGTERM (SIGINT when that is `signal`), and
        SIGKILL after the grace. Called again it ends the grace. Raises `ValueError` for another signal, which
        `signal` sends."""
        if signal is not None:
            check_stop_signal(signal)
        self._native.stop(signal)

    def wait(self, timeout: float | None = None) -> Report:
        """Waits until the job is over, and gives its report. Raises `TimeoutError` when it is not within
        `timeout` seconds. Ctrl-C stops the ranks, waits for them, and raises `KeyboardInterrupt`; a second
        one ends their grace. An event loop uses `wait_async`."""
        check_kinds(OF_MESH, {"timeout": timeout})
        try:
            text = self._native.wait(timeout)
        except KeyboardInterrupt:
            self._interrupt()
            raise
        if text is None:
            raise TimeoutError(f"the job {self.job} still runs after {timeout} s")
        return self._over()

    async def wait_async(self) -> Report:
        """As `wait`, for event loops. To cancel it leaves the job alone."""
        await called(self._native.when_over)
        return self._over()

    def results(self) -> list[Any]:
        """What the function returned, by rank; waits for the end of the job. Raises `RankException` with
        the rank's own traceback when it raised, `RankFailed` when a rank ended without returning."""
        from . import _functions

        assert self._control is not None
        if not _functions.is_prepared(self._control.dir):
            raise _native.LastlineError("this job runs a command, and only functions have results")
        report = self.wait()
        found = []
        first = report.first_failure
        order = sorted(range(self._procs), key=lambda rank: first is None or rank != first.rank)
        for rank in order:
            returned, value = _functions.result(self._control.dir, rank)
            if not returned:
                raise RankFailed(report, without_result=rank)
            found.append((rank, value))
        return [value for _, value in sorted(found, key=lambda pair: pair[0])]

    def on_failure(self, callback: Callable[[RankStatus], object]) -> None:
        """Calls `callback`, from a thread of its own, with each rank that fails by itself. Where one
        failure stops the others that is the first one alone. What it raises is told on stderr, and changes
        nothing."""
        check_kinds(OF_MESH, {"callback": callback})
        args = (self._native, callback, self._stops_on_failure)
        thread = threading.Thread(target=tell_failures, args=args, daemon=True)
        thread.name = "lastline-failures"
        thread.start()

    def __enter__(self) -> Mesh:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._report is None:
            if error is None and self._has_barrier():
                self._warn_if_missed(self.flush())
            self._leave(error)

    async def __aenter__(self) -> Mesh:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._report is None:
            if error is None and self._has_barrier():
                self._warn_if_missed(await self.flush_async())
            await self._leave_async(error)

    def __repr__(self) -> str:
        state = "runs" if self.report is None else "is over"
        return f"<Mesh {self.job}: {counted(self.world_size, 'rank')}, {state}>"

    def _repr_html_(self) -> str:
        from ._html import mesh_html

        return mesh_html(self)

    def _check_rank(self, rank: int) -> None:
        check_kinds(OF_MESH, {"rank": rank})
        ranks = self.world_size
        if ranks and rank >= ranks:
            has = "rank 0 alone" if ranks == 1 else f"ranks 0 to {ranks - 1}"
            raise IndexError(f"the job has {has}, not {rank}")

    def _over(self) -> Report:
        report = self.report
        if report is None:
            raise _native.LastlineError("the job is over and has no report")
        return report

    def _has_barrier(self) -> bool:
        """Whether the end of a block waits for what was printed in it."""
        return self.report is None

    def _leave(self, error: BaseException | None) -> None:
        """What the end of a block does with the job."""
        self._stop_unless_over(_signal_of(error))
        self._await_end(quiet=error is not None)

    async def _leave_async(self, error: BaseException | None) -> None:
        """As `_leave`, for event loops."""
        self._stop_unless_over(_signal_of(error))
        await self.wait_async()

    def _warn_if_missed(self, found: Verdicts) -> None:
        if not found:
            parts = [f"rank {s.rank} {s.stream}: {s.why}" for s in found.missed]
            parts += ["a host did not answer"] * found.missing_hosts
            missed = ", ".join(parts)
            warnings.warn(f"not everything was shown at the end of the block: {missed}", stacklevel=3)

    def _interrupt(self) -> None:
        """Ctrl-C: stops the job and waits for its end; each further Ctrl-C says so again."""
        self._native.stop(signals.SIGINT)
        try:
            self._native.wait(None)
        except KeyboardInterrupt:
            self._native.stop(signals.SIGINT)
            self._native.wait(None)

    def _stop_unless_over(self, signal: int | None = None) -> None:
        if self._pid == os.getpid() and self.report is None and not self._native.stopping:
            self._native.stop(signal)

    def _leave_nothing(self) -> None:
        """The job is over, and the interpreter ends: what its ranks left is not wanted any more."""
        if self._control is not None:
            self._control.close()

    def _await_end(self, quiet: bool = True) -> None:
        """Waits for the end of a job that is being stopped; Ctrl-C ends its grace."""
        try:
            self._native.wait(None)
        except KeyboardInterrupt:
            self._native.stop(signals.SIGINT)
            self._native.wait(None)
            if not quiet:
                raise


def _signal_of(error: BaseException | None) -> int | None:
    return signals.SIGINT if isinstance(error, KeyboardInterrupt) else None


def _level(level: int | str) -> int:
    import logging

    if isinstance(level, int):
        return level
    number = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise ValueError(f"level={level!r}: write a level of logging, as in logging.INFO or 'INFO'")
    return number
