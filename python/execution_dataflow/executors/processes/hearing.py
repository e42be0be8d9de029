"""What worker processes say besides results: questions to shared state, log records, progress, checks."""

from __future__ import annotations

import pickle
from typing import Any

from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.member import Member
from execution_dataflow.executors.processes.wire import Incoming
from execution_dataflow.process_errors import TransferError

__all__ = ["answer_call", "note_checks", "pass_on"]


def answer_call(member: Member, key: str, method: str, arguments: bytes) -> None:
    """Answer a question to a shared state."""
    run = member.tasks[0].run if member.tasks else None
    try:
        answer: Any = member.calls.answer(key, method, pickle.loads(arguments))
        stream = pickle.dumps(answer, 5) if run is None else run.pack_answer(answer)
        is_answer = True
    except Exception as fault:
        is_answer = False
        stream = pickle.dumps(TransferError(f"shared state cannot be used: {type(fault).__name__}: {fault}"))
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
    except Exception as fault:
        run.record.logger_for(None).warning("a message of a worker process could not be passed on", exc_info=fault)


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
    except Exception as fault:
        task.run.record.logger_for(None).warning("the checks of %s could not be noted", task.name, exc_info=fault)
