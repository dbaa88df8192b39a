"""What a rank runs that calls a function: `python -m lastline._rank`."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from multiprocessing import spawn as mp_spawn
from pathlib import Path
from typing import Any

from . import _functions, _spawn, rank
from ._control import VARIABLE


def _leave(dir: Path, number: int, found: dict[str, Any]) -> None:
    path = _functions.result_path(dir, number)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(pickle.dumps(found))
    unfinished.rename(path)


def _tell_exception(dir: Path, number: int, error: BaseException) -> None:
    text = traceback.format_exc()
    try:
        exception = pickle.dumps(error)
        pickle.loads(exception)
    except Exception:
        exception = None  # Its text is told.
    _leave(dir, number, {"traceback": text, "exception": exception})


def _call(dir: Path, number: int) -> None:
    call = pickle.loads((dir / _functions.CALL).read_bytes())
    # What the driver's script defines is there under the name it has there.
    _spawn.importing_main = True
    mp_spawn.prepare(call["preparation"])
    _spawn.importing_main = False
    function = pickle.loads(call["function"])
    args, kwargs = pickle.loads(call["arguments"])
    value = function(number, *args, **kwargs)
    try:
        dumped = pickle.dumps(value)
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
        _tell_exception(dir, number, error)
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
