"""The end of a pool: its processes end, and what they and it still had is ended too."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress

from execution_dataflow.executors.processes.member import Member
from execution_dataflow.executors.processes.task import Task
from execution_dataflow.process_errors import WorkerStartError

__all__ = ["end_members", "fail_tasks"]


def end_members(members: Iterable[Member], deadline: float) -> None:
    """Close all connections and wait for the processes, which end when they are idle; end the others."""
    for member in members:
        try:
            member.outbox.flush()
        except OSError:
            pass
        member.close()
    for member in members:
        if member.tasks:
            member.kill()
    for member in members:
        try:
            member.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            member.kill()
            member.process.wait()
        for task in member.tasks:
            task.attempt.cancel()
        member.release()


def fail_tasks(tasks: Iterable[Task], text: str) -> None:
    """Fail tasks that no process will take, each with an error of its own."""
    for task in tasks:
        # Whatever comes of one, the others are not to wait for ever.
        with suppress(BaseException):
            task.attempt.fail(WorkerStartError(text))
