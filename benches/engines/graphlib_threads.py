"""The standard library: `graphlib.TopologicalSorter` says what is ready, a `ThreadPoolExecutor` runs it."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from typing import Any

from shapes import is_join

from engines.protocol import Work


class GraphlibRun:
    def __init__(self, work: Work, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._shape = work.shape
        self._functions = [work.function(node) for node in range(len(work.shape))]
        self._sinks = work.sinks()
        self._slots: list[Any] = []

    def run(self) -> None:
        # A sorter is used up by one run, so that making it is part of each.
        sorter: TopologicalSorter[int] = TopologicalSorter(dict(enumerate(self._shape)))
        sorter.prepare()
        slots: list[Any] = [None] * len(self._shape)
        running: dict[Future[Any], int] = {}
        while sorter.is_active():
            for node in sorter.get_ready():
                taken = self._shape[node]
                values = [slots[source] for source in taken]
                given = (values,) if is_join(taken) else values
                running[self._pool.submit(self._functions[node], *given)] = node
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                node = running.pop(future)
                slots[node] = future.result()
                sorter.done(node)
        self._slots = slots

    def values(self) -> list[Any]:
        return [self._slots[node] for node in self._sinks]


class GraphlibEngine:
    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(workers)

    def prepare(self, work: Work) -> GraphlibRun:
        return GraphlibRun(work, self._pool)

    def close(self) -> None:
        self._pool.shutdown()
