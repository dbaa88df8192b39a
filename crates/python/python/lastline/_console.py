"""Where a job's lines are printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def console_of(console: str) -> str | Callable[[str, str], object]:
    """Where lines are printed: a name that Rust knows, or a function."""
    if console == "auto":
        from . import notebook

        console = "python" if notebook.enable() else "inherit"
    return _write if console == "python" else console


def _is_of_notebook(stream: object) -> bool:
    """A kernel's own stream goes out by itself, and to flush it takes a while."""
    return hasattr(stream, "pub_thread")


def _write(output: str, text: str) -> None:
    """Prints ranks' lines where Python prints, whatever that is at the moment."""
    stream = getattr(sys, output)
    stream.write(text)
    if not _is_of_notebook(stream):
        stream.flush()
