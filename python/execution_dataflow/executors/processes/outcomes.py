"""What came of tasks: results of worker processes become outcomes of attempts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

from execution_dataflow.executors.processes.failures import attach_traceback, told
from execution_dataflow.executors.processes.held_results import results_in
from execution_dataflow.executors.processes.member import Member
from execution_dataflow.executors.processes.messages import ResultMessage
from execution_dataflow.executors.processes.task import Task
from execution_dataflow.executors.processes.values import unpack
from execution_dataflow.process_errors import TransferError

__all__ = ["conclude", "conclude_held"]


def conclude_held(member: Member, held: bytes | memoryview) -> None:
    """End attempts with small outputs that were sent together, or lay in the page of a worker process."""
    for number, took, stream in results_in(held):
        task = member.take(number)
        if task is not None:
            _succeed(member, task, took, partial(pickle.loads, stream))


def conclude(member: Member, result: ResultMessage, body: bytearray) -> None:
    """End an attempt with its result."""
    task = member.take(result.task)
    if task is None:
        return
    attempt, took = task.attempt, result.nanoseconds
    if result.outputs is not None:
        part = result.outputs
        _succeed(member, task, took, lambda: unpack(member.received(part), body, 0)[0])
    elif result.failure is not None:
        attempt.begin(took)
        (stream, _), text, where = result.failure
        error = attach_traceback(pickle.loads(stream), text, where)
        attempt.fail(task.timeout(error) if task.is_late(took) else error)
    else:
        attempt.cancel()


def _succeed(member: Member, task: Task, took: int, load: Callable[[], tuple[Any, ...]]) -> None:
    attempt, operation, checkpoint = task.attempt, task.operation, task.run.record.checkpoint
    assert operation is not None
    attempt.begin(took)
    operation.note(took)
    try:
        outputs = load()
    except BaseException as fault:
        attempt.fail(_unreadable(task, fault))
        return
    # It keeps what was sent, and whoever consumes the outputs may want the memory for itself.
    task.let_go()
    if task.is_late(took):
        attempt.fail(task.timeout())
    elif task.changes is not None:
        member.desk.do(partial(_commit, task, outputs))
    elif checkpoint is not None and checkpoint.may_wait(outputs):
        member.desk.do(partial(attempt.complete, outputs))
    else:
        attempt.complete(outputs)


def _commit(task: Task, outputs: tuple[Any, ...]) -> None:
    """End an attempt that has used persistent state, which is committed with its outputs: that may take a while."""
    attempt, changes = task.attempt, task.changes
    assert changes is not None
    overlays = task.run.record.open_overlays()
    overlays.receive(attempt.node, attempt.items, attempt.attempt, changes)
    attempt.complete(outputs)
    if not attempt.is_live:
        # If it had its outcome before, nobody has taken them.
        overlays.take(attempt.node, attempt.items, attempt.attempt)


def _unreadable(task: Task, fault: BaseException) -> TransferError:
    """Return the error of a task whose outputs came and cannot be loaded."""
    return TransferError(
        f"the outputs of {task.name} cannot be made again from what its worker process sent: "
        f"{told(fault)}. Give plain data, or run it with executor='thread'",
        operation=task.name,
    )
