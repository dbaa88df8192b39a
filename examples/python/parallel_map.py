"""A map over processes, as `concurrent.futures.ProcessPoolExecutor.map` is one: results come in the order
of the items, and an exception is raised here with the traceback of its process."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import lastline

Item = TypeVar("Item")
Result = TypeVar("Result")


def _each_of_mine(
    rank: int, procs: int, function: Callable[[Item], Result], items: Sequence[Item]
) -> list[Result]:
    return [function(item) for item in items[rank::procs]]


def parallel_map(function: Callable[[Item], Result], items: Sequence[Item], procs: int = 4) -> list[Result]:
    """`[function(item) for item in items]`, in `procs` processes."""
    with lastline.spawn(_each_of_mine, procs=procs, args=[procs, function, items]) as mesh:
        parts = mesh.results()
    results: list[Result | None] = [None] * len(items)
    for rank, part in enumerate(parts):
        results[rank::procs] = part
    return [result for result in results if result is not None]


def collatz(start: int) -> int:
    """After how many steps the sequence comes to 1."""
    steps = 0
    while start != 1:
        start = start // 2 if start % 2 == 0 else 3 * start + 1
        steps += 1
    if steps > 100:
        print(f"a long one: {steps} steps")
    return steps


def main() -> None:
    print(parallel_map(collatz, range(1, 31)))


if __name__ == "__main__":
    main()
