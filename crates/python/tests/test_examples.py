"""The examples, and the programs of the documentation, as they are written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "python"


def run(dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=dir, timeout=2 * DEADLINE)


def test_ranks_are_started_as_torchrun_starts_them(tmp_path: Path) -> None:
    names = "['RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'LOCAL_WORLD_SIZE', 'MASTER_ADDR']"
    script = f"import os, sys\nprint(*[os.environ[n] for n in {names}], *sys.argv[1:])\n"
    script += "int(os.environ['MASTER_PORT'])\nsys.exit(6 * (sys.argv[1] == os.environ['RANK']))\n"
    (tmp_path / "script.py").write_text(script)
    options = [str(EXAMPLES / "torchrun.py"), "--nproc-per-node", "3", "script.py"]
    ended = run(tmp_path, *options, "none", "--lr", "0.1")
    assert ended.returncode == 0, ended.stderr
    files = {path.read_text() for path in tmp_path.glob("state/lastline/jobs/*-*/rank-*.stdout.log")}
    assert files == {f"{rank} {rank} 3 3 127.0.0.1 none --lr 0.1\n" for rank in range(3)}
    failed = run(tmp_path, *options, "1")
    assert failed.returncode == 6 and "rank 1 failed first: exit code 6" in failed.stderr


def test_processes_give_their_parts(tmp_path: Path) -> None:
    ended = run(tmp_path, str(EXAMPLES / "processes.py"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"sum of squares: {sum(i * i for i in range(1000))}\n"
    assert "[2] INFO rank 2 has 1000 pieces\n" in ended.stderr


def test_a_map_keeps_the_order(tmp_path: Path) -> None:
    ended = run(tmp_path, str(EXAMPLES / "parallel_map.py"))
    assert ended.returncode == 0, ended.stderr
    *_, last = ended.stdout.splitlines()
    assert last.startswith("[0, 1, 7, 2, 5, 8, 16,") and "a long one: 111 steps" in ended.stdout


def programs(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_documentations_programs_run(document: str, tmp_path: Path) -> None:
    found = programs(document)
    assert found
    (tmp_path / "train.py").write_text("import os\nprint('step 1 loss', 1 + int(os.environ['RANK']))\n")
    for number, text in enumerate(found):
        path = tmp_path / f"program{number}.py"
        path.write_text(text)
        if "def test_" in text:
            ended = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name)
        else:
            ended = run(tmp_path, path.name)
        assert ended.returncode == 0, (text, ended.stdout, ended.stderr)


def test_the_notebook_is_as_it_was_executed() -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not any(o.output_type == "error" for cell in cells for o in cell.outputs)


def test_the_notebook_runs(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=2 * DEADLINE, resources=resources).execute()
