"""The loop that one would write by hand. It is also the oracle for the values of all others."""

from __future__ import annotations

from typing import Any

from shapes import is_join

from engines.protocol import Work


class LoopRun:
    def __init__(self, work: Work) -> None:
        self._plan = [(node, work.function(node), taken) for node, taken in enumerate(work.shape)]
        self._joins = [(node, function, taken) for node, function, taken in self._plan if is_join(taken)]
        if self._joins:
            # The last node alone joins: it stays out of the loop, which then is the same for all shapes.
            self._plan.pop()
        self._sinks = work.sinks()
        self._slots: list[Any] = []

    def run(self) -> None:
        slots: list[Any] = [None] * (len(self._plan) + len(self._joins))
        for node, function, taken in self._plan:
            slots[node] = function(*[slots[source] for source in taken])
        for node, function, taken in self._joins:
            slots[node] = function([slots[source] for source in taken])
        self._slots = slots

    def values(self) -> list[Any]:
        return [self._slots[node] for node in self._sinks]


class LoopEngine:
    def prepare(self, work: Work) -> LoopRun:
        return LoopRun(work)

    def close(self) -> None:
        pass
