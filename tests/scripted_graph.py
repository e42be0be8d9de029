"""Operations that do what a `graph_script` says, and the graph that is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graph_script import DEFAULT, STAND_IN, Fixed, GraphScript, InputScript, NodeScript, compute

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    InputPort,
    Operation,
    OperationFunction,
    OutputPort,
    RateLimit,
    RetryPolicy,
    operation,
)


class Planned(Exception):
    """A failure that the script asked for."""


class Hopeless(Planned):
    """One that no policy retries."""


def _act(me: NodeScript, context: ExecutionContext, inputs: list[object]) -> Any:
    """What a function operation does: fail, or return one value or a tuple."""
    _fail_if_planned(me, context.attempt)
    values = tuple(compute(me.index, port, inputs) for port in range(len(me.optional_outputs)))
    return values if len(values) > 1 else values[0]


def _fail_if_planned(me: NodeScript, attempt: int) -> None:
    if me.fails_on(attempt) and me.failure != "contract":
        raise (Hopeless if me.failure == "hopeless" else Planned)(f"node {me.index}, attempt {attempt}")


def _zero(me: NodeScript, context: ExecutionContext, extra: int = DEFAULT) -> Any:
    return _act(me, context, [extra])


def _one(i0: int, me: NodeScript, context: ExecutionContext, extra: int = DEFAULT) -> Any:
    return _act(me, context, [i0, extra])


def _two(me: NodeScript, context: ExecutionContext, i0: int, i1: int, /, *, extra: int = DEFAULT) -> Any:
    return _act(me, context, [i0, i1, extra])


def _three(i0: int, i1: int, *, i2: int, me: NodeScript, extra: int = DEFAULT, context: ExecutionContext) -> Any:
    return _act(me, context, [i0, i1, i2, extra])


async def _zero_async(me: NodeScript, context: ExecutionContext, extra: int = DEFAULT) -> Any:
    await asyncio.sleep(0)
    return _act(me, context, [extra])


async def _one_async(i0: int, me: NodeScript, context: ExecutionContext, extra: int = DEFAULT) -> Any:
    await asyncio.sleep(0)
    return _act(me, context, [i0, extra])


async def _two_async(me: NodeScript, context: ExecutionContext, i0: int, i1: int, *, extra: int = DEFAULT) -> Any:
    return _act(me, context, [i0, i1, extra])


async def _three_async(
    i0: int, i1: int, i2: int, me: NodeScript, context: ExecutionContext, extra: int = DEFAULT
) -> Any:
    await asyncio.sleep(0.0002)
    return _act(me, context, [i0, i1, i2, extra])


_FUNCTIONS = {False: (_zero, _one, _two, _three), True: (_zero_async, _one_async, _two_async, _three_async)}
_ONE_OUTPUT = {key: [operation(function) for function in functions] for key, functions in _FUNCTIONS.items()}
_TWO_OUTPUTS = {
    key: [operation(outputs=("o0", "o1"))(function) for function in functions] for key, functions in _FUNCTIONS.items()
}


def _port(entry: InputScript) -> InputPort[Any]:
    if entry.is_many:
        return InputPort(int, many=True, optional=entry.kind == "many_optional")
    if entry.kind == "default":
        return InputPort(int, default=DEFAULT)
    return InputPort(int, optional=entry.kind == "optional")


class Scripted(Operation):
    """A class operation whose ports and deeds come from its script."""

    def __init__(self, me: NodeScript, **options: Any) -> None:
        super().__init__(**options)
        self.me = me
        for number, entry in enumerate(me.inputs):
            self.add_input_port(f"i{number}", _port(entry))
        for number, optional in enumerate(me.optional_outputs):
            self.add_output_port(f"o{number}", OutputPort(int, optional=optional))

    def begin(self) -> list[object]:
        return [self.get_input(f"i{number}") for number in range(len(self.me.inputs))]

    def end(self, inputs: list[object], attempt: int) -> None:
        me = self.me
        breaks_contract = me.failure == "contract" and me.fails_on(attempt)
        for port, optional in enumerate(me.optional_outputs):
            if port not in me.unset and not (breaks_contract and not optional):
                self.set_output(f"o{port}", compute(me.index, port, inputs))
        # Whatever was set before is not committed.
        _fail_if_planned(me, attempt)


class ScriptedInline(Scripted):
    def execute(self, context: ExecutionContext) -> None:
        self.end(self.begin(), context.attempt)


class ScriptedAsync(Scripted):
    async def execute(self, context: ExecutionContext) -> None:
        inputs = self.begin()
        await asyncio.sleep(0)
        self.end(inputs, context.attempt)


@dataclass
class Built:
    """A graph, with its operations by the index of their script."""

    graph: GraphDefinition
    operations: list[Operation]

    def positions(self) -> list[int]:
        """Where each node stands in the plan's topological order."""
        place = {id(operation): position for position, operation in enumerate(self.graph.compile().order)}
        return [place[id(operation)] for operation in self.operations]


LIMITS: dict[str, Any] = {"resources": {"a": 1, "b": 3}, "tag_limits": {"t": (2, RateLimit(1_000_000))}}
"""What an engine needs to run a graph that was built with limits."""

# What operations ask for, one after the other.
_DEMANDS: tuple[dict[str, Any], ...] = (
    {},
    {"resources": {"a": 1}},
    {"resources": {"b": 1}, "tags": ["t"]},
    {"resources": {"b": 3}},
    {"max_concurrency": 1},
)


def build(script: GraphScript, *, limited: bool = False, executors: Sequence[str | None] = (None,)) -> Built:
    """Make the graph of a script, in which operations ask for what there is little of if `limited`.

    They run on `executors` in turn; coroutines and what stands in for a failure stay where they are at home.
    """
    operations: list[Operation] = [_operation(node, limited) for node in script.nodes]
    for node, made in zip(script.nodes, operations, strict=True):
        if not node.is_async:
            made.executor = executors[node.index % len(executors)]  # type: ignore[assignment]
    graph = GraphDefinition("random")
    if script.adding_order is None:
        for node, made in zip(script.nodes, operations, strict=True):
            graph.add(made, **_bindings(node, operations, with_upstream=True))
    else:
        for index in script.adding_order:
            graph.add(operations[index], **_bindings(script.nodes[index], operations, with_upstream=False))
        for node in script.nodes:
            _connect(graph, node, operations)
    for node in script.nodes:
        for before in node.after:
            graph.add_dependency(operations[before], operations[node.index])
    return Built(graph, operations)


def output_name(node: NodeScript, port: int) -> str:
    return "result" if not node.is_class and len(node.optional_outputs) == 1 else f"o{port}"


def input_name(node: NodeScript, number: int) -> str:
    return "extra" if not node.is_class and number == len(node.inputs) - 1 else f"i{number}"


def _operation(node: NodeScript, limited: bool) -> Operation:
    options: dict[str, Any] = {"name": f"n{node.index}"}
    if limited:
        options |= _DEMANDS[node.index % len(_DEMANDS)]
    if node.max_attempts > 1:
        options["retry_policy"] = RetryPolicy(node.max_attempts, node.delay_seconds, give_up_on=Hopeless)
    if node.is_class:
        return (ScriptedAsync if node.is_async else ScriptedInline)(node, **options, **_rare_options(node))
    table = _ONE_OUTPUT if len(node.optional_outputs) == 1 else _TWO_OUTPUTS
    function: OperationFunction[..., Any] = table[node.is_async][len(node.inputs) - 1]
    return function.new(**options, **_rare_options(node))


def _rare_options(node: NodeScript) -> dict[str, Any]:
    options: dict[str, Any] = {"always_run": True} if node.always_run else {}
    if node.fallback == "value":
        values = node.fallback_values
        by_name = {output_name(node, port): value for port, value in values.items()}
        options["on_failure"] = by_name if len(node.optional_outputs) > 1 else values[0]
    elif node.fallback == "operation":
        stand_in = replace(node, index=node.index + STAND_IN, failing_attempts=0)
        options["on_failure"] = (ScriptedAsync if node.index % 2 else ScriptedInline)(stand_in, name="stand-in")
    return options


def _bindings(node: NodeScript, operations: list[Operation], *, with_upstream: bool) -> dict[str, Any]:
    bindings: dict[str, Any] = {} if node.is_class else {"me": node}
    for number, entry in enumerate(node.inputs):
        values: list[Any] = []
        for source in entry.sources:
            if isinstance(source, Fixed):
                values.append(source.value)
            elif with_upstream:
                before = operations[source.node]
                values.append(before.output(output_name_of(before, source.port)))
        if values:
            bindings[input_name(node, number)] = values if entry.is_many else values[0]
    return bindings


def output_name_of(operation: Operation, port: int) -> str:
    return list(operation.ports.output_index)[port]


def _connect(graph: GraphDefinition, node: NodeScript, operations: list[Operation]) -> None:
    for number, entry in enumerate(node.inputs):
        for source in entry.sources:
            if not isinstance(source, Fixed):
                before = operations[source.node]
                graph.connect(
                    source_operation=before,
                    source_port_name=output_name_of(before, source.port),
                    target_operation=operations[node.index],
                    target_port_name=input_name(node, number),
                )
