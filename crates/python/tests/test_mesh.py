"""The driver's surface."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import lastline
import pytest
from conftest import is_gone, wait_for

SLEEPS = ["sh", "-c", "echo ready; exec sleep 600"]


def test_lines_have_their_rank_stream_offset_time_and_bytes(tmp_path: Path) -> None:
    script = r"echo out$RANK; echo err$RANK >&2; printf 'b\377d\r\nopen'"
    mesh = lastline.spawn(["sh", "-c", script], procs=2, log_dir=tmp_path / "logs", console="none")
    found = {(line.rank, line.stream, line.offset): line for line in mesh.lines()}
    assert len(found) == 8
    for rank in (0, 1):
        assert found[rank, "stdout", 0].text == f"out{rank}"
        assert found[rank, "stderr", 0].raw == f"err{rank}\n".encode()
        bad = found[rank, "stdout", 5]
        assert (bad.raw, bad.text, bad.partial) == (b"b\xffd\r\n", "b�d", False)
        last = found[rank, "stdout", 10]
        assert (last.raw, last.partial, str(last)) == (b"open", True, "open")
        assert abs(last.time - Path(tmp_path / "logs" / "report.json").stat().st_mtime) < 60
    report = mesh.wait()
    assert report.ok and report.balanced and report.lines == 8
    assert (tmp_path / "logs" / "rank-0.stdout.log").read_bytes() == b"out0\nb\xffd\r\nopen"


@pytest.mark.parametrize("no_files", [False, True])
def test_a_slow_consumer_of_lines_misses_nothing(tmp_path: Path, no_files: bool) -> None:
    count = 200_000  # About 20 bytes each: several times what waits in memory.
    script = f"for i in range({count}): print('line', i, 'of rank')"
    mesh = lastline.spawn(
        [sys.executable, "-c", script], procs=2, buffered=True, no_files=no_files, console="none"
    )
    lines = mesh.lines()
    first = next(lines)
    if not no_files:
        # The ranks do not wait for whoever reads.
        wait_for(lambda: all(rank.state == "exited" for rank in mesh.ranks))
    by_rank: dict[int, list[str]] = {0: [], 1: []}
    by_rank[first.rank].append(first.text)
    for line in lines:
        by_rank[line.rank].append(line.text)
    expected = [f"line {i} of rank" for i in range(count)]
    assert by_rank[0] == expected and by_rank[1] == expected
    assert mesh.wait().lines == 2 * count


def test_a_rank_waits_without_files_until_the_end_is_waited_for() -> None:
    script = "import sys\nfor i in range(400_000): print('line', i)\n"
    mesh = lastline.spawn([sys.executable, "-c", script], buffered=True, no_files=True, console="none")
    lines = mesh.lines()
    next(lines)
    with pytest.raises(TimeoutError):
        # It is over the moment it is waited for, but not before.
        lastline.spawn(SLEEPS, no_files=True, console="none").wait(timeout=0.01)
    assert mesh.ranks[0].state == "running"
    assert mesh.wait().ok
    with pytest.raises(lastline.LinesLeftOut, match="there was no room"):
        for _ in lines:
            pass


def test_batches_are_the_bytes_as_they_were_written() -> None:
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4000)"
    mesh = lastline.spawn([sys.executable, "-c", script], procs=2, console="none")
    found = {0: b"", 1: b""}
    for batch in mesh.batches():
        assert batch.offset == len(found[batch.rank])
        assert len(batch) == len(batch.data) and batch.newlines == batch.data.count(b"\n")
        found[batch.rank] += batch.data
    assert found[0] == found[1] == bytes(range(256)) * 4000


def test_lines_may_be_had_from_now_on(tmp_path: Path) -> None:
    script = f"echo before; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo after"
    mesh = lastline.spawn(["sh", "-c", script], console="none")
    assert next(mesh.lines()).text == "before"
    late = mesh.lines(from_start=False)
    (tmp_path / "go").touch()
    assert [line.text for line in late] == ["after"]


def test_flush_says_what_became_of_every_stream() -> None:
    with lastline.spawn(SLEEPS, procs=3, console="none") as mesh:
        for _, line in zip(range(3), mesh.lines(), strict=False):
            assert line.text == "ready"
        verdicts = mesh.flush(timeout=10)
        assert verdicts and verdicts.all_reached and not verdicts.missed
        assert {(s.rank, s.stream) for s in verdicts.streams} == {
            (rank, stream) for rank in range(3) for stream in ("stdout", "stderr")
        }
        assert {s.verdict for s in verdicts.streams} == {"reached"}
    assert mesh.report is not None and mesh.report.barriers[0].verdict == "reached"


def test_leaving_the_block_stops_the_ranks_and_accounts_for_them() -> None:
    with lastline.spawn(SLEEPS, procs=2, console="none") as mesh:
        pids = wait_for(lambda: [rank.pid for rank in mesh.ranks if rank.lines])
    report = mesh.report
    assert report is not None and report.balanced and report.stopped_by == "owner"
    assert all(rank.stopped_by_lastline for rank in report.ranks)
    assert all(is_gone(pid) for pid in pids)


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.json"
    mesh = lastline.spawn(["true"], console="none", report=path)
    with pytest.warns(UserWarning, match=f"the report was not written to {path}: "):
        mesh.wait()


def test_a_job_that_takes_longer_than_its_time_is_stopped() -> None:
    with lastline.spawn(SLEEPS, procs=2, console="none", timeout=2) as mesh:
        report = mesh.wait()
    assert report.balanced and report.stopped_by == "timeout"
    assert all(rank.stopped_by_lastline for rank in report.ranks)
    with pytest.raises(lastline.RankFailed, match=r"^the job's time was over: not all ranks"):
        report.raise_for_failure()
    with pytest.raises(ValueError, match="timeout=-1: no number of seconds"):
        lastline.spawn(["true"], timeout=-1)


def test_a_rank_that_fails_is_started_again() -> None:
    script = "echo $LASTLINE_RESTART_COUNT; [ $LASTLINE_RESTART_COUNT = 2 ] || exit 3"
    told: list[lastline.RankStatus] = []
    with lastline.spawn(["sh", "-c", script], console="none", max_restarts=2) as mesh:
        mesh.on_failure(told.append)
        report = mesh.wait()
    assert report.ok and report.lines == 3 and not told
    assert [(rank.code, rank.started_again) for rank in report.ranks] == [(3, True), (3, True), (0, False)]
    with pytest.raises(ValueError, match="max_restarts=-1: write a whole number of restarts"):
        lastline.spawn(["true"], max_restarts=-1)


def test_both_outputs_of_a_rank_may_be_one_stream() -> None:
    script = "for n in 1 2 3; do echo out $n; echo err $n >&2; done"
    with lastline.spawn(["sh", "-c", script], console="none", merge=True) as mesh:
        lines = [(line.stream, line.text) for line in mesh.lines(from_start=True)]
    assert lines == [("merged", f"{name} {n}") for n in (1, 2, 3) for name in ("out", "err")]
    assert mesh.report is not None and list(mesh.report.ranks[0].streams) == ["merged"]
    with pytest.raises(ValueError, match="pty=True and merge=True: a terminal is one stream already"):
        lastline.spawn(["true"], merge=True, pty=True)


def test_ranks_tell_where_they_stand() -> None:
    script = "echo one; echo two; [ $RANK = 0 ] && exit 3; exec sleep 600"
    with lastline.spawn(["sh", "-c", script], procs=2, on_failure="continue", console="none") as mesh:
        first = wait_for(lambda: [r for r in mesh.ranks if r.state == "exited"])[0]
        assert (first.rank, first.code, first.signal, first.failed) == (0, 3, None, True)
        second = wait_for(lambda: [r for r in mesh.ranks if r.rank == 1 and r.lines == 2])[0]
        assert (second.state, second.bytes, second.last_line) == ("running", 8, "two")
        assert mesh.recent(1) == ["one", "two"]
        with pytest.raises(IndexError, match="ranks 0 to 1"):
            mesh.recent(2)


def test_a_failure_is_told_and_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[lastline.RankStatus] = []
    heard = threading.Event()
    wait = "until [ -e go ]; do sleep 0.01; done"
    script = f"[ $RANK = 1 ] && {{ {wait}; echo why >&2; exit 7; }}; exec sleep 600"
    mesh = lastline.spawn(["sh", "-c", script], procs=2, console="none")

    def callback(rank: lastline.RankStatus) -> None:
        told.append(rank)
        heard.set()

    mesh.on_failure(callback)
    Path("go").touch()
    report = mesh.wait()
    assert heard.wait(10)
    assert [(rank.rank, rank.code) for rank in told] == [(1, 7)]
    assert report.first_failure is not None
    assert (report.first_failure.rank, report.first_failure.how) == (1, "exit code 7")
    assert report.first_failure.last_lines == ("why",)
    with pytest.raises(lastline.RankFailed, match="rank 1 failed first: exit code 7\n  why"):
        report.raise_for_failure()


def test_entries_fold_with_ranks_and_fields() -> None:
    script = "echo step 5 loss 1.$RANK"
    mesh = lastline.spawn(["sh", "-c", script], procs=4, fold="ranks", console="none")
    [entry] = [entry for entry in mesh.entries() if entry.folded]
    assert entry.ranks == (0, 1, 2, 3) and entry.count == 4 and entry.lines == 4
    assert entry.text.startswith("step 5 loss")
    numbers = [field for field in entry.fields if field.min is not None]
    assert [(field.min, field.max, field.distinct) for field in numbers] == [("1.0", "1.3", 4)]


def test_options_of_output_change_while_the_job_runs(tmp_path: Path) -> None:
    script = f"echo a; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo hidden"
    mesh = lastline.spawn(["sh", "-c", script], console="none")
    assert next(mesh.lines()).text == "a"
    assert mesh.flush()
    mesh.logging_option(stream_to_client=False)
    with pytest.raises(ValueError, match="aggregate_window_sec gathers what is shown"):
        mesh.logging_option(aggregate_window_sec=3)
    with pytest.raises(ValueError, match="aggregate_window_sec"):
        mesh.logging_option(stream_to_client=False, aggregate_window_sec=3)
    with pytest.raises(ValueError, match="write a level"):
        mesh.logging_option(level="LOUD")
    (tmp_path / "go").touch()
    stdout = mesh.wait().ranks[0].streams["stdout"]
    assert stdout.withheld == {"show": 2, "streaming_off": 7, "redrawn": 0}


def test_similar_lines_are_gathered_when_that_is_asked_for(tmp_path: Path) -> None:
    script = f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; for i in 1 2 3; do echo epoch $i; done"
    mesh = lastline.spawn(["sh", "-c", script], procs=2, console="none")
    mesh.logging_option(stream_to_client=True, aggregate_window_sec=0.2)
    entries = mesh.entries()
    (tmp_path / "go").touch()
    assert sum(entry.lines for entry in entries) == 6
    assert mesh.wait().ok


@pytest.mark.parametrize("fold", ["off", "ranks"])
def test_what_no_console_shows_is_withheld_and_not_shown(fold: str) -> None:
    script = "echo one; printf 'a\\rb\\n'; echo two >&2; printf open"
    mesh = lastline.spawn(["sh", "-c", script], procs=2, fold=fold, console="none")
    report = mesh.wait()
    assert report.balanced and report.lost_bytes == 0
    for rank in report.ranks:
        for stream in rank.streams.values():
            assert stream.read_bytes > 0 and stream.shown_bytes == 0
            assert sum(stream.withheld.values()) == stream.read_bytes


def test_the_report_is_that_of_the_files(tmp_path: Path) -> None:
    mesh = lastline.spawn(["echo", "hi"], log_dir=tmp_path / "logs", job="named", console="none")
    report = mesh.wait()
    assert mesh.log_dir == tmp_path / "logs" and mesh.job == report.job == "named"
    assert report.to_dict() == json.loads((tmp_path / "logs" / "report.json").read_text())
    assert lastline.report("named") == report == lastline.report(tmp_path / "logs")
    html = report._repr_html_()
    assert "named" in html and "nothing lost" in html and "exit code 0" in html
    assert html == mesh._repr_html_()


def test_jobs_and_their_logs_are_found(tmp_path: Path) -> None:
    script = "echo out $RANK; echo err $RANK >&2"
    lastline.spawn(["sh", "-c", script], procs=3, job="found", console="none").wait()
    [job] = wait_for(lastline.jobs)
    assert (job.id, job.world_size, job.state) == ("found", 3, "finished")
    assert {line.text for line in lastline.logs("found", rank=2)} == {"out 2", "err 2"}
    assert {line.text for line in lastline.logs("found", stream="stderr", rank="0-1")} == {"err 0", "err 1"}
    assert len(list(lastline.logs(job.dir, tail=4))) == 4
    with pytest.raises(lastline.LastlineError, match="no such"):
        lastline.logs("no such")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"command": "echo hi"}, TypeError, "list of words"),
        ({"command": ["no-such-program"]}, lastline.SpawnError, "no-such-program"),
        ({"procs": 0}, ValueError, "from 1 to"),
        ({"fold": "most"}, ValueError, "'off', 'ranks' or 'similar'"),
        ({"show": "3-1"}, ValueError, "ends before it starts"),
        ({"show": "9", "procs": 2}, ValueError, "show: there is no rank 9, so nothing would be shown"),
        ({"prefix": "{rnak}"}, ValueError, "rnak"),
        ({"grace": -1}, ValueError, "no number of seconds"),
        ({"buffer": "much"}, ValueError, "is no size"),
        ({"compress": "gzip"}, ValueError, "compress=.gzip.: write 'zstd'"),
        ({"on_failure": "cry"}, ValueError, "'stop' or 'continue'"),
        ({"console": "loud"}, ValueError, "'inherit', 'python' or 'none'"),
        ({"job": "a/b"}, lastline.LastlineError, "a/b"),
        ({"workdir": "/no/such/place"}, lastline.SpawnError, "no such directory"),
        ({"args": [1]}, TypeError, "for functions"),
        ({"env": {"A=B": "1"}}, ValueError, "env: 'A=B' cannot be a variable that is '1'"),
        ({"env": {"": "1"}}, ValueError, "env: '' cannot be a variable"),
        ({"env": {"A": "1\0"}}, ValueError, "env: 'A' cannot be a variable"),
        ({"command": ["echo", "a\0b"]}, ValueError, "has a NUL"),
        ({"command": ["echo", "\ud800"]}, ValueError, "command: .* has a lone surrogate"),
        ({"command": ["true"], "env": {"A": "\ud800"}}, ValueError, "env: .* has a lone surrogate"),
        ({"command": ["true"], "workdir": "\ud800"}, ValueError, "workdir: .* has a lone surrogate"),
        ({"command": ["true"], "log_dir": "\ud800"}, ValueError, "log_dir: .* has a lone surrogate"),
        ({"env": {"A": 1}}, TypeError, "env: 'A' is 1: write both as text"),
        ({"command": ["sleep", 0.1]}, TypeError, "the word 0.1 is no text: write '0.1'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    options: dict[str, object], error: type[Exception], words: str, tmp_path: Path, short_dir: Path
) -> None:
    arguments: dict[str, object] = {"command": ["true"], "log_dir": tmp_path / "logs", **options}
    with pytest.raises(error, match=words):
        lastline.spawn(**arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "logs").exists()
    assert not list(short_dir.glob("lastline-*"))


@pytest.mark.parametrize(
    "option",
    [
        {"log_dir": "logs"},
        {"overwrite": True},
        {"rotate": "1MiB"},
        {"max_size": 1 << 20},
        {"compress": "zstd"},
        {"min_free": 0},
        {"fsync": "end"},
    ],
)
def test_what_is_said_of_files_contradicts_that_there_are_none(option: dict[str, object]) -> None:
    [(name, value)] = option.items()
    with pytest.raises(ValueError, match=f"no_files=True and {name}={value!r}: "):
        lastline.spawn(["true"], no_files=True, **option)  # type: ignore[arg-type]


def test_words_may_be_text_paths_and_bytes_that_are_no_text() -> None:
    mesh = lastline.spawn([Path("printf"), b"%s\\n", "\udcff", b"\xfe"], env={"A": "\udcfd"}, console="none")
    assert [line.raw for line in mesh.lines()] == [b"\xff\n", b"\xfe\n"]


def test_a_directory_with_a_job_is_refused_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    lastline.spawn(["echo", "1"], log_dir=tmp_path / "logs", console="none").wait()
    with pytest.raises(lastline.LastlineError, match=r"logs holds a finished job.* say overwrite=True"):
        lastline.spawn(["echo", "2"], log_dir=tmp_path / "logs", console="none")
    lastline.spawn(["echo", "2"], log_dir=tmp_path / "logs", overwrite=True, console="none").wait()
    assert (tmp_path / "logs" / "rank-0.stdout.log").read_text() == "2\n"


def test_the_console_may_be_pythons(capsys: pytest.CaptureFixture[str]) -> None:
    lastline.spawn(["sh", "-c", "echo é; echo e >&2"], procs=2, console="python").wait()
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == ["[0] é", "[1] é"]
    assert sorted(err.splitlines()) == ["[0] e", "[1] e"]


def test_the_console_is_inherited_in_a_script(program) -> None:  # type: ignore[no-untyped-def]
    text = "import lastline\nlastline.spawn(['sh', '-c', 'echo o; echo e >&2'], procs=2).wait()\n"
    code, out, err = program(text).finish()
    assert code == 0
    assert sorted(out.splitlines()) == ["[0] o", "[1] o"] and sorted(err.splitlines()) == ["[0] e", "[1] e"]


def test_a_rank_is_signalled_and_started_again() -> None:
    with lastline.spawn(SLEEPS, procs=2, on_failure="continue", console="none") as mesh:
        lines = mesh.lines()
        assert {next(lines).rank, next(lines).rank} == {0, 1}
        mesh.signal(9, rank=1)
        wait_for(lambda: mesh.ranks[1].signal == 9)
        mesh.restart(1)
        assert next(lines).rank == 1
        assert mesh.ranks[1].state == "running"


def test_a_signal_or_rank_that_there_is_not_is_refused() -> None:
    trap = "trap 'echo caught' USR1; echo ready; while :; do sleep 0.01; done"
    with lastline.spawn(["sh", "-c", trap], procs=2, console="none") as mesh:
        lines = mesh.lines()
        assert [next(lines).text, next(lines).text] == ["ready", "ready"]
        for number in (0, 99, 32):
            with pytest.raises(ValueError, match=f"signal={number}: there is no such signal"):
                mesh.signal(number)
            with pytest.raises(ValueError, match=f"signal={number}: there is no such signal"):
                mesh.stop(number)
        with pytest.raises(ValueError, match=r"mesh\.signal\(SIGKILL\) sends"):
            mesh.stop(signal.SIGKILL)
        for asked in (lambda: mesh.signal(9, rank=2), lambda: mesh.restart(2), lambda: mesh.recent(2)):
            with pytest.raises(IndexError, match="the job has ranks 0 to 1, not 2"):
                asked()
        mesh.signal(signal.SIGUSR1, rank=1)
        assert (next(lines).rank, mesh.report) == (1, None)


async def _everything_async() -> None:
    order: list[str] = []

    async def beat() -> None:
        while True:
            order.append("beat")
            await asyncio.sleep(0.001)

    beating = asyncio.create_task(beat())
    script = "echo one; sleep 0.2; echo two"
    async with lastline.spawn(["sh", "-c", script], procs=2, fold="ranks", console="none") as mesh:
        async for line in mesh.lines():
            order.append(line.text)
            assert (await mesh.flush_async(timeout=10)).all_reached
        batches = [batch.data async for batch in mesh.batches()]
        entries = [entry async for entry in mesh.entries()]
        report = await mesh.wait_async()
    beating.cancel()
    assert report.ok and b"".join(batches).count(b"\n") == 4
    assert sum(entry.lines for entry in entries) == 4
    assert [word for word in order if word != "beat"] == ["one", "one", "two", "two"]
    # The loop ran on while lines were waited for.
    assert order[order.index("one") :].count("beat") > 20


def test_nothing_blocks_an_event_loop() -> None:
    asyncio.run(_everything_async())


def test_an_async_block_stops_its_job_when_it_is_cancelled() -> None:
    async def interrupted() -> lastline.Mesh:
        async with lastline.spawn(SLEEPS, console="none") as mesh:
            waiting = asyncio.create_task(mesh.wait_async())
            async for _ in mesh.lines():
                break
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert mesh.report is None
        return mesh

    mesh = asyncio.run(interrupted())
    assert mesh.report is not None and mesh.report.balanced


def test_a_job_may_be_flushed_from_another_process() -> None:
    request = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'flush\\n'); print(s.makefile().readline())"
    )
    with lastline.spawn(SLEEPS, job="asked", console="none") as mesh:
        next(mesh.lines())
        path = next(
            Path("/proc/net/unix").read_text().split(line)[0] and line
            for line in Path("/proc/net/unix").read_text().split()
            if "asked" in line
        )
        answer = subprocess.run([sys.executable, "-c", request, path], capture_output=True, text=True)
        assert json.loads(answer.stdout)["verdict"] == "reached"
