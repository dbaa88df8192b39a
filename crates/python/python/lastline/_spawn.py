"""How a job is started."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _native
from ._console import console_of
from ._kinds import OF_OPTIONS, check_kinds, ranks_of, restarts_of, variables_of, words_of
from ._mesh import Mesh
from ._sizes import size_in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    StrPath = str | os.PathLike[str]

_OF_FILES = {
    **dict.fromkeys(("log_dir", "rotate", "max_size", "compress", "min_free")),
    "overwrite": False,
    "fsync": "never",
}
"""Options that say of files alone, and what leaves them unsaid."""

importing_main = False
"""A rank imports the driver's script to find a function in it."""


def spawn(
    command: Sequence[StrPath | bytes] | Callable[..., Any],
    *,
    procs: int = 1,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    log_dir: StrPath | None = None,
    overwrite: bool = False,
    no_files: bool = False,
    job: str | None = None,
    fold: str = "off",
    fold_window: float | None = None,
    prefix: str = "auto",
    show: str | None = None,
    console: str = "auto",
    color: str = "auto",
    on_failure: str = "stop",
    max_restarts: int = 0,
    timeout: float | None = None,
    grace: float = 10.0,
    drain: float = 2.0,
    teardown_timeout: float = 30.0,
    leave_background: bool = False,
    flush_timeout: float = 5.0,
    silent_after: float = 60.0,
    when_full: str | None = None,
    buffer: int | str = "8MiB",
    min_free: int | str | None = None,
    rotate: int | str | None = None,
    max_size: int | str | None = None,
    compress: str | None = None,
    fsync: str | float = "never",
    stdin: str = "null",
    pty: bool = False,
    merge: bool = False,
    env: Mapping[str, str] | None = None,
    workdir: StrPath | None = None,
    buffered: bool = False,
    report: StrPath | None = None,
    strict: bool = False,
) -> Mesh:
    """Starts a job of `procs` ranks and gives its `Mesh`.

    `command` is a list of words, run directly and not through a shell, or a function: then each rank is
    a Python process that calls it with its number, `args` and `kwargs`, and `Mesh.results` gives what they
    returned. Options are those of `lastline run`, by the same names; durations are in seconds, sizes
    in bytes or written as in `"8MiB"`. `console` is where lines are printed: `inherit`, this process's own
    outputs; `python`, through `sys.stdout` and `sys.stderr`; `none`; `auto` is `python` in a notebook and
    `inherit` elsewhere.

    Raises `SpawnError` when the command cannot be run, `ValueError` for an option that cannot be, and
    `LastlineError` when the directory for the files cannot be used.
    """
    __tracebackhide__ = True  # What cannot be is said by the exception.
    if importing_main:
        raise RuntimeError(
            "a rank imports this script to find its function, and must not start a job by that: put"
            " the call of spawn under `if __name__ == '__main__':`"
        )
    options: dict[str, Any] = {
        "procs": procs,
        "log_dir": log_dir,
        "overwrite": overwrite,
        "no_files": no_files,
        "job": job,
        "fold": fold,
        "fold_window": fold_window,
        "prefix": prefix,
        "show": show,
        "console": console,
        "color": color,
        "on_failure": on_failure,
        "max_restarts": max_restarts,
        "timeout": timeout,
        "grace": grace,
        "drain": drain,
        "teardown_timeout": teardown_timeout,
        "leave_background": leave_background,
        "flush_timeout": flush_timeout,
        "silent_after": silent_after,
        "when_full": when_full,
        "buffer": buffer,
        "min_free": min_free,
        "rotate": rotate,
        "max_size": max_size,
        "compress": compress,
        "fsync": fsync,
        "stdin": stdin,
        "pty": pty,
        "merge": merge,
        "workdir": workdir,
        "buffered": buffered,
        "report": report,
        "strict": strict,
        "args": args,
        "kwargs": kwargs,
        "env": env,
    }
    words = [] if callable(command) else words_of(command)
    taken = _taken(options)
    variables = variables_of(env)
    args, kwargs = tuple(args), dict(kwargs or {})
    if not callable(command) and (args or kwargs):
        raise TypeError("args and kwargs are for functions: put words into the command")
    from ._control import VARIABLE, ControlChannel

    control = ControlChannel()
    try:
        if callable(command):
            from . import _functions

            _functions.prepare(control.dir, command, args, kwargs)
            words = [*_functions.command()]
        variables[VARIABLE] = str(control.path)
        native = _native.spawn({**taken, "command": words, "env": list(variables.items())})
    except BaseException:
        control.close()
        raise
    control.serve(native, keeps_dir=callable(command))
    return Mesh(native, control, taken["procs"], on_failure == "stop")


def _taken(options: dict[str, Any]) -> dict[str, Any]:
    """These options as Rust takes them, which says of their values what cannot be."""
    check_kinds(OF_OPTIONS, options)
    for name, nothing in _OF_FILES.items():
        if options["no_files"] and options[name] != nothing:
            raise ValueError(
                f"no_files=True and {name}={options[name]!r}: without files there is nothing that"
                f" {name} could say; leave one of them out"
            )
    if options["pty"] and options["merge"]:
        raise ValueError("pty=True and merge=True: a terminal is one stream already; leave one of them out")
    sizes = ("buffer", "min_free", "rotate", "max_size")
    return {
        **options,
        "procs": ranks_of(options["procs"]),
        "max_restarts": restarts_of(options["max_restarts"]),
        "console": console_of(options["console"]),
        **{name: size_in_bytes(options[name]) for name in sizes},
    }
