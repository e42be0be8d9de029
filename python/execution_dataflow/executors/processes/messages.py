"""What the messages between a parent and its worker processes say; the metadata of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from execution_dataflow.executors.processes.values import WirePart
from execution_dataflow.executors.processes.wire import MOST_DESCRIPTORS
from execution_dataflow.shared_memory import Accounts, Description

__all__ = [
    "CALL",
    "CANCEL_RUN",
    "CHECKS",
    "DEFINE",
    "END_RUN",
    "FORGET",
    "HALT_RUN",
    "LOG",
    "MEMORY",
    "OPERATION",
    "PROGRESS",
    "READY",
    "READ_STATE",
    "REPLY",
    "RESULT",
    "RESULTS",
    "RUN",
    "STATE_CHANGES",
    "TASKS",
    "ResultMessage",
    "TaskMessage",
    "memory_messages",
]

# To a worker.
DEFINE: Final = 1
"""(key, pickle): what the key of a function or class stands for."""
OPERATION: Final = 2
"""(number, label, pickle, whether its values are checked): an operation."""
RUN: Final = 3
"""(number, pickle of its `RunSeed`, whether it was cancelled, why): a run; its context is copied."""
TASKS: Final = 4
"""A list of `TaskMessage`."""
END_RUN: Final = 5
"""number: the run has ended, and its clients are to be closed."""
REPLY: Final = 6
"""(whether it is an answer, pickled answer or exception): to a call."""
MEMORY: Final = 8
"""Parts of `shared_memory.Accounts`, both ways: what to know before the next message, or what was let go of."""
FORGET: Final = 9
"""None: what was defined and which operations were sent is of no use any more."""
# To a worker that is at work, on the control connection.
CANCEL_RUN: Final = 7
"""(number, reason): the run was cancelled."""
HALT_RUN: Final = 15
"""number: nothing of the run is to begin any more, but for what always runs."""

# From a worker.
READY: Final = 10
"""pid: it takes tasks."""
RESULT: Final = 11
"""A `ResultMessage`."""
PROGRESS: Final = 12
"""(run, node, items, fraction, message): of an operation."""
LOG: Final = 13
"""(run, fields): a log record."""
RESULTS: Final = 16
"""How many bytes of the body are for `held_results.results_in` to read: small outputs of several tasks."""
CHECKS: Final = 17
"""(task, nanoseconds that its operation took, pickled list of what `RunRecord.note_checks` takes): before a result."""
CALL: Final = 14
"""(key of a shared state, method, pickled arguments): asks for a `REPLY`."""
READ_STATE: Final = 18
"""(run, what is asked, arguments): of persistent state; asks for a `REPLY`."""
STATE_CHANGES: Final = 19
"""(task, list of what `StateChange` takes): what a task has changed that has used persistent state; before its
result."""


TaskMessage: TypeAlias = tuple[int, int, int, int, tuple[int, ...], int, str, WirePart, bool]
"""An attempt at an operation: the number by which its result names it; the numbers under which its operation and its
run were sent; the node of the run's plan, and which item of a map it is; the number of the attempt, from 1; the stable
identity of the node; the values of its inputs, packed; whether it runs although its run was cancelled."""


class ResultMessage(NamedTuple):
    """How a task ended.

    Parameters
    ----------
    task : int
        Its number.
    nanoseconds : int
        How long its operation took.
    outputs : WirePart or None
        The outputs in the order of ports; ``None`` if it failed.
    failure : tuple or None
        The exception, packed, with its traceback and where it was raised; ``None`` with no outputs either says that the
        task was dropped, since its run was cancelled.
    """

    task: int
    nanoseconds: int
    outputs: WirePart | None
    failure: tuple[WirePart, str, str | None] | None


def memory_messages(description: Description) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
    """Give the data and the descriptors of the `MEMORY` messages that go before the values of a description.

    What a worker gives back goes behind them: it may be what they lie in.
    """
    accounts, descriptors = description.accounts, list(description.descriptors)
    introductions = list(accounts.introductions)
    while len(introductions) > MOST_DESCRIPTORS:
        some, introductions = introductions[:MOST_DESCRIPTORS], introductions[MOST_DESCRIPTORS:]
        needed = sum(introduction[3] for introduction in some)
        yield tuple(Accounts(some)), descriptors[:needed]
        del descriptors[:needed]
    first = accounts._replace(introductions=introductions, returns=())
    if any(first):
        yield tuple(first), descriptors
