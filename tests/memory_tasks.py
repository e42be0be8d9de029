"""What the worker of `memory_peer` is asked to do."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np

from execution_dataflow.shared_memory import empty, process_memory

kept: list[Any] = []


def same(value: Any) -> Any:
    return value


def facts(array: np.ndarray[Any, Any]) -> tuple[float, bool, tuple[int, ...], str]:
    return float(np.sum(array)), bool(array.flags.writeable), array.shape, str(array.dtype)


def fresh(length: int, value: float) -> np.ndarray[Any, Any]:
    """An array of memory that was allocated elsewhere."""
    return np.full(length, value)


def shared(length: int, value: float) -> np.ndarray[Any, Any]:
    array = empty(length)
    array[:] = value
    return array


def plus(array: np.ndarray[Any, Any], value: float) -> np.ndarray[Any, Any]:
    return array + value


def keep(value: Any) -> None:
    kept.append(value)


def let_go() -> int:
    count = len(kept)
    kept.clear()
    return count


def kept_sum() -> float:
    return float(sum(array.sum() for array in kept))


def copies() -> tuple[int, int]:
    stats = process_memory().stats()
    return stats.copies, stats.bytes_copied


def stats() -> tuple[int, ...]:
    return tuple(process_memory().stats())


def take_and_die(length: int) -> None:
    array = empty(length)
    array[:] = 1.0
    kept.append(array)
    os.kill(os.getpid(), signal.SIGKILL)


def try_to_write(array: np.ndarray[Any, Any]) -> str:
    try:
        array[0] = 1.0
    except ValueError as error:
        return str(error)
    return "written"


def try_to_unlock(array: np.ndarray[Any, Any]) -> str:
    try:
        array.setflags(write=True)
    except ValueError as error:
        return str(error)
    return "unlocked"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def is_sole(array: np.ndarray[Any, Any]) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    lease: Any = base.obj if isinstance(base, memoryview) else base
    return bool(lease.is_sole)


_sources: dict[int, np.ndarray[Any, Any]] = {}


def returned(size: int) -> np.ndarray[Any, Any]:
    """The same array of memory that was allocated elsewhere, each time."""
    if size not in _sources:
        _sources[size] = np.ones(size, np.uint8)
    return _sources[size]


def first(array: np.ndarray[Any, Any]) -> int:
    return int(array[0])
