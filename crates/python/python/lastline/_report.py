"""The account of a job, as dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._words import counted, failed_first, how_it_ended

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Gap:
    """Bytes of a stream that something did not become of, and why: from `start` up to, not
    including, `end`."""

    start: int
    end: int
    cause: str


@dataclass(frozen=True)
class StreamReport:
    """What became of every byte of one stream: read = filed + not filed, and
    read = shown + withheld + lost. `end` is `eof`, `leaked` or `aborted`."""

    read_bytes: int
    read_lines: int
    filed_bytes: int
    shown_bytes: int
    not_filed: tuple[Gap, ...]
    withheld: dict[str, int]
    lost: tuple[Gap, ...]
    end: str
    leaked_to: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class RankReport:
    """One start of a rank: how it ended, and its streams by name."""

    rank: int
    host: str
    pid: int | None
    code: int | None
    signal: int | None
    stopped_by_lastline: bool
    error: str | None
    started: str
    ended: str | None
    streams: dict[str, StreamReport]
    killed_for_memory: bool = False
    started_again: bool = False
    """It failed and was started again, as `max_restarts` allowed: no failure of the job."""

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself with 0."""
        return self.code == 0

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.error is not None:
            return self.error
        how = how_it_ended(self.code, self.signal)
        return f"{how}, killed by the kernel for want of memory" if self.killed_for_memory else how


@dataclass(frozen=True)
class FirstFailure:
    """The rank that failed first, with its own last lines."""

    rank: int
    host: str
    code: int | None
    signal: int | None
    after_seconds: float
    last_lines: tuple[str, ...]
    same_text: tuple[int, ...]

    @property
    def how(self) -> str:
        """How it ended, in words."""
        return how_it_ended(self.code, self.signal)


@dataclass(frozen=True)
class BarrierReport:
    """One barrier: `verdict` is `reached`, `lost` or `timed out`, the worst of its streams."""

    version: int
    seconds: float
    verdict: str


@dataclass(frozen=True)
class Report:
    """What became of a job and of every byte that its ranks wrote. `to_dict` has all that
    `report.json` has, what has no field here included."""

    job: str
    command: tuple[str, ...]
    started: str
    ended: str
    world_size: int
    balanced: bool
    first_failure: FirstFailure | None
    stopped_by: str | None
    ranks: tuple[RankReport, ...]
    barriers: tuple[BarrierReport, ...]
    _json: dict[str, Any] = field(repr=False, compare=False)
    _dir: Path | None = field(repr=False, compare=False, default=None)

    def to_dict(self) -> dict[str, Any]:
        """As `report.json` has it; the caller's own copy."""
        import json

        copy: dict[str, Any] = json.loads(json.dumps(self._json))
        return copy

    @property
    def ok(self) -> bool:
        """Whether every rank's last start ended by itself with 0, and nothing was lost."""
        last = {rank.rank: rank for rank in self.ranks}
        return all(rank.succeeded for rank in last.values()) and self.lost_bytes == 0

    @property
    def lines(self) -> int:
        """Lines read, of all streams."""
        return sum(stream.read_lines for stream in self._streams())

    @property
    def bytes(self) -> int:
        """Bytes read, of all streams."""
        return sum(stream.read_bytes for stream in self._streams())

    @property
    def lost_bytes(self) -> int:
        """Bytes that were to be shown and were not."""
        return sum(gap.end - gap.start for stream in self._streams() for gap in stream.lost)

    def __repr__(self) -> str:
        lost = f"{counted(self.lost_bytes, 'byte')} lost" if self.lost_bytes else "nothing lost"
        first = self.first_failure
        failed = "" if first is None else f", {failed_first(first.rank, self.world_size)}"
        stopped = "" if self.stopped_by is None else f", stopped by {self.stopped_by}"
        return (
            f"<Report of {self.job}: {counted(self.world_size, 'rank')}, {counted(self.lines, 'line')},"
            f" {counted(self.bytes, 'byte')}, {lost}{failed}{stopped}>"
        )

    def _streams(self) -> list[StreamReport]:
        return [stream for rank in self.ranks for stream in rank.streams.values()]

    def raise_for_failure(self) -> Report:
        """This report, or `RankFailed` when a rank failed or output was lost."""
        if not self.ok:
            from ._errors import RankFailed

            raise RankFailed(self)
        return self

    def _repr_html_(self) -> str:
        from ._html import report_html

        return report_html(self)

    def plot(self, ax: Any = None, bins: int = 100) -> Any:
        """Draws the bytes that each rank wrote over time, from the job's index; needs matplotlib,
        and the job's files. Gives the axes."""
        from ._plot import plot

        return plot(self, self._dir, ax, bins)


def _gaps(found: list[dict[str, Any]]) -> tuple[Gap, ...]:
    return tuple(Gap(gap["from"], gap["to"], gap["cause"]) for gap in found)


def _stream(found: dict[str, Any]) -> StreamReport:
    return StreamReport(
        read_bytes=found["read_bytes"],
        read_lines=found["read_lines"],
        filed_bytes=found["filed_bytes"],
        shown_bytes=found["shown_bytes"],
        not_filed=_gaps(found["not_filed"]),
        withheld=found["withheld"],
        lost=_gaps(found["lost"]),
        end=found["end"],
        leaked_to=tuple(found["leaked_to"]),
    )


def _rank(found: dict[str, Any]) -> RankReport:
    return RankReport(
        rank=found["rank"],
        host=found["host"],
        pid=found["pid"],
        code=found["code"],
        signal=found["signal"],
        stopped_by_lastline=found["stopped_by_lastline"],
        error=found.get("error"),
        started=found["started"],
        ended=found["ended"],
        streams={name: _stream(stream) for name, stream in found["streams"].items()},
        killed_for_memory=found.get("killed_for_memory", False),
        started_again=found.get("started_again", False),
    )


def _first_failure(found: dict[str, Any] | None) -> FirstFailure | None:
    if found is None:
        return None
    return FirstFailure(
        rank=found["rank"],
        host=found["host"],
        code=found["code"],
        signal=found["signal"],
        after_seconds=found["after_seconds"],
        last_lines=tuple(found["last_lines"]),
        same_text=tuple(found.get("same_text", ())),
    )


def parse(text: str, dir: Path | None = None) -> Report:
    """A report from its JSON; `dir` is where the job's files are."""
    import json

    found = json.loads(text)
    return Report(
        job=found["job"],
        command=tuple(found["command"]),
        started=found["started"],
        ended=found["ended"],
        world_size=found["world_size"],
        balanced=found["balanced"],
        first_failure=_first_failure(found["first_failure"]),
        stopped_by=found.get("stopped_by"),
        ranks=tuple(_rank(rank) for rank in found["ranks"]),
        barriers=tuple(
            BarrierReport(barrier["version"], barrier["seconds"], barrier["verdict"])
            for barrier in found["barriers"]
        ),
        _json=found,
        _dir=dir,
    )
