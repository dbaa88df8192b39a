"""Words as the program has them."""

from __future__ import annotations

from ._native import signal_text


def counted(number: int, what: str) -> str:
    """`1 rank`, `2 ranks`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def how_it_ended(code: int | None, signal: int | None) -> str:
    """`exit code 3`, `signal 9 (SIGKILL)`."""
    if signal is not None:
        return signal_text(signal)
    return "not known" if code is None else f"exit code {code}"


def failed_first(rank: int, world_size: int) -> str:
    """`rank 1 failed first`; of one rank there is no other to be before."""
    return f"rank {rank} failed{' first' if world_size > 1 else ''}"
