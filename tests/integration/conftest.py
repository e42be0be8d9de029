"""What tests of the command line start from."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import ETL, CommandLine


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """Runs command lines in this process, in a folder with the module ``etl``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    line = CommandLine(tmp_path, capfd)
    line.write("etl.py", ETL)
    importlib.invalidate_caches()
    yield line
    # The next test has another folder with modules of the same names.
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
