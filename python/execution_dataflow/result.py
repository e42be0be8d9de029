"""The result of a run: what came out, what happened to every operation, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from execution_dataflow import _core
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.errors import (
    NoValueError,
    RunCancelled,
    RunFailed,
    ValueReleasedError,
)
from execution_dataflow.expansion.result_inside import ResultInside
from execution_dataflow.ports import OutputPort
from execution_dataflow.result_text import ResultFacts, html_text, listed, short_text, summary_text
from execution_dataflow.result_views import ResultViews
from execution_dataflow.run_outcome import RunOutcome
from execution_dataflow.run_record import RunRecord
from execution_dataflow.states import OperationState, RunState
from execution_dataflow.timeout_errors import DeadlineExceeded
from execution_dataflow.timing import OperationTiming

if TYPE_CHECKING:
    from execution_dataflow.checks.report import CheckReport
    from execution_dataflow.functions import FunctionOperation
    from execution_dataflow.operations import Operation, OutputReference
    from execution_dataflow.plan import Plan

__all__ = ["ExecutionResult"]

T = TypeVar("T")

_WITH_VALUES = (OperationState.SUCCEEDED, OperationState.RESTORED)
_NOT_RUN = {
    OperationState.UPSTREAM_FAILED: "could not run because of that",
    OperationState.CANCELLED: "did not run to the end",
}


_REVERT_ERRORS = 5


def _operations(count: int) -> str:
    return f"{count} operations were" if count > 1 else "1 operation was"


class ExecutionResult(ResultViews, ResultInside):
    """What a run came to. The engine makes it; it does not change.

    An operation is given as the object that was added to the graph, or by its name.

    Parameters
    ----------
    plan : Plan
        What ran.
    run : _core.Run
        The finished native run.
    record : RunRecord
        What the Python side kept of it.
    state : RunState
        How it ended.
    seconds : float
        How long it took.
    dropped_events : int
        How many events subscribers were too slow for.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition, operation
    >>> @operation
    ... def double(number: int) -> int:
    ...     return 2 * number
    >>> graph = GraphDefinition("doubling")
    >>> doubled = graph.add(double, number=21)
    >>> result = ExecutionEngine().run(graph)
    >>> result.is_successful(), result.get_output(doubled)
    (True, 42)
    >>> result.get_state("double").name
    'SUCCEEDED'
    """

    __slots__ = (
        "__weakref__",
        "_details",
        "_dropped_events",
        "_plan",
        "_record",
        "_run",
        "_seconds",
        "_state",
        "_states",
    )

    def __init__(
        self,
        plan: Plan,
        run: _core.Run,
        record: RunRecord,
        state: RunState,
        seconds: float,
        dropped_events: int = 0,
    ) -> None:
        self._plan = plan
        self._run = run
        self._record = record
        self._state = state
        self._seconds = seconds
        self._dropped_events = dropped_events
        self._details: RunOutcome | None = None
        self._states: Mapping[str, OperationState] | None = None

    @property
    def _outcome(self) -> RunOutcome:
        if self._details is None:  # most results are never asked
            self._details = RunOutcome(self._plan, self._run, self._record)
        return self._details

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._record.run_id

    @property
    def graph_name(self) -> str:
        """The name of the graph."""
        return self._record.graph_name

    @property
    def state(self) -> RunState:
        """How the run ended."""
        return self._state

    @property
    def seconds(self) -> float:
        """How long the run took, in seconds of wall time."""
        return self._seconds

    @property
    def seed(self) -> int:
        """The seed of the random streams: given to ``ExecutionContext(seed=)``, it repeats them."""
        return self._record.seed

    @property
    def cancelled_by(self) -> str | None:
        """Who cancelled the run, or why; ``None`` if nobody did."""
        return self._record.cancel_reason if self._record.cancel_requested else None

    @property
    def dropped_events(self) -> int:
        """How many events were not delivered, because subscribers were too slow."""
        return self._dropped_events

    def is_successful(self) -> bool:
        """Return whether no operation failed, was cancelled, or missed something that failed.

        Returns
        -------
        bool
            True also for an empty graph, and where operations were skipped.
        """
        return self._state is RunState.SUCCEEDED

    @overload
    def get_output(self, operation: FunctionOperation[T], port_name: None = None) -> T: ...
    @overload
    def get_output(self, operation: Operation | str, port_name: OutputPort[T]) -> T: ...
    @overload
    def get_output(self, operation: Operation | OutputReference | str, port_name: str | None = None) -> Any: ...
    def get_output(
        self, operation: Operation | OutputReference | str, port_name: str | OutputPort[Any] | None = None
    ) -> Any:
        """Return the value of an output.

        Parameters
        ----------
        operation : Operation, OutputReference or str
            The operation or its name; ``operation["port"]``; a nested graph; or the name of an output of the graph.
        port_name : str or OutputPort, optional
            The output: its name, or the class attribute that declares it (``Split.rest``), from which type checkers
            know the type of the value. May be left out where there is only one.

        Returns
        -------
        object
            The identical object that the operation set.

        Raises
        ------
        UnknownOperationError, UnknownPortError
            When there is no such operation or output.
        NoValueError
            When the operation did not succeed, or left an optional output unset.
        ValueReleasedError
            When the value was let go after its last consumer; ``retain=`` keeps it.
        """
        if isinstance(port_name, OutputPort):
            port_name = port_name.name
        inside = self._outcome.inner_node(operation)
        if inside is not None:
            raise self._outcome.released_inside(inside)
        node, name, port = self._plan.output_of(operation, port_name)
        state = OperationState(self._run.state(node))
        if state not in _WITH_VALUES:
            raise self._no_value(node, name, state)
        value = self._run.value(node, port)
        if value is not _core.MISSING:
            return value
        label = self._record.names(node)
        if self._run.kept(node, port):
            raise NoValueError(
                f"{label!r} succeeded without setting its optional output {name!r}: that branch was not taken",
                operation=label,
                port=name,
                state=state,
            )
        raise ValueReleasedError(
            f"the value of {label}.{name} was let go after its last consumer. Keep it with engine.run(graph, "
            f'retain="all"), or with retain=[operation] for this operation alone.',
            operation=label,
            port=name,
        )

    @property
    def values(self) -> dict[str, Any]:
        """The values of the graph's outputs, by name; without those that no operation has set."""
        found = {}
        for name, (node, port) in self._plan.outputs.items():
            value = self._run.value(node, port)
            if value is not _core.MISSING:
                found[name] = value
        return found

    def outputs(self) -> dict[str, dict[str, Any]]:
        """Return every value that was kept.

        Returns
        -------
        dict
            By operation, then by output. Which values are kept is up to ``retain=``; without it, those of outputs that
            feed no other operation.
        """
        run, operations = self._run, self._plan.operations
        found: dict[str, dict[str, Any]] = {}
        for node in self._outcome.nodes_in(*_WITH_VALUES):
            values = {}
            for name, port in operations[node].ports.output_index.items():
                value = run.value(node, port)
                if value is not _core.MISSING:
                    values[name] = value
            if values:
                found[self._record.names(node)] = values
        return found

    def get_state(self, operation: Operation | str) -> OperationState:
        """Return the state in which an operation ended.

        Parameters
        ----------
        operation : Operation or str
            The operation or its name.

        Returns
        -------
        OperationState
            Its final state.
        """
        return OperationState(self._run.state(self._outcome.node_of(operation)))

    @property
    def states(self) -> Mapping[str, OperationState]:
        """The state of every operation, by name."""
        if self._states is None:
            members = {int(state): state for state in OperationState}
            names = self._record.names
            self._states = MappingProxyType(
                {names(node): members[code] for node, code in enumerate(self._run.states())}
            )
        return self._states

    def blame(self, operation: Operation | str) -> str | None:
        """Return the operation whose failure kept another one from running.

        Parameters
        ----------
        operation : Operation or str
            The one that did not run.

        Returns
        -------
        str or None
            The name of the one that failed; ``None`` if the state is not UPSTREAM_FAILED.
        """
        return self._outcome.blame(self._outcome.node_of(operation))

    @property
    def timings(self) -> list[OperationTiming]:
        """The timings of the operations that ran, in the order of their start."""
        return self._outcome.timings()

    def get_timing(self, operation: Operation | str) -> OperationTiming | None:
        """Return the timing of one operation.

        Parameters
        ----------
        operation : Operation or str
            The operation or its name.

        Returns
        -------
        OperationTiming or None
            ``None`` if it never ran.
        """
        return self._outcome.timing(self._outcome.node_of(operation))

    @property
    def errors(self) -> list[ErrorRecord]:
        """The failures, in topological order."""
        return [*(self._outcome.error(node) for node in self._outcome.failed()), *self._record.late_errors]

    @property
    def fallbacks(self) -> list[ErrorRecord]:
        """The failures for which ``on_failure=`` stood in, in topological order; those operations are SUCCEEDED.

        Each says with ``fallback`` what stood in, and has the original ``exception``.
        """
        kept = self._record.fallbacks
        return [kept[node] for node in self._plan.core.order() if node in kept] if kept else []

    @property
    def checks(self) -> CheckReport:
        """What the checks of ports found: counts, findings, a table when it is printed."""
        return self._outcome.checks()

    @property
    def warnings(self) -> list[str]:
        """What is no failure: checks that warn, caches of no use, and with ``debug=True`` who wrote to themselves."""
        found = [] if self._record.checks is None else self._check_texts(("warned",))
        missed = [] if self._record.cache_log is None else self._record.cache_log.warnings
        return [self._record.redact(text) for text in (*found, *self._record.warnings, *missed)]

    @property
    def cached(self) -> dict[str, int]:
        """The operations whose results came from the cache, and how many of each: 1, and of a map how many items."""
        log, names = self._record.cache_log, self._record.names
        return {} if log is None else {names(node): count for node, count in sorted(log.hits.items())}

    def _check_texts(self, statuses: tuple[str, ...]) -> list[str]:
        return [f"{one.operation}.{one.port}: {one.message}" for one in self.checks if one.status in statuses]

    @property
    def reverted(self) -> list[str]:
        """The operations that were undone by their ``revert``, in that order: see ``on_failure="revert"``."""
        return list(self._record.reverted)

    @property
    def revert_errors(self) -> list[ErrorRecord]:
        """What ``revert`` methods raised: what those operations did may not be undone."""
        return list(self._record.revert_errors)

    @property
    def not_reverted(self) -> list[str]:
        """The operations whose ``revert`` was not called any more, since Ctrl-C ended the undoing."""
        return list(self._record.not_reverted)

    @property
    def first_error(self) -> ErrorRecord | None:
        """The failure that comes first in topological order, whatever the order in time."""
        failed = self._outcome.failed()
        if failed:
            return self._outcome.error(failed[0])
        return self._record.late_errors[0] if self._record.late_errors else None

    def get_error_message(self) -> str | None:
        """Return one readable paragraph: what failed, on which attempt, why, and where.

        Returns
        -------
        str or None
            ``None`` if the run was successful. Secrets show as ``***``.
        """
        if self.is_successful():
            return None
        sentences = []
        if self._state is RunState.CANCELLED:
            reason = f": {self.cancelled_by}" if self.cancelled_by else ""
            sentences.append(f"Run {self.run_id!r} of graph {self.graph_name!r} was cancelled{reason}.")
        failed = self._outcome.failed()
        if failed:
            sentences.append(self._outcome.error(failed[0]).describe())
            others = [self._record.names(node) for node in failed[1:6]]
            if others:
                count = len(failed) - 1
                noun = "operations" if count > 1 else "operation"
                sentences.append(f"{count} other {noun} failed too: {listed(others, count)}.")
        sentences += [failure.message for failure in self._record.late_errors]
        left = self._record.left_behind
        if left:
            sentences.append(f"Not stopped, and left to run out by themselves: {listed(left, len(left))}.")
        for state, count in self._outcome.counts():
            if state in _NOT_RUN:
                sentences.append(f"{count} operation{'s' if count > 1 else ''} {_NOT_RUN[state]}.")
        sentences += self._undoing_texts()
        if not sentences:
            sentences.append(f"Run {self.run_id!r} of graph {self.graph_name!r} ended as {self._state.value}.")
        return self._record.redact(" ".join(sentences))

    def _undoing_texts(self) -> list[str]:
        record, texts = self._record, []
        if record.reverted:
            texts.append(f"{_operations(len(record.reverted))} reverted.")
        for failure in record.revert_errors[:_REVERT_ERRORS]:
            texts.append(f"The revert of {failure.operation!r} failed: {failure.message}.")
        if len(record.revert_errors) > _REVERT_ERRORS:
            texts.append(f"{len(record.revert_errors) - _REVERT_ERRORS} other reverts failed too.")
        if record.not_reverted:
            left = listed(record.not_reverted, len(record.not_reverted))
            texts.append(f"Ctrl-C ended the undoing before it came to {left}.")
        return texts

    def raise_if_failed(self) -> None:
        """Raise an error unless the run was successful.

        Raises
        ------
        RunFailed
            When an operation failed; the original exception is its cause.
        RunCancelled
            When the run was cancelled; a `DeadlineExceeded` when its ``deadline_seconds`` were over.
        """
        if self.is_successful():
            return
        first = self.first_error
        kind = RunCancelled if self._state is RunState.CANCELLED else RunFailed
        message, operation = self.get_error_message() or "", first.operation if first is not None else None
        deadline = self._record.deadline_exceeded
        if deadline is not None and kind is RunCancelled:
            error: RunFailed = DeadlineExceeded(message, result=self, operation=operation, deadline_seconds=deadline)
        else:
            error = kind(message, result=self, operation=operation)
        raise error from (first.exception if first is not None else None)

    def summary(self, rows: int = 10) -> str:
        """Return a page of text for a person: state, counts, the slowest operations, the errors.

        Parameters
        ----------
        rows : int
            How many operations and how many errors are shown.

        Returns
        -------
        str
            Several lines.
        """
        return self._record.redact(summary_text(self._facts(rows)))

    def __repr__(self) -> str:
        return self._record.redact(short_text(self._facts(0)))

    def _repr_html_(self) -> str:
        return self._record.redact(html_text(self._facts(10)))

    def _no_value(self, node: int, port: str, state: OperationState) -> NoValueError:
        label = self._record.names(node)
        reason = self._outcome.why_no_value(node)
        return NoValueError(f"{label!r} has no output {port!r}: {reason}", operation=label, port=port, state=state)

    def _facts(self, rows: int) -> ResultFacts:
        outcome = self._outcome
        failed = outcome.failed()
        timings = outcome.timings() if rows else []
        return ResultFacts(
            graph=self.graph_name,
            run_id=self.run_id,
            state=self._state,
            seconds=self._seconds,
            counts=outcome.counts(),
            slowest=sorted(timings, key=lambda timing: timing.seconds, reverse=True)[:rows],
            ran=len(timings),
            errors=[outcome.error(node) for node in failed[: max(rows, 1)]],
            failed=len(failed),
            blamed=outcome.blamed_groups() if rows else (),
            cancelled_by=self.cancelled_by,
            dropped_events=self._dropped_events,
            notes=self._notes(rows) if rows else (),
        )

    def _notes(self, rows: int) -> list[str]:
        notes = [*(failure.describe() for failure in self.fallbacks[:rows]), *self._undoing_texts()]
        if self._record.checks is not None:
            notes += [f"{self.checks.headline()}.", *self._check_texts(("failed", "warned"))[:rows]]
        return notes
