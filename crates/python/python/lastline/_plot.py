"""Output over time, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _native

MOST_NAMED = 16
"""How many ranks have a place in the legend; with more there is none."""

if TYPE_CHECKING:
    from pathlib import Path

    from ._report import Report


def plot(report: Report, dir: Path | None, ax: Any, bins: int) -> Any:
    """See `Report.plot`."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("report.plot() needs matplotlib: pip install matplotlib") from error
    pieces = _native.timeline(report.job if dir is None else str(dir))
    if ax is None:
        _, ax = pyplot.subplots()
    begin = min((time for _, time, _ in pieces), default=0.0)
    ranks = sorted({rank for rank, _, _ in pieces})
    times = [[time - begin for r, time, _ in pieces if r == rank] for rank in ranks]
    sizes = [[size for r, _, size in pieces if r == rank] for rank in ranks]
    if ranks:
        ax.hist(times, bins, weights=sizes, stacked=True, label=[f"rank {rank}" for rank in ranks])
    if 0 < len(ranks) <= MOST_NAMED:
        ax.legend()
    ax.set_xlabel("seconds since the first byte")
    ax.set_ylabel("bytes")
    ax.set_title(report.job)
    return ax
