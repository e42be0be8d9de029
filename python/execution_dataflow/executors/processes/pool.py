"""The worker processes of one engine, driven by one thread: tasks out, results in, deaths, deadlines."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from execution_dataflow import _core
from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.ends import end_members, fail_tasks
from execution_dataflow.executors.processes.hearing import answer_call, hear_of_state, note_checks, pass_on
from execution_dataflow.executors.processes.member import MOST_QUEUED_BYTES, Ending, Member
from execution_dataflow.executors.processes.messages import ResultMessage
from execution_dataflow.executors.processes.outcomes import conclude, conclude_held
from execution_dataflow.executors.processes.process_run import ProcessRun
from execution_dataflow.executors.processes.sent_things import PackedOperation, SentThings
from execution_dataflow.executors.processes.starts import Starts
from execution_dataflow.executors.processes.state_desk import StateDesk
from execution_dataflow.executors.processes.task import Task
from execution_dataflow.executors.processes.waiting import WaitingTasks
from execution_dataflow.executors.processes.wire import Incoming
from execution_dataflow.process_errors import WorkerStartError
from execution_dataflow.shared_memory import Accounts, begin_use, end_use

__all__ = ["ProcessPool"]

_log = logging.getLogger("execution_dataflow.processes")

# A process that has not said that it is ready by then never will.
_START_SECONDS = 60.0
# How often processes are looked at where the system does not tell of their end.
_LOOK_SECONDS = 0.1
_CLOSE_SECONDS = 5.0
# Shared memory that nobody used for so long goes back to the system.
_MEMORY_IDLE_SECONDS = 10.0
# Tasks are handed to processes in shares of about this size, at what a task costs beside its operation: so little that
# none stands idle for it, and enough that who has most room is not asked for each.
_SHARE_NANOSECONDS = 100_000
_TASK_NANOSECONDS = 20_000
_FAULT = "internal error of the engine in its thread for worker processes"
# So many turns in a row that go wrong in a way that nobody thought of end the pool.
_MOST_FAULTS = 20
# Selectors refuse to wait for much longer than a month.
_LONGEST_SLEEP_SECONDS = 3600.0


def _tell_of_fault(text: str) -> None:
    # A handler of the user's may raise anything, and the thread goes on.
    with suppress(BaseException):
        _log.exception("%s; please report it", text)


class ProcessPool:
    """Runs attempts in worker processes, which are started when there is work for them and kept for the next run.

    Parameters
    ----------
    workers : int
        How many processes there may be.
    native_threads : int or None
        How many threads the native libraries of each may use; ``None`` leaves them alone.

    Attributes
    ----------
    is_broken : bool
        Whether its thread has ended by errors of the engine, so that it takes nothing any more.
    """

    def __init__(self, workers: int, native_threads: int | None) -> None:
        self.workers = workers
        # Reentrant: what happens under it may collect garbage, and with it an engine that closes its pool.
        self._lock = threading.RLock()
        # Tasks, and what else is to be done on the pool's thread.
        self._incoming: list[Task | Callable[[], None]] = []
        self._is_woken = False
        self._is_closing = False
        self._is_over = False
        self.is_broken = False
        # Turns in a row that went wrong, and what is said to who comes when the thread is gone.
        self._faults = 0
        self._fault = "the worker processes of this engine were closed"
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._members: list[Member] = []
        self._waiting = WaitingTasks()
        self._sent = SentThings()
        self._open_runs = 0
        self._memory = begin_use()
        self._tidy_at: int | None = None
        self._desk = StateDesk(workers, self._hand_over)
        self._starts = Starts(native_threads, self._memory, self._desk)
        self._thread = threading.Thread(target=self._serve, name="execution-dataflow-processes", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ from any thread

    def open_run(self, record: Any, plan: Any) -> ProcessRun:
        """Return what the pool needs to know of a run."""
        return ProcessRun(record, plan, self._sent)

    def launch(self, run: ProcessRun, attempt: _core.RemoteAttempt) -> None:
        """Have an attempt run soon."""
        if self._is_closing:
            raise RuntimeError("the worker processes of this engine were closed")
        cache = run.record.cache
        if cache is not None and attempt.operation._settings.cache is not None:
            cache.launch(run.record, attempt, lambda made: self._hand_over(Task(made, run)))
            return
        self._hand_over(Task(attempt, run))

    def cancel(self, run: ProcessRun, grace_seconds: float) -> None:
        """Cancel the attempts of a run: those that wait now, those that run when the grace is over."""
        end = time.monotonic_ns() + int(grace_seconds * 1e9)
        self._hand_over(lambda: self._cancel_run(run, end))

    def halt(self, run: ProcessRun) -> None:
        """Begin nothing else of a run, but for what always runs."""
        self._hand_over(lambda: self._halt_run(run))

    def end_run(self, run: ProcessRun) -> None:
        """Forget a run that has ended, and have its clients closed."""
        self._hand_over(lambda: self._end_run(run))

    def close(self, timeout: float) -> None:
        """End the processes and the thread; wait for them at most so many seconds."""
        with self._lock:
            self._is_closing = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    def forget(self) -> None:
        """In the child of a fork: close what was inherited. The processes are the parent's."""
        for member in self._members:
            member.close()
            member.process.returncode = 0  # not this process's to wait for
        self._wake_reader.close()
        self._wake_writer.close()
        self._selector.close()

    def pids(self) -> list[int]:
        """Return the processes that take tasks now."""
        return [member.process.pid for member in list(self._members) if member.is_ready]

    def _hand_over(self, action: Task | Callable[[], None]) -> None:
        with self._lock:
            if not self._is_over:
                self._incoming.append(action)
                if self._is_woken or threading.get_ident() == self._thread.ident:
                    return
                self._is_woken = True
        self._wake()
        if self._is_over and isinstance(action, Task):
            fail_tasks([action], self._fault)

    def _wake(self) -> None:
        try:
            self._wake_writer.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # it is awake, or gone

    # ------------------------------------------------------------ on the pool's thread

    def _serve(self) -> None:
        while not self._is_closing and self._faults < _MOST_FAULTS:
            try:
                self._turn()
                self._faults = 0
            except BaseException as fault:
                self._faults += 1
                _tell_of_fault(_FAULT)
                self._fault = f"{_FAULT} ({type(fault).__name__}), and it has ended"
                time.sleep(_LOOK_SECONDS)
        self._take_incoming()
        with self._lock:
            # From now on nothing comes in: nobody is to wait for a thread that is gone.
            self._is_over = True
            left = [action for action in self._incoming if isinstance(action, Task)]
            self._incoming = []
        if not self._is_closing:
            self.is_broken = True
            left += self._waiting.take_all()
            left += [task for member in self._members for task in member.tasks]
        fail_tasks(left, self._fault)
        self._shut_down()

    def _turn(self) -> None:
        for key, events in self._selector.select(self._next_look()):
            if key.data is None:
                self._clear_wake()
            else:
                self._guarded(key.data, partial(self._attend, key.data, key.fileobj, events))
        self._take_incoming()
        if not self._is_closing:
            self._look_at_clock()
            self._dispatch()

    def _guarded(self, member: Member, action: Callable[[], None]) -> None:
        """Do something for one process; should that go wrong in a way that nobody thought of, end that one alone."""
        try:
            action()
        except BaseException:
            self._end_faulty(member)

    def _end_faulty(self, member: Member) -> None:
        _tell_of_fault("internal error of the engine while it heard a worker process")
        member.is_faulty = True
        member.kill()

    def _clear_wake(self) -> None:
        try:
            self._wake_reader.recv(4096)
        except BlockingIOError:
            pass

    def _take_incoming(self) -> None:
        with self._lock:
            self._is_woken = False
            incoming, self._incoming = self._incoming, []
        for action in incoming:
            try:
                if isinstance(action, Task):
                    self._enqueue(action)
                else:
                    action()
            except BaseException:
                _tell_of_fault(_FAULT)

    def _enqueue(self, task: Task) -> None:
        if not task.run.is_open:
            task.run.is_open = True
            self._open_runs += 1
        self._waiting.add(task)

    # -- tasks

    def _dispatch(self) -> None:
        if self._waiting:
            self._assign_waiting()
        for member in list(self._members):
            if member.has_to_send:
                self._send(member)

    def _assign_waiting(self) -> None:
        waiting, definitions = self._waiting, self._sent.definitions
        # What `member` takes of `operation` before it is looked again who has most room.
        member: Member | None = None
        operation: PackedOperation | None = None
        share = 0
        while waiting:
            task = waiting.first()
            attempt = task.attempt
            if attempt.is_unwanted or not attempt.is_live or (task.run.is_halted and not task.is_shielded):
                waiting.take_first()
                attempt.cancel()
                continue
            if task.operation is None and not task.is_prepared():
                waiting.take_first()
                continue
            if not share or task.operation is not operation or member is None:
                operation = task.operation
                assert operation is not None
                member, share = self._roomiest(operation.expected_ns)
                if member is None:
                    self._start_for(len(waiting))
                    return
            waiting.take_first()
            if task.parcel is not None:
                self._note_memory_use()
            try:
                member.assign(task, definitions)
            except BaseException:
                self._end_faulty(member)
                share = 0
            else:
                share = share - 1 if member.queued_bytes < MOST_QUEUED_BYTES else 0

    def _roomiest(self, expected_ns: int) -> tuple[Member | None, int]:
        """Return who has the fewest tasks and takes more, and how many of them before it is asked again."""
        best: Member | None = None
        room = 0
        for member in self._members:
            if member.is_ready and not member.grace_ends and (best is None or len(member.tasks) < len(best.tasks)):
                its_room = member.room_for(expected_ns)
                if its_room > 0:
                    best, room = member, its_room
        return best, min(room, max(1, _SHARE_NANOSECONDS // (max(expected_ns, 0) + _TASK_NANOSECONDS)))

    def _start_for(self, waiting: int) -> None:
        starting = sum(not member.is_ready for member in self._members)
        wanted = min(waiting - starting, self.workers - len(self._members))
        for _ in range(wanted):
            try:
                member = self._starts.start()
            except WorkerStartError as error:
                if not self._members:
                    fail_tasks(self._waiting.take_all(), str(error))
                return
            self._members.append(member)
            self._selector.register(member.connection, selectors.EVENT_READ, member)
            if member.watch is not None:
                self._selector.register(member.watch, selectors.EVENT_READ, member)

    def _send(self, member: Member) -> None:
        try:
            is_all = member.send()
        except OSError:
            return  # its death is told by the other direction
        events = selectors.EVENT_READ if is_all else selectors.EVENT_READ | selectors.EVENT_WRITE
        if self._selector.get_key(member.connection).events != events:
            self._selector.modify(member.connection, events, member)

    # -- what workers say

    def _attend(self, member: Member, what: Any, events: int) -> None:
        if member not in self._members:
            return
        if what is member.connection:
            if events & selectors.EVENT_READ and not self._read(member):
                self._bury(member)
                return
            if events & selectors.EVENT_WRITE:
                self._send(member)
        else:
            # The process has ended: what it had sent before counts.
            while self._read(member, until_empty=True):
                pass
            self._bury(member)

    def _read(self, member: Member, until_empty: bool = False) -> bool:
        """Take what came; `False` when there is nothing more to come."""
        try:
            for message in member.inbox.receive():
                self._hear(member, message)
        except BlockingIOError:
            return not until_empty
        except OSError:
            return False
        return not member.inbox.is_closed

    def _hear(self, member: Member, message: Incoming) -> None:
        if message.kind == messages.RESULTS:
            conclude_held(member, memoryview(message.body)[: message.data])
        elif message.kind == messages.RESULT:
            conclude(member, ResultMessage(*message.data), message.body)
        elif message.kind == messages.MEMORY:
            member.memory.accept(Accounts(*message.data), (), message.descriptors)
            self._note_memory_use()
        elif message.kind == messages.READY:
            member.is_ready = True
            self._starts.note_ready()
        elif message.kind == messages.CALL:
            answer_call(member, *message.data)
        elif message.kind in (messages.PROGRESS, messages.LOG):
            pass_on(member, message)
        elif message.kind == messages.CHECKS:
            note_checks(member, *message.data)
        elif message.kind in (messages.READ_STATE, messages.STATE_CHANGES):
            hear_of_state(member, message)

    # -- ends

    def _bury(self, member: Member) -> None:
        """A process has ended, or its connection: what it worked on has failed, what waited for it is sent anew."""
        self._members.remove(member)
        self._selector.unregister(member.connection)
        if member.watch is not None:
            self._selector.unregister(member.watch)
        ending = Ending(member.process)
        # What had finished is not run again, although it was not sent.
        self._guarded(member, lambda: conclude_held(member, member.held.read()))
        running, others = member.divide()
        member.release()
        for task in others:
            self._enqueue(task)
        if not member.is_ready:
            error = self._starts.note_failed(ending)
            if error is not None:
                fail_tasks(self._waiting.take_all(), str(error))
        if running is None:
            return
        running.attempt.begin()
        if running.is_cancelled:
            running.attempt.cancel()
        elif running is member.killed_for:
            running.attempt.fail(running.timeout())
            # Others may be on their way: a retry, what comes next.
            self._start_for(len(self._waiting) + 1)
        elif member.killed_for is not None:
            # It was killed for what it had worked on the moment before.
            self._enqueue(running)
        else:
            running.attempt.fail(member.death(running, ending))

    def _cancel_run(self, run: ProcessRun, grace_end: int) -> None:
        run.is_cancelled = True
        dropped = self._waiting.take_if(lambda task: task.is_of_cancelled(run.number))
        for task in dropped:
            task.attempt.cancel()
        for member in self._members:
            if member.has_of(run):
                member.give_grace(run.number, grace_end)
            if member.knows(run):
                member.tell_cancelled(run)

    def _halt_run(self, run: ProcessRun) -> None:
        run.is_halted = True
        for member in self._members:
            if member.has_of(run):
                member.tell_halted(run)

    def _end_run(self, run: ProcessRun) -> None:
        run.end()
        self._open_runs -= run.is_open
        run.is_open = False
        for member in self._members:
            member.forget_run(run)
        if not self._open_runs and self._sent.is_much:
            self._sent.clear()
            for member in self._members:
                member.forget_everything()

    def _note_memory_use(self) -> None:
        if self._tidy_at is None:
            self._tidy_at = time.monotonic_ns() + int(_MEMORY_IDLE_SECONDS * 1e9)

    def _tidy_memory(self) -> None:
        """Give back what was idle: here, and in the processes that do nothing."""
        self._memory.tidy(_MEMORY_IDLE_SECONDS)
        for member in self._members:
            self._guarded(member, partial(member.tidy_memory, recall=True))
        self._tidy_at = None
        if self._memory.stats().pooled_bytes:
            self._note_memory_use()

    def _look_at_clock(self) -> None:
        now = time.monotonic_ns()
        if self._tidy_at is not None and now >= self._tidy_at:
            self._tidy_memory()
        for member in list(self._members):
            if member.watch is None and member.process.poll() is not None:
                while self._read(member, until_empty=True):
                    pass
                self._bury(member)
            elif member.is_ready:
                if member.keeps_waiting(now):
                    self._guarded(member, partial(conclude_held, member, member.held.read()))
                member.note_begun(now)
                member.end_overdue(now)
            elif now - member.began > _START_SECONDS * 1e9:
                member.kill()

    def _next_look(self) -> float | None:
        """How long the thread may sleep."""
        if self._incoming or self._faults:
            return 0.0
        now = time.monotonic_ns()
        moments: list[int] = [] if self._tidy_at is None else [self._tidy_at]
        for member in self._members:
            timed = member.next_look(now)
            if timed is not None:
                moments.append(timed)
            if not member.is_ready:
                moments.append(member.began + int(_START_SECONDS * 1e9))
            if member.watch is None and (member.tasks or not member.is_ready):
                moments.append(now + int(_LOOK_SECONDS * 1e9))
        return min(max(0, min(moments) - now) * 1e-9, _LONGEST_SLEEP_SECONDS) if moments else None

    def _shut_down(self) -> None:
        """End the processes, and what waits for one."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        end_members(self._members, deadline)
        self._desk.close(max(0.0, deadline - time.monotonic()))
        self._members.clear()
        for task in self._waiting.take_all():
            task.attempt.cancel()
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()
        end_use()
