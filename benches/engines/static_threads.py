"""Bare threads with a static schedule, for stencils only: what METG compares the others with.

Each thread has a block of columns, and after each row tells the two threads beside it that its row is done. There is no
queue of tasks and no scheduler: this is what one writes who knows the graph, the machine and the costs beforehand.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

from engines.protocol import Unsupported, Work


class StaticRun:
    def __init__(self, work: Work, workers: int) -> None:
        rows = work.levels()
        width = len(rows[0])
        if width % workers or any(len(row) != width for row in rows):
            raise Unsupported(f"a static schedule needs rows that {workers} threads can share evenly")
        block = width // workers
        self._blocks = [[row[worker * block : (worker + 1) * block] for row in rows] for worker in range(workers)]
        self._work, self._workers = work, workers
        self._slots: list[Any] = []

    def run(self) -> None:
        slots: list[Any] = [None] * len(self._work.shape)
        # For each thread, a queue that the thread to its left fills and one for the thread to its right.
        beside: list[tuple[SimpleQueue[None], SimpleQueue[None]]] = [
            (SimpleQueue(), SimpleQueue()) for _ in range(self._workers)
        ]
        threads = [
            threading.Thread(target=self._share, args=(worker, slots, beside)) for worker in range(1, self._workers)
        ]
        for thread in threads:
            thread.start()
        self._share(0, slots, beside)
        for thread in threads:
            thread.join()
        self._slots = slots

    def _share(self, worker: int, slots: list[Any], beside: list[tuple[SimpleQueue[None], SimpleQueue[None]]]) -> None:
        shape, functions = self._work.shape, self._work.kernel.of_inputs
        from_left, from_right = beside[worker]
        to_left = beside[worker - 1][1].put
        to_right = beside[(worker + 1) % self._workers][0].put
        for number, row in enumerate(self._blocks[worker]):
            if number and self._workers > 1:
                from_left.get()
                from_right.get()
            for node in row:
                taken = shape[node]
                slots[node] = functions[len(taken)](*[slots[source] for source in taken])
            to_left(None)
            to_right(None)

    def values(self) -> list[Any]:
        return [self._slots[node] for node in self._work.sinks()]


class StaticEngine:
    def __init__(self, workers: int) -> None:
        self._workers = workers

    def prepare(self, work: Work) -> StaticRun:
        return StaticRun(work, self._workers)

    def close(self) -> None:
        pass
