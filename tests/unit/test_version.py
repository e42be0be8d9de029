"""The version stands in three files, each of which is read by another tool; they say the same."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import execution_dataflow

ROOT = Path(__file__).resolve().parents[2]


def test_all_files_say_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]
    installed = version("execution-dataflow")
    assert {project["version"], workspace["version"], execution_dataflow.__version__} == {installed}
