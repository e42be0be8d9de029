"""One worker process, as the pool sees it: what it was sent, what it works on, and what became of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from execution_dataflow import _core
from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.messages import TaskMessage, memory_messages
from execution_dataflow.executors.processes.process_run import ProcessRun, Ready
from execution_dataflow.executors.processes.shared_calls import SharedCalls
from execution_dataflow.executors.processes.spawn import Started
from execution_dataflow.executors.processes.values import Packed, WirePart, resolve, wire_part, wire_part_of_parcel
from execution_dataflow.executors.processes.wire import Inbox, Outbox
from execution_dataflow.executors.time_over import timeout_of
from execution_dataflow.shared_memory import Description, WorkerLink
from execution_dataflow.timeout_errors import OperationTimeout

__all__ = ["Ending", "Member", "Task"]

# What a worker may have waiting for it, by what is known of the operations: enough to keep it at work while its results
# are on their way, little enough that another worker does not stand idle beside a queue.
_QUEUE_NANOSECONDS = 2_000_000
_MOST_QUEUED = 128
_MOST_QUEUED_BYTES = 1 << 20
# The shortest time after which is looked again whether something with a time limit has begun.
_LOOK_NANOSECONDS = 10_000_000
# How often is looked whether what a worker was sent has begun; its result says so too.
_BEGIN_NANOSECONDS = 5_000_000
_NEVER = 1 << 62


class Task:
    """An attempt on its way through the pool.

    Parameters
    ----------
    attempt : _core.RemoteAttempt
        The attempt.
    run : ProcessRun
        Its run.

    Attributes
    ----------
    has_begun : bool
        Whether its worker has begun it.
    is_shielded : bool
        Whether it goes on although its run was cancelled.
    limit_ns : int or None
        How long it may take once its operation is entered.
    number : int
        By which the worker that has it names it.
    ready : Ready or None
        What is sent; made when it is sent first.
    """

    __slots__ = ("attempt", "has_begun", "is_shielded", "limit_ns", "number", "ready", "run")

    def __init__(self, attempt: _core.RemoteAttempt, run: ProcessRun) -> None:
        self.attempt = attempt
        self.run = run
        self.has_begun = False
        self.is_shielded = attempt.ignores_stop
        limit = attempt.timeout_seconds
        self.limit_ns = None if limit is None else int(limit * 1e9)
        self.number = 0
        self.ready: Ready | None = None

    def is_of_cancelled(self, run: int) -> bool:
        """Whether it is to end because a run was cancelled."""
        return self.run.number == run and not self.is_shielded

    @property
    def is_halted(self) -> bool:
        """Whether it is not to begin because its run is to begin nothing new."""
        return self.run.is_halted and not self.is_shielded

    @property
    def is_cancelled(self) -> bool:
        """Whether it ends because its run was cancelled."""
        return self.run.is_cancelled and not self.is_shielded

    def is_late(self, nanoseconds: int) -> bool:
        """Whether an operation that took so long has failed for it; one of a cancelled run ends in another way."""
        return self.limit_ns is not None and nanoseconds > self.limit_ns and not self.is_cancelled

    def timeout(self, cause: BaseException | None = None) -> OperationTimeout:
        """Return its error when its time was over; the cause is what it raised itself."""
        attempt = self.attempt
        seconds = attempt.timeout_seconds
        assert seconds is not None
        return timeout_of(self.name, seconds, attempt.attempt, cause)

    @property
    def name(self) -> str:
        """What it is an attempt of."""
        return self.run.record.name_of(self.attempt.node, self.attempt.items)


class Ending:
    """How a process ended; one that has closed its connection and goes on is ended.

    Parameters
    ----------
    process : subprocess.Popen
        The process.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        try:
            code = process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self.signal = -code if code < 0 else None
        self.exit_code = code if code >= 0 else None


class Member:
    """A worker process.

    Parameters
    ----------
    started : Started
        The process.
    memory : WorkerLink
        The way of shared memory to it.

    Attributes
    ----------
    is_ready : bool
        Whether it has said that it takes tasks.
    tasks : deque of Task
        What it was sent and has not answered, in the order in which it works on them.
    """

    def __init__(self, started: Started, memory: WorkerLink) -> None:
        self.memory = memory
        self.process: subprocess.Popen[bytes] = started.process
        self.connection = started.connection
        self.control = started.control
        self.marker = started.marker
        self.inbox = Inbox(started.connection)
        self.outbox = Outbox(started.connection)
        self._orders = Outbox(started.control)
        self.calls = SharedCalls()
        self.is_ready = False
        self.tasks: deque[Task] = deque()
        self.began = time.monotonic_ns()
        self.last_number = 0
        self._queued_ns = 0
        self._definitions: set[str] = set()
        self._operations: set[int] = set()
        self._runs: set[int] = set()
        self._batch: list[tuple[Any, ...]] = []
        self._buffers: list[memoryview] = []
        self._bytes = 0
        # When it is killed unless its cancelled tasks have ended, and whose they are.
        self.grace_ends: dict[int, int] = {}
        # The task for which it was killed.
        self.killed_for: Task | None = None
        self.watch = _pidfd(self.process.pid)

    def has_room_for(self, expected_ns: int) -> bool:
        """Whether it takes a task, of which is known how long it takes, or -1."""
        if not self.tasks:
            return True
        if expected_ns < 0 or self._bytes >= _MOST_QUEUED_BYTES or len(self.tasks) >= _MOST_QUEUED:
            return False
        return self._queued_ns + expected_ns <= _QUEUE_NANOSECONDS

    def assign(self, task: Task, definitions: dict[str, bytes]) -> None:
        """Put a task, and what it needs, into what is sent next."""
        ready = task.ready
        assert ready is not None
        operation, run = ready.operation, task.run
        if operation.number not in self._operations:
            self._define(operation.needs, definitions)
            self._operations.add(operation.number)
            self.outbox.put(messages.OPERATION, (operation.number, operation.spec.label, operation.stream))
        if run.number not in self._runs:
            stream, needs = run.seed
            self._define(needs, definitions)
            self._runs.add(run.number)
            self.outbox.put(messages.RUN, (run.number, stream))
        if ready.needs:
            self._define(ready.needs, definitions)
        self.last_number += 1
        task.number = self.last_number
        inputs = ready.inputs
        part, buffers = self._in_wire_form(inputs)
        self._batch.append(
            tuple(
                TaskMessage(
                    task.number,
                    operation.number,
                    run.number,
                    ready.node,
                    ready.items,
                    task.attempt.attempt,
                    ready.name,
                    part,
                    task.is_shielded,
                )
            )
        )
        self._buffers.extend(buffers)
        self._bytes += len(inputs.stream) + sum(buffer.nbytes for buffer in buffers)
        self._queued_ns += max(operation.expected_ns, 0)
        self.tasks.append(task)

    def _in_wire_form(self, packed: Packed) -> tuple[WirePart, Sequence[memoryview]]:
        if packed.parcel is None:
            return wire_part(packed), packed.buffers
        # The parcel stays as it is: it is sent again if this process dies before it gets to it.
        description = self.memory.describe([packed.parcel])
        self._say(description)
        return wire_part_of_parcel(*description.contents[0])

    def _say(self, description: Description) -> None:
        for data, descriptors in memory_messages(description):
            self.outbox.put(messages.MEMORY, data, (), descriptors)

    def received(self, part: WirePart) -> WirePart:
        """Return what a result brought, with leases in the place of what lies in shared memory."""
        resolved = resolve(part, self.memory.lease_of)
        if resolved is not part:
            self.memory.learn()
        return resolved

    def tidy_memory(self, recall: bool) -> None:
        """Have the process let go of memory that is gone, and give back what it was lent if it does nothing."""
        if recall and not self.tasks:
            self.memory.recall()
        if self.is_ready and self.memory.has_news:
            self._say(self.memory.describe())

    def _define(self, keys: Iterable[str], definitions: dict[str, bytes]) -> None:
        for key in keys:
            if key not in self._definitions:
                self._definitions.add(key)
                self.outbox.put(messages.DEFINE, (key, definitions[key]))

    def send(self) -> bool:
        """Send what was assigned, as far as the connection takes it; return whether that was all.

        Raises
        ------
        OSError
            The process is gone.
        """
        if self._batch:
            self.outbox.put(messages.TASKS, self._batch, self._buffers)
            self._batch, self._buffers = [], []
        return self.outbox.flush()

    def has_of(self, run: ProcessRun) -> bool:
        """Whether it was sent what ends when a run is cancelled."""
        return any(task.is_of_cancelled(run.number) for task in self.tasks)

    def take(self, number: int) -> Task | None:
        """Return the task that a result is of, and count it as done."""
        tasks = self.tasks
        if not tasks or tasks[0].number != number:
            return None
        task = tasks.popleft()
        if tasks:
            assert task.ready is not None
            self._queued_ns -= max(task.ready.operation.expected_ns, 0)
        else:
            self._queued_ns = self._bytes = 0
        return task

    def tell_cancelled(self, run: ProcessRun) -> None:
        """Say, in the middle of a task, that a run was cancelled."""
        self._order(messages.CANCEL_RUN, (run.number, run.record.cancel_reason))

    def tell_halted(self, run: ProcessRun) -> None:
        """Say, in the middle of a task, that nothing else of a run is to begin."""
        self._order(messages.HALT_RUN, run.number)

    def _order(self, kind: int, data: Any) -> None:
        self._orders.put(kind, data)
        try:
            self._orders.flush()
        except OSError:
            pass  # it is on its way to its end already

    def forget_run(self, run: ProcessRun) -> None:
        """Say that a run has ended."""
        if run.number in self._runs:
            self._runs.discard(run.number)
            self.outbox.put(messages.END_RUN, run.number)

    def forget_everything(self) -> None:
        """Say that nothing of what it was sent is of use any more; when no run is open."""
        self._definitions.clear()
        self._operations.clear()
        self.outbox.put(messages.FORGET, None)

    def reply(self, is_answer: bool, stream: bytes) -> None:
        """Answer a question."""
        self.outbox.put(messages.REPLY, (is_answer, stream))

    def kill(self) -> None:
        """End the process now; the pool learns of it as of any other death."""
        self.process.kill()

    def give_grace(self, run: int, end: int) -> None:
        """Have it killed at a moment unless what it has of a cancelled run has ended; the earliest moment counts."""
        self.grace_ends[run] = min(end, self.grace_ends.get(run, end))

    def note_begun(self, now: int) -> None:
        """Tell of what it works on that it has begun."""
        head = self.tasks[0] if self.tasks else None
        if head is not None and not head.has_begun and self.marker.task == head.number:
            head.has_begun = True
            entered = self.marker.entered
            head.attempt.begin(max(0, now - entered) if entered else 0)

    def end_overdue(self, now: int) -> None:
        """Kill it if what it works on has had its time: that of the attempt, or the grace of a cancelled run."""
        head = self._timed_head
        if head is None or self.marker.task != head.number:
            return
        entered = self.marker.entered
        is_late = head.limit_ns is not None and entered and now - entered > head.limit_ns
        if (is_late or self._grace_end(head) <= now) and self.marker.condemn(head.number):
            self.killed_for = head
            self.kill()

    def next_look(self, now: int) -> int | None:
        """When to look at it again, in nanoseconds: what it works on may begin, or its time be over."""
        looks = now + _BEGIN_NANOSECONDS if self.tasks and not self.tasks[0].has_begun else None
        head = self._timed_head
        if head is None:
            return looks
        is_begun = self.marker.task == head.number
        end = self._grace_end(head)
        moment = end if is_begun else max(end, now + _LOOK_NANOSECONDS)
        if head.limit_ns is not None:
            entered = self.marker.entered if is_begun else 0
            # What has not been entered has all its time before it: nothing is missed until then.
            over = entered + head.limit_ns + 1 if entered else now + max(head.limit_ns, _LOOK_NANOSECONDS)
            moment = min(moment, over)
        if looks is not None:
            moment = min(moment, looks)
        return None if moment >= _NEVER else moment

    @property
    def _timed_head(self) -> Task | None:
        # What waits behind it has not begun, and its result comes before anything of that.
        if not self.tasks or self.killed_for is not None:
            return None
        head = self.tasks[0]
        return head if head.limit_ns is not None or self.grace_ends else None

    def _grace_end(self, task: Task) -> int:
        return _NEVER if task.is_shielded else self.grace_ends.get(task.run.number, _NEVER)

    def divide(self) -> tuple[Task | None, list[Task]]:
        """Return the task that a dead process was at work on, if it had begun one, and those that waited behind it."""
        tasks = list(self.tasks)
        self.tasks.clear()
        begun = self.marker.task
        running = next((task for task in tasks if task.number == begun), None)
        return running, [task for task in tasks if task is not running]

    def close(self) -> None:
        """Close the connections: a process that waits for work ends."""
        self.connection.close()
        self.control.close()
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None

    def release(self) -> None:
        """Give back what is left of a process that has ended."""
        self.close()
        self.marker.close()
        self.memory.close()


def _pidfd(pid: int) -> int | None:
    """What becomes readable when a process ends, even if its children keep its connections open; Linux alone."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def load_failure(stream: bytes) -> list[bytes]:
    """Return the pickles of an exception and its causes."""
    loaded: list[bytes] = pickle.loads(stream)
    return loaded
