"""The driver's end of the channel to ranks that are Python: the level of their loggers, and barriers.

One line of JSON each way. A rank says `{"rank": 3}` once, then `{"flush": 7, "timeout": 5.0}`; it is
told `{"level": 20}` and `{"flushed": 7, "reached": true, "why": ""}`.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import _native

VARIABLE = "LASTLINE_RANK_CONTROL"
"""Where a rank finds the socket."""
_MAX_LINE_BYTES = 4096


class _Peer:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = b""

    def say(self, message: dict[str, Any]) -> None:
        """What a rank does not read it does not get: nobody waits for it."""
        with contextlib.suppress(OSError):
            self.connection.send(json.dumps(message).encode() + b"\n")


class ControlChannel:
    """Serves the ranks of one job from a thread of its own, until the job is over or this is closed."""

    def __init__(self) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix="lastline-"))
        self.path = self.dir / "ranks"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._wake, self._woken = socket.socketpair()
        self._peers: list[_Peer] = []
        self._level: int | None = None
        self._lock = threading.Lock()
        self._native: _native.Mesh | None = None
        self._keeps_dir = False

    def serve(self, native: _native.Mesh, *, keeps_dir: bool) -> None:
        """Begins; barriers are asked of `native`. With `keeps_dir` what ranks leave in the directory is
        wanted when the job is over, until this is closed."""
        self._native, self._keeps_dir = native, keeps_dir
        threading.Thread(target=self._run, name="lastline-ranks", daemon=True).start()
        native.at_end(self._wake.close)

    def set_level(self, level: int) -> None:
        """Tells every rank that listens, and those that will."""
        with self._lock:
            self._level = level
            for peer in self._peers:
                peer.say({"level": level})

    def close(self) -> None:
        """Ends, and removes what was for the ranks."""
        if self._native is None:
            self._listener.close()
            self._woken.close()
        self._wake.close()
        self._remove_dir()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while self._serve_once(selector):
                pass
        self._listener.close()
        self._woken.close()
        self._native = None
        with self._lock:
            for peer in self._peers:
                peer.connection.close()
            self._peers.clear()
        if not self._keeps_dir:
            self._remove_dir()

    def _remove_dir(self) -> None:
        shutil.rmtree(self.dir, ignore_errors=True)

    def _serve_once(self, selector: selectors.BaseSelector) -> bool:
        for key, _ in selector.select():
            if key.fileobj is self._woken:
                return False
            if key.fileobj is self._listener:
                self._accept(selector)
            elif not self._hear(key.data):
                selector.unregister(key.fileobj)
                with self._lock:
                    self._peers.remove(key.data)
                key.data.connection.close()
        return True

    def _accept(self, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            peer = _Peer(connection)
            selector.register(connection, selectors.EVENT_READ, peer)
            with self._lock:
                self._peers.append(peer)
                if self._level is not None:
                    peer.say({"level": self._level})

    def _hear(self, peer: _Peer) -> bool:
        try:
            received = peer.connection.recv(_MAX_LINE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, peer.received = (peer.received + received).split(b"\n")
        if not received or len(peer.received) > _MAX_LINE_BYTES:
            return False
        try:
            for line in lines:
                self._answer(peer, json.loads(line))
        except (ValueError, TypeError, KeyError):
            return False  # No rank speaks so.
        return True

    def _answer(self, peer: _Peer, asked: dict[str, Any]) -> None:
        if "flush" not in asked or self._native is None:
            return
        number, flushing = int(asked["flush"]), None

        def done() -> None:
            result = flushing.result() if flushing is not None else None
            missed = ["it was interrupted"]
            if result is not None:
                _, streams, hosts = result
                missed = [f"rank {rank} {name}: {why}" for rank, name, _, why in streams if why]
                missed += ["a host did not answer"] * hosts
            reached = not missed
            peer.say({"flushed": number, "reached": reached, "why": "; ".join(missed)[:2048]})

        begun = threading.Event()

        def done_when_begun() -> None:
            begun.wait()
            done()

        flushing = self._native.begin_flush(float(asked["timeout"]), done_when_begun)
        begun.set()
