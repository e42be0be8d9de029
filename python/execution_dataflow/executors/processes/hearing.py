"""What worker processes say besides results: questions to shared state, log records, progress."""

from __future__ import annotations

import pickle
from typing import Any

from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.member import Member
from execution_dataflow.executors.processes.wire import Incoming
from execution_dataflow.process_errors import TransferError

__all__ = ["answer_call", "pass_on"]


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
