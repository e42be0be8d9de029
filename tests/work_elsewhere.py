"""Operations that tests run in worker processes."""

from __future__ import annotations

import os
import time

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


_open_files: dict[str, int] = {}


def note_quickly(path: str, number: int, ends_badly: str = "") -> int:
    """Write a line into a file, in a few microseconds; then end in some way."""
    descriptor = _open_files.get(path)
    if descriptor is None:
        descriptor = _open_files[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\n" % number)
    if ends_badly == "exit":
        os._exit(3)
    if ends_badly == "stuck":
        time.sleep(60)
    return number


def quick_unless_it_waits(path: str, size: int) -> int:
    """Return the size of a file at once, or when it is large enough; give up after some seconds."""
    deadline = time.monotonic() + 10
    while size and os.path.getsize(path) < size and time.monotonic() < deadline:
        time.sleep(0.001)
    return os.path.getsize(path) if size else 0
