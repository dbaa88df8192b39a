"""In place of `torchrun --nproc-per-node 4 script.py`, on one machine:

    python torchrun.py --nproc-per-node 4 script.py [ARG]...

Ranks find RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT as torchrun sets
them, so `torch.distributed.init_process_group()` works as it is. What all ranks say is printed once, every
byte of each rank is in a file, and a rank that fails is named with its last lines.
"""

import argparse
import sys

import lastline


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nproc-per-node", type=int, default=1)
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = [sys.executable, options.script, *options.args]
    with lastline.spawn(command, procs=options.nproc_per_node, fold="ranks") as mesh:
        report = mesh.wait()
    if report.first_failure is None:
        return 0
    failure = report.first_failure
    print(
        f"rank {failure.rank} failed first: {failure.how}", *failure.last_lines, sep="\n  ", file=sys.stderr
    )
    return failure.code or 1


if __name__ == "__main__":
    sys.exit(main())
