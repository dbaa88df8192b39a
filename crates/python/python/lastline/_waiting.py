"""How event loops wait for what happens in Rust, and what is done when the interpreter ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Protocol, TypeVar

from . import _native

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._mesh import Mesh

T = TypeVar("T")


look_every: float | None = None
"""How often, in seconds, a loop that waits turns without a cause; never when `None`. A Jupyter kernel
notes an interrupt in its loop without waking it."""


class Ready(Protocol):
    """What tells when it has more."""

    def when_ready(self, done: Callable[[], object]) -> None: ...


async def called(start: Callable[[Callable[[], object]], T]) -> T:
    """Waits, without blocking the running loop, until `start`'s argument has been called; gives what
    `start` gave. To cancel it takes nothing away from anybody."""
    import asyncio  # Who waits has it; who does not need not wait for it.

    loop = asyncio.get_running_loop()
    reached: asyncio.Future[None] = loop.create_future()

    def set_reached() -> None:
        if not reached.done():
            reached.set_result(None)

    def done() -> None:
        # A loop that is closed has nobody who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(set_reached)

    started = start(done)
    while not reached.done():
        await asyncio.wait([reached], timeout=look_every)
    return started


async def ready(source: Ready) -> None:
    """Waits until `source` has more."""
    await called(source.when_ready)


live: weakref.WeakSet[Mesh] = weakref.WeakSet()


def keep_in_sight(mesh: Mesh) -> None:
    """This job is stopped and drained when the interpreter ends, if it runs then."""
    live.add(mesh)


def _at_exit() -> None:
    meshes = list(live)
    for mesh in meshes:
        mesh._stop_unless_over()
    for mesh in meshes:
        mesh._await_end()
        mesh._leave_nothing()
    _native.close()


def _after_fork() -> None:
    live.clear()
    _native.after_fork()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
