"""Operations over arrays for worker processes, which import them from here."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from execution_dataflow import ExecutionContext, InputPort, Operation, OutputPort, operation
from execution_dataflow.shared_memory import process_memory


@operation(executor="process")
def fill(length: int, context: ExecutionContext) -> np.ndarray:
    array = context.empty((length,))
    array[:] = np.arange(length)
    return array


@operation(executor="process")
def pass_on(array: np.ndarray) -> np.ndarray:
    return array


@operation(executor="process")
def total(array: np.ndarray) -> float:
    return float(array.sum())


@operation(executor="process")
def copies_there(after: Any) -> tuple[int, int]:
    return os.getpid(), process_memory().stats().copies


@operation(executor="process")
def facts(array: np.ndarray) -> tuple[bool, str, float]:
    try:
        array.setflags(write=True)
        unlocked = "unlocked"
    except ValueError:
        unlocked = "locked"
    return array.flags.writeable, unlocked, float(array[-1])


class Write(Operation):
    """Writes to its input."""

    array = InputPort(np.ndarray, mutable=True)
    out = OutputPort(np.ndarray)

    def execute(self, context: ExecutionContext) -> None:
        array = self.array
        array += 1
        self.out = array
