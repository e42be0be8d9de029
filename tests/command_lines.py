"""Command lines for tests: in this process where that is enough, and in one of their own where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import execution_dataflow
from execution_dataflow.cli import main

HOME = Path(execution_dataflow.__file__).parent.parent
PROGRAM = (sys.executable, "-m", "execution_dataflow")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
    "PYTHONPATH": str(HOME),
    "PYTHONUTF8": "1",
    "COLUMNS": "100",
    "TERM": "xterm-256color",
}
ENVIRONMENT.pop("NO_COLOR", None)

# What most tests name: a graph, a function that makes one, and what can go wrong with either.
ETL = '''
import time
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from execution_dataflow import GraphDefinition, operation

class Mode(Enum):
    quick = 1
    careful = 2

@operation
def rows(count: int) -> list[int]:
    return list(range(count))

@operation
def total(rows: list[int]) -> int:
    return sum(rows)

@operation
def boom(rows: list[int]) -> int:
    raise ValueError(f"no luck with {len(rows)} rows")

def build(
    count: Annotated[int, "how many rows"],
    scale: float = 1.0,
    mode: Mode = Mode.quick,
    speed: Literal["fast", "safe"] = "fast",
    since: date | None = None,
    months: list[int] = [],
    out: Path = Path("x.csv"),
    fail: bool = False,
    workers: int = 0,
) -> GraphDefinition:
    """Build it."""
    graph = GraphDefinition("etl")
    first = graph.add(rows, count=count)
    graph.add(total, rows=first)
    if fail:
        graph.add(boom, rows=first)
    graph.add(lambda: repr([count, scale, mode.name, speed, since, months, str(out), fail, workers]), )
    return graph

graph = GraphDefinition("declared")
counted = graph.parameter("count", int, default=4, description="how many rows")
graph.output("sum", graph.add(total, rows=graph.add(rows, count=counted)))
plan = graph.compile()

invalid = GraphDefinition("invalid")
invalid.add(total)
invalid.add(boom)
number = 17
'''


@dataclass(frozen=True)
class Ended:
    """How a command line ended, and what it wrote."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs command lines in this process, in a folder of their own with the module ``etl``."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def __call__(self, *arguments: object) -> Ended:
        """Run a command line."""
        self._capture.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Ended(code, out, err)


def run_process(
    *arguments: object,
    cwd: Path,
    program: Sequence[str] = PROGRAM,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Ended:
    """Run a command line in a process of its own, with pipes for standard output and standard error."""
    ended = subprocess.run(
        [*program, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
