"""What a native run asks Python for when an operation is expanded: which plan runs in its place, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from reprlib import Repr
from typing import Any

from execution_dataflow import _core
from execution_dataflow.checkpoint_hooks import RestoredNode
from execution_dataflow.composition.given_values import given_values
from execution_dataflow.dimensions import Dimensions
from execution_dataflow.engine_limits import EngineLimits
from execution_dataflow.errors import ContractError
from execution_dataflow.expansion.graph_items import BoundGraph, GraphItem
from execution_dataflow.expansion.graph_outputs import outputs_for
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.expansion.scopes import MOST_LEVELS, Scopes
from execution_dataflow.expansion_errors import ExpansionError, IterationLimitError
from execution_dataflow.plan import Plan
from execution_dataflow.run_record import RunRecord
from execution_dataflow.unchecked import level_of, plan_at

__all__ = ["ExpansionHooks"]

# A native plan, its first number, what its roots are given, the outputs that are wanted, whether a failure is
# contained, the values of its parameters, and what an earlier run has done of it.
_Next = tuple[
    _core.Plan, int, Sequence[tuple[int, Any]], Sequence[tuple[int, int]], bool, Sequence[Any], Sequence[RestoredNode]
]

_short = Repr()
_short.maxstring = _short.maxother = 80


class ExpansionHooks:
    """The part of a run's hooks that is about dynamic operations and loops."""

    __slots__ = ()

    plan: Plan
    record: RunRecord
    run: _core.Run | None

    def begin_inside(self, node: int, items: tuple[int, ...], attempt: int, plan: Plan, given: Sequence[Any]) -> None:
        """Note that a plan is to run in the place of an attempt."""
        raise NotImplementedError

    def restored_inside(
        self, plan: Plan, base: int, outside: Sequence[int], outputs: Sequence[tuple[int, int]]
    ) -> Sequence[RestoredNode]:
        """Return what an earlier run has done of a plan."""
        raise NotImplementedError

    def expand(self, node: int, items: Sequence[int], attempt: int, operation: Any, value: Any) -> _Next:
        """Return what runs in the place of an attempt.

        Parameters
        ----------
        node : int
            The number of the operation.
        items : sequence of int
            Which item of a map it is.
        attempt : int
            The number of the attempt.
        operation : Operation
            What is attempted.
        value : object
            What a dynamic operation has returned; of a loop, the values of its inputs.

        Returns
        -------
        tuple
            The native plan, the number of its first operation, what its roots are given, the outputs, whether a failure
            in it may come to nothing, the values of its parameters, and what an earlier run has done of it.

        Raises
        ------
        ContractError
            A dynamic operation has returned something else than a graph, or a graph without the outputs that it
            declares; or it lies too deep.
        ParameterError
            The graph has a parameter without a default.
        """
        scopes, at = self.record.scopes, tuple(items)
        assert scopes is not None
        name = self.record.name_of(node, at)
        if scopes.level(node) >= MOST_LEVELS:
            raise ContractError(
                f"{operation!r} is expanded within {MOST_LEVELS} others, each in the place of the one before, and "
                "there would be no end: a dynamic operation must at some time return a graph without another one; "
                "what is to be done again and again is a loop, for graph.repeat_until",
                operation=name[:200],
            )
        if attempt > 1:
            self._forget(scopes, node, at)
        contained = self._is_contained(scopes, node, at, attempt, operation)
        if isinstance(operation, RepeatedOperation):
            plan = plan_at(operation.plan, level_of(self.plan))
            self.begin_inside(node, at, attempt, plan, ())
            base = self._begin_plan(scopes, plan, node, at, 0, contained)
            given = tuple(zip(operation.given, value, strict=True))
            done = self.restored_inside(plan, base, operation.given, operation.results)
            return plan.core, base, given, operation.results, contained, (), done
        parameters = None
        if isinstance(value, BoundGraph):
            value, parameters = value.graph, value.parameters
        plan, outputs = outputs_for(name, operation, value)
        plan = plan_at(plan, level_of(self.plan))
        values = (
            given_values(plan.name, plan.given, parameters, None, {}, level_of(plan) != "off") if plan.given else ()
        )
        # The parameters of a mapped graph are its inputs.
        self.begin_inside(node, at, attempt, plan, () if isinstance(operation, GraphItem) else values)
        base = self._begin_plan(scopes, plan, node, at, None, contained)
        done = self.restored_inside(plan, base, (), outputs)
        return plan.core, base, (), outputs, contained, values, done

    def _begin_plan(
        self, scopes: Scopes, plan: Plan, node: int, items: tuple[int, ...], iteration: int | None, contained: bool
    ) -> int:
        if plan.limited:
            limits, run = self.record.limits, self.run
            assert isinstance(limits, EngineLimits)
            given = limits.of_plan(plan, self.record.held)
            if given is not None and run is not None:
                run.limit(given[1])
        return scopes.add(plan, node, items, iteration, contained)

    def _is_contained(self, scopes: Scopes, node: int, items: tuple[int, ...], attempt: int, operation: Any) -> bool:
        policy = operation.retry_policy
        is_last = policy is None or attempt >= policy.max_attempts
        return not is_last or bool(items) or operation.on_failure is not None or scopes.is_contained(node)

    def _forget(self, scopes: Scopes, node: int, items: tuple[int, ...]) -> None:
        """Let the exceptions go that the attempt before has left: their frames keep arrays alive."""
        for failures in (self.record.errors, self.record.superseded, self.record.fallbacks):
            for number in scopes.earlier(node, items, list(failures)):
                failures.pop(number, None)

    def iteration_ended(
        self, node: int, items: Sequence[int], attempt: int, base: int, values: Sequence[Any]
    ) -> _Next | tuple[Any, ...]:
        """Return the outputs of a loop, or what its next iteration is.

        Parameters
        ----------
        node : int
            The number of the loop.
        items : sequence of int
            Which item of a map it is.
        attempt : int
            The number of its attempt.
        base : int
            The number of the first operation of the iteration that has ended.
        values : sequence of object
            Its outputs, and whether it was the last.

        Returns
        -------
        tuple
            The outputs, or what `expand` returns.

        Raises
        ------
        IterationLimitError
            There was no last one among those that may be.
        """
        scopes, at = self.record.scopes, tuple(items)
        assert scopes is not None
        loop = self._operation_at(node, len(at))
        ports = len(loop.ports.outputs)
        outputs, same, is_last = values[:ports], iter(values[ports:-1]), values[-1]
        if is_last is not _core.MISSING and is_last:
            return tuple(outputs)
        done = scopes.iteration_at(base) + 1
        if done >= loop.max_iterations:
            if loop.on_limit == "keep":
                return tuple(outputs)
            raise self._limit_error(loop, self.record.name_of(node, at), outputs)
        contained = self._is_contained(scopes, node, at, attempt, loop)
        given = [
            (place, outputs[fed] if fed >= 0 else next(same)) for place, fed in zip(loop.given, loop.fed, strict=True)
        ]
        plan = plan_at(loop.plan, level_of(self.plan))
        base = scopes.add(plan, node, at, done, contained)
        restored = self.restored_inside(plan, base, loop.given, loop.results)
        return plan.core, base, given, loop.results, contained, (), restored

    def compare_dimensions(
        self, dimensions: Dimensions, node: int, items: Sequence[int], attempt: int, outputs: tuple[Any, ...]
    ) -> None:
        """Compare the outputs of what was expanded along named dimensions.

        Parameters
        ----------
        dimensions : Dimensions
            What compares those of the operation.
        node : int
            The number of the operation.
        items : sequence of int
            Which item of a map it is.
        attempt : int
            The number of its attempt.
        outputs : tuple
            Its outputs, or ``_core.MISSING``.

        Raises
        ------
        DimensionError
            They do not agree, with each other, with its inputs, or with what lies before it.
        """
        dimensions(self.record, node, attempt, tuple(items), (), outputs)

    def _operation_at(self, node: int, maps: int) -> Any:
        plan, index = self.plan, node
        if self.record.scopes is not None:
            plan, index = self.record.scopes.place(node)
        operation: Any = plan.operations[index]
        for _ in range(maps):
            operation = operation.item
        return operation

    def _limit_error(self, loop: RepeatedOperation, name: str, outputs: Sequence[Any]) -> IterationLimitError:
        came = dict(zip(loop.ports.output_index, outputs, strict=True))
        shown = ", ".join(f"{port}={_short.repr(value)}" for port, value in came.items())
        hint = ""
        if loop.fed and max(loop.fed) < 0:
            hint = (
                " None of its outputs has the name of an input, so every iteration got the same; name them with "
                "@operation(outputs=...)."
            )
        times = "iteration" if loop.max_iterations == 1 else "iterations"
        return IterationLimitError(
            f"{name} had {loop.max_iterations} {times} and until= was not true for what the last one came to: "
            f"{shown}.{hint} Raise max_iterations, or keep that with on_limit='keep'",
            operation=name,
            max_iterations=loop.max_iterations,
            outputs=came,
        )

    def expansion_error(self, node: int, items: Sequence[int], failed: Sequence[int]) -> ExpansionError:
        """Return the error of an operation in whose place others have failed."""
        names = [self.record.names(number) for number in failed]
        first = self.record.errors.get(failed[0])
        if first is None:
            lost = self.record.unrecorded.get(failed[0])
            return ExpansionError(f"{names[0]} failed", operation=names[0], exception=lost, failed=names)
        error = first.exception
        if isinstance(error, ExpansionError):
            # What failed far inside says it once.
            made = ExpansionError(str(error), operation=error.operation, exception=error.exception, failed=error.failed)
        else:
            on_attempt = f" on attempt {first.attempt} of {first.max_attempts}" if first.max_attempts > 1 else ""
            message = f"{names[0]} failed{on_attempt}: {first.message}"
            if len(names) > 1:
                others = ", ".join(names[1:6]) + (", ..." if len(names) > 6 else "")
                message += f"; {len(names) - 1} other{'s' if len(names) > 2 else ''} inside failed too: {others}"
            made = ExpansionError(message, operation=names[0], exception=error, failed=names)
        made.__cause__ = made.exception
        return made
