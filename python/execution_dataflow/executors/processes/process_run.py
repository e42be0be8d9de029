"""The part of one run that happens in worker processes: what they are sent of it, and what they say about it."""

from __future__ import annotations

import logging
import pickle
from itertools import count
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.executors.processes.definitions import DefinitionTable
from execution_dataflow.executors.processes.failures import told
from execution_dataflow.executors.processes.run_seed import pack_seed
from execution_dataflow.executors.processes.sent_things import PackedOperation, SentThings
from execution_dataflow.executors.processes.shared_proxy import forget_shared
from execution_dataflow.executors.processes.values import Packed, Packer, pack_plain
from execution_dataflow.process_errors import TransferError
from execution_dataflow.run_record import RunRecord

if TYPE_CHECKING:
    from execution_dataflow.plan import Plan

__all__ = ["ProcessRun"]

_numbers = count(1)


class ProcessRun:
    """One run, for the pool of worker processes. Only the pool's thread uses it, once it is made.

    Parameters
    ----------
    record : RunRecord
        The record of the run.
    plan : Plan
        What runs.
    sent : SentThings
        What the pool has sent for other runs.

    Attributes
    ----------
    number : int
        By which workers know the run.
    is_cancelled : bool
        Whether it was cancelled.
    is_halted : bool
        Whether nothing of it is to begin any more, but for what always runs.
    is_open : bool
        Whether something of it was launched, and it has not ended.
    """

    def __init__(self, record: RunRecord, plan: Plan, sent: SentThings) -> None:
        self.number = next(_numbers)
        self.record = record
        self.plan = plan
        self.is_cancelled = False
        self.is_halted = False
        self.is_open = False
        self._sent = sent
        self._packer = Packer(DefinitionTable(sent.keys, sent.definitions))
        self._shared_keys: dict[int, str] = {}
        self._seed: tuple[bytes, frozenset[str]] | TransferError | None = None
        self._operations: dict[int, PackedOperation | TransferError] = {}
        # While they are here, nothing else has their addresses.
        self._kept: list[Any] = []
        self._place_of: list[int] | None = None

    def place_of(self, node: int) -> int:
        """Return how early a node comes in the order that keeps few values alive (rule D4)."""
        places = self._place_of
        if places is None:
            sequence = self.plan.core.sequence()
            places = self._place_of = [0] * len(sequence)
            for place, index in enumerate(sequence):
                places[index] = place
        if node >= len(places):
            scopes = self.record.scopes
            assert scopes is not None
            node = scopes.root_of(node)
        return places[node]

    @property
    def seed(self) -> tuple[bytes, frozenset[str]]:
        """What workers are told of it: a pickle, and the definitions that it needs.

        Raises
        ------
        TransferError
            The context cannot be sent.
        """
        if self._seed is None:
            self._packer.used = set()
            try:
                stream = pack_seed(self.record, self._packer, self._shared_keys)
            except TransferError as fault:
                self._seed = fault
            else:
                self._seed = stream, frozenset(self._packer.used)
        if isinstance(self._seed, TransferError):
            raise _again(self._seed)
        return self._seed

    def prepare_plain(
        self, attempt: _core.RemoteAttempt, inputs: tuple[Any, ...]
    ) -> tuple[PackedOperation, bytes | None]:
        """Return the operation of an attempt as it is sent, and its inputs if they are small and plain.

        Raises
        ------
        TransferError
            The operation or the context cannot be sent.
        """
        if type(self._seed) is not tuple:
            _ = self.seed
        known = self._operations.get(id(attempt.spec))
        return known if type(known) is PackedOperation else self._operation(attempt), pack_plain(inputs)

    def prepare(
        self, operation: PackedOperation, attempt: _core.RemoteAttempt, inputs: tuple[Any, ...]
    ) -> tuple[Packed, frozenset[str]]:
        """Return other inputs as they are sent, and the keys of the definitions in them.

        Raises
        ------
        TransferError
            An input cannot be sent.
        """
        packer = self._packer
        packer.used = set()
        try:
            packed = packer.pack(inputs)
        except BaseException as fault:
            name = self.record.name_of(attempt.node, attempt.items)
            raise self._input_fault(operation.spec, inputs, fault, name) from fault
        return packed, frozenset(packer.used)

    def _operation(self, attempt: _core.RemoteAttempt) -> PackedOperation:
        spec, operation = attempt.spec, attempt.operation
        # A function is all there is to an operation that calls one; an operation of a class has fields of its own.
        what = spec if spec.is_function else operation
        known = self._operations.get(id(what))
        if known is None:
            known = self._operations[id(what)] = self._packed_operation(spec, operation)
            self._kept.append(what)
        if isinstance(known, TransferError):
            raise _again(known)
        return known

    def _packed_operation(self, spec: _core.NodeSpec, operation: Any) -> PackedOperation | TransferError:
        self._packer.used = set()
        try:
            packed = self._packer.pack_in_band(operation)
        except BaseException as fault:
            error = TransferError(
                f"{spec.label} cannot be sent to a worker process: {told(fault)}. Keep locks, "
                "connections and open files out of the operation (context.clients makes them where it runs), or run it "
                "with executor='thread'",
                operation=spec.label,
            )
            error.__cause__ = fault
            return error
        return self._sent.operation(spec, packed.stream, frozenset(self._packer.used))

    def _input_fault(
        self, spec: _core.NodeSpec, inputs: tuple[Any, ...], fault: BaseException, name: str
    ) -> TransferError:
        port = None
        for candidate, value in zip(spec.input_names, inputs, strict=True):
            try:
                self._packer.pack((value,))
            except BaseException:
                port = candidate
                break
        which = "the inputs" if port is None else f"input {port!r}"
        return TransferError(
            f"{which} of {spec.label} cannot be sent to a worker process: {told(fault)}. Pass plain "
            "data, or run it with executor='thread'",
            operation=name,
            port=port,
        )

    def pack_answer(self, value: Any) -> bytes:
        """Return the answer to a question of a worker."""
        return self._packer.pack_in_band(value).stream

    def log(self, fields: dict[str, Any], others: dict[str, tuple[bytes, str]]) -> None:
        """Hand a log record of an operation to this run's logger: its plain fields, pickles and texts of the others."""
        logger = self.record.logger_for(None).logger
        if logger.isEnabledFor(fields["levelno"]):
            fields.update((name, _loaded_or_text(*sent)) for name, sent in others.items())
            logger.handle(logging.makeLogRecord(fields))

    def progress(self, node: int, items: tuple[int, ...], fraction: float, message: str) -> None:
        """Keep what an operation said of its progress, and tell who listens."""
        self.record.report_progress(node, fraction, message, items)

    def end(self) -> None:
        """Let go of what only this run needed."""
        forget_shared(self._shared_keys.values())
        self._operations.clear()
        self._kept.clear()


def _loaded_or_text(stream: bytes, text: str) -> Any:
    try:
        return pickle.loads(stream)
    except BaseException:
        return text


def _again(error: TransferError) -> TransferError:
    # One for each operation: an exception that is raised twice gathers both tracebacks.
    made = TransferError(str(error), operation=error.operation, port=error.port)
    made.__cause__ = error.__cause__
    return made
