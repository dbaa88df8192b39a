"""The report as a picture and as a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import lastline
import pytest
from conftest import wait_for


def test_bytes_over_time_are_drawn_for_each_rank(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="not run: there is no matplotlib")
    matplotlib.use("agg")
    script = "for i in 1 2 3 4; do echo rank $RANK says $i; sleep 0.05; done; echo end >&2"
    report = lastline.spawn(["sh", "-c", script], procs=3, log_dir=tmp_path / "logs", console="none").wait()
    axes = report.plot(bins=20)
    drawn = [sum(bar.get_height() for bar in bars) for bars in axes.containers]
    assert drawn == [4 * len("rank 0 says 1\n") + len("end\n")] * 3
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(named) == ["rank 0", "rank 1", "rank 2"]
    # Over time, and not at once.
    assert sum(bar.get_height() > 0 for bar in axes.containers[0]) > 1
    axes.figure.savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
    again = report.plot(ax=axes)
    assert again is axes


def test_many_ranks_are_drawn_without_a_word_for_each(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib", reason="not run: there is no matplotlib")
    matplotlib.use("agg")
    report = lastline.spawn(["echo", "hello"], procs=40, log_dir=tmp_path / "logs", console="none").wait()
    axes = report.plot()
    assert len(axes.containers) == 40 and axes.get_legend() is None


def test_ends_and_numbers_are_told_as_the_program_tells_them() -> None:
    mesh = lastline.spawn(["sh", "-c", "echo a; kill -9 $$"], console="none")
    report = mesh.wait()
    assert report.first_failure is not None
    assert report.first_failure.how == report.ranks[0].how == "signal 9 (SIGKILL)"
    assert "1 rank, is over" in repr(mesh)
    assert "1 rank, 1 line, 2 bytes, nothing lost, rank 0 failed>" in repr(report)
    with pytest.raises(lastline.RankFailed, match=r"^rank 0 failed: signal 9 \(SIGKILL\)"):
        report.raise_for_failure()
    assert "rank 0 failed: signal 9 (SIGKILL), after" in report._repr_html_()
    memory = dataclasses.replace(report.ranks[0], killed_for_memory=True)
    assert memory.how == "signal 9 (SIGKILL), killed by the kernel for want of memory"


def test_a_job_that_was_stopped_says_which_ranks_did_not_end_by_themselves() -> None:
    script = "[ $RANK = 0 ] && exit 0; echo ready; exec sleep 600"
    with lastline.spawn(["sh", "-c", script], procs=2, console="none") as mesh:
        next(mesh.lines())
        wait_for(lambda: mesh.ranks[0].state == "exited")
        mesh.stop()
        report = mesh.wait()
    with pytest.raises(lastline.RankFailed, match=r"own end: rank 1: signal 15 \(SIGTERM\)$"):
        report.raise_for_failure()


def test_a_report_is_a_table(tmp_path: Path) -> None:
    script = "echo '<b>bold</b>'; exit $((RANK * 3))"
    report = lastline.spawn(["sh", "-c", script], procs=2, log_dir=tmp_path / "logs", console="none").wait()
    html = report._repr_html_()
    assert "<table" in html and "<b>bold" not in html
    first = report.first_failure
    assert first is not None and first.rank == 1


def test_who_stopped_a_job_is_told(tmp_path: Path) -> None:
    sleeps = ["sleep", "600"]
    with lastline.spawn(sleeps, log_dir=tmp_path / "logs", console="none") as mesh:
        mesh.stop()
        report = mesh.wait()
        assert ", stopped by owner>" in repr(report)
        assert ", stopped by owner</p>" in report._repr_html_()
    report = lastline.spawn(["true"], log_dir=tmp_path / "ended", console="none").wait()
    assert "stopped by" not in repr(report) + report._repr_html_()
