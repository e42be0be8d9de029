"""What worker processes say besides results: questions to state, log records, progress, checks, changes of state."""

from __future__ import annotations

import pickle
from contextlib import suppress
from functools import partial
from typing import Any

from execution_dataflow.errors import OutsideRunError
from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.failures import told
from execution_dataflow.executors.processes.member import Member
from execution_dataflow.executors.processes.process_run import ProcessRun
from execution_dataflow.executors.processes.wire import Incoming
from execution_dataflow.process_errors import TransferError
from execution_dataflow.store_errors import StoreError
from execution_dataflow.stores.journal import StateChange

__all__ = ["answer_call", "hear_of_state", "note_checks", "pass_on"]


def answer_call(member: Member, key: str, method: str, arguments: bytes) -> None:
    """Answer a question to a shared state."""
    run = member.tasks[0].run if member.tasks else None
    try:
        answer: Any = member.calls.answer(key, method, pickle.loads(arguments))
        stream = pickle.dumps(answer, 5) if run is None else run.pack_answer(answer)
        is_answer = True
    except BaseException as fault:
        is_answer = False
        stream = pickle.dumps(TransferError(f"shared state cannot be used: {told(fault)}"))
    member.reply(is_answer, stream)


def pass_on(member: Member, message: Incoming) -> None:
    """Pass a log record or a report of progress on to its run."""
    number, *said = message.data
    run = next((task.run for task in member.tasks if task.run.number == number), None)
    if run is None:
        return
    try:
        if message.kind == messages.LOG:
            run.log(*said)
        else:
            run.progress(*said)
    except BaseException as fault:
        _warn(run, "a message of a worker process could not be passed on", fault)


def hear_of_state(member: Member, message: Incoming) -> None:
    """Answer a question to persistent state soon, or take what a task has changed of it, whose result comes next."""
    if message.kind == messages.READ_STATE:
        number, what, arguments = message.data
        run = next((task.run for task in member.tasks if task.run.number == number), None)
        member.desk.do(partial(_answer_of_state, member, run, what, arguments))
        return
    number, changes = message.data
    task = next((task for task in member.tasks if task.number == number), None)
    if task is not None:
        task.changes = [StateChange(*change) for change in changes]


def _answer_of_state(member: Member, run: ProcessRun | None, what: str, arguments: tuple[Any, ...]) -> None:
    try:
        stream, is_answer = pickle.dumps(_found_in_state(run, what, arguments), 5), True
    except BaseException as fault:
        stream, is_answer = _pickled_error(fault), False
    member.desk.hand_over(partial(member.reply, is_answer, stream))


def _found_in_state(run: ProcessRun | None, what: str, arguments: tuple[Any, ...]) -> Any:
    if run is None:
        raise OutsideRunError("persistent state was asked for by a thread whose operation has ended")
    overlays = run.record.open_overlays()
    if what == "operation":
        return overlays.operation_name(*arguments)
    return overlays.source.read(*arguments) if what == "read" else overlays.source.keys(*arguments)


def _pickled_error(error: BaseException) -> bytes:
    try:
        return pickle.dumps(error, 5)
    except BaseException:
        return pickle.dumps(StoreError(told(error)), 5)


def note_checks(member: Member, number: int, nanoseconds: int, stream: bytes) -> None:
    """Take what the checks of a task found, whose result comes next."""
    task = next((task for task in member.tasks if task.number == number), None)
    if task is None:
        return
    task.attempt.begin(nanoseconds)
    try:
        for node, items, label, outcomes, is_success in pickle.loads(stream):
            is_in_time = not task.is_late(nanoseconds)
            task.run.record.note_checks(node, items, label, outcomes, is_success and is_in_time)
    except BaseException as fault:
        _warn(task.run, f"the checks of {task.name} could not be noted", fault)


def _warn(run: ProcessRun, text: str, fault: BaseException) -> None:
    # A handler of the user's may raise what it has raised before, and there is nobody else to tell.
    with suppress(BaseException):
        run.record.logger_for(None).warning("%s", text, exc_info=fault)
