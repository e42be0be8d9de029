"""This library: nodes as functions, or as classes with ports."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from contenders import CLASSES
from kernels import NOOP, Kernel
from shapes import is_join

from engines.protocol import Work
from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
)

_NAMES = ("a", "b", "c")


def _call_0(self: Any, context: ExecutionContext) -> None:
    self.set_output("out", self.function())


def _call_1(self: Any, context: ExecutionContext) -> None:
    self.set_output("out", self.function(self.get_input("a")))


def _call_2(self: Any, context: ExecutionContext) -> None:
    self.set_output("out", self.function(self.get_input("a"), self.get_input("b")))


def _call_3(self: Any, context: ExecutionContext) -> None:
    self.set_output("out", self.function(self.get_input("a"), self.get_input("b"), self.get_input("c")))


def _call_list(self: Any, context: ExecutionContext) -> None:
    self.set_output("out", self.function(self.get_input("values")))


_CALLS = (_call_0, _call_1, _call_2, _call_3)


@functools.cache
def _class_of(kernel: Kernel, inputs: int) -> type[Operation]:
    """Return a class of operations as a user would write it: typed ports, and the kernel in `execute`."""
    if kernel is NOOP:
        return CLASSES[inputs]
    members: dict[str, Any] = {name: InputPort(kernel.type) for name in _NAMES[:inputs]}
    members |= {"out": OutputPort(kernel.type), "function": staticmethod(kernel.of_inputs[inputs])}
    return type(f"Take{inputs}", (Operation,), members | {"execute": _CALLS[inputs]})


@functools.cache
def _join_of(kernel: Kernel) -> type[Operation]:
    members = {
        "values": InputPort(kernel.type, many=True),
        "out": OutputPort(object),
        "function": staticmethod(kernel.of_list),
        "execute": _call_list,
    }
    return type("Join", (Operation,), members)


class OurRun:
    def __init__(self, graph: GraphDefinition, sinks: list[Operation], engine: ExecutionEngine) -> None:
        self._graph, self._sinks, self._engine = graph, sinks, engine
        self._result: ExecutionResult | None = None

    def run(self) -> None:
        self._result = self._engine.run(self._graph)

    def values(self) -> list[Any]:
        result = self._result
        assert result is not None, "values() comes after run()"
        result.raise_if_failed()
        return [result.get_output(sink) for sink in self._sinks]


class OurEngine:
    """`kind` is "function" or "class". A join is a class in both, since only classes have inputs for many sources."""

    def __init__(self, kind: str, workers: int) -> None:
        self._kind = kind
        self._engine = ExecutionEngine(max_workers=workers)

    def prepare(self, work: Work) -> OurRun:
        # A map over items is built as one operation for each: `graph.map` belongs here as soon as there is one.
        graph = GraphDefinition(self._kind)
        operations: list[Operation] = []
        for node, taken in enumerate(work.shape):
            inputs: dict[str, Any]
            made: Operation | Callable[..., Any]
            if is_join(taken):
                made, inputs = _join_of(work.kernel)(), {"values": [operations[source] for source in taken]}
            else:
                inputs = {_NAMES[port]: operations[source] for port, source in enumerate(taken)}
                made = work.function(node) if self._kind == "function" else _class_of(work.kernel, len(taken))()
            operations.append(graph.add(made, **inputs))
        graph.compile()
        return OurRun(graph, [operations[node] for node in work.sinks()], self._engine)

    def close(self) -> None:
        self._engine.close()
