"""Runs N processes ("ranks") and loses no line of what they print.

    import lastline

    with lastline.spawn(["python", "train.py"], procs=8) as mesh:
        for line in mesh.lines():
            ...
        report = mesh.wait()

`spawn` starts a job and gives its `Mesh`; `attach` drives one whose ranks others run. Everything that waits
may be interrupted by Ctrl-C, lets other threads run, and has an `async` form for event loops.
"""

from __future__ import annotations

from ._attach import AttachedMesh, attach
from ._errors import RankException, RankFailed
from ._jobs import Job, jobs, logs, prune, report
from ._mesh import Mesh
from ._native import (
    Batch,
    LastlineError,
    Line,
    LinesLeftOut,
    SpawnError,
    __version__,
)
from ._output import Batches, Entries, Lines
from ._report import BarrierReport, FirstFailure, Gap, RankReport, Report, StreamReport
from ._spawn import spawn
from ._status import Entry, Field, RankStatus, StreamVerdict, Verdicts

__all__ = [
    "AttachedMesh",
    "BarrierReport",
    "Batch",
    "Batches",
    "Entries",
    "Entry",
    "Field",
    "FirstFailure",
    "Gap",
    "Job",
    "LastlineError",
    "Line",
    "Lines",
    "LinesLeftOut",
    "Mesh",
    "RankException",
    "RankFailed",
    "RankReport",
    "RankStatus",
    "Report",
    "SpawnError",
    "StreamReport",
    "StreamVerdict",
    "Verdicts",
    "__version__",
    "attach",
    "jobs",
    "logs",
    "prune",
    "report",
    "spawn",
]
