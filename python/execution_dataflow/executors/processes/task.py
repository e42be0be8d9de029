"""An attempt on its way through the pool of worker processes."""

from __future__ import annotations

from collections.abc import Sequence

from execution_dataflow import _core
from execution_dataflow.executors.processes.failures import told
from execution_dataflow.executors.processes.process_run import ProcessRun
from execution_dataflow.executors.processes.sent_things import PackedOperation
from execution_dataflow.executors.processes.values import WirePart, wire_part
from execution_dataflow.executors.time_over import timeout_of
from execution_dataflow.process_errors import TransferError
from execution_dataflow.shared_memory import Parcel
from execution_dataflow.stores.journal import StateChange
from execution_dataflow.timeout_errors import OperationTimeout

__all__ = ["Task"]

_NO_NEEDS: frozenset[str] = frozenset()
_NOTHING: WirePart = (b"", ())


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
    node : int
        The node that it is an attempt of.
    number : int
        By which the worker that has it names it.
    is_shielded : bool
        Whether it goes on although its run was cancelled.
    limit_ns : int or None
        How long it may take once its operation is entered.
    has_begun : bool
        Whether its worker was seen to have begun it.
    is_long : bool
        Whether it was seen to take so long that its result is sent at once.
    operation : PackedOperation or None
        What runs; until it is known, it was not made ready to be sent.
    part : WirePart
        The values of its inputs, if they are sent in a message.
    buffers : sequence of memoryview
        What of them is beside that.
    parcel : Parcel or None
        Stands for both if any of the inputs lies in shared memory.
    needs : frozenset of str
        The keys of the definitions in the inputs.
    changes : sequence of StateChange or None
        What it has changed of persistent state, if its worker has said that it has used it.
    """

    __slots__ = (
        "attempt",
        "buffers",
        "changes",
        "has_begun",
        "is_long",
        "is_shielded",
        "limit_ns",
        "needs",
        "node",
        "number",
        "operation",
        "parcel",
        "part",
        "run",
    )

    def __init__(self, attempt: _core.RemoteAttempt, run: ProcessRun) -> None:
        self.attempt = attempt
        self.run = run
        self.node = attempt.node
        self.is_shielded = attempt.ignores_stop
        limit = attempt.timeout_seconds
        self.limit_ns = None if limit is None else int(limit * 1e9)
        self.has_begun = False
        self.is_long = False
        self.number = 0
        self.operation: PackedOperation | None = None
        self.part = _NOTHING
        self.buffers: Sequence[memoryview] = ()
        self.parcel: Parcel | None = None
        self.needs = _NO_NEEDS
        self.changes: Sequence[StateChange] | None = None

    def is_prepared(self) -> bool:
        """Make ready what is sent; whether that can be done, otherwise the attempt has failed."""
        inputs = self.attempt.inputs
        if inputs is None:
            return False
        try:
            self._prepare(inputs)
        except BaseException as fault:
            self.attempt.fail(fault if isinstance(fault, Exception) else TransferError(told(fault)))
            return False
        return True

    def _prepare(self, inputs: tuple[object, ...]) -> None:
        operation, stream = self.run.prepare_plain(self.attempt, inputs)
        if stream is not None:
            self.part = stream, ()
        else:
            packed, self.needs = self.run.prepare(operation, self.attempt, inputs)
            if packed.parcel is None:
                self.part, self.buffers = wire_part(packed), packed.buffers
            else:
                self.parcel = packed.parcel
        self.operation = operation

    def let_go(self) -> None:
        """Drop what was sent: it keeps inputs alive."""
        self.buffers = ()
        self.parcel = None

    def is_of_cancelled(self, run: int) -> bool:
        """Whether it is to end because a run was cancelled."""
        return self.run.number == run and not self.is_shielded

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
        return self.run.record.name_of(self.node, self.attempt.items)
