"""A job of this process: `spawn` and the `Mesh` that it gives."""

from __future__ import annotations

import os
import signal as signals
import sys
import threading
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _functions, _native
from ._control import VARIABLE, ControlChannel
from ._errors import RankFailed
from ._report import Report, parse
from ._waiting import called, keep_in_sight, ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    StrPath = str | os.PathLike[str]

importing_main = False
"""A rank imports the driver's script to find a function in it."""


@dataclass(frozen=True)
class StreamVerdict:
    """What a barrier came to for one stream: `reached`, `ended`, `lost` or `timed out`; `why` says of
    the last two what is missing."""

    rank: int
    stream: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Verdicts:
    """What a barrier came to. True when everything that was printed before it has been shown."""

    version: int
    streams: tuple[StreamVerdict, ...]
    missing_hosts: int

    @property
    def all_reached(self) -> bool:
        """Whether all streams were reached or have ended."""
        return self.missing_hosts == 0 and not self.missed

    @property
    def missed(self) -> tuple[StreamVerdict, ...]:
        """The streams that were not reached."""
        return tuple(s for s in self.streams if s.verdict not in ("reached", "ended"))

    def __bool__(self) -> bool:
        return self.all_reached


@dataclass(frozen=True)
class RankStatus:
    """A rank as it stands. `state` is `waiting`, `running`, `exited`, `not started` or `lost`, and
    `why` says more of the last two; `last_lines` are of its stderr, or of its stdout when that is empty."""

    rank: int
    host: str
    state: str
    why: str | None
    pid: int | None
    code: int | None
    signal: int | None
    bytes: int
    lines: int
    shown_bytes: int
    last_lines: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether it ended, or never began, in another way than with exit code 0."""
        if self.state == "exited":
            return self.signal is not None or self.code not in (0, None)
        return self.state in ("not started", "lost")

    @property
    def last_line(self) -> str | None:
        """The last line, when it said anything."""
        return self.last_lines[-1] if self.last_lines else None


@dataclass(frozen=True)
class Field:
    """What the lines of an entry have in one of their variable places: one `value`, or numbers from
    `min` to `max` as they were written, or a few `samples`; `outliers` are those far off, by ranks."""

    value: str | None = None
    min: str | None = None
    max: str | None = None
    samples: tuple[str, ...] = ()
    distinct: int = 1
    outliers: tuple[tuple[tuple[int, ...], str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """A line that stands for itself, or several as one, as the console prints them. `time` is in
    seconds since the epoch."""

    text: str
    ranks: tuple[int, ...]
    stream: str
    count: int
    lines: int
    time: float
    fields: tuple[Field, ...]
    folded: bool


def _entry(found: dict[str, Any]) -> Entry:
    def field(of: dict[str, Any]) -> Field:
        outliers = tuple((tuple(ranks), value) for ranks, value in of.pop("outliers", ()))
        return Field(samples=tuple(of.pop("samples", ())), outliers=outliers, **of)

    return Entry(
        text=found["text"],
        ranks=tuple(found["ranks"]),
        stream=found["stream"],
        count=found["count"],
        lines=found["lines"],
        time=found["micros"] / 1e6,
        fields=tuple(field(of) for of in found["fields"]),
        folded=found["folded"],
    )


class Lines:
    """Lines as ranks write them, for `for` and `async for`; either ends when the job is over."""

    def __init__(self, native: _native.Lines) -> None:
        self._native = native

    def __iter__(self) -> Iterator[_native.Line]:
        return self._native

    def __next__(self) -> _native.Line:
        return next(self._native)

    async def __aiter__(self) -> AsyncIterator[_native.Line]:
        while (lines := self._native.take()) is not None:
            for line in lines:
                yield line
            if not lines:
                await ready(self._native)

    def close(self) -> None:
        """Wants no more."""
        self._native.close()


class Batches:
    """Output as it was read, many lines of a rank at once; for `for` and `async for`."""

    def __init__(self, native: _native.Batches) -> None:
        self._native = native

    def __iter__(self) -> Iterator[_native.Batch]:
        return self._native

    def __next__(self) -> _native.Batch:
        return next(self._native)

    async def __aiter__(self) -> AsyncIterator[_native.Batch]:
        while (batch := self._native.take()) is not None:
            if batch is False:
                await ready(self._native)
            else:
                yield batch

    def close(self) -> None:
        """Wants no more."""
        self._native.close()


class Entries:
    """Entries as the console prints them, for `for` and `async for`."""

    def __init__(self, native: _native.Entries) -> None:
        self._native = native

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        found = self._native.wait()
        if found is None:
            raise StopIteration
        return _entry(found)

    async def __aiter__(self) -> AsyncIterator[Entry]:
        while True:
            await ready(self._native)
            found = self._native.take()
            if found is None:
                return
            yield _entry(found)


class _Unchanged:
    """The default of an option that is left as it is."""

    def __repr__(self) -> str:
        return "unchanged"


UNCHANGED = _Unchanged()


def _verdicts(found: tuple[int, list[tuple[int, str, str, str]], int]) -> Verdicts:
    version, streams, missing_hosts = found
    return Verdicts(version, tuple(StreamVerdict(*stream) for stream in streams), missing_hosts)


def _abandon(native: _native.Mesh, control: ControlChannel) -> None:
    if native.report() is None and not native.stopping:
        native.stop(None)
    control.close()


class Mesh:
    """A job that runs: its ranks, and all that carries their output.

    Leaving a `with` block runs a barrier and then stops the ranks that still run, in order and without
    losing a line; `wait` inside of it lets them come to their own end. A mesh that nobody has any more is
    stopped and drained likewise, and so is one that runs when the interpreter ends.
    """

    def __init__(
        self, native: _native.Mesh, control: ControlChannel, procs: int, stops_on_failure: bool
    ) -> None:
        self._native = native
        self._control = control
        self._procs = procs
        self._stops_on_failure = stops_on_failure
        self._streaming = True
        self._report: Report | None = None
        self._finalizer = weakref.finalize(self, _abandon, native, control)
        self._finalizer.atexit = False
        self._pid = os.getpid()
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
            self._report = None if text is None else parse(text, self._native.dir)
        return self._report

    @property
    def ranks(self) -> list[RankStatus]:
        """Every rank as it stands."""
        return [_status(rank) for rank in self._native.ranks()]

    def recent(self, rank: int) -> list[str]:
        """The last lines of a rank, at most 20."""
        for status in self.ranks:
            if status.rank == rank:
                return list(status.last_lines)
        raise IndexError(f"the job has ranks 0 to {self._procs - 1}, not {rank}")

    def lines(self, *, from_start: bool = True) -> Lines:
        """Every line as its rank wrote it, from the job's start or from now on.

        Several may be had at once. A slow one keeps nobody waiting and misses nothing: what waits for
        it beyond 1 MiB is read from the files. Without files the ranks wait for it, until `wait` or
        `stop` is called; what it cannot be given after that raises `LinesLeftOut`.
        """
        return Lines(self._native.lines(from_start))

    def batches(self, *, from_start: bool = True) -> Batches:
        """As `lines`, many lines of one stream at once: the fast way to much output."""
        return Batches(self._native.batches(from_start))

    def entries(self) -> Entries:
        """What the console prints, folded entries with their ranks and fields: the first call of a job
        that folds gives them from the start, others from now on. Where they come faster than they are
        taken, by more than 1 MiB, `LinesLeftOut` is raised, and iterating may go on."""
        return Entries(self._native.entries())

    def flush(self, timeout: float | None = None) -> Verdicts:
        """A barrier: when it returns, everything that the ranks wrote before the call has been shown, or
        the verdicts say which stream's was not, and why. After `timeout` seconds (the job's
        `flush_timeout`, if `None`) at the latest. An event loop uses `flush_async`."""
        return _verdicts(self._native.flush(timeout))

    async def flush_async(self, timeout: float | None = None) -> Verdicts:
        """As `flush`, for event loops."""
        flushing = await called(lambda done: self._native.begin_flush(timeout, done))
        found = flushing.result()
        if found is None:
            raise _native.LastlineError("the barrier was interrupted")
        return _verdicts(found)

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
        streaming = self._streaming if isinstance(stream_to_client, _Unchanged) else stream_to_client
        gathers = not isinstance(aggregate_window_sec, _Unchanged) and aggregate_window_sec is not None
        if gathers and not streaming:
            raise ValueError(
                "aggregate_window_sec gathers what is shown, and with stream_to_client=False nothing"
                " is: leave one of them out"
            )
        number = None if isinstance(level, _Unchanged) else _level(level)
        if not isinstance(stream_to_client, _Unchanged):
            self._native.set_streaming(stream_to_client)
            self._streaming = stream_to_client
        if not isinstance(aggregate_window_sec, _Unchanged):
            mode = "off" if aggregate_window_sec is None else "similar"
            self._native.set_fold(mode, aggregate_window_sec)
        if number is not None:
            self._control.set_level(number)

    def signal(self, signal: int, rank: int | None = None) -> None:
        """Sends a signal to the process group of a rank, or of every rank."""
        self._native.signal(rank, signal)

    def restart(self, rank: int) -> None:
        """Starts a rank again that is over, while the job runs."""
        self._native.restart(rank)

    def stop(self, signal: int | None = None) -> None:
        """Stops the ranks, and does not wait for them: SIGTERM (SIGINT when that is `signal`), and
        SIGKILL after the grace. Called again it ends the grace."""
        self._native.stop(signal)

    def wait(self, timeout: float | None = None) -> Report:
        """Waits until the job is over, and gives its report. Raises `TimeoutError` when it is not within
        `timeout` seconds. Ctrl-C stops the ranks, waits for them, and raises `KeyboardInterrupt`; a second
        one ends their grace. An event loop uses `wait_async`."""
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
        report = self.wait()
        found = []
        first = report.first_failure
        order = sorted(range(self._procs), key=lambda rank: first is None or rank != first.rank)
        for rank in order:
            returned, value = _functions.result(self._control.dir, rank)
            if not returned:
                raise RankFailed(report)
            found.append((rank, value))
        return [value for _, value in sorted(found, key=lambda pair: pair[0])]

    def on_failure(self, callback: Callable[[RankStatus], object]) -> None:
        """Calls `callback`, from a thread of its own, with each rank that fails by itself. Where one
        failure stops the others that is the first one alone. What it raises is told on stderr, and changes
        nothing."""
        args = (self._native, callback, self._stops_on_failure)
        thread = threading.Thread(target=_tell_failures, args=args, daemon=True)
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
            if error is None and self.report is None:
                self._warn_if_missed(self.flush())
            self._stop_unless_over(_signal_of(error))
            self._await_end(quiet=error is not None)

    async def __aenter__(self) -> Mesh:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._report is None:
            if error is None and self.report is None:
                self._warn_if_missed(await self.flush_async())
            self._stop_unless_over(_signal_of(error))
            await self.wait_async()

    def __repr__(self) -> str:
        state = "runs" if self.report is None else "is over"
        return f"<Mesh {self.job}: {self._procs} ranks, {state}>"

    def _repr_html_(self) -> str:
        from ._html import mesh_html

        return mesh_html(self)

    def _over(self) -> Report:
        report = self.report
        if report is None:
            raise _native.LastlineError("the job is over and has no report")
        return report

    def _warn_if_missed(self, verdicts: Verdicts) -> None:
        if not verdicts:
            missed = ", ".join(f"rank {s.rank} {s.stream}: {s.why}" for s in verdicts.missed)
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


def _tell_failures(
    native: _native.Mesh, callback: Callable[[RankStatus], object], stops_on_failure: bool
) -> None:
    told: set[int] = set()
    going_on = True
    while going_on:
        try:
            going_on = native.wait_for_change()
        except RuntimeError:
            return  # The interpreter is ending.
        failed = [_status(rank) for rank in native.ranks()]
        failed = [rank for rank in failed if rank.failed and rank.rank not in told]
        if native.stopping:
            return
        # Those that were ended because another failed are no failures of their own.
        ended = (signals.SIGTERM, signals.SIGKILL)
        failed.sort(key=lambda rank: stops_on_failure and rank.signal in ended)
        for rank in failed[:1] if stops_on_failure else failed:
            told.add(rank.rank)
            try:
                callback(rank)
            except Exception:
                sys.excepthook(*sys.exc_info())
        if told and stops_on_failure:
            return


def _status(found: _native._Rank) -> RankStatus:
    rank, host, state, why, pid, (code, signal), (read, lines, shown), last_lines = found
    return RankStatus(rank, host, state, why, pid, code, signal, read, lines, shown, tuple(last_lines))


def _bytes(size: int | str | None) -> int | None:
    return _native.size(size) if isinstance(size, str) else size


def spawn(
    command: Sequence[StrPath] | Callable[..., Any],
    *,
    procs: int = 1,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    log_dir: StrPath | None = None,
    overwrite: bool = False,
    no_files: bool = False,
    job: str | None = None,
    fold: str = "off",
    fold_window: float | None = None,
    prefix: str = "auto",
    show: str | None = None,
    console: str = "auto",
    color: str = "auto",
    on_failure: str = "stop",
    grace: float = 10.0,
    drain: float = 2.0,
    teardown_timeout: float = 30.0,
    leave_background: bool = False,
    flush_timeout: float = 5.0,
    silent_after: float = 60.0,
    when_full: str | None = None,
    buffer: int | str = "8MiB",
    min_free: int | str | None = None,
    rotate: int | str | None = None,
    max_size: int | str | None = None,
    fsync: str | float = "never",
    stdin: str = "null",
    pty: bool = False,
    env: Mapping[str, str] | None = None,
    workdir: StrPath | None = None,
    buffered: bool = False,
    report: StrPath | None = None,
    strict: bool = False,
) -> Mesh:
    """Starts a job of `procs` ranks and gives its `Mesh`.

    `command` is a list of words, run directly and not through a shell, or a function: then each rank is
    a Python process that calls it with its number, `args` and `kwargs`, and `Mesh.results` gives what they
    returned. Options are those of `lastline run`, by the same names; durations are in seconds, sizes
    in bytes or written as in `"8MiB"`. `console` is where lines are printed: `inherit`, this process's own
    outputs; `python`, through `sys.stdout` and `sys.stderr`; `none`; `auto` is `python` in a notebook and
    `inherit` elsewhere.

    Raises `SpawnError` when the command cannot be run, `ValueError` for an option that cannot be, and
    `LastlineError` when the directory for the files cannot be used.
    """
    if importing_main:
        raise RuntimeError(
            "a rank imports this script to find its function, and must not start a job by that: put"
            " the call of spawn under `if __name__ == '__main__':`"
        )
    if not 1 <= procs <= 100_000:
        raise ValueError(f"procs={procs}: write a number of ranks from 1 to 100000")
    if isinstance(command, (str, bytes)):
        raise TypeError(f"command={command!r}: write a list of words, as in ['python', 'train.py']")
    control = ControlChannel()
    try:
        if callable(command):
            _functions.prepare(control.dir, command, tuple(args), dict(kwargs or {}))
            words = _functions.command()
        else:
            if args or kwargs:
                raise TypeError("args and kwargs are for functions: put words into the command")
            words = [os.fspath(word) for word in command]
        variables = {**(env or {}), VARIABLE: str(control.path)}
        native = _native.spawn(
            {
                "command": words,
                "procs": procs,
                "log_dir": log_dir,
                "overwrite": overwrite,
                "no_files": no_files,
                "job": job,
                "fold": fold,
                "fold_window": fold_window,
                "prefix": prefix,
                "show": show,
                "console": _console(console),
                "color": color,
                "on_failure": on_failure,
                "grace": grace,
                "drain": drain,
                "teardown_timeout": teardown_timeout,
                "leave_background": leave_background,
                "flush_timeout": flush_timeout,
                "silent_after": silent_after,
                "when_full": when_full,
                "buffer": _bytes(buffer),
                "min_free": _bytes(min_free),
                "rotate": _bytes(rotate),
                "max_size": _bytes(max_size),
                "fsync": fsync,
                "stdin": stdin,
                "pty": pty,
                "env": list(variables.items()),
                "workdir": workdir,
                "buffered": buffered,
                "report": report,
                "strict": strict,
            }
        )
    except BaseException:
        control.close()
        raise
    control.serve(native)
    return Mesh(native, control, procs, on_failure == "stop")


def _console(console: str) -> str | Callable[[str, str], object]:
    if console == "auto":
        from . import notebook

        console = "python" if notebook.enable() else "inherit"
    return _write if console == "python" else console


def notebook_stream(stream: object) -> bool:
    """A kernel's own stream goes out by itself, and to flush it takes a while."""
    return hasattr(stream, "pub_thread")


def _write(output: str, text: str) -> None:
    """Prints ranks' lines where Python prints, whatever that is at the moment."""
    stream = getattr(sys, output)
    stream.write(text)
    if not notebook_stream(stream):
        stream.flush()
