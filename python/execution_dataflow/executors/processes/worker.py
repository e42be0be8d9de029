"""What a worker process runs: takes tasks, runs their operations one after the other, sends what came of them."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any, NoReturn

from execution_dataflow import _core
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.definitions import forget_definitions, receive_definition
from execution_dataflow.executors.processes.failures import pack_failure, told
from execution_dataflow.executors.processes.held_results import SHORT_NANOSECONDS, HeldResults
from execution_dataflow.executors.processes.marker import Marker
from execution_dataflow.executors.processes.messages import ResultMessage, TaskMessage
from execution_dataflow.executors.processes.reports import Reports
from execution_dataflow.executors.processes.run_seed import RunSeed
from execution_dataflow.executors.processes.shared_proxy import set_parent
from execution_dataflow.executors.processes.values import (
    Packed,
    Packer,
    WirePart,
    inline_size,
    pack_plain,
    resolve,
    unpack,
    wire_part,
)
from execution_dataflow.executors.processes.wire import Inbox, Outbox
from execution_dataflow.executors.processes.worker_context import GuestRecord
from execution_dataflow.kept_state import take_changes
from execution_dataflow.node_specs import spec_at_level
from execution_dataflow.operations import Operation
from execution_dataflow.process_errors import TransferError
from execution_dataflow.shared_memory import Accounts, MainLink, become_worker

__all__ = ["serve"]

# A worker that is at work when its parent is gone ends after this; one that waits for work ends at once.
_LINGER_SECONDS = 0.2
# How often a thread that an operation left behind looks for the reply that another thread has read.
_REPLY_SECONDS = 0.01


def serve(connection: socket.socket, control: socket.socket, marker: int | None, start: dict[str, Any]) -> NoReturn:
    """Work for the parent until it closes the connection.

    Parameters
    ----------
    connection, control : socket.socket
        To the parent: for tasks and results, and for what must arrive in the middle of a task.
    marker : int or None
        The file in which this process says what it works on.
    start : dict
        What the parent said at the start.
    """
    number, options = start["memory"]
    memory = become_worker(number, tuple(options))
    worker = _Worker(connection, control, Marker(marker, start["marker"]), memory)
    set_parent(worker)
    threading.Thread(target=worker.listen, name="execution-dataflow-control", daemon=True).start()
    try:
        worker.work()
    except (ConnectionError, OSError):
        pass  # the parent is gone
    worker.close_runs()
    sys.exit(0)


class _Worker:
    def __init__(self, connection: socket.socket, control: socket.socket, marker: Marker, memory: MainLink) -> None:
        self._memory = memory
        self._inbox = Inbox(connection)
        self._reports = Reports(Outbox(connection), HeldResults(marker), memory)
        self._control = control
        self._marker = marker
        self._packer = Packer()
        # Each with its inputs, in a list from which they are taken when they are loaded: nothing else keeps them.
        self._tasks: deque[tuple[TaskMessage, bytearray, list[WirePart]]] = deque()
        self._replies: deque[tuple[bool, bytes]] = deque()
        # What was sent and not needed yet is a pickle: an error in loading it is that of the task.
        self._operations: dict[int, tuple[str, bytes, ContractLevel] | tuple[_core.NodeSpec, Operation]] = {}
        self._runs: dict[int, bytes | GuestRecord] = {}
        # Of each run that was begun, the working directory and where modules are found; and whose hold now.
        self._places: dict[int, tuple[str, list[str]]] = {}
        self._placed = 0
        self._pid = os.getpid()
        self._cancelled: dict[int, str | None] = {}
        self._halted: set[int] = set()
        self._asking = threading.RLock()
        self._reading = threading.Lock()
        # How long the operation of the last task took, in nanoseconds, and when it ended.
        self._took = 0
        self._ended = 0
        # How long operations take, by their numbers: at once more, slowly less.
        self._expected: dict[int, int] = {}

    def work(self) -> None:
        """Run tasks until the parent closes the connection."""
        reports, tasks = self._reports, self._tasks
        reports.say(messages.READY, os.getpid())
        while True:
            while tasks:
                self._run(*tasks.popleft())
            reports.release()
            if self._memory.owes:
                reports.give_back()
            with self._reading:
                if not self._read():
                    return

    def _read(self) -> bool:
        for message in self._inbox.receive():
            self._take(message.kind, message.data, message.body, message.descriptors)
        return not self._inbox.is_closed

    def _take(self, kind: int, data: Any, body: bytearray, descriptors: list[int]) -> None:
        if kind == messages.TASKS:
            self._take_tasks(data, body)
        elif kind == messages.MEMORY:
            self._memory.accept(Accounts(*data), (), descriptors)
        elif kind == messages.REPLY:
            self._replies.append(data)
        elif kind == messages.DEFINE:
            receive_definition(*data)
        elif kind == messages.OPERATION:
            number, label, stream, contracts = data
            self._operations[number] = (label, stream, contracts)
        elif kind == messages.RUN:
            number, stream, is_cancelled, reason = data
            self._runs[number] = stream
            if is_cancelled:
                self._cancelled[number] = reason
        elif kind == messages.END_RUN:
            self._end_run(data)
        elif kind == messages.FORGET:
            self._operations.clear()
            self._expected.clear()
            forget_definitions()

    def _take_tasks(self, tasks: list[TaskMessage], body: bytearray) -> None:
        offset = 0
        for task in tasks:
            part = task[7]
            if not part[1] and type(part[0]) is bytes:
                self._tasks.append((task, body, [part]))
                continue
            size = inline_size(part)
            own = body[offset : offset + size] if len(tasks) > 1 else body
            offset += size
            self._tasks.append((task, own, [resolve(part, self._memory.lease_of)]))

    def _run(self, task: TaskMessage, body: bytearray, inputs: list[WirePart]) -> None:
        number, operation, run, node, items, attempt, name, _, always_runs = task
        if (run in self._cancelled or run in self._halted) and not always_runs:
            self._reports.say(messages.RESULT, tuple(ResultMessage(number, 0, None, None)))
            return
        if self._expected.get(operation, SHORT_NANOSECONDS) >= SHORT_NANOSECONDS:
            self._reports.release()
        self._marker.take(number)
        self._took = 0
        record = None
        try:
            record = self._record(run)
            spec, made = self._operation(operation)
            record.node_names[node] = name
            outputs = self._execute(spec, made, record, node, attempt, items, inputs, body)
            self._send_checks(number, record)
            stream = pack_plain(outputs)
            packed = None if stream is not None else self._packed_outputs(outputs, spec)
            del outputs
            uses_state = record.uses_state(node, items)
            changes = take_changes(record, node, items, attempt)
        except BaseException as error:
            chain, text, where = pack_failure(error, self._packer.pack_in_band)
            # Its frames hold the inputs.
            error.__traceback__ = None
            del error
            _flush_output()
            failure = wire_part(chain), text, where
            if record is not None:
                record.drop_state(node, items)
            self._send_checks(number, record)
            self._reports.say(messages.RESULT, tuple(ResultMessage(number, self._took, None, failure)))
            return
        _flush_output()
        took, expected = self._took, self._expected.get(operation, 0)
        self._expected[operation] = took if took > expected else expected - (expected - took) // 8
        if uses_state:
            self._reports.say(messages.STATE_CHANGES, (number, [tuple(change) for change in changes]))
        # With changes of state it is not held: it is to follow them on the connection.
        is_short = took <= SHORT_NANOSECONDS and not uses_state
        if stream is not None and is_short and self._tasks and not self._memory.owes:
            self._reports.hold(number, took, stream, self._ended)
        else:
            self._reports.result(number, took, packed or Packed(stream or b""))

    def _send_checks(self, number: int, record: GuestRecord | None) -> None:
        notes = None if record is None else record.take_check_notes()
        if notes:
            self._reports.say(messages.CHECKS, (number, self._took, pickle.dumps(notes, 5)))

    def _execute(
        self,
        spec: _core.NodeSpec,
        operation: Operation,
        record: GuestRecord,
        node: int,
        attempt: int,
        items: tuple[int, ...],
        packed: list[WirePart],
        body: bytearray,
    ) -> tuple[Any, ...]:
        try:
            inputs, _ = unpack(packed.pop(), body, 0)
        except BaseException as fault:
            raise TransferError(
                f"the inputs of {spec.label} cannot be made again in its worker process: "
                f"{told(fault)}. Run it with executor='thread', or pass plain data",
                operation=spec.label,
            ) from fault
        arguments = (spec, operation, record, record.context, node, attempt, items, inputs)
        del inputs
        began = time.monotonic_ns()
        self._marker.enter(began)
        try:
            return Context().run(_core.execute_attempt, *arguments)
        finally:
            if os.getpid() != self._pid:
                _leave_fork(spec.label)
            self._ended = time.monotonic_ns()
            self._took = self._ended - began
            self._marker.leave()

    def _packed_outputs(self, outputs: tuple[Any, ...], spec: _core.NodeSpec) -> Packed:
        try:
            return self._packer.pack(outputs)
        except BaseException as fault:
            port = next(
                (name for name, value in zip(spec.output_names, outputs, strict=False) if self._fails(value)), None
            )
            which = "the outputs" if port is None else f"output {port!r}"
            raise TransferError(
                f"{which} of {spec.label} cannot be sent from its worker process: {told(fault)}. "
                "Give plain data, or run it with executor='thread'",
                operation=spec.label,
                port=port,
            ) from fault

    def _fails(self, value: Any) -> bool:
        try:
            self._packer.pack((value,))
        except BaseException:
            return True
        return False

    def _operation(self, number: int) -> tuple[_core.NodeSpec, Operation]:
        known = self._operations[number]
        if len(known) == 2:
            return known
        label, stream, contracts = known
        try:
            operation = pickle.loads(stream)
            spec = spec_at_level(operation, contracts)
            made = self._operations[number] = (spec, operation)
        except BaseException as fault:
            raise TransferError(
                f"{label} cannot be loaded in a worker process: {told(fault)}. A worker imports what "
                "modules define and is sent what __main__ defines; cloudpickle.register_pickle_by_value(module) has "
                "it sent the contents of a module too",
                operation=str(label),
            ) from fault
        return made

    def _record(self, number: int) -> GuestRecord:
        known = self._runs[number]
        if isinstance(known, GuestRecord):
            if number != self._placed:
                self._go_to_place(number)
            return known
        try:
            seed: RunSeed = pickle.loads(known)
        except BaseException as fault:
            raise TransferError(f"the context cannot be made again in a worker process: {told(fault)}") from fault
        self._places[number] = seed.directory, seed.path
        self._go_to_place(number)
        record = self._runs[number] = GuestRecord(number, seed)
        if number in self._cancelled:
            _mark_cancelled(record, self._cancelled[number])
        return record

    def _go_to_place(self, number: int) -> None:
        """Have the working directory and the search for modules as the run has them."""
        directory, sys.path[:] = self._places[number]
        try:
            os.chdir(directory)
        except OSError as fault:
            raise TransferError(
                f"the working directory of the run cannot be entered in a worker process: {told(fault)}"
            ) from fault
        self._placed = number

    def _end_run(self, number: int) -> None:
        self._places.pop(number, None)
        record = self._runs.pop(number, None)
        self._cancelled.pop(number, None)
        self._halted.discard(number)
        if isinstance(record, GuestRecord):
            record.close()

    def close_runs(self) -> None:
        """Close the clients of runs that nobody ended."""
        for number in list(self._runs):
            try:
                self._end_run(number)
            except OSError:
                pass  # a warning that the parent does not hear any more

    def listen(self) -> None:
        """Hear what the parent says in the middle of a task; end the process when the parent is gone."""
        inbox = Inbox(self._control)
        try:
            while not inbox.is_closed:
                for message in inbox.receive():
                    if message.kind == messages.CANCEL_RUN:
                        self._cancel(*message.data)
                    elif message.kind == messages.HALT_RUN:
                        self._halted.add(message.data)
        except OSError:
            pass
        time.sleep(_LINGER_SECONDS)
        os._exit(1)

    def _cancel(self, number: int, reason: str | None) -> None:
        self._cancelled[number] = reason
        record = self._runs.get(number)
        if isinstance(record, GuestRecord):
            _mark_cancelled(record, reason)

    def tell(self, kind: int, data: Any) -> None:
        """Send a message, from any thread."""
        self._reports.say(kind, data)

    def ask(self, key: str, method: str, arguments: tuple[Any, ...]) -> Any:
        """Ask a shared state of the parent, from any thread; one question at a time."""
        return self._answer(messages.CALL, (key, method, self._packer.pack_in_band(arguments).stream))

    def ask_state(self, run: int, what: str, arguments: tuple[Any, ...]) -> Any:
        """Ask for what is committed of persistent state, from any thread."""
        return self._answer(messages.READ_STATE, (run, what, arguments))

    def _answer(self, kind: int, question: tuple[Any, ...]) -> Any:
        with self._asking:
            self._reports.say(kind, question)
            while not self._replies:
                # The thread that runs operations reads already where it waits for the next.
                if not self._reading.acquire(timeout=_REPLY_SECONDS):
                    continue
                try:
                    if not self._replies and not self._read():
                        raise ConnectionResetError("the parent of this worker process is gone")
                finally:
                    self._reading.release()
            is_answer, reply = self._replies.popleft()
        answer = pickle.loads(reply)
        if not is_answer:
            raise answer
        return answer


def _leave_fork(label: str) -> NoReturn:
    """End the child of a fork that has come to the end of the operation: tasks and results are its parent's."""
    text = "has forked its worker process, and the child came to the end of the operation: end it with os._exit() there"
    try:
        if sys.__stderr__ is not None:
            print(f"execution-dataflow: {label} {text}", file=sys.__stderr__, flush=True)
    finally:
        os._exit(1)


def _mark_cancelled(record: GuestRecord, reason: str | None) -> None:
    record.cancel_reason = reason
    record.cancel_requested = True


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        flush: Callable[[], object] | None = getattr(stream, "flush", None)
        if flush is not None:
            try:
                flush()
            except (OSError, ValueError):
                pass
