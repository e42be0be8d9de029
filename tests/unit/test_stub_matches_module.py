"""`_core.pyi` says what the compiled module really has: names, signatures, nothing more and nothing less."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import execution_dataflow


def test_package_is_marked_as_typed() -> None:
    package = Path(execution_dataflow.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "_core.pyi").exists()


def test_stub_of_the_core_matches_the_compiled_module(tmp_path: Path) -> None:
    # In an empty folder, so that no configuration or cache of the work tree takes part.
    check = subprocess.run(
        [sys.executable, "-P", "-m", "mypy.stubtest", "execution_dataflow._core"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert check.returncode == 0, check.stdout + check.stderr
