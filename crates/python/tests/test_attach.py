"""Jobs whose ranks `lastline run --via` runs."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lastline
import pytest
from conftest import DEADLINE, ROOT, Program, is_gone, wait_for

LASTLINE = ROOT / "target" / "debug" / "lastline"
Start = Callable[[str], Program]

pytestmark = pytest.mark.skipif(
    not LASTLINE.exists(), reason="not run: cargo build -p lastline makes the hosts"
)


class Hosts:
    """Two hosts, of a rank each, and where they meet their driver."""

    def __init__(self, dir: Path, via: str) -> None:
        self.dir, self.via = dir, via
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, script: str) -> None:
        for rank in ("0", "1"):
            words = ["run", "--via", self.via, "--job", "far", "--world-size", "2", "--rank", rank]
            command = [str(LASTLINE), *words, "--grace", "1s", "--", "sh", "-c", script]
            files = (self.dir / f"host{rank}").open("wb")
            self._running.append(subprocess.Popen(command, cwd=self.dir, stdout=files, stderr=files))

    def open(self, gate: str) -> None:
        (self.dir / gate).touch()

    def codes(self) -> list[int]:
        return [host.wait(DEADLINE) for host in self._running]

    def run(self) -> bool:
        return all(host.poll() is None for host in self._running)

    def end(self) -> None:
        for host in self._running:
            host.kill()
            host.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(params=["unix", "nats"])
def hosts(request: pytest.FixtureRequest, tmp_path: Path, short_dir: Path) -> Iterator[Hosts]:
    broker = None
    via = f"unix:{short_dir}/socket"
    if request.param == "nats":
        server = shutil.which("nats-server")
        if server is None:
            pytest.skip("not run: there is no nats-server")
        port = free_port()
        words = [server, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(tmp_path / "broker")]
        broker = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        via = f"nats://127.0.0.1:{port}"

        def listens() -> bool:
            with socket.socket() as asked:
                return asked.connect_ex(("127.0.0.1", port)) == 0

        wait_for(listens)
    hosts = Hosts(tmp_path, via)
    yield hosts
    hosts.end()
    if broker is not None:
        broker.kill()
        broker.wait()


GATED = "echo one $RANK; until [ -e go ]; do sleep 0.01; done; echo two $RANK"


def test_a_job_of_hosts_is_driven_to_its_end(hosts: Hosts) -> None:
    hosts.start(GATED)
    with lastline.attach("far", via=hosts.via, console="none") as mesh:
        lines = iter(mesh.lines())
        assert {next(lines).text, next(lines).text} == {"one 0", "one 1"}
        assert mesh.world_size == 2 and {rank.state for rank in mesh.ranks} == {"running"}
        assert mesh.flush(DEADLINE)
        hosts.open("go")
        assert sorted(line.text for line in lines) == ["two 0", "two 1"]
        report = mesh.wait(DEADLINE)
    assert report.ok and report.balanced and report.world_size == 2 and report.lines == 4
    assert hosts.codes() == [0, 0]
    assert not mesh.detached and mesh.report == report == lastline.report("far")


def test_who_leaves_the_block_leaves_the_job_and_may_come_again(hosts: Hosts) -> None:
    hosts.start(GATED)
    with lastline.attach("far", via=hosts.via, console="none") as mesh:
        lines = iter(mesh.lines())
        assert {next(lines).text, next(lines).text} == {"one 0", "one 1"}
    assert mesh.detached and mesh.report is None and hosts.run()
    assert list(lines) == []
    assert "detached" in repr(mesh)
    for refused in (mesh.wait, mesh.flush):
        with pytest.raises(lastline.LastlineError, match="has left the job, which runs on"):
            refused()
    with (
        pytest.raises(ZeroDivisionError),
        lastline.attach("far", via=hosts.via, console="none") as failing,
    ):
        _ = 1 / 0
    assert failing.detached and hosts.run()
    again = lastline.attach("far", via=hosts.via, console="none")
    lines = iter(again.lines())
    assert {next(lines).text, next(lines).text} == {"one 0", "one 1"}
    hosts.open("go")
    assert again.wait(DEADLINE).ok
    assert hosts.codes() == [0, 0]


def test_stop_stops_the_job_of_hosts(hosts: Hosts) -> None:
    hosts.start("echo $$; exec sleep 600")
    with lastline.attach("far", via=hosts.via, console="none") as mesh:
        lines = iter(mesh.lines())
        pids = [int(next(lines).text), int(next(lines).text)]
        mesh.stop()
    assert mesh.report is not None and mesh.report.balanced and not mesh.detached
    assert all(rank.stopped_by_lastline for rank in mesh.report.ranks)
    assert all(is_gone(pid) for pid in pids) and len(hosts.codes()) == 2


def test_a_loop_drives_a_job_of_hosts(hosts: Hosts) -> None:
    hosts.start(GATED)

    async def drive() -> list[str]:
        mesh = await asyncio.to_thread(lastline.attach, "far", via=hosts.via, console="none")
        found = []
        async with mesh:
            async for line in mesh.lines():
                found.append(line.text)
                if len(found) == 2:
                    break
        assert mesh.detached
        mesh = await asyncio.to_thread(lastline.attach, "far", via=hosts.via, console="none")
        async with mesh:
            hosts.open("go")
            assert (await mesh.wait_async()).ok
        return found

    assert sorted(asyncio.run(drive())) == ["one 0", "one 1"]
    assert hosts.codes() == [0, 0]


def test_a_slow_consumer_makes_output_wait_and_misses_nothing(hosts: Hosts) -> None:
    hosts.start("seq 300000")
    mesh = lastline.attach("far", via=hosts.via, console="none")
    # More than a consumer has room for is there before there is one.
    wait_for(lambda: len(mesh.ranks) == 2 and all(rank.state == "exited" for rank in mesh.ranks))
    found: dict[int, list[int]] = {0: [], 1: []}
    for line in mesh.lines():
        found[line.rank].append(int(line.text))
    assert found[0] == found[1] == list(range(1, 300_001))
    assert mesh.wait(DEADLINE).balanced and hosts.codes() == [0, 0]


def test_who_wants_no_lines_waits_for_nobody(hosts: Hosts) -> None:
    hosts.start("seq 300000")
    report = lastline.attach("far", via=hosts.via, console="none").wait(DEADLINE)
    assert report.balanced and report.lines == 600_000 and hosts.codes() == [0, 0]


def test_a_mesh_that_nobody_has_leaves(hosts: Hosts) -> None:
    hosts.start(GATED)
    mesh = lastline.attach("far", via=hosts.via, console="none")
    assert mesh.lines().__next__().text.startswith("one")
    del mesh
    gc.collect()

    def attached() -> lastline.AttachedMesh | None:
        try:
            return lastline.attach("far", via=hosts.via, console="none")
        except lastline.LastlineError as error:
            assert "attached" in str(error)
            return None

    with wait_for(attached) as again:
        hosts.open("go")
        assert again.wait(DEADLINE).ok


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)", "os.kill(os.getpid(), 2)"])
def test_an_interpreter_that_ends_leaves_the_job(hosts: Hosts, program: Start, ending: str) -> None:
    hosts.start(GATED)
    text = f"import lastline, os\nmesh = lastline.attach('far', via={hosts.via!r})\n"
    driver = program(text + f"mesh.lines().__next__()\n{ending}\nmesh.flush()\n")
    code, out, _ = driver.finish()
    assert code == {"": 0, "raise SystemExit(3)": 3}.get(ending, -2)
    assert hosts.run() and "one" in out
    hosts.open("go")
    assert lastline.attach("far", via=hosts.via, console="none").wait(DEADLINE).ok


def test_what_cannot_be_is_refused_in_words(short_dir: Path, tmp_path: Path) -> None:
    via = f"unix:{short_dir}/socket"
    refused = {
        "via": ("tcp://host:1", ValueError, "`unix:PATH` or `nats://HOST:PORT`"),
        "job": ("a/b", lastline.LastlineError, "a/b"),
        "fold": ("most", ValueError, "'off', 'ranks' or 'similar'"),
        "lost_after": (-1, ValueError, "lost_after"),
        "on_failure": ("cry", ValueError, "'stop' or 'continue'"),
    }
    for name, (value, error, words) in refused.items():
        options: dict[str, object] = {"job": "far", "via": via, name: value}
        with pytest.raises(error, match=words):
            lastline.attach(**options)  # type: ignore[arg-type]
    with pytest.raises(lastline.LastlineError, match="cannot connect to the broker"):
        lastline.attach("far", via=f"nats://127.0.0.1:{free_port()}")
    with lastline.attach("far", via=via, console="none") as mesh:
        assert mesh.world_size == 0 and mesh.ranks == []
        with pytest.raises(lastline.LastlineError, match="a driver is attached"):
            lastline.attach("far", via=via)
        with pytest.raises(lastline.LastlineError, match="only who started them"):
            mesh.restart(0)
        with pytest.raises(lastline.LastlineError, match="functions are for spawn"):
            mesh.results()
        with pytest.raises(ValueError, match="level reaches the ranks of spawn alone"):
            mesh.logging_option(level="INFO")
    assert not os.path.exists(f"{short_dir}/socket")
