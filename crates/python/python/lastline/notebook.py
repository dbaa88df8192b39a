"""Notebooks: what ranks and this process print appears in the cell that runs.

`spawn` turns this on by itself in a Jupyter kernel; `%load_ext lastline.notebook` does before that. From
then on what this process itself writes to the descriptors 1 and 2 is captured too, and at the end of every
cell a barrier runs over every job, so that what was printed before is in the cell. A cell that is
interrupted stops the jobs.
"""

from __future__ import annotations

import asyncio
import atexit
import codecs
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Any

from . import _waiting

if TYPE_CHECKING:
    from ._mesh import Mesh

deadline = 5.0
"""How many seconds the barrier at the end of a cell may take."""


class _Descriptor:
    """One of the descriptors 1 and 2, led into the kernel's stream until it is restored."""

    def __init__(self, number: int, stream: Any) -> None:
        self._number, self._stream = number, stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._taking = threading.Lock()
        self._saved = os.dup(number)
        self._pipe, end = os.pipe()
        os.dup2(end, number)
        os.close(end)
        os.set_blocking(self._pipe, False)
        threading.Thread(target=self._run, name=f"lastline-fd-{number}", daemon=True).start()

    def _run(self) -> None:
        while True:
            select.select([self._pipe], [], [])
            if not self._take():
                return

    def _take(self) -> bool:
        """Takes what is there; false when nobody can write any more."""
        with self._taking:
            try:
                found = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return True
            self._stream.write(self._decoder.decode(found, final=not found))
            return bool(found)

    def drain(self, until: float) -> bool:
        """Waits until what was written so far has been taken; whether it was by then."""
        while True:
            with self._taking:
                waiting = fcntl.ioctl(self._pipe, termios.FIONREAD, struct.pack("i", 0))
            if struct.unpack("i", waiting)[0] == 0:
                return True
            if time.monotonic() > until:
                return False
            self._take()

    def restore(self) -> None:
        """Gives the descriptor back; what was written is still taken, by whoever has the pipe."""
        os.dup2(self._saved, self._number)
        os.close(self._saved)
        self.drain(time.monotonic() + 1)


class _Hooks:
    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._descriptors = [
            _Descriptor(number, stream)
            for number, stream in ((1, sys.stdout), (2, sys.stderr))
            if _is_kernel_stream(stream)
        ]
        shell.events.register("post_run_cell", self.end_cell)

    def end_cell(self, result: Any) -> None:
        """The barrier at the end of a cell."""
        if _was_interrupted(result):
            for mesh in list(_waiting.live):
                mesh._stop_unless_over(signal.SIGINT)
        until = time.monotonic() + deadline
        for mesh in list(_waiting.live):
            self._end_cell_of(mesh, until)
        if not all(descriptor.drain(until) for descriptor in self._descriptors):
            print("lastline: not all that this process wrote is here yet", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()

    def _end_cell_of(self, mesh: Mesh, until: float) -> None:
        if mesh.report is not None:
            return
        verdicts = mesh.flush(max(0.0, until - time.monotonic()))
        if not verdicts:
            missed = "; ".join(f"rank {s.rank} {s.stream}: {s.why}" for s in verdicts.missed)
            print(
                f"lastline: not everything that job {mesh.job} printed is here yet ({missed})",
                file=sys.stderr,
            )

    def disable(self) -> None:
        self._shell.events.unregister("post_run_cell", self.end_cell)
        self._shell.extension_manager.loaded.discard(__name__)
        for descriptor in self._descriptors:
            descriptor.restore()


def _was_interrupted(result: Any) -> bool:
    if result is None:
        return True  # It was cancelled, and has come to nothing.
    error = getattr(result, "error_in_exec", None)
    return isinstance(error, (KeyboardInterrupt, asyncio.CancelledError))


def _is_kernel_stream(stream: object) -> bool:
    """What a kernel sends to its cells, and not to a descriptor."""
    return hasattr(stream, "pub_thread")


_hooks: _Hooks | None = None


def enable() -> bool:
    """Turns it on where this is a Jupyter kernel, once; says whether it is on."""
    global _hooks
    if _hooks is not None:
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel") or not _is_kernel_stream(sys.stdout):
        return False
    _hooks = _Hooks(shell)
    # IPython unloads only what it knows to be loaded.
    shell.extension_manager.loaded.add(__name__)
    _waiting.look_every = 0.05
    atexit.register(disable)
    return True


def disable() -> None:
    """Turns it off, and gives the descriptors back."""
    global _hooks
    if _hooks is not None:
        _hooks.disable()
        _hooks = None
        _waiting.look_every = None


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext lastline.notebook`."""
    enable()


def unload_ipython_extension(shell: Any) -> None:
    """`%unload_ext lastline.notebook`."""
    disable()
