"""joblib: it has no graphs, so the nodes of one level are one `Parallel` call, on threads that are kept."""

from __future__ import annotations

from typing import Any

from joblib import Parallel, delayed
from shapes import is_join

from engines.protocol import Work


class JoblibRun:
    def __init__(self, work: Work, parallel: Parallel) -> None:
        self._parallel = parallel
        self._shape, self._sinks = work.shape, work.sinks()
        self._levels = [[(node, delayed(work.function(node))) for node in level] for level in work.levels()]
        self._slots: list[Any] = []

    def run(self) -> None:
        slots: list[Any] = [None] * len(self._shape)

        def call(node: int, function: Any) -> Any:
            taken = self._shape[node]
            values = [slots[source] for source in taken]
            return function(values) if is_join(taken) else function(*values)

        for level in self._levels:
            values = self._parallel([call(node, function) for node, function in level])
            for (node, _), value in zip(level, values, strict=True):
                slots[node] = value
        self._slots = slots

    def values(self) -> list[Any]:
        return [self._slots[node] for node in self._sinks]


class JoblibEngine:
    def __init__(self, workers: int) -> None:
        self._parallel = Parallel(n_jobs=workers, backend="threading")
        self._parallel.__enter__()

    def prepare(self, work: Work) -> JoblibRun:
        return JoblibRun(work, self._parallel)

    def close(self) -> None:
        self._parallel.__exit__(None, None, None)
