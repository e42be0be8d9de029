"""The floor: the hand-written loop in C (`native/floor.c`), with and without what an engine adds to a node."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from shapes import is_join

from engines.protocol import Unsupported, Work

# Where `native/build.py` has put the module.
FOLDER = "BENCH_NATIVE"


class CRun:
    def __init__(self, plan: Any, work: Work, clock: bool, context: bool) -> None:
        self._plan, self._sinks, self._clock, self._context = plan, work.sinks(), clock, context

    def run(self) -> None:
        self._plan.run(self._clock, self._context)

    def values(self) -> list[Any]:
        return [self._plan.value(node) for node in self._sinks]


class CEngine:
    """`clock` adds a clock read to each node, `context` a copy of the context that the node runs in."""

    def __init__(self, clock: bool, context: bool) -> None:
        if FOLDER not in os.environ:
            raise Unsupported("it is compiled by `make bench-native`")
        sys.path.append(os.environ[FOLDER])
        self._made = importlib.import_module("floor_loop").Plan
        self._clock, self._context = clock, context

    def prepare(self, work: Work) -> CRun:
        if any(is_join(taken) for taken in work.shape):
            raise Unsupported("it has no nodes that take a list")
        functions = [work.function(node) for node in range(len(work.shape))]
        return CRun(self._made(functions, work.shape), work, self._clock, self._context)

    def close(self) -> None:
        pass
