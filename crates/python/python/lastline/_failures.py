"""Telling of ranks that fail."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from ._status import RankStatus, rank_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import _native


def tell_failures(
    native: _native.Mesh, callback: Callable[[RankStatus], object], stops_on_failure: bool
) -> None:
    told: set[int] = set()
    going_on = True
    while going_on:
        try:
            going_on = native.wait_for_change()
        except RuntimeError:
            return  # The interpreter is ending.
        failed = [rank_status(rank) for rank in native.ranks()]
        failed = [rank for rank in failed if rank.failed and rank.rank not in told]
        if native.stopping:
            return
        # Those that were ended because another failed are no failures of their own.
        ended = (signal.SIGTERM, signal.SIGKILL)
        failed.sort(key=lambda rank: stops_on_failure and rank.signal in ended)
        for rank in failed[:1] if stops_on_failure else failed:
            told.add(rank.rank)
            try:
                callback(rank)
            except Exception:
                sys.excepthook(*sys.exc_info())
        if told and stops_on_failure:
            return
