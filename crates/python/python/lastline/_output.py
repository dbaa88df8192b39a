"""Iterators over the output of a job that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._status import Entry, entry
from ._waiting import ready

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from . import _native


class Lines:
    """Lines as ranks write them, for `for` and `async for`; either ends when the job is over."""

    def __init__(self, native: _native.Lines) -> None:
        self._native = native

    def __iter__(self) -> Iterator[_native.Line]:
        return self._native

    def __next__(self) -> _native.Line:
        return next(self._native)

    async def __aiter__(self) -> AsyncIterator[_native.Line]:
        while (lines := self._native.take()) is not None:
            for line in lines:
                yield line
            if not lines:
                await ready(self._native)

    def close(self) -> None:
        """Wants no more."""
        self._native.close()


class Batches:
    """Output as it was read, many lines of a rank at once; for `for` and `async for`."""

    def __init__(self, native: _native.Batches) -> None:
        self._native = native

    def __iter__(self) -> Iterator[_native.Batch]:
        return self._native

    def __next__(self) -> _native.Batch:
        return next(self._native)

    async def __aiter__(self) -> AsyncIterator[_native.Batch]:
        while (batch := self._native.take()) is not None:
            if batch is False:
                await ready(self._native)
            else:
                yield batch

    def close(self) -> None:
        """Wants no more."""
        self._native.close()


class Entries:
    """Entries as the console prints them, for `for` and `async for`."""

    def __init__(self, native: _native.Entries) -> None:
        self._native = native

    def __iter__(self) -> Iterator[Entry]:
        return self

    def __next__(self) -> Entry:
        found = self._native.wait()
        if found is None:
            raise StopIteration
        return entry(found)

    async def __aiter__(self) -> AsyncIterator[Entry]:
        while True:
            await ready(self._native)
            found = self._native.take()
            if found is None:
                return
            yield entry(found)
