"""Sizes as people write them."""

from __future__ import annotations

from . import _native


def size_in_bytes(size: int | str | None) -> int | None:
    """`"8MiB"`, or a number of bytes."""
    return _native.size(size) if isinstance(size, str) else size
