"""For programs that run as ranks: `import lastline.rank` lets the driver set the root logger's level
while the rank runs, and `flush` waits until what was printed has arrived.

A rank that is not started by `lastline.spawn` runs just the same.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import socket
import sys
import threading
from typing import Any

from ._control import VARIABLE
from ._kinds import OF_MESH, check_kinds


class _Driver:
    def __init__(self, path: str) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.connection.connect(path)
        self.pid = os.getpid()
        self._numbers = itertools.count(1)
        self._answered = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._gone = False
        threading.Thread(target=self._listen, name="lastline-rank", daemon=True).start()

    def _listen(self) -> None:
        try:
            with self.connection.makefile("rb") as lines:
                for line in lines:
                    self._hear(json.loads(line))
        except (OSError, ValueError):
            pass  # The driver is gone, which this rank survives.
        with self._answered:
            self._gone = True
            self._answered.notify_all()

    def _hear(self, told: dict[str, Any]) -> None:
        if "level" in told:
            logging.getLogger().setLevel(told["level"])
        if "flushed" in told:
            with self._answered:
                self._answers[told["flushed"]] = told
                self._answered.notify_all()

    def flush(self, timeout: float) -> bool:
        number = next(self._numbers)
        asked = json.dumps({"flush": number, "timeout": timeout}).encode() + b"\n"
        try:
            self.connection.sendall(asked)
        except OSError:
            return False
        with self._answered:
            # The driver keeps to the deadline; a little more, for its answer.
            self._answered.wait_for(lambda: self._gone or number in self._answers, timeout + 1)
            answer = self._answers.pop(number, None)
        return answer is not None and bool(answer["reached"])


_driver: _Driver | None = None


def connect() -> bool:
    """Connects to the driver, as the import does by itself. False where there is none."""
    global _driver
    path = os.environ.get(VARIABLE)
    if _driver is not None and _driver.pid == os.getpid():
        return True
    if not path:
        return False
    try:
        _driver = _Driver(path)
    except OSError:
        return False  # The driver is gone, or this runs elsewhere.
    return True


def flush(timeout: float = 5.0) -> bool:
    """Waits until everything that all ranks printed before the call has been shown; says whether it
    was within `timeout` seconds. This rank's own buffers are written out first. False where there is no
    driver to ask."""
    check_kinds(OF_MESH, {"timeout": timeout})
    sys.stdout.flush()
    sys.stderr.flush()
    if not connect() or _driver is None:
        return False
    return _driver.flush(timeout)


connect()
