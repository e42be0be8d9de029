"""One worker process, as the pool sees it: what it was sent, what it works on, and what became of it."""

from __future__ import annotations

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.held_results import SHORT_NANOSECONDS, HeldResults
from execution_dataflow.executors.processes.messages import TaskMessage, memory_messages
from execution_dataflow.executors.processes.process_run import ProcessRun
from execution_dataflow.executors.processes.sent_things import PackedOperation
from execution_dataflow.executors.processes.shared_calls import SharedCalls
from execution_dataflow.executors.processes.spawn import Started
from execution_dataflow.executors.processes.state_desk import StateDesk
from execution_dataflow.executors.processes.task import Task
from execution_dataflow.executors.processes.values import WirePart, resolve, wire_part_of_parcel
from execution_dataflow.executors.processes.wire import Inbox, Outbox
from execution_dataflow.process_errors import WorkerDied
from execution_dataflow.shared_memory import Description, Parcel, WorkerLink

__all__ = ["MOST_QUEUED_BYTES", "Ending", "Member"]

# What a worker may have waiting for it, by what is known of the operations: enough to keep it at work while its results
# are on their way, little enough that another worker does not stand idle beside a queue.
_QUEUE_NANOSECONDS = 2_000_000
_MOST_QUEUED = 128
MOST_QUEUED_BYTES = 1 << 20
"""How many bytes of inputs a worker may have waiting for it; where that is passed, it is sent no more."""
# The shortest time after which is looked again whether something with a time limit has begun.
_LOOK_NANOSECONDS = 10_000_000
# How often is looked whether what a worker was sent has begun, which its result says too, or whether it is at something
# else for so long already that results which it holds are not to be waited for.
_BEGIN_NANOSECONDS = 5_000_000
_NEVER = 1 << 62


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
    desk : StateDesk
        What answers it where a store has to be waited for.

    Attributes
    ----------
    is_ready : bool
        Whether it has said that it takes tasks.
    tasks : deque of Task
        What it was sent and has not answered, in the order in which it works on them. Their numbers follow each other.
    queued_bytes : int
        How large the inputs of these are.
    """

    def __init__(self, started: Started, memory: WorkerLink, desk: StateDesk) -> None:
        self.memory = memory
        self.desk = desk
        self.process: subprocess.Popen[bytes] = started.process
        self.connection = started.connection
        self.control = started.control
        self.marker = started.marker
        self.held = HeldResults(started.marker)
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
        self._batch: list[TaskMessage] = []
        self._buffers: list[memoryview] = []
        self.queued_bytes = 0
        # When it is killed unless its cancelled tasks have ended, and whose they are.
        self.grace_ends: dict[int, int] = {}
        # It was killed for an error of the engine.
        self.is_faulty = False
        # The task for which it was killed.
        self.killed_for: Task | None = None
        # The task that it was last seen at, and since when.
        self._seen = 0
        self._seen_since = 0
        self.watch = _pidfd(self.process.pid)

    def room_for(self, expected_ns: int) -> int:
        """Return how many tasks it takes, of each of which is known how long it takes, or -1."""
        count = len(self.tasks)
        if not count:
            return 1 if expected_ns < 0 else max(1, self._fitting(expected_ns, _MOST_QUEUED))
        if expected_ns < 0 or self.queued_bytes >= MOST_QUEUED_BYTES:
            return 0
        return self._fitting(expected_ns, _MOST_QUEUED - count)

    def _fitting(self, expected_ns: int, most: int) -> int:
        return min(most, (_QUEUE_NANOSECONDS - self._queued_ns) // (expected_ns or 1))

    def assign(self, task: Task, definitions: dict[str, bytes]) -> None:
        """Put a task, and what it needs, into what is sent next."""
        operation, run = task.operation, task.run
        assert operation is not None
        if operation.number not in self._operations or run.number not in self._runs:
            self._introduce(operation, run, definitions)
        if task.needs:
            self._define(task.needs, definitions)
        number = self.last_number = task.number = self.last_number + 1
        task.changes = None  # of a process that died before it was done
        attempt, part = task.attempt, task.part
        if task.parcel is not None:
            part = self._describe(task.parcel)
        elif task.buffers:
            self._buffers.extend(task.buffers)
            self.queued_bytes += sum(buffer.nbytes for buffer in task.buffers)
        self._batch.append(
            (
                number,
                operation.number,
                run.number,
                task.node,
                attempt.items,
                attempt.attempt,
                run.record.names(task.node),
                part,
                task.is_shielded,
            )
        )
        self.queued_bytes += len(task.part[0])
        if operation.expected_ns > 0:
            self._queued_ns += operation.expected_ns
        self.tasks.append(task)

    def _introduce(self, operation: PackedOperation, run: ProcessRun, definitions: dict[str, bytes]) -> None:
        if operation.number not in self._operations:
            self._define(operation.needs, definitions)
            self._operations.add(operation.number)
            spec = operation.spec
            self.outbox.put(messages.OPERATION, (operation.number, spec.label, operation.stream, spec.contracts))
        if run.number not in self._runs:
            stream, needs = run.seed
            self._define(needs, definitions)
            self._runs.add(run.number)
            # What always runs goes on in a run that was cancelled, and may ask whether it was.
            record = run.record
            self.outbox.put(messages.RUN, (run.number, stream, record.cancel_requested, record.cancel_reason))

    def _describe(self, parcel: Parcel) -> WirePart:
        # The parcel stays as it is: it is sent again if this process dies before it gets to it.
        description = self.memory.describe([parcel])
        self._say(description)
        part, buffers = wire_part_of_parcel(*description.contents[0])
        self._buffers.extend(buffers)
        self.queued_bytes += sum(buffer.nbytes for buffer in buffers)
        return part

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

    @property
    def has_to_send(self) -> bool:
        """Whether there is something that was not sent yet."""
        return bool(self._batch) or not self.outbox.is_empty

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

    def knows(self, run: ProcessRun) -> bool:
        """Whether it was told of a run."""
        return run.number in self._runs

    def has_of(self, run: ProcessRun) -> bool:
        """Whether it was sent what ends when a run is cancelled."""
        return any(task.is_of_cancelled(run.number) for task in self.tasks)

    def take(self, number: int) -> Task | None:
        """Return the task that a result is of, and count it as done.

        When nothing of cancelled runs is left, the process may live.
        """
        tasks = self.tasks
        if not tasks or tasks[0].number != number:
            return None
        task = tasks.popleft()
        if tasks:
            assert task.operation is not None
            if task.operation.expected_ns > 0:
                self._queued_ns -= task.operation.expected_ns
        else:
            self._queued_ns = self.queued_bytes = 0
        if self.grace_ends and not any(left.is_of_cancelled(number) for left in tasks for number in self.grace_ends):
            self.grace_ends.clear()
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

    def keeps_waiting(self, now: int) -> bool:
        """Whether it may hold results and has not come to send them for a while: they are read where it holds them."""
        if not self.tasks:
            return False
        begun, head = self.marker.task, self.tasks[0].number
        if begun < head or (begun == head and self.marker.entered):
            return False
        if begun != self._seen:
            self._seen, self._seen_since = begun, now
            return False
        return now - self._seen_since >= _BEGIN_NANOSECONDS

    def note_begun(self, now: int) -> None:
        """Tell of what it works on that it has begun."""
        head = self.tasks[0] if self.tasks else None
        if head is None or head.is_long or self.marker.task != head.number:
            return
        entered = self.marker.entered
        for_ns = max(0, now - entered) if entered else 0
        if not head.has_begun:
            head.has_begun = True
            head.attempt.begin(for_ns)
        head.is_long = for_ns > 2 * SHORT_NANOSECONDS

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
        # The result of what takes long is sent at its end; any other may be held, and what it does next take long.
        looks = now + _BEGIN_NANOSECONDS if self.tasks and not self.tasks[0].is_long else None
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

    def death(self, running: Task, ending: Ending) -> WorkerDied:
        """Return the error of what it was at work on when it ended."""
        pid = self.process.pid
        return WorkerDied(running.name, pid, ending.signal, ending.exit_code, by_engine=self.is_faulty)

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
