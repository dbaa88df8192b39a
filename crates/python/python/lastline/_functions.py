"""Functions as ranks: how a call gets to the ranks, and what they returned back."""

from __future__ import annotations

import contextlib
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import ExceptionText, RankException
from ._native import LastlineError

if TYPE_CHECKING:
    from collections.abc import Callable

CALL = "call.pickle"


def result_path(dir: Path, rank: int) -> Path:
    """Where a rank leaves what it returned."""
    return dir / f"result-{rank}.pickle"


def command() -> list[str]:
    """What starts a rank that calls a function."""
    return [sys.executable, "-m", "lastline._rank"]


def dump(value: object) -> bytes:
    """By pickle, or by cloudpickle where that is installed and pickle cannot."""
    try:
        return pickle.dumps(value)
    except Exception as error:
        try:
            import cloudpickle
        except ImportError:
            raise error from None
        dumped: bytes = cloudpickle.dumps(value)
        return dumped


def _dump(value: object, what: str) -> bytes:
    try:
        return dump(value)
    except Exception as error:
        raise TypeError(
            f"{what} cannot be sent to the ranks: {error}. Functions of a module or script can,"
            " and everything that pickle takes; with cloudpickle installed, lambdas and"
            " functions within others too"
        ) from error


def _dump_function(function: Callable[..., Any]) -> bytes:
    main = sys.modules["__main__"]
    defined_here = getattr(function, "__module__", None) == "__main__"
    if not defined_here or getattr(main, "__file__", None) or getattr(main, "__spec__", None):
        return _dump(function, repr(function))
    # A rank cannot import what was typed.
    try:
        import cloudpickle
    except ImportError:
        raise TypeError(
            f"{function!r} was typed into a notebook or an interpreter, where ranks cannot import it"
            " from: put it into a module, or install cloudpickle"
        ) from None
    dumped: bytes = cloudpickle.dumps(function)
    return dumped


def prepare(dir: Path, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Puts the call where ranks find it. Raises `TypeError` when it cannot be sent."""
    from multiprocessing import spawn as mp_spawn

    preparation: dict[str, Any] = mp_spawn.get_preparation_data("lastline rank")
    # The key is for processes of multiprocessing's own.
    preparation.pop("authkey", None)
    call = {
        "preparation": preparation,
        "function": _dump_function(function),
        "arguments": _dump((args, kwargs), "the arguments"),
    }
    (dir / CALL).write_bytes(pickle.dumps(call))


def is_prepared(dir: Path) -> bool:
    """Whether the ranks call a function."""
    return (dir / CALL).exists()


def result(dir: Path, rank: int) -> tuple[bool, Any]:
    """Whether the rank returned, and what; raises what it raised."""
    try:
        found = pickle.loads(result_path(dir, rank).read_bytes())
    except FileNotFoundError:
        return False, None
    if "traceback" in found:
        raise RankException(rank, found["traceback"]) from _cause(found)
    try:
        return True, pickle.loads(found["value"])
    except Exception as error:
        raise LastlineError(f"what rank {rank} returned cannot be read here: {error}") from error


def _cause(found: dict[str, Any]) -> BaseException:
    if found["exception"] is not None:
        # Its class may not be there.
        with contextlib.suppress(Exception):
            cause: BaseException = pickle.loads(found["exception"])
            return cause
    return ExceptionText(found["type"], found["message"], found["traceback"])
