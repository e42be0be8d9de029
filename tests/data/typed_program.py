"""What type checkers infer: a program that mypy and pyright check, and that runs."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    FunctionOperation,
    GraphDefinition,
    InputPort,
    Operation,
    OperationFunction,
    OutputPort,
    operation,
)


class Clean(Operation):
    raw = InputPort(bytes)
    limit = InputPort(int, default=3)
    note = InputPort(str, optional=True)
    parts = InputPort(float, many=True, optional=True)
    words = InputPort(list[str], default=[])
    anything = InputPort(optional=True)
    either: InputPort[int | str] = InputPort(int | str, default=1)
    text: OutputPort[str] = OutputPort(str)
    array: OutputPort[np.ndarray] = OutputPort(np.ndarray, dtype="float64", shape=("batch", 3), optional=True)

    def execute(self, context: ExecutionContext) -> None:
        assert_type(self.raw, bytes)
        assert_type(self.limit, int)
        assert_type(self.note, str | None)
        assert_type(self.parts, list[float])
        assert_type(self.words, list[str])
        assert_type(self.anything, Any)
        assert_type(self.either, int | str)
        self.text = self.raw.decode()


assert_type(Clean.raw, InputPort[bytes])
assert_type(Clean.text, OutputPort[str])


@operation
def load(path: str, times: int = 1) -> bytes:
    return path.encode() * times


@operation(name="measured")
def measure(text: str) -> int:
    return len(text)


@operation
async def fetch(city: str) -> float:
    return float(len(city))


def plain(number: int) -> list[int]:
    return [number]


assert_type(load("a", times=2), bytes)
assert_type(measure("a"), int)
number: OperationFunction[[str], int] = measure
assert_type(load.new(name="first"), FunctionOperation[bytes])
assert_type(fetch.new(), FunctionOperation[float])

graph = GraphDefinition()
source = graph.add(load, path="hello")
assert_type(source, FunctionOperation[bytes])
clean = graph.add(Clean(), raw=source)
assert_type(clean, Clean)
length = graph.add(measure, text=clean["text"])
assert_type(length, FunctionOperation[int])
later = graph.add(fetch, city="Oslo")
assert_type(later, FunctionOperation[float])
numbers = graph.add(plain, number=length)
assert_type(numbers, FunctionOperation[list[int]])
renamed = graph.add(load.new(name="again"), path="x")
assert_type(renamed, FunctionOperation[bytes])
many = graph.add_many(measure, text=["a", "b"])
assert_type(many[0], FunctionOperation[int])

with ExecutionEngine() as engine:
    result = engine.run(graph, retain="all")
    result.raise_if_failed()
    assert_type(result.get_output(length), int)
    assert_type(result.get_output(source), bytes)
    assert_type(result.get_output(later), float)
    assert_type(result.get_output(numbers), list[int])
    assert_type(result.get_output(clean, "text"), Any)
    print(result.get_output(length) + 1, result.get_output(later), result.get_output(numbers))
