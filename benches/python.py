#!/usr/bin/env python3
"""Compares the Python package with the standard library's ways to read processes, side by side.

    pip install . && python benches/python.py [--rounds N]

Contenders take turns, round after round; a figure is the median, a ratio the median of the ratios within a
round. A missed target is marked and fails nothing; a lost line does. Needs `lastline` installed (a
release build), and Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import files
from pathlib import Path

import lastline

LINE = b"x" * 99 + b"\n"
LINES = 1_000_000
"""How many lines all ranks write together."""


def writer(ranks: int) -> list[str]:
    """A program that writes a rank's part, as fast as a pipe takes it."""
    return ["sh", "-c", f"yes {'x' * 99} | head -n {LINES // ranks}"]


def popen_lines(ranks: int) -> int:
    """One process by `for line in p.stdout`; several have a thread each."""
    import threading

    counts = [0] * ranks

    def read(rank: int) -> None:
        with subprocess.Popen(writer(ranks), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in process.stdout:
                counts[rank] += 1

    if ranks == 1:
        read(0)
        return counts[0]
    threads = [threading.Thread(target=read, args=[rank]) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def asyncio_lines(ranks: int) -> int:
    """asyncio's subprocesses, `async for line in p.stdout`."""

    async def read() -> int:
        process = await asyncio.create_subprocess_exec(*writer(ranks), stdout=subprocess.PIPE)
        assert process.stdout is not None
        count = 0
        async for _ in process.stdout:
            count += 1
        await process.wait()
        return count

    async def all_of_them() -> int:
        return sum(await asyncio.gather(*(read() for _ in range(ranks))))

    return asyncio.run(all_of_them())


def start(ranks: int, no_files: bool = True) -> lastline.Mesh:
    return lastline.spawn(writer(ranks), procs=ranks, no_files=no_files, console="none")


def mesh_lines(ranks: int) -> int:
    count = 0
    with start(ranks) as mesh:
        for _ in mesh.lines():
            count += 1
    return count


def filed_lines(ranks: int) -> int:
    count = 0
    with start(ranks, no_files=False) as mesh:
        for _ in mesh.lines():
            count += 1
    return count


def mesh_batches(ranks: int) -> int:
    count = 0
    with start(ranks) as mesh:
        for batch in mesh.batches():
            count += batch.newlines
    return count


def mesh_async_lines(ranks: int) -> int:
    async def read() -> int:
        count = 0
        async with start(ranks) as mesh:
            async for _ in mesh.lines():
                count += 1
        return count

    return asyncio.run(read())


def first_line_of_popen() -> float:
    begun = time.perf_counter()
    with subprocess.Popen(["echo", "ready"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        return time.perf_counter() - begun


def first_line_of_mesh() -> float:
    begun = time.perf_counter()
    with lastline.spawn(["echo", "ready"], no_files=True, console="none") as mesh:
        assert next(mesh.lines().__iter__()).text == "ready"
        return time.perf_counter() - begun


def timed(read: Callable[[int], int], ranks: int) -> float:
    begun = time.perf_counter()
    found = read(ranks)
    if found != LINES:
        raise SystemExit(f"{read.__name__} of {ranks} ranks: {found} lines of {LINES}")
    return time.perf_counter() - begun


def say(name: str, figure: str, ratio: str = "", target: str = "", met: bool = True) -> None:
    print(f"{name:44}  {figure:>26}  {ratio:>7}  {target:<10} {'' if met else 'MISSED'}".rstrip(), flush=True)


def compare_lines(ranks: int, rounds: int) -> None:
    """Lines per second, against Popen and asyncio."""
    names: list[tuple[str, Callable[[int], int]]] = [
        ("Popen, for line in p.stdout", popen_lines),
        ("asyncio, async for line in p.stdout", asyncio_lines),
        ("mesh.lines()", mesh_lines),
        ("mesh.lines(), with files", filed_lines),
        ("mesh.batches()", mesh_batches),
        ("mesh.lines(), async for", mesh_async_lines),
    ]
    taken = [[timed(read, ranks) for _, read in names] for _ in range(rounds)]
    targets: dict[tuple[int, Callable[[int], int]], tuple[int, float]] = {
        (1, mesh_lines): (0, 0.5),
        (1, mesh_batches): (0, 1.0),
        (8, mesh_lines): (1, 2.0),
        (8, mesh_batches): (1, 2.0),
        (8, mesh_async_lines): (1, 2.0),
    }
    for at, (name, read) in enumerate(names):
        median = statistics.median(round[at] for round in taken)
        figure = f"{LINES / median / 1e6:.2f} M lines/s, {LINES * len(LINE) / median / 1e6:.0f} MB/s"
        other, target = targets.get((ranks, read), (0, 0.0))
        ratio = statistics.median(round[other] / round[at] for round in taken)
        of = ("Popen", "asyncio")[other]
        say(
            f"{ranks} ranks: {name}",
            figure,
            f"{ratio:.2f}",
            f"≥ {target} {of}" if target else "",
            ratio >= target,
        )


def compare_first_line(rounds: int) -> None:
    """From the start of a process to its first line."""
    first_line_of_mesh()
    pairs = [(first_line_of_popen(), first_line_of_mesh()) for _ in range(rounds * 20)]
    popen, mesh = (statistics.median(pair[at] for pair in pairs) for at in (0, 1))
    ratio = statistics.median(mesh / popen for popen, mesh in pairs)
    figure = f"{mesh * 1e3:.2f} ms, {popen * 1e3:.2f} ms Popen"
    say("spawn to first line to end, one rank", figure, f"{ratio:.2f}", "≤ 2", ratio <= 2)


def measure_flush() -> None:
    """A barrier over eight idle ranks."""
    with lastline.spawn(["sleep", "600"], procs=8, no_files=True, console="none") as mesh:
        while any(rank.state != "running" for rank in mesh.ranks):
            mesh.flush()
        taken = []
        for _ in range(2000):
            begun = time.perf_counter()
            assert mesh.flush()
            taken.append(time.perf_counter() - begun)
    taken.sort()
    p50, p99 = taken[1000] * 1e3, taken[1980] * 1e3
    say("mesh.flush(), 8 idle ranks", f"p50 {p50:.3f} ms, p99 {p99:.3f} ms", "", "≤ 1 ms", p50 <= 1)


def measure_import(rounds: int) -> None:
    """What `import lastline` adds to an interpreter that does nothing."""

    def run(text: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", text], check=True)
        return time.perf_counter() - begun

    run("import lastline")
    taken = [run("import lastline") - run("pass") for _ in range(rounds * 5)]
    millis = statistics.median(taken) * 1e3
    say("import lastline", f"{millis:.1f} ms", "", "≤ 30 ms", millis <= 30)


def measure_size() -> None:
    """What is installed."""
    installed = [Path(str(file.locate())) for file in files("lastline") or []]
    megabytes = sum(path.stat().st_size for path in installed if path.exists()) / 1e6
    say("the package, as installed", f"{megabytes:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    say("", "", "ratio", "target")
    for ranks in (1, 8):
        compare_lines(ranks, rounds)
    compare_first_line(rounds)
    measure_flush()
    measure_import(rounds)
    measure_size()


if __name__ == "__main__":
    main()
