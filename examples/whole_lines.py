#!/usr/bin/env python3
"""Counts the lines that arrive whole when several processes print at once.

    python3 examples/whole_lines.py [--ranks 8] [--lines 250000] [--lastline PATH]

The same processes are run in several ways, and what arrives on one stdout is compared with what
they wrote. A way whose tool is not installed is skipped. Needs GNU seq.
"""

import argparse
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILT = os.path.join(ROOT, "target/release/lastline")


def ways(ranks, count, lastline):
    """Name, command, and what is put before each line."""

    def write_as(rank):
        return f'seq -f "rank {rank} writes line %.0f of its share" {count}'

    def shell(rank):
        return ["sh", "-c", write_as(rank)]

    numbers = " ".join(map(str, range(ranks)))
    together = f"for RANK in {numbers}; do {write_as('$RANK')} & done; wait"
    yield "sh: `command &`, all into one pipe", ["sh", "-c", together], ""

    mpirun = ["mpirun", "-n", str(ranks), "--oversubscribe", "--tag-output"]
    mpirun += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    yield "mpirun --tag-output", mpirun + shell("$OMPI_COMM_WORLD_RANK"), r"\[1,\d+\]<stdout>:"

    parallel = ["parallel", "--will-cite", f"-j{ranks}", "--line-buffer", "--tag"]
    yield "parallel --line-buffer --tag", [*parallel, write_as("{}"), ":::", *numbers.split()], r"\d+\t"

    run = [lastline, "run", "-n", str(ranks), "--no-files", "--quiet", "--"]
    yield "lastline run", run + shell("$RANK"), r"\[\d+\] "


def count_whole(argv, before, ranks, count):
    """How many of the lines that were written came whole."""
    whole = re.compile(before.encode() + rb"rank (\d+) writes line (\d+) of its share\n")
    seen = set()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as job:
        for line in job.stdout:
            found = whole.fullmatch(line)
            if found and int(found[1]) < ranks and 0 < int(found[2]) <= count:
                seen.add((int(found[1]), int(found[2])))
    return len(seen)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--lines", type=int, default=250_000, help="of each rank")
    parser.add_argument("--lastline", default=BUILT, help="the binary")
    options = parser.parse_args()
    written = options.ranks * options.lines
    print(f"{options.ranks} processes write {written:,} lines to one console.\n")
    print(f"{'':<34} {'whole':>10} {'not whole':>10}")
    for name, argv, before in ways(options.ranks, options.lines, options.lastline):
        if not shutil.which(argv[0]):
            print(f"{name:<34} skipped: there is no {argv[0]}")
            continue
        whole = count_whole(argv, before, options.ranks, options.lines)
        print(f"{name:<34} {whole:>10,} {written - whole:>10,}", flush=True)


if __name__ == "__main__":
    main()
