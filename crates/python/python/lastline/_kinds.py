"""What kind of value each option takes, so that a wrong one is answered by its name."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEXT = ((str,), "text")
_PATH = ((str, bytes, os.PathLike), "a path")
_FLAG = ((bool,), "True or False")
_SECONDS = ((numbers.Real,), "a number of seconds")
_SIZE = ((int,), "a number of bytes, or text as in '8MiB'")
_RANKS = ((str,), "ranks as text, as in '0-3,8'")

_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("job", "via", "fold", "prefix", "color", "on_failure", "when_full", "stdin"), _TEXT),
    **dict.fromkeys(("log_dir", "workdir", "report"), _PATH),
    **dict.fromkeys(
        ("overwrite", "no_files", "leave_background", "pty", "buffered", "strict", "from_start"), _FLAG
    ),
    **dict.fromkeys(
        ("fold_window", "grace", "drain", "teardown_timeout", "flush_timeout", "silent_after", "lost_after"),
        _SECONDS,
    ),
    **dict.fromkeys(("buffer", "min_free", "rotate", "max_size"), _SIZE),
    "show": _RANKS,
    "fsync": ((str, numbers.Real), "'never', 'end' or a number of seconds"),
}


def check_kinds(options: Mapping[str, Any]) -> None:
    """Raises `TypeError` for the first option whose value is of a wrong kind. `None` is left to whoever
    takes it."""
    for name, value in options.items():
        if value is None or name not in _KINDS:
            continue
        kinds, words = _KINDS[name]
        # A flag is a number to Python, and to nobody else.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(f"{name}={value!r}: write {words}")


def words_of(command: Any) -> list[str | bytes]:
    """The words of a command."""
    if isinstance(command, (str, bytes)):
        raise TypeError(f"command={command!r}: write a list of words, as in ['python', 'train.py']")
    for word in command:
        if not isinstance(word, (str, bytes, os.PathLike)):
            raise TypeError(f"command: the word {word!r} is no text: write {str(word)!r}")
    return [os.fspath(word) for word in command]


def variables_of(env: Mapping[str, str] | None) -> dict[str, str]:
    """Variables for ranks."""
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env: {name!r} is {value!r}: write both as text")
    return dict(env or {})


def ranks_of(procs: Any) -> int:
    """How many ranks there are to be; any whole number, numpy's too."""
    try:
        count = procs.__index__()
    except AttributeError:
        raise TypeError(f"procs={procs!r}: write a whole number of ranks") from None
    if not 1 <= count <= 100_000:
        raise ValueError(f"procs={procs}: write a number of ranks from 1 to 100000")
    return int(count)
