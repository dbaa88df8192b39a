"""The fixture `lastline_mesh`: starts jobs in a test, and stops them at its end.

    def test_training(lastline_mesh):
        mesh = lastline_mesh(["python", "train.py"], procs=4)
        assert mesh.wait().ok

A test that fails shows each job's first failure and its ranks' last lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from . import _spawn
from ._words import failed_first, how_it_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from ._mesh import Mesh
    from ._status import RankStatus

_MESHES: pytest.StashKey[list[Mesh]] = pytest.StashKey()
_LAST_LINES = 10


@pytest.fixture
def lastline_mesh(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[Callable[..., Mesh], None, None]:
    """`lastline.spawn` for a test: files go to its `tmp_path`, lines to what pytest captures, unless
    options say otherwise. All jobs are stopped and drained when the test is over."""
    meshes: list[Mesh] = []
    request.node.stash[_MESHES] = meshes

    def start(command: Any, **options: Any) -> Mesh:
        __tracebackhide__ = True
        if not options.get("no_files"):
            options.setdefault("log_dir", tmp_path / f"lastline-{len(meshes)}")
        options.setdefault("console", "python")
        mesh: Mesh = _spawn.spawn(command, **options)
        meshes.append(mesh)
        return mesh

    yield start
    for mesh in meshes:
        mesh._stop_unless_over()
    for mesh in meshes:
        mesh._await_end()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what a failed test's jobs said."""
    report = yield
    if report.failed:
        for mesh in item.stash.get(_MESHES, []):
            report.sections.append((f"lastline job {mesh.job}", _describe(mesh)))
    return report


def _describe(mesh: Mesh) -> str:
    lines = []
    if mesh.report is None:
        mesh.flush(1.0)
    over = mesh.report
    failure = over.first_failure if over is not None else None
    if failure is not None:
        lines.append(f"{failed_first(failure.rank, mesh.world_size)}: {failure.how}")
        lines.extend(f"    {line}" for line in failure.last_lines)
    for rank in mesh.ranks:
        said = rank.last_lines[-_LAST_LINES:]
        stands = f"rank {rank.rank} {_stands(rank)}"
        if any(said):
            lines.append(f"{stands}; its last lines:")
            lines.extend(f"    {line}" for line in said)
        else:
            lines.append(stands)
    return "\n".join(lines)


def _stands(rank: RankStatus) -> str:
    if rank.state == "exited":
        return f"exited: {how_it_ended(rank.code, rank.signal)}"
    return rank.state if rank.why is None else f"{rank.state}: {rank.why}"
