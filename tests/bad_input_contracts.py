"""Mistakes with the contracts of ports: see docs/errors.md."""

from __future__ import annotations

from typing import Annotated, AnyStr, TypeVar

import numpy as np
from bad_input import row

from execution_dataflow import ArraySpec, ExecutionEngine, GraphDefinition, InputPort, TableSchema, operation

T = TypeVar("T")
Rows = Annotated[np.ndarray, ArraySpec(shape=("batch", 3))]
Labels = Annotated[np.ndarray, ArraySpec(shape=("batch",))]


@operation
def train(rows: Rows, labels: Labels) -> None: ...


@row("generic types that can never fit")
def _() -> None:
    def numbers() -> list[int]:
        return [1]

    def shout(words: list[str]) -> None: ...

    graph = GraphDefinition()
    graph.add(shout, words=graph.add(numbers))


@row("a type variable that is something else where its value goes")
def _() -> None:
    def numbers() -> list[int]: ...  # type: ignore[empty-body]

    def first(items: list[T]) -> T: ...  # type: ignore[empty-body]

    def shout(text: str) -> None: ...

    graph = GraphDefinition("etl")
    graph.add(shout, text=graph.add(first, items=graph.add(numbers)))
    graph.compile()


@row("inputs that do not go together")
def _() -> None:
    def data() -> bytes: ...  # type: ignore[empty-body]

    def join(one: AnyStr, other: AnyStr) -> AnyStr: ...  # type: ignore[empty-body]

    graph = GraphDefinition("etl")
    graph.add(join, one=graph.add(data), other="text")
    graph.compile()


@row("text that is no type")
def _() -> None:
    InputPort("not a type")


@row("a shape that is none")
def _() -> None:
    InputPort(np.ndarray, shape=("a name", 3))


@row("a misspelt dtype")
def _() -> None:
    InputPort(np.ndarray, dtype="flaot64")


@row("a dict as the type of a port")
def _() -> None:
    InputPort({"id": "int64"})


@row("a schema without names")
def _() -> None:
    TableSchema(["id"])


@row("lengths that do not agree")
def _() -> object:
    graph = GraphDefinition()
    graph.add(train, rows=np.zeros((4, 3)), labels=np.zeros(5))
    return ExecutionEngine().run(graph)


@row("numbers that contradict each other through a name")
def _() -> None:
    @operation
    def four() -> Annotated[np.ndarray, ArraySpec(shape=(4, 3))]: ...

    @operation
    def five() -> Annotated[np.ndarray, ArraySpec(shape=(5,))]: ...

    graph = GraphDefinition("etl")
    graph.add(train, rows=graph.add(four), labels=graph.add(five))
    graph.compile()


@row("a table with another column")
def _() -> object:
    class Frame:
        columns, dtypes = ("town",), (np.dtype("int64"),)

    @operation
    def load() -> Annotated[object, TableSchema({"id": int})]:
        return Frame()

    graph = GraphDefinition()
    graph.add(load)
    return ExecutionEngine().run(graph)


@row("a level of contracts that does not exist")
def _() -> None:
    ExecutionEngine(contracts="value")  # type: ignore[arg-type]
