"""One execution of a run, in a process of its own: ``python -m killing.child TASK``, the task as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from execution_dataflow import ExecutionContext, ExecutionEngine
from execution_dataflow.checkpoints.settings import Checkpoint, Durability
from execution_dataflow.stores.opening import open_store
from killing.graphs import GRAPHS
from killing.moments import Points

__all__ = ["SEED", "Report", "Task", "execute"]

SEED = 20261123


@dataclass(frozen=True)
class Task:
    """What a process is to do.

    Attributes
    ----------
    graph, store, run_id : str
        Which graph, with which checkpoint.
    folder : str
        Where the lines of executions, the report and temporary files go.
    execution : int
        The how manieth execution of this run it is, from 1.
    durability : str
        As for an engine.
    point, count
        Where it is to die; see `Points`.
    """

    graph: str
    store: str
    run_id: str
    folder: str
    execution: int = 1
    durability: Durability = "batched"
    workers: int = 2
    point: str | None = None
    count: int = 0

    @property
    def effects(self) -> str:
        """The file with a line for each execution of an operation."""
        return str(Path(self.folder, "effects.txt"))

    @property
    def temporary(self) -> Path:
        """The folder for temporary files."""
        return Path(self.folder, "temporary")

    @property
    def report(self) -> Path:
        """The file for the report."""
        return Path(self.folder, f"report-{self.execution}.json")

    def to_text(self) -> str:
        """Return the task as JSON on one line."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Report:
    """What came of an execution that was not killed."""

    success: bool
    error: str
    outputs: dict[str, str]
    restored: list[str]
    states: dict[str, str]
    points: dict[str, int] = field(default_factory=dict)
    explanation: str = ""
    modules: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read what a process has written."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def environment(task: Task) -> dict[str, str]:
    """Return what a process and its worker processes have to find in their environment."""
    return {
        "KILLING_EFFECTS": task.effects,
        "KILLING_EXECUTION": str(task.execution),
        "TMPDIR": str(task.temporary),
    }


def execute(task: Task) -> int:
    """Run the graph, write the report, and return the exit code."""
    os.environ.update(environment(task))
    points = Points(task.point, task.count)
    with ExitStack() as stack:
        store = points.watch(stack.enter_context(open_store(task.store, trust_pickles=True)))
        engine = stack.enter_context(ExecutionEngine(max_workers=task.workers))
        result = engine.run(
            GRAPHS[task.graph](),
            ExecutionContext(run_id=task.run_id, seed=SEED),
            checkpoint=Checkpoint(store, task.durability),
        )
        report = Report(
            result.is_successful(),
            result.get_error_message() or "",
            {name: digest(value) for name, value in sorted(result.values.items())},
            sorted(result.restored),
            {name: state.name for name, state in result.states.items()},
            {},
            str(result.explain_resume()),
            sorted(sys.modules),
        )
    written = {**asdict(report), "points": dict(points.seen)}
    unnamed = task.report.with_suffix(".unfinished")
    unnamed.write_text(json.dumps(written), encoding="utf-8")
    unnamed.rename(task.report)
    return 0 if report.success else 1


def digest(value: Any) -> str:
    """Return a text that is the same for equal values alone."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    return f"{type(value).__name__} {value!r}"


if __name__ == "__main__":
    sys.exit(execute(Task(**json.loads(sys.argv[1]))))
