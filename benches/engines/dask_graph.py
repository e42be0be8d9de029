"""A shape as a graph that Dask's schedulers and Frisky take."""

from __future__ import annotations

from typing import Any

from dask._task_spec import List, Task, TaskRef
from shapes import is_join

from engines.protocol import Work


def dask_graph(work: Work) -> dict[str, Any]:
    """Return the tasks by their keys, `"n0"` on."""
    graph: dict[str, Any] = {}
    for node, taken in enumerate(work.shape):
        key, inputs = f"n{node}", [TaskRef(f"n{source}") for source in taken]
        given = [List(*inputs)] if is_join(taken) else inputs
        graph[key] = Task(key, work.function(node), *given)
    return graph


def sink_keys(work: Work) -> list[str]:
    return [f"n{node}" for node in work.sinks()]
