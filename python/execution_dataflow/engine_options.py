"""Checks of what users give to an engine."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from execution_dataflow import _core
from execution_dataflow.errors import UnknownPortError
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

__all__ = ["checked_drain", "checked_executor", "checked_retain", "checked_workers", "retained_slots"]

_EXECUTORS = ("thread",)


def checked_workers(value: object) -> int:
    """Return a number of workers, or raise an error that says what it may be."""
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"max_workers is an int, not {type(value).__name__}") from None
    if isinstance(value, bool) or not 1 <= count <= _core.MAX_WORKERS:
        raise ValueError(
            f"max_workers={value!r} is not possible: it is from 1 (the calling thread alone) to {_core.MAX_WORKERS}; "
            "leave it out for one per usable CPU"
        )
    return count


def checked_drain(value: object) -> float:
    """Return a number of seconds, or raise an error that says what it may be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"event_drain_seconds is a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"event_drain_seconds={value!r} is not possible: it is 0 or more")
    return min(float(value), threading_limit())


def threading_limit() -> float:
    """Return the longest time that a thread can wait, in seconds."""
    import threading

    return threading.TIMEOUT_MAX


def checked_executor(value: object) -> None:
    """Raise an error unless the executor is one that an engine can have by default."""
    if value is None or value in _EXECUTORS:
        return
    if value == "async":
        raise ValueError("executor='async' is found by itself for coroutine operations and is no default of an engine")
    raise ValueError(f"executor={value!r} is not available in this version; an engine takes executor='thread' or None")


def checked_retain(retain: object) -> None:
    """Raise an error unless this can say which values a run keeps."""
    if isinstance(retain, str):
        if retain not in ("terminal", "all"):
            raise ValueError(f"retain={retain!r} is not possible: 'terminal', 'all', or a list of operations and ports")
    elif isinstance(retain, Operation) or not isinstance(retain, Iterable):
        raise TypeError(f"retain is 'terminal', 'all' or a list of operations and ports, not {type(retain).__name__}")


def retained_slots(retain: object, plan: Plan) -> str | list[int]:
    """Return which values a run keeps, in the form that the native run takes.

    Parameters
    ----------
    retain : {"terminal", "all"} or iterable
        A word, or operations (or names of them) and ``(operation, port)`` pairs.
    plan : Plan
        What runs.

    Returns
    -------
    str or list of int
        The word, or slots.

    Raises
    ------
    ValueError, TypeError
        When it is neither.
    UnknownOperationError, UnknownPortError
        When the plan has no such operation or output.
    """
    checked_retain(retain)
    if isinstance(retain, str):
        return retain
    assert isinstance(retain, Iterable)
    slots: list[int] = []
    for item in retain:
        slots.extend(_slots_of(item, plan))
    return slots


def _slots_of(item: Any, plan: Plan) -> list[int]:
    operation, port = _named(item)
    node = plan.index_of(operation)
    outputs = plan.operations[node].ports.output_index
    if port is None:
        return [plan.core.slot(node, index) for index in outputs.values()]
    if port not in outputs:
        raise UnknownPortError(plan.label(node), port, list(outputs), "output")
    return [plan.core.slot(node, outputs[port])]


def _named(item: Any) -> tuple[Any, str | None]:
    if isinstance(item, Operation | str):
        return item, None
    if isinstance(item, Sequence) and len(item) == 2 and isinstance(item[1], str):
        return item[0], item[1]
    operation, port = getattr(item, "operation", None), getattr(item, "port_name", None)
    if isinstance(operation, Operation) and isinstance(port, str):
        return operation, port
    raise TypeError(f"retain lists operations and (operation, 'port') pairs, not {type(item).__name__}")
