"""Operations that tests run in worker processes."""

from __future__ import annotations

import os

from execution_dataflow import ExecutionContext, operation


@operation(executor="process")
def clean_elsewhere(context: ExecutionContext) -> str:
    context.raise_if_cancelled()
    return "clean"


@operation(executor="process", on_failure=lambda number, error: f"{number}: {type(error).__name__}")
def die_elsewhere(number: int) -> str:
    os._exit(3)


@operation
def root(number: int) -> float:
    if number < 0:
        raise ValueError(f"{number} has no root")
    return float(number**0.5)
