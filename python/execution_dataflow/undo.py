"""Undoing a run: the reverts of what had succeeded, in the reverse order of completion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextvars import Context
from pathlib import Path
from types import TracebackType
from typing import Any

from execution_dataflow import _core
from execution_dataflow.errors import GraphError
from execution_dataflow.fallbacks import Fallback
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import Operation, label_of
from execution_dataflow.plan import Plan
from execution_dataflow.run_record import RunRecord
from execution_dataflow.states import OperationState

__all__ = ["REVERTED", "REVERT_FAILED", "Undo", "is_revertible", "lent_slots", "revertible_nodes"]

# The kinds of records that only Python knows, see `event_dispatch.py`.
REVERTED, REVERT_FAILED = 21, 22

_SUCCEEDED = (int(OperationState.SUCCEEDED), int(OperationState.RESTORED))
# What a revert is called from: this module, and the one that runs awaitables.
_OURS = (__file__, str(Path(__file__).parent / "executors" / "event_loop.py"))


def is_revertible(operation: Operation) -> bool:
    """Return whether an operation defines ``revert``.

    Parameters
    ----------
    operation : Operation
        The operation.

    Returns
    -------
    bool
        Whether it overrides `Operation.revert`.
    """
    return getattr(operation.revert, "__func__", None) is not Operation.revert


def revertible_nodes(plan: Plan) -> tuple[int, ...]:
    """Return the operations of a plan that can be reverted, or whose fallback can.

    Parameters
    ----------
    plan : Plan
        The plan.

    Returns
    -------
    tuple of int
        Their indices.

    Raises
    ------
    GraphError
        One of them runs for the items of a map.
    """
    stand_ins = [_has_revertible_fallback(spec) for spec in plan.specs]
    nodes = []
    for node, operation in enumerate(plan.operations):
        if isinstance(operation, MappedOperation) and _maps_revertible(operation):
            raise GraphError(
                f"{plan.label(node)} is a map of an operation that defines revert(), and reverts of items are not "
                'available in this version: run it without on_failure="revert", or undo the items in a revert() of the '
                "operation behind the map"
            )
        if is_revertible(operation) or stand_ins[plan.spec_of[node]]:
            nodes.append(node)
    return tuple(nodes)


def _has_revertible_fallback(spec: _core.NodeSpec) -> bool:
    fallback: Fallback | None = spec.fallback
    while fallback is not None and fallback.operation is not None:
        if is_revertible(fallback.operation):
            return True
        fallback = None if fallback.spec is None else fallback.spec.fallback
    return False


def _maps_revertible(operation: Operation) -> bool:
    while isinstance(operation, MappedOperation):
        operation = operation.item
    return is_revertible(operation)


def lent_slots(plan: Plan, nodes: Iterable[int]) -> list[int]:
    """Return the outputs that reverts may read: what goes into operations and what comes out of them.

    Parameters
    ----------
    plan : Plan
        The plan.
    nodes : iterable of int
        The operations that can be reverted.

    Returns
    -------
    list of int
        The slots.
    """
    core = plan.core
    slots = []
    for node in nodes:
        slots += [core.slot(node, port) for port in range(len(plan.operations[node].ports.output_index))]
        slots += [core.slot(source, port) for feeders in core.feeders(node) for source, port in feeders]
    return slots


class Undo:
    """The undoing of one run that has ended, by whoever has a thread for it.

    Parameters
    ----------
    plan : Plan
        What ran.
    run : _core.Run
        The finished native run.
    record : RunRecord
        Where is kept what was reverted.
    nodes : sequence of int
        What can be reverted.
    stand_ins : dict of int to Fallback
        The operations that stood in for failed ones.
    context : contextvars.Context
        The variables of whoever began the run; each revert has a copy.
    run_awaitable : callable
        Runs an awaitable on the event loop to its end.
    """

    def __init__(
        self,
        plan: Plan,
        run: _core.Run,
        record: RunRecord,
        nodes: Iterable[int],
        stand_ins: dict[int, Any],
        context: Context,
        run_awaitable: Callable[[Any], Any],
    ) -> None:
        self._plan = plan
        self._run = run
        self._record = record
        self._nodes = nodes
        self._stand_ins = stand_ins
        self._context = context
        self._run_awaitable = run_awaitable
        self.interrupt: KeyboardInterrupt | None = None

    def run(self) -> None:
        """Revert one after another, the one that ended last first. What a revert raises is kept, and the rest goes on.

        Ctrl-C gives up what is left; the record says what that is.
        """
        record, done = self._record, 0
        left = [(node, operation) for node in self._order() if (operation := self._to_revert(node)) is not None]
        try:
            for node, operation in left:
                self._revert(node, operation)
                done += 1
        except KeyboardInterrupt as error:
            self.interrupt = error
        finally:
            reverted = set(record.reverted)
            record.not_reverted = [name for node, _ in left[done:] if (name := record.names(node)) not in reverted]

    def _order(self) -> list[int]:
        states, timing = self._run.states(), self._run.timing
        place = {node: place for place, node in enumerate(self._plan.core.order())}
        # A consumer ends after its producers; where the clock is too coarse to tell, its place is behind theirs.
        succeeded = [node for node in self._nodes if states[node] in _SUCCEEDED]
        return sorted(succeeded, key=lambda node: (timing(node)[2], place[node]), reverse=True)

    def _to_revert(self, node: int) -> Operation | None:
        if node in self._record.fallbacks:
            standing_in = self._stand_ins.get(node)
            operation: Operation | None = None if standing_in is None else standing_in.fallback.operation
            # A value that stood in after the operation that did so has failed too.
            is_value = self._record.fallbacks[node].fallback != (operation and label_of(operation))
            return operation if operation is not None and is_revertible(operation) and not is_value else None
        operation = self._plan.operations[node]
        return operation if is_revertible(operation) else None

    def _revert(self, node: int, operation: Operation) -> None:
        began = time.perf_counter()
        record = self._record
        try:
            self._call(node, operation)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: what is left is to be reverted all the same
            failure = record.error_record(node, 1, 1, error.with_traceback(_of_revert(error.__traceback__)))
            record.revert_errors.append(failure)
            self._run.tell(REVERT_FAILED, node, failure)
        else:
            record.reverted.append(record.names(node))
            self._run.tell(REVERTED, node, time.perf_counter() - began)

    def _call(self, node: int, operation: Operation) -> None:
        standing_in = self._stand_ins.get(node) if node in self._record.fallbacks else None
        if standing_in is None:
            spec = self._plan.specs[self._plan.spec_of[node]]
            inputs: tuple[int, ...] = tuple(range(len(spec.input_names)))
            error = None
        else:
            spec, inputs, error = standing_in.fallback.spec, standing_in.fallback.inputs, standing_in.error
        attempt = self._run.begin_revert(node, spec, operation, inputs, error)
        try:
            context = self._context.copy()
            if hasattr(context.run(attempt.revert), "send"):
                context.run(self._run_awaitable, attempt)
            self._record.commit_state(node)
        finally:
            attempt.leave()
            del attempt  # it holds the run, and the run the error whose traceback leads here


def _of_revert(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback from where the user's code begins: the frames before it hold the run, which keeps the error."""
    first, at = traceback, traceback
    while at is not None:
        if at.tb_frame.f_code.co_filename in _OURS:
            first = at.tb_next
        at = at.tb_next
    return first
