"""What may be raised, beside what Rust raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._native import LastlineError
from ._words import counted, failed_first

if TYPE_CHECKING:
    from ._report import Report


class RankFailed(LastlineError):
    """A rank failed, was stopped, or ended without returning, or output was lost. `report` is the job's."""

    def __init__(self, report: Report, without_result: int | None = None) -> None:
        self.report = report
        self._without_result = without_result
        super().__init__(report, without_result)

    def __str__(self) -> str:
        failure = self.report.first_failure
        if failure is not None:
            words = f"{failed_first(failure.rank, self.report.world_size)}: {failure.how}"
            return "\n  ".join([words, *failure.last_lines])
        last = {rank.rank: rank for rank in self.report.ranks}
        if self._without_result in last:
            how = last[self._without_result].how
            return f"{self._time}rank {self._without_result} ended without returning: {how}"
        others = [f"rank {number}: {rank.how}" for number, rank in last.items() if not rank.succeeded]
        if others:
            return f"{self._time}not all ranks came to their own end: {', '.join(others)}"
        return f"{counted(self.report.lost_bytes, 'byte')} of output were lost"

    @property
    def _time(self) -> str:
        """What stands before the words where the job had a timeout that has ended it."""
        return "the job's time was over: " if self.report.stopped_by == "timeout" else ""


class ExceptionText(Exception):
    """An exception of a rank that could not be brought here as itself: it cannot be pickled, would not be
    the same again, or is of a class that is not to be had here. `type_name` and `message` are its own, and
    `traceback` is the rank's, as text."""

    def __init__(self, type_name: str, message: str, traceback: str) -> None:
        self.type_name = type_name
        self.message = message
        self.traceback = traceback
        super().__init__(type_name, message, traceback)

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


class RankException(LastlineError):
    """A function raised in a rank. `rank` says where; the cause is the exception itself, or an
    `ExceptionText` where it could not be brought here; the text is the rank's own traceback."""

    def __init__(self, rank: int, traceback: str) -> None:
        self.rank = rank
        self.traceback = traceback
        super().__init__(rank, traceback)

    def __str__(self) -> str:
        return f"the function raised in rank {self.rank}:\n\n{self.traceback}"
