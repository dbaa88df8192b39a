"""What kind of value each argument takes, so that a wrong one is answered by its name."""

from __future__ import annotations

import numbers
import os
import signal as signals
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Kind = tuple[tuple[Any, ...], str]
    Kinds = Mapping[str, Kind]

_TEXT = ((str,), "text")
_PATH = ((str, os.PathLike), "a path")
_JOB = ((str, os.PathLike), "an id, or a directory")
_FLAG = ((bool,), "True or False")
_SECONDS = ((numbers.Real,), "a number of seconds")
_SIZE = ((str, numbers.Integral), "a number of bytes, or text as in '8MiB'")
_RANK = ((numbers.Integral,), "the number of a rank")
_SIGNAL = ((numbers.Integral,), "a signal, as in signal.SIGUSR1")
_CALLABLE = ((Callable,), "a function")


def _or_none(kind: Kind) -> Kind:
    types, words = kind
    return (*types, type(None)), words


OF_OPTIONS: Kinds = {
    **dict.fromkeys(("via", "fold", "prefix", "console", "color", "on_failure", "stdin"), _TEXT),
    **dict.fromkeys(("job", "when_full", "compress"), _or_none(_TEXT)),
    **dict.fromkeys(("log_dir", "workdir", "report"), _or_none(_PATH)),
    **dict.fromkeys(
        ("overwrite", "no_files", "leave_background", "pty", "merge", "buffered", "strict", "from_start"),
        _FLAG,
    ),
    **dict.fromkeys(
        ("grace", "drain", "teardown_timeout", "flush_timeout", "silent_after", "lost_after"), _SECONDS
    ),
    **dict.fromkeys(("fold_window", "timeout"), _or_none(_SECONDS)),
    "buffer": _SIZE,
    **dict.fromkeys(("min_free", "rotate", "max_size"), _or_none(_SIZE)),
    "procs": ((numbers.Integral,), "a whole number of ranks"),
    "max_restarts": ((numbers.Integral,), "a whole number of restarts"),
    "show": _or_none(((str,), "ranks as text, as in '0-3,8' or '0:both,1-7:stderr'")),
    "fsync": ((str, numbers.Real), "'never', 'end' or a number of seconds"),
    "args": ((Iterable,), "a list of values"),
    "kwargs": _or_none(((Mapping,), "a dict of values by their names")),
    "env": _or_none(((Mapping,), "a dict of text by names")),
}
"""Of `spawn` and `attach`."""

OF_ATTACHED: Kinds = {**OF_OPTIONS, "job": _TEXT, "on_failure": _or_none(_TEXT)}
"""Of `attach`."""

OF_MESH: Kinds = {
    "timeout": _or_none(_SECONDS),
    "from_start": _FLAG,
    "rank": _RANK,
    "signal": _SIGNAL,
    "callback": _CALLABLE,
    "stream_to_client": _FLAG,
    "aggregate_window_sec": _or_none(_SECONDS),
    "level": ((str, numbers.Integral), "a level of logging, as in logging.INFO or 'INFO'"),
}
"""Of what is asked of a mesh."""

OF_JOBS: Kinds = {
    "job": _or_none(_JOB),
    "rank": _or_none(((str, numbers.Integral), "a rank, or several as in '0-3,8'")),
    "stream": _or_none(((str,), "'stdout', 'stderr' or 'merged'")),
    "tail": _or_none(((numbers.Integral,), "a number of lines")),
    "follow": _FLAG,
    "keep": _or_none(((numbers.Integral,), "a number of jobs")),
    "older_than": _or_none(((numbers.Real, timedelta), "a number of seconds, or a timedelta")),
    "max_size": _or_none(_SIZE),
}
"""Of what is asked about jobs on the disk."""


def check_kinds(kinds: Kinds, values: Mapping[str, Any]) -> None:
    """Raises for the first value that cannot be, by its name: `TypeError` where it is of a wrong kind,
    `ValueError` where it is no number that a count, a size or a rank may have."""
    for name, value in values.items():
        types, words = kinds[name]
        # A flag is a number to Python, and text a list: to nobody else.
        misread = (isinstance(value, bool) and bool not in types) or (
            isinstance(value, (str, bytes)) and Iterable in types
        )
        if misread or not isinstance(value, types):
            raise TypeError(f"{name}={value!r}: write {words}")
        if isinstance(value, (str, os.PathLike)):
            _check_encodes(name, os.fspath(value))
        if (
            numbers.Integral in types
            and isinstance(value, numbers.Integral)
            and not 0 <= int(value) < 1 << 63
        ):
            raise ValueError(f"{name}={value}: write {words}")


def _check_encodes(name: str, text: str) -> None:
    """Raises for text that is no bytes to the system: a lone surrogate that stands for no byte."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ValueError(f"{name}: {text!r} has a lone surrogate, which no byte stands for") from None


def words_of(command: Any) -> list[str]:
    """The words of a command."""
    if isinstance(command, (str, bytes)) or not isinstance(command, Iterable):
        raise TypeError(f"command={command!r}: write a list of words, as in ['python', 'train.py']")
    words = list(command)
    for word in words:
        if not isinstance(word, (str, bytes, os.PathLike)):
            raise TypeError(f"command: the word {word!r} is no text: write {str(word)!r}")
    found = [os.fsdecode(word) for word in words]
    for word in found:
        _check_encodes("command", word)
        if "\0" in word:
            raise ValueError(f"command: the word {word!r} has a NUL, which ends a word")
    return found


def variables_of(env: Mapping[str, str] | None) -> dict[str, str]:
    """Variables for ranks."""
    for name, value in (env or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"env: {name!r} is {value!r}: write both as text")
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"env: {name!r} cannot be a variable that is {value!r}")
        _check_encodes("env", name)
        _check_encodes("env", value)
    return dict(env or {})


def check_signal(signal: int) -> None:
    """Raises for what is no signal."""
    check_kinds(OF_MESH, {"signal": signal})
    if signal not in signals.valid_signals():
        raise ValueError(f"signal={int(signal)}: there is no such signal; write one, as in signal.SIGUSR1")


def check_stop_signal(signal: int) -> None:
    """Raises for what no job is stopped by."""
    check_signal(signal)
    if signal not in (signals.SIGINT, signals.SIGTERM):
        name = signals.Signals(signal).name if signal in set(signals.Signals) else str(int(signal))
        raise ValueError(
            f"signal={int(signal)}: a job is stopped by SIGINT or SIGTERM; mesh.signal({name}) sends that"
        )


def restarts_of(max_restarts: int) -> int:
    """How often ranks are started again; any whole number, numpy's too."""
    if max_restarts >= 1 << 32:
        raise ValueError(f"max_restarts={max_restarts}: write a number below {1 << 32}")
    return int(max_restarts)


def ranks_of(procs: int) -> int:
    """How many ranks there are to be; any whole number, numpy's too."""
    if not 1 <= procs <= 100_000:
        raise ValueError(f"procs={procs}: write a number of ranks from 1 to 100000")
    return int(procs)
