"""The page in a real browser, of real jobs: what the tests share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

DEADLINE = 60.0
"""How many seconds anything may take that a test waits for."""

ROOT = Path(__file__).resolve().parents[4]
BINARY = Path(os.environ.get("LASTLINE", ROOT / "target/debug/lastline"))
RANKS = Path(__file__).with_name("ranks.py")


def wait_for(reached: Callable[[], Any]) -> Any:
    """What `reached` gives, as soon as that is true."""
    until = time.monotonic() + DEADLINE
    while not (found := reached()):
        assert time.monotonic() < until, "it was not reached in time"
        time.sleep(0.005)
    return found


class Place:
    """Jobs of one test, and who looks at them. All that was started is ended with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "run").mkdir()
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("LASTLINE")}
        self.env |= {"XDG_STATE_HOME": f"{root}/state", "XDG_RUNTIME_DIR": f"{root}/run"}
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
        command = [str(BINARY), *args]
        process = subprocess.Popen(command, cwd=self.root, env=self.env, text=True, **options)
        self.started.append(process)
        return process

    def job(self, job: str, ranks: int, *args: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Starts a job whose ranks are `ranks.py` with these words; it runs when this comes back."""
        fixed = ("run", "-n", str(ranks), "--job", job, "--grace", "1s", *options)
        process = self.run(*fixed, "--", sys.executable, str(RANKS), *args)
        wait_for(lambda: any((self.root / "run/lastline").glob(f"{job}.*.sock")))
        return process

    def serve(self, *args: str) -> str:
        """The address of a server."""
        server = self.run("serve", *args, stdout=subprocess.PIPE)
        assert server.stdout
        return server.stdout.readline().strip()

    def end(self) -> None:
        for process in reversed(self.started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="ll-", dir="/tmp") as root:
        place = Place(Path(root))
        yield place
        place.end()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("not run: there is no chromium")
    # As root, which tests in a container are, it has no sandbox.
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=args)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must have no error of its own and ask nobody but its server."""
    context = browser.new_context(viewport={"width": 1280, "height": 1200})
    page = context.new_page()
    page.set_default_timeout(DEADLINE * 1000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"{error} {error.stack}"))
    page.on("dialog", lambda dialog: (wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: wrong.extend(foreign(request.url)))
    yield page
    context.close()
    assert not wrong


def foreign(url: str) -> list[str]:
    own = url.startswith(("http://127.0.0.1:", "http://localhost:", "file:"))
    return [] if own else [f"a request to {url}"]
