"""Type variables along a graph: what they stand for at each operation, by what its inputs are connected to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from execution_dataflow._core import MISSING, Survey
from execution_dataflow.errors import GraphError, PortTypeError
from execution_dataflow.generic_ports import declared_inputs, declared_outputs, is_generic
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan
from execution_dataflow.port_types.misfits import misfit
from execution_dataflow.port_types.type_variables import Binding, Inference, substituted, type_variables
from execution_dataflow.signatures import PortSignature, describe_type
from execution_dataflow.type_rules import describe

__all__ = ["type_faults"]

_OPTIONAL, _MANY = 1, 2
_CONSTANT, _OF_RUN = -1, -2
_MOST_SHOWN = 3


class _Source(NamedTuple):
    """What feeds an input: which input, and which of its sources; its default has no number."""

    input: int
    number: int | None


class _Solved(NamedTuple):
    """What the variables of a node stand for, and the types of its outputs."""

    bindings: dict[Any, Binding]
    outputs: tuple[Any, ...]


def type_faults(plan: Plan) -> list[GraphError]:
    """Return the channels that cannot be, given what type variables stand for where they begin or end.

    Parameters
    ----------
    plan : Plan
        What is to run, with operations whose ports have type variables.

    Returns
    -------
    list of GraphError
        A fault for each of them.
    """
    return _Flow(plan).faults()


class _Flow:
    """The types of values in one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._survey = Survey(plan.core)
        self._generic = _generic_specs(plan)
        self._solved: dict[int, _Solved] = {}
        # Nodes that are alike and get the same types have one solution.
        self._known: dict[Any, _Solved] = {}
        self._closed: dict[int, Any] = {}

    def faults(self) -> list[GraphError]:
        """Solve node after node, and compare what comes of it."""
        faults: list[GraphError] = []
        plan = self._plan
        for node in plan.core.order():
            if plan.spec_of[node] not in self._generic:
                continue
            solved = self._solved[node] = self._solve(node)
            faults += [
                self._conflict(node, variable, binding)
                for variable, binding in solved.bindings.items()
                if binding.hint is None
            ]
        if self._solved:
            faults += self._misfits()
        return faults

    def _misfits(self) -> list[GraphError]:
        faults: list[GraphError] = []
        consumers = {follower for node in self._solved for follower in self._plan.core.successors(node)}
        asked: dict[Any, str | None] = {}
        for node in sorted(consumers):
            for into, feeds in enumerate(self._plan.core.feeders(node)):
                for source, output in feeds:
                    solved = self._solved.get(source)
                    if solved is None:
                        continue
                    declared = self._plan.operations[source].ports.outputs[output][1].data_type
                    gives, takes = solved.outputs[output], self._plan.operations[node].ports.inputs[into][1].data_type
                    if gives is declared:
                        continue
                    question = id(gives), id(takes)  # both are held meanwhile, by the solution and by the port
                    if question not in asked:
                        asked[question] = misfit(gives, takes)
                    if asked[question] is not None:
                        faults.append(self._misfit(source, output, node, into, str(asked[question])))
        return faults

    def _solve(self, node: int) -> _Solved:
        operation = self._plan.operations[node]
        given = self._survey.bindings(node)
        types = [tuple(self._type_of(*source) for source in sources) for sources in given]
        # By identity: hints may have no hash. All of them are held meanwhile, by ports, by solutions, or by this.
        feeds = tuple(tuple(map(id, each)) for each in types)
        key = id(operation.ports), operation._settings.on_failure is None, feeds
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _solution(operation, types)
        return known

    def _type_of(self, node: int, output: int, constant: Any) -> Any:
        """Return the type of what feeds an input, without variables."""
        if node == _CONSTANT:
            return type(constant)
        if node == _OF_RUN:
            return self._without_variables(self._plan.given[output].data_type)
        solved = self._solved.get(node)
        if solved is not None:
            return solved.outputs[output]
        # An operation that is not followed here may have variables all the same.
        return self._without_variables(self._plan.operations[node].ports.outputs[output][1].data_type)

    def _without_variables(self, declared: Any) -> Any:
        if not type_variables(declared):
            return declared
        return self._closed.setdefault(id(declared), substituted(declared, {}))

    def _conflict(self, node: int, variable: Any, binding: Binding) -> GraphError:
        first, *_, last = binding.evidence
        name = self._plan.label(node)
        constraints = ", ".join(map(describe, variable.__constraints__))
        both = [f"{describe(each.hint)}, from {self._named(node, each.source)}" for each in (first, last)]
        reason = (
            f"{variable.__name__} is one of {constraints} on all its ports, and would have to be {', and '.join(both)}"
        )
        target = f"{name}.{self._plan.operations[node].ports.inputs[last.source.input][0]}"
        return PortTypeError(
            f"what {name} is given does not go together: {reason}",
            source=self._named(node, last.source).strip("'"),
            target=target,
            source_type=describe(last.hint),
            target_type=variable.__name__,
            reason=reason,
        )

    def _misfit(self, source: int, output: int, node: int, into: int, why: str) -> GraphError:
        plan, solved = self._plan, self._solved[source]
        output_name, port = plan.operations[source].ports.outputs[output]
        input_name = plan.operations[node].ports.inputs[into][0]
        source_end, target_end = f"{plan.label(source)}.{output_name}", f"{plan.label(node)}.{input_name}"
        gives = describe(solved.outputs[output])
        takes = describe_type(plan.operations[node].ports.input_types[into])
        bound = "; ".join(
            self._told(source, variable, solved.bindings[variable])
            for variable in type_variables(port.data_type)
            if variable in solved.bindings
        )
        more = why.partition(": ")[2]
        return PortTypeError(
            f"{source_end} gives {gives}, which can never fit {target_end}, which takes {takes}"
            f"{f': {more}' if more else ''} ({bound})",
            source=source_end,
            target=target_end,
            source_type=gives,
            target_type=takes,
            reason=f"{why} ({bound})",
        )

    def _told(self, node: int, variable: Any, binding: Binding) -> str:
        sources = list(dict.fromkeys(self._named(node, each.source) for each in binding.evidence))
        shown = sources[:_MOST_SHOWN]
        if len(sources) > _MOST_SHOWN:
            shown.append(f"{len(sources) - _MOST_SHOWN} more")
        listed = " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
        return f"{variable.__name__} is {describe(binding.hint)} here, from {listed}"

    def _named(self, node: int, source: _Source) -> str:
        name = self._plan.operations[node].ports.inputs[source.input][0]
        if source.number is None:
            return f"the default of {name!r}"
        feeder, output, _ = self._survey.bindings(node)[source.input][source.number]
        if feeder == _CONSTANT:
            return f"the constant for {name!r}"
        if feeder == _OF_RUN:
            given = self._plan.given[output]
            return f"the {'parameter' if given.is_parameter else 'override of'} {given.name!r}"
        return f"'{self._plan.label(feeder)}.{self._plan.operations[feeder].ports.outputs[output][0]}'"


def _generic_specs(plan: Plan) -> set[int]:
    """Return which kinds of node have type variables."""
    seen: set[int] = set()
    generic: set[int] = set()
    for node, spec in enumerate(plan.spec_of):
        if spec not in seen:
            seen.add(spec)
            if is_generic(plan.operations[node]):
                generic.add(spec)
    return generic


def _solution(operation: Operation, types: Sequence[tuple[Any, ...]]) -> _Solved:
    inference, ports = Inference(), operation.ports
    for index, (declared, given) in enumerate(zip(declared_inputs(operation), types, strict=True)):
        if not type_variables(declared):
            continue
        is_certain = not ports.input_flags[index] & (_OPTIONAL | _MANY)
        for number, hint in enumerate(given):
            inference.learn(declared, hint, _Source(index, number), is_certain)
        _learn_default(inference, ports, index, declared)
    bindings = inference.solution()
    known = {variable: binding.hint for variable, binding in bindings.items() if binding.hint is not None}
    return _Solved(bindings, tuple(substituted(hint, known) for hint in declared_outputs(operation)))


def _learn_default(inference: Inference, ports: PortSignature, index: int, declared: object) -> None:
    """Learn of what stands in where nothing is connected, or where the source was skipped."""
    default = ports.input_defaults[index]
    if default is not MISSING and not ports.input_flags[index] & _MANY:
        inference.learn(declared, type(default), _Source(index, None))
