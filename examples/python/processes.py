"""In place of `multiprocessing.Process` for each piece of work: the same function in several processes,
whose output is whole lines with their rank, and whose exceptions come back with their tracebacks."""

import logging

import lastline

log = logging.getLogger(__name__)


def work(rank: int, pieces: int) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    log.info("rank %d has %d pieces", rank, pieces)
    return sum(piece * piece for piece in range(rank, pieces, 4))


def main() -> None:
    with lastline.spawn(work, procs=4, args=[1000]) as mesh:
        parts = mesh.results()
    print("sum of squares:", sum(parts))


if __name__ == "__main__":
    main()
