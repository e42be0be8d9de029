"""Type checkers infer the types of ports and of results, and find what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import execution_dataflow

DATA = Path(__file__).resolve().parents[1] / "data"
GOOD, WRONG = DATA / "typed_program.py", DATA / "program_with_mistakes.py"
MARKED = {
    number for number, line in enumerate(WRONG.read_text(encoding="utf-8").splitlines(), 1) if line.endswith("# wrong")
}
PACKAGE = Path(execution_dataflow.__file__).parent.parent


def test_the_program_that_is_checked_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import runpy; runpy.run_path({str(GOOD)!r})"],
        capture_output=True,
        text=True,
        timeout=60,
        env=None,
    )
    assert done.stdout.split() == ["6", "4.0", "[5]"], done.stderr


@pytest.mark.timeout(300)
def test_mypy_infers_the_types_and_finds_the_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mypy import api

    # It raises the limit of calls, and leaves it so to the tests that come later.
    monkeypatch.setattr(sys, "setrecursionlimit", lambda limit: None)

    settings = tmp_path / "mypy.ini"
    # mypy finds what is installed by itself, and refuses to be told of it.
    where = "" if PACKAGE.name == "site-packages" else f"mypy_path = {PACKAGE}\n"
    settings.write_text(
        f"[mypy]\nstrict = True\n{where}follow_imports = silent\ncache_dir = {tmp_path}\n"
        # Its stubs are most of the work, and np.ndarray is all that is used of it.
        "[mypy-numpy.*]\nfollow_imports = skip\nfollow_imports_for_stubs = True\n"
    )
    told, faults, code = api.run(["--config-file", str(settings), "--no-error-summary", str(GOOD), str(WRONG)])
    lines = [line for line in told.splitlines() if ": error: " in line]
    assert (code, faults) == (1, "")
    assert not [line for line in lines if GOOD.name in line]
    assert {int(re.findall(r":(\d+):", line)[-1]) for line in lines if WRONG.name in line} == MARKED, told


@pytest.mark.timeout(300)
@pytest.mark.skipif(find_spec("basedpyright") is None, reason="pyright is not installed: pip install basedpyright")
def test_pyright_infers_the_types_and_finds_the_mistakes(tmp_path: Path) -> None:
    settings = tmp_path / "pyrightconfig.json"
    settings.write_text(
        json.dumps({"typeCheckingMode": "standard", "extraPaths": [str(PACKAGE)], "include": [str(GOOD), str(WRONG)]})
    )
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--outputjson", "-p", str(settings), "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        timeout=240,
    )
    told = [each for each in json.loads(done.stdout)["generalDiagnostics"] if each["severity"] == "error"]
    where = {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in told}
    assert where == {(WRONG.name, number) for number in MARKED}, [each["message"] for each in told]
