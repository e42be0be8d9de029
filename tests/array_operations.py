"""Operations that make, read and write arrays, for the tests of who owns them."""

from __future__ import annotations

from typing import Any

import numpy as np

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


def run(graph: GraphDefinition, workers: int = 1, **options: Any) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers, **options) as engine:
        result = engine.run(graph)
    result.raise_if_failed()
    return result


class Make(Operation):
    """Makes an array and remembers where its memory lies."""

    array = OutputPort(np.ndarray)

    def __init__(self, keep: bool = False) -> None:
        super().__init__()
        self.keep = keep

    def execute(self, context: ExecutionContext) -> None:
        made = np.arange(6.0)
        self.address = made.ctypes.data
        self.kept = made if self.keep else None
        self.array = made


class Write(Operation):
    """Writes into its input and passes it on."""

    array = InputPort(np.ndarray, mutable=True)
    out = OutputPort(np.ndarray)

    def execute(self, context: ExecutionContext) -> None:
        array = self.array
        assert array.flags.writeable
        self.address = array.ctypes.data
        array += 1
        self.out = array


@operation
def facts(array: np.ndarray) -> tuple[bool, int, float]:
    return array.flags.writeable, array.ctypes.data, float(array.sum())


@operation
def try_to_write(array: np.ndarray) -> str:
    try:
        array[...] = 0
    except ValueError as error:
        return str(error)
    return "written"


@operation
def try_to_unlock(array: np.ndarray) -> str:
    try:
        array.setflags(write=True)
    except ValueError as error:
        return str(error)
    return "unlocked"
