"""What may be raised, beside what Rust raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._native import LastlineError

if TYPE_CHECKING:
    from ._report import Report


class RankFailed(LastlineError):
    """A rank failed, or output was lost. `report` is the job's."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(report)

    def __str__(self) -> str:
        failure = self.report.first_failure
        if failure is None:
            return f"{self.report.lost_bytes} bytes of output were lost"
        words = f"rank {failure.rank} failed first: {failure.how}"
        return "\n  ".join([words, *failure.last_lines])


class RankException(LastlineError):
    """A function raised in a rank. `rank` says where; the cause is the exception itself where it
    could be brought here, and the text is the rank's own traceback."""

    def __init__(self, rank: int, traceback: str) -> None:
        self.rank = rank
        self.traceback = traceback
        super().__init__(rank, traceback)

    def __str__(self) -> str:
        return f"the function raised in rank {self.rank}:\n\n{self.traceback}"
