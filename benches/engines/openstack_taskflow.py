"""OpenStack TaskFlow: a graph flow of functor tasks, with its serial engine or its parallel one on threads."""

from __future__ import annotations

from typing import Any

from shapes import is_join
from taskflow import engines
from taskflow.patterns import graph_flow
from taskflow.task import Task

from engines.protocol import Work


class NodeTask(Task):  # type: ignore[misc]
    def __init__(self, work: Work, node: int) -> None:
        taken = work.shape[node]
        self._function, self._joins = work.function(node), is_join(taken)
        self._names = [f"p{port}" for port in range(len(taken))]
        super().__init__(
            name=f"task {node}",
            provides=f"n{node}",
            rebind={name: f"n{source}" for name, source in zip(self._names, taken, strict=True)},
            auto_extract=False,
        )

    def execute(self, **given: Any) -> Any:
        values = [given[name] for name in self._names]
        return self._function(values) if self._joins else self._function(*values)


class TaskflowRun:
    def __init__(self, work: Work, options: dict[str, Any]) -> None:
        flow = graph_flow.Flow("graph")
        flow.add(*[NodeTask(work, node) for node in range(len(work.shape))])
        self._engine = engines.load(flow, **options)
        self._engine.compile()
        self._engine.prepare()
        self._engine.validate()
        self._sinks = work.sinks()
        self._ran = False

    def run(self) -> None:
        if self._ran:
            self._engine.reset()
        self._ran = True
        self._engine.run()

    def values(self) -> list[Any]:
        return [self._engine.storage.fetch(f"n{node}") for node in self._sinks]


class TaskflowEngine:
    def __init__(self, kind: str, workers: int) -> None:
        self._options: dict[str, Any] = {"engine": kind}
        if kind == "parallel":
            self._options |= {"executor": "threaded", "max_workers": workers}

    def prepare(self, work: Work) -> TaskflowRun:
        return TaskflowRun(work, self._options)

    def close(self) -> None:
        pass
