"""What a rank runs that calls a function: `python -m lastline._rank`."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from multiprocessing import spawn as mp_spawn
from pathlib import Path
from types import TracebackType
from typing import Any

from . import _functions, _spawn, rank
from ._control import VARIABLE


def _leave(dir: Path, number: int, found: dict[str, Any]) -> None:
    path = _functions.result_path(dir, number)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(pickle.dumps(found))
    unfinished.rename(path)


def _tell_exception(dir: Path, number: int, error: BaseException) -> None:
    kind = type(error)
    module = {"builtins": "", "__mp_main__": "__main__."}.get(kind.__module__, f"{kind.__module__}.")
    told = {
        "traceback": "".join(traceback.format_exception(error)),
        "exception": _dump_exception(error),
        "type": f"{module}{kind.__qualname__}",
        "message": _message(error),
    }
    _leave(dir, number, told)


def _dump_exception(error: BaseException) -> bytes | None:
    """None for one that would not be the same again: then its text is told."""
    try:
        dumped = _functions.dump(error)
        copy = pickle.loads(dumped)
        return dumped if type(copy) is type(error) and str(copy) == str(error) else None
    except Exception:
        return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "its own words cannot be had"


def _of_the_function(found: TracebackType | None) -> TracebackType | None:
    """Without what called the function, unless that is all."""
    own = found
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    return own or found


def _call(dir: Path, number: int) -> None:
    call = pickle.loads((dir / _functions.CALL).read_bytes())
    # What the driver's script defines is there under the name it has there.
    _spawn.importing_main = True
    mp_spawn.prepare(call["preparation"])
    _spawn.importing_main = False
    try:
        function = pickle.loads(call["function"])
    except AttributeError as error:
        if "__mp_main__" not in str(error):
            raise
        raise LookupError(
            f"{error}: a rank imports the driver's script to find the function, without what is under"
            " `if __name__ == '__main__':`; put its definition above that"
        ) from None
    args, kwargs = pickle.loads(call["arguments"])
    value = function(number, *args, **kwargs)
    try:
        dumped = _functions.dump(value)
    except Exception as error:
        raise TypeError(f"what {function!r} returned cannot be sent back: {error}") from error
    _leave(dir, number, {"value": dumped})


def main() -> None:
    """Calls the function of this job with the number of this rank."""
    rank.connect()
    dir, number = Path(os.environ[VARIABLE]).parent, int(os.environ["LASTLINE_RANK"])
    try:
        _call(dir, number)
    except SystemExit:
        raise
    except BaseException as error:
        error.__traceback__ = _of_the_function(error.__traceback__)
        _tell_exception(dir, number, error)
        traceback.print_exception(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
