"""What came of tasks: results of worker processes become outcomes of attempts."""

from __future__ import annotations

import pickle

from execution_dataflow.executors.processes.failures import attach_traceback
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
        if task is None:
            continue
        if member.grace_ends:
            member.end_grace()
        attempt, operation = task.attempt, task.operation
        assert operation is not None
        attempt.begin(took)
        operation.note(took)
        try:
            outputs = pickle.loads(stream)
        except Exception as fault:
            attempt.fail(_unreadable(task, fault))
            continue
        if task.buffers or task.parcel is not None:
            task.let_go()
        if task.limit_ns is not None and task.is_late(took):
            attempt.fail(task.timeout())
        else:
            attempt.complete(outputs)
        # Before the next is looked at: whoever consumes them may want them for itself.
        del outputs


def conclude(member: Member, result: ResultMessage, body: bytearray) -> None:
    """End an attempt with its result."""
    task = member.take(result.task)
    if task is None:
        return
    attempt, operation, took = task.attempt, task.operation, result.nanoseconds
    assert operation is not None
    if member.grace_ends:
        member.end_grace()
    if result.outputs is not None:
        attempt.begin(took)
        operation.note(took)
        try:
            part = result.outputs
            outputs, _ = unpack(part if type(part[0]) is bytes and not part[1] else member.received(part), body, 0)
        except Exception as fault:
            attempt.fail(_unreadable(task, fault))
            return
        task.let_go()
        if task.limit_ns is not None and task.is_late(took):
            attempt.fail(task.timeout())
            return
        attempt.complete(outputs)
    elif result.failure is not None:
        attempt.begin(took)
        (stream, _), text, where = result.failure
        error = attach_traceback(pickle.loads(stream), text, where)
        attempt.fail(task.timeout(error) if task.is_late(took) else error)
    else:
        attempt.cancel()


def _unreadable(task: Task, fault: Exception) -> TransferError:
    """Return the error of a task whose outputs came and cannot be loaded."""
    return TransferError(
        f"the outputs of {task.name} cannot be made again from what its worker process sent: "
        f"{type(fault).__name__}: {fault}. Give plain data, or run it with executor='thread'",
        operation=task.name,
    )
