"""Jobs on the disk: their lines, and what becomes of them."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta
from pathlib import Path

import lastline
import pytest
from conftest import wait_for


def paced(dir: Path) -> list[str]:
    """A rank that says one thing, and the next when `dir/go` is there."""
    return ["sh", "-c", f"echo one $RANK; while [ ! -e {dir}/go ]; do sleep 0.01; done; echo two $RANK"]


def test_a_job_that_runs_is_followed_to_its_end(tmp_path: Path) -> None:
    mesh = lastline.spawn(paced(tmp_path), procs=2, job="followed", console="none")
    next(mesh.lines())
    lines = lastline.logs("followed", follow=True)
    assert {next(lines).text, next(lines).text} == {"one 0", "one 1"}
    assert mesh.report is None
    (tmp_path / "go").touch()
    assert sorted(line.text for line in lines) == ["two 0", "two 1"]
    assert wait_for(lambda: mesh.report).ok
    with pytest.raises(StopIteration):
        next(lines)


def test_what_is_not_followed_ends_with_what_is_there(tmp_path: Path) -> None:
    with lastline.spawn(paced(tmp_path), job="there", console="none") as mesh:
        next(mesh.lines())
        wait_for(lambda: [line.text for line in lastline.logs("there")] == ["one 0"])


def test_files_that_are_compressed_are_read_as_any_others(tmp_path: Path) -> None:
    script = f"seq 100000; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done"
    mesh = lastline.spawn(
        ["sh", "-c", script],
        job="small",
        log_dir=tmp_path / "logs",
        rotate="100KiB",
        compress="zstd",
        console="none",
    )

    def compressed() -> bool:
        suffixes = [file.suffix for file in (tmp_path / "logs").glob("rank-0.stdout.0*")]
        return suffixes == [".zst"] * 5

    wait_for(compressed)
    numbers = [str(number) for number in range(1, 100_001)]
    assert [line.text for line in lastline.logs("small")] == numbers
    (tmp_path / "go").touch()
    assert mesh.wait().ok
    assert [line.text for line in lastline.logs("small")] == numbers


def test_one_job_is_followed_by_many_in_an_event_loop(tmp_path: Path) -> None:
    async def texts(rank: int) -> list[str]:
        return [line.text async for line in lastline.logs("shared", rank=rank, follow=True)]

    async def follow() -> list[list[str]]:
        async with lastline.spawn(paced(tmp_path), procs=2, job="shared", console="none") as mesh:
            seen = [asyncio.create_task(texts(rank)) for rank in (0, 1)]
            heard = 0
            async for _ in mesh.lines():
                heard += 1
                if heard == 2:
                    (tmp_path / "go").touch()
            return list(await asyncio.gather(*seen))

    assert asyncio.run(follow()) == [["one 0", "two 0"], ["one 1", "two 1"]]


def test_the_last_lines_are_had_of_a_job_that_runs_and_what_comes_then(tmp_path: Path) -> None:
    script = f"seq 1000; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo end"
    mesh = lastline.spawn(["sh", "-c", script], job="long", console="none")
    wait_for(lambda: sum(1 for _ in lastline.logs("long")) == 1000)
    lines = lastline.logs("long", tail=2, follow=True)
    assert [next(lines).text, next(lines).text] == ["999", "1000"]
    (tmp_path / "go").touch()
    assert [line.text for line in lines] == ["end"]
    mesh.wait()
    assert [line.text for line in lastline.logs("long", tail=1)] == ["end"]
    assert list(lastline.logs("long", tail=0)) == []


def name_of(thread: Path) -> str:
    try:
        return (thread / "comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # It has ended meanwhile.


def files_threads() -> int:
    threads = Path("/proc/self/task").iterdir()
    return sum(name_of(thread).startswith("lastline-files") for thread in threads)


def test_who_wants_no_more_leaves_nothing_behind(tmp_path: Path) -> None:
    with lastline.spawn(paced(tmp_path), job="left", console="none") as mesh:
        next(mesh.lines())
        closed, dropped = (lastline.logs("left", follow=True) for _ in range(2))
        next(closed), next(dropped)
        assert files_threads() == 2
        closed.close()
        with pytest.raises(StopIteration):
            next(closed)
        del dropped
        gc.collect()
        wait_for(lambda: files_threads() == 0)


def test_a_slow_reader_of_files_bounds_what_is_in_memory(tmp_path: Path) -> None:
    count = 500_000
    lastline.spawn(["seq", str(count)], job="big", console="none").wait()
    lines = lastline.logs("big")
    next(lines)
    assert sum(1 for _ in lines) == count - 1


def test_a_rank_or_number_that_cannot_be_is_refused(tmp_path: Path) -> None:
    lastline.spawn(["true"], procs=2, job="two", console="none").wait()
    with pytest.raises(ValueError, match=r"rank=9: the job has ranks 0 to 1"):
        lastline.logs("two", rank=9)
    with pytest.raises(ValueError, match="tail=-1: write a number of lines"):
        lastline.logs("two", tail=-1)
    with pytest.raises(ValueError, match="write 'stdout', 'stderr' or 'merged'"):
        lastline.logs("two", stream="stdin")
    with pytest.raises(ValueError, match="keep=-1: write a number of jobs"):
        lastline.prune(keep=-1)
    with pytest.raises(ValueError, match="older_than=-1"):
        lastline.prune(older_than=-1)
    with pytest.raises(ValueError, match='"much" is no size'):
        lastline.prune(max_size="much")


def test_jobs_are_pruned_oldest_first_and_never_one_that_runs(tmp_path: Path) -> None:
    for job in ("a", "b", "c"):
        lastline.spawn(["echo", job], job=job, console="none").wait()
        wait_for(lambda: [found.id for found in lastline.jobs()][-1:] == [job])  # noqa: B023
    elsewhere = tmp_path / "elsewhere"
    lastline.spawn(["echo", "d"], job="d", log_dir=elsewhere, console="none").wait()
    with lastline.spawn(["sleep", "600"], job="runs", console="none"):
        wait_for(lambda: [job.id for job in lastline.jobs()] == ["a", "b", "c", "d", "runs"])
        assert lastline.prune() == []
        assert lastline.prune(older_than=timedelta(days=1), keep=4, max_size="1GiB") == []
        assert sorted(lastline.prune(keep=2)) == ["a", "b"]
        assert sorted(lastline.prune(older_than=0)) == ["c", "d"]
        assert [job.id for job in lastline.jobs()] == ["runs"]
    assert (elsewhere / "rank-0.stdout.log").read_text() == "d\n"
    assert lastline.prune(max_size=0) == ["runs"]
