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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._attach import AttachedMesh, attach
    from ._errors import ExceptionText, RankException, RankFailed
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
    "ExceptionText",
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

# Which module has what: an import loads nothing that is not used.
_NAMES_OF = {
    "_attach": ("AttachedMesh", "attach"),
    "_errors": ("ExceptionText", "RankException", "RankFailed"),
    "_jobs": ("Job", "jobs", "logs", "prune", "report"),
    "_mesh": ("Mesh",),
    "_native": ("Batch", "LastlineError", "Line", "LinesLeftOut", "SpawnError", "__version__"),
    "_output": ("Batches", "Entries", "Lines"),
    "_report": ("BarrierReport", "FirstFailure", "Gap", "RankReport", "Report", "StreamReport"),
    "_spawn": ("spawn",),
    "_status": ("Entry", "Field", "RankStatus", "StreamVerdict", "Verdicts"),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
