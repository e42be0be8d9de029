"""A finished run, read by the index of a node: states, timings, failures, and the facts that texts are made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from execution_dataflow import _core
from execution_dataflow.checks.checking import PortChecks
from execution_dataflow.checks.log import CheckLog, DeclaredCheck
from execution_dataflow.checks.report import CheckReport, CheckSummary
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.errors import DataflowError, ValueReleasedError
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.node_specs import checks_of
from execution_dataflow.result_text import BlamedOperations
from execution_dataflow.run_record import RunRecord
from execution_dataflow.states import OperationState
from execution_dataflow.timing import OperationTiming

if TYPE_CHECKING:
    from execution_dataflow.operations import Operation
    from execution_dataflow.plan import Plan

__all__ = ["RunOutcome"]

_NANOSECOND = 1e-9
_BLAMED_GROUPS = 5
_INDICES = re.compile(r"(?:\[\d+\])+$")


class RunOutcome:
    """What became of every node of a plan in one run.

    Parameters
    ----------
    plan : Plan
        What ran.
    run : _core.Run
        The finished native run.
    record : RunRecord
        What the Python side kept of it.
    """

    __slots__ = ("_failed", "plan", "record", "run")

    def __init__(self, plan: Plan, run: _core.Run, record: RunRecord) -> None:
        self.plan = plan
        self.run = run
        self.record = record
        self._failed: tuple[int, ...] | None = None

    def node_of(self, operation: Operation | str) -> int:
        """Return the number of an operation, also of one that a name leads to inside of an expansion."""
        inside = self.inner_node(operation)
        return self.plan.index_of(operation) if inside is None else inside

    def inner_node(self, operation: object) -> int | None:
        """Return the number of an operation inside of an expansion, if a name leads there."""
        scopes = self.record.scopes
        if scopes is None or not isinstance(operation, str):
            return None
        found = scopes.find(operation)
        return None if found is None or found < len(self.plan) or not self._began(found) else found

    def iterations(self, loop: Operation | str) -> int:
        """Return how many iterations a loop has had."""
        found = self._expanded(loop)
        scopes = self.record.scopes
        return 0 if found is None or scopes is None else scopes.iterations(*found) or 0

    def states_inside(self, operation: Operation | str) -> dict[str, OperationState]:
        """Return the states of what an operation was expanded into, by name."""
        found = self._expanded(operation)
        scopes = self.record.scopes
        if found is None or scopes is None:
            return {}
        name = self.record.name_of(*found)
        states: dict[str, OperationState] = {}
        state, members = self.run.state, {int(state): state for state in OperationState}
        for path, number in scopes.inside(*found):
            try:
                states[name + path] = members[state(number)]
            except IndexError:
                continue  # what was to be expanded was refused
        return states

    def _expanded(self, operation: Operation | str) -> tuple[int, tuple[int, ...]] | None:
        scopes = self.record.scopes
        name = operation if isinstance(operation, str) else self.plan.label(self.plan.index_of(operation))
        found = None if scopes is None else scopes.find_expanded(name)
        if found is None:
            # An item of a map that has not expanded is known by that.
            self.node_of(_INDICES.sub("", name))
        return found

    def _began(self, number: int) -> bool:
        """Whether there is such an operation: what was to be expanded may have been refused."""
        try:
            self.run.state(number)
        except IndexError:
            return False
        return True

    def released_inside(self, node: int) -> ValueReleasedError:
        """Return the error for who asks for a value of an operation inside of an expansion."""
        label = self.record.names(node)
        return ValueReleasedError(
            f"the values of {label!r} were let go with what it is a part of. Make them outputs of that",
            operation=label,
        )

    def state(self, node: int) -> OperationState:
        """Return the final state of a node."""
        return OperationState(self.run.state(node))

    def nodes_in(self, *states: OperationState) -> Iterator[int]:
        """Return the nodes in one of these states, by index."""
        wanted = {int(state) for state in states}
        return (node for node, code in enumerate(self.run.states()) if code in wanted)

    def counts(self) -> list[tuple[OperationState, int]]:
        """Return how many nodes are in each state that occurs."""
        states = self.run.states()
        return [(state, count) for state in OperationState if (count := states.count(state))]

    def failed(self) -> tuple[int, ...]:
        """Return the nodes that failed, in topological order."""
        if self._failed is None:
            nodes = list(self.nodes_in(OperationState.FAILED))
            if len(nodes) > 1:
                among = set(nodes)
                nodes = [node for node in self.plan.core.order() if node in among]
            self._failed = tuple(nodes)
        return self._failed

    def error(self, node: int) -> ErrorRecord:
        """Return the failure of a node that failed."""
        kept = self.record.errors.get(node)
        if kept is not None:
            return kept
        plan, index = (self.plan, node) if self.record.scopes is None else self.record.scopes.place(node)
        policy = plan.operations[index].retry_policy
        most = policy.max_attempts if policy is not None else 1
        error = self.record.unrecorded.get(node) or DataflowError("no exception was recorded for this failure")
        return self.record.error_record(node, self.run.attempts(node), most, error)

    def blame(self, node: int) -> str | None:
        """Return the name of the operation whose failure kept a node from running."""
        if self.run.state(node) != OperationState.UPSTREAM_FAILED:
            return None
        blamed = self.run.blame(node)
        return self.record.names(blamed) if blamed >= 0 else None

    def why_no_value(self, node: int) -> str:
        """Return the reason why a node that did not succeed has no outputs."""
        state = self.state(node)
        if state is OperationState.FAILED:
            return f"it failed: {self.error(node).message}"
        if state is OperationState.UPSTREAM_FAILED:
            return f"it did not run, since {self.blame(node)!r}, which it depends on, failed"
        if state is OperationState.SKIPPED:
            return "it was skipped, since something that it requires was not produced"
        if state is OperationState.CANCELLED:
            return "it was cancelled before it was done"
        return f"it is {state.name}"

    def blamed_groups(self) -> list[BlamedOperations]:
        """Return what did not run, by the operation to blame; the first few of them."""
        groups: dict[int, list[int]] = {}
        for node in self.nodes_in(OperationState.UPSTREAM_FAILED):
            groups.setdefault(self.run.blame(node), []).append(node)
        names = self.record.names
        return [
            BlamedOperations(names(blamed), len(nodes), [names(node) for node in nodes[:_BLAMED_GROUPS]])
            for blamed, nodes in list(groups.items())[:_BLAMED_GROUPS]
            if blamed >= 0
        ]

    def timing(self, node: int) -> OperationTiming | None:
        """Return the timing of a node, or ``None`` if it never ran."""
        queued, started, ended, worker = self.run.timing(node)
        if worker < 0:
            return None
        return OperationTiming(
            self.record.names(node),
            queued * _NANOSECOND,
            started * _NANOSECOND,
            ended * _NANOSECOND,
            self.run.attempts(node),
            worker,
        )

    def timings(self) -> list[OperationTiming]:
        """Return the timings of what ran, in the order of their start."""
        timings = [timing for node in range(len(self.plan)) if (timing := self.timing(node)) is not None]
        timings.sort(key=lambda timing: timing.started)
        return timings

    def checks(self) -> CheckReport:
        """Return what the checks of ports found, and those that nobody came to ask."""
        log = self.record.checks or CheckLog()
        names, plan = self.record.names, self.plan
        summaries = log.summaries(self._declared_checks(), names, plan.core.order())
        return CheckReport(summaries, lambda operation: names(plan.index_of(operation)))

    def _declared_checks(self) -> Iterator[DeclaredCheck]:
        # Alike operations share their ports, and so their checks.
        known: dict[object, PortChecks | None] = {}
        for node, operation in enumerate(self.plan.operations):
            while isinstance(operation, MappedOperation):
                operation = operation.item
            key = operation.ports
            if key not in known:
                known[key] = checks_of(operation)
            checks = known[key]
            if checks is not None:
                name = self.record.names(node)
                for place, check in checks.declared():
                    _, direction, port, _ = place
                    summary = CheckSummary(name, port, direction, check.name, check.severity, check.description)
                    yield DeclaredCheck(node, place, summary)
