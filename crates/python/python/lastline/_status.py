"""What is said of a job while it runs: ranks, verdicts of barriers, folded entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _native


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


def entry(found: dict[str, Any]) -> Entry:
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


def verdicts(found: _native._Flushed) -> Verdicts:
    version, streams, missing_hosts = found
    return Verdicts(version, tuple(StreamVerdict(*stream) for stream in streams), missing_hosts)


def rank_status(found: _native._Rank) -> RankStatus:
    rank, host, state, why, pid, (code, signal), (read, lines, shown), last_lines = found
    return RankStatus(rank, host, state, why, pid, code, signal, read, lines, shown, tuple(last_lines))
