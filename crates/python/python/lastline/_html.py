"""Meshes and reports as a cell shows them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ._words import counted, failed_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._mesh import Mesh
    from ._report import Report

MOST_ROWS = 64
"""How many ranks have a row."""


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    cells = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{names}</tr></thead><tbody>{cells}</tbody></table>"


def _left_out(rows: int) -> str:
    return f"<p>… and {counted(rows - MOST_ROWS, 'more rank')}</p>" if rows > MOST_ROWS else ""


def mesh_html(mesh: Mesh) -> str:
    """Every rank as it stands; the report when the job is over."""
    if mesh.report is not None:
        return report_html(mesh.report)
    ranks = mesh.ranks
    rows = [
        (rank.rank, rank.state, rank.pid or "", rank.lines, rank.bytes, rank.last_line or "")
        for rank in ranks[:MOST_ROWS]
    ]
    head = ("rank", "state", "pid", "lines", "bytes", "last line")
    title = f"<p><b>{escape(mesh.job)}</b>: {counted(mesh.world_size, 'rank')}, running</p>"
    return title + _table(head, rows) + _left_out(len(ranks))


def report_html(report: Report) -> str:
    """How ranks ended, the ledger, and the first failure."""
    lost = f"<b>{counted(report.lost_bytes, 'byte')} lost</b>" if report.lost_bytes else "nothing lost"
    stopped = f", stopped by {escape(report.stopped_by)}" if report.stopped_by else ""
    ledger = "the ledger balances" if report.balanced else "<b>the ledger does not balance</b>"
    rows = [
        (
            rank.rank,
            rank.how + (", stopped" if rank.stopped_by_lastline else ""),
            sum(stream.read_lines for stream in rank.streams.values()),
            sum(stream.read_bytes for stream in rank.streams.values()),
        )
        for rank in report.ranks[:MOST_ROWS]
    ]
    html = (
        f"<p><b>{escape(report.job)}</b>: {counted(report.world_size, 'rank')},"
        f" {counted(report.lines, 'line')}, {counted(report.bytes, 'byte')}, {lost}, {ledger}{stopped}</p>"
    )
    html += _table(("rank", "end", "lines", "bytes"), rows) + _left_out(len(report.ranks))
    failure = report.first_failure
    if failure is not None:
        last = escape("\n".join(failure.last_lines))
        first = failed_first(failure.rank, report.world_size)
        how = f"{first}: {failure.how}, after {failure.after_seconds:.2f} s"
        html += f"<p>{escape(how)}</p><pre>{last}</pre>"
    return html
