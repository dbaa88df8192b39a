"""The pytest plugin, in a pytest of its own."""

from __future__ import annotations

import pytest


def test_a_failed_test_shows_the_first_failure_and_last_lines(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_that_fails(lastline_mesh, tmp_path):
            working = "[ $RANK = 0 ] && { echo working; exec sleep 600; }"
            failing = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; echo why >&2; exit 3"
            mesh = lastline_mesh(["sh", "-c", f"{working}; {failing}"], procs=2)
            assert next(mesh.lines()).text == "working"
            (tmp_path / "go").touch()
            assert mesh.wait().ok

        def test_that_is_interrupted(lastline_mesh):
            mesh = lastline_mesh(["sh", "-c", "echo still here; exec sleep 600"])
            next(mesh.lines())
            raise KeyError("mine")

        def test_that_is_silent(lastline_mesh):
            script = "[ $RANK = 1 ] && kill -9 $$; [ $RANK = 2 ] && { echo; exit 3; }; exit 0"
            assert lastline_mesh(["sh", "-c", script], procs=3, on_failure="continue").wait().ok

        def test_that_passes(lastline_mesh, tmp_path):
            assert lastline_mesh(["echo", "fine"]).wait().ok
            assert (tmp_path / "lastline-0" / "rank-0.stdout.log").read_text() == "fine\\n"
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*lastline job*",
            "rank 1 failed first: exit code 3",
            "*why",
            "rank 0 exited*; its last lines:",
            "*working",
            "*lastline job*",
            "rank 0 running; its last lines:",
            "*still here",
        ]
    )
    ends = ("rank 0 exited: exit code 0", "rank 1 exited: signal 9 (SIGKILL)", "rank 2 exited: exit code 3")
    assert "\n".join(ends) in result.stdout.str()


def test_a_command_that_is_not_there_shows_no_source_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile('def test_it(lastline_mesh):\n    lastline_mesh(["no-such-program"])\n')
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*importing_main*")
