"""What distinguishes two graphs: operations that only one of them has, and what changed about the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import partial
from itertools import zip_longest
from types import FunctionType, MethodType
from typing import Any

from execution_dataflow._core import MISSING, Survey
from execution_dataflow.changes import NOTHING, Change, GraphDifference, OperationChange, Renaming
from execution_dataflow.composition.given_values import Given
from execution_dataflow.drawing.labels import printable
from execution_dataflow.functions import FunctionOperation, OperationFunction
from execution_dataflow.likeness import Likeness, variables_of
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.renames import renames_between
from execution_dataflow.signatures import describe_type
from execution_dataflow.wiring import CompiledGraph

__all__ = ["difference_between"]

_WIDTH = 60
# In the place of a node, where an input has a constant, or a value that each run is given.
_CONSTANT, _GIVEN = -1, -2


def difference_between(before: CompiledGraph, after: CompiledGraph) -> GraphDifference:
    """Return what distinguishes two compiled graphs.

    Parameters
    ----------
    before, after : CompiledGraph
        The plans.

    Returns
    -------
    GraphDifference
        Operations are in the order in which they were added.
    """
    if before is after or before.core is after.core:
        return GraphDifference(before.name, after.name)
    if _LIKENESS.get(None) is not None:  # these are nested in graphs, or in values, that are being compared
        return _difference(before, after)
    token = _LIKENESS.set(Likeness(_same_definitions))
    try:
        return _difference(before, after)
    finally:
        _LIKENESS.reset(token)


def _difference(before: CompiledGraph, after: CompiledGraph) -> GraphDifference:
    old, new = _Side(before), _Side(after)
    renamed = renames_between(old, new, _made_by, lambda own, other: _are_alike(old, own, new, other))
    old.rename(renamed)
    changed = []
    for name, node in old.node_of.items():
        if name in new.node_of:
            changes = tuple(_changes(old, node, new, new.node_of[name]))
            if changes:
                changed.append(OperationChange(name, changes))
    return GraphDifference(
        before.name,
        after.name,
        tuple(name for name in new.node_of if name not in old.node_of),
        tuple(name for name in old.node_of if name not in new.node_of),
        tuple(changed),
        tuple(_of_interface(before, after, old.names)),
        tuple(Renaming(*names) for names in renamed.items()),
    )


def _are_alike(old: _Side, node: int, new: _Side, other: int) -> bool:
    """Whether two nodes have the same operation and the same constants, whatever they are connected to."""
    if any(_of_operations(old.operations[node], new.operations[other], "")):
        return False
    given, given_now = old.inputs(node), new.inputs(other)
    return list(given) == list(given_now) and all(
        _without_sources(given[name]) == _without_sources(given_now[name])
        and _all_same(_constants(given[name]), _constants(given_now[name]))
        for name in given
    )


def _of_interface(before: CompiledGraph, after: CompiledGraph, names: Sequence[str]) -> Iterator[Change]:
    own = {item.name: item for item in before.given}
    others = {item.name: item for item in after.given}
    for name in {**own, **others}:
        if not _same_parameter(own.get(name), others.get(name)):
            yield Change(f"parameter {name}", _parameter(own.get(name)), _parameter(others.get(name)))
    outputs, outputs_now = _outputs(before, names), _outputs(after, after.names)
    for name in {**outputs, **outputs_now}:
        if outputs.get(name) != outputs_now.get(name):
            yield Change(f"output {name}", outputs.get(name, NOTHING), outputs_now.get(name, NOTHING))


def _same_parameter(before: Given | None, after: Given | None) -> bool:
    if before is None or after is None:
        return before is after
    types = describe_type(before.data_type), describe_type(after.data_type)
    return types[0] == types[1] and _same(before.default, after.default)


def _parameter(item: Given | None) -> str:
    if item is None:
        return NOTHING
    default = "" if item.default is MISSING else f" = {_text(item.default)}"
    return f"{describe_type(item.data_type)}{default}"


def _outputs(plan: CompiledGraph, names: Sequence[str]) -> dict[str, str]:
    """Return the outputs of a graph by name, where they are more than what no channel leaves."""
    places = plan.declared_outputs
    return {
        name: f"{names[node]}.{plan.operations[node].ports.outputs[index][0]}" for name, (node, index) in places.items()
    }


class _Source(str):
    """What an input is connected to, as ``operation.port``."""

    __slots__ = ()


class _Side:
    """One of the graphs, by the names of its operations."""

    def __init__(self, plan: CompiledGraph) -> None:
        self.names: Sequence[str] = plan.names
        self.operations: Sequence[Operation] = plan.operations
        self.core = plan.core
        self.survey = Survey(plan.core)
        self.given = plan.given
        self.node_of = {name: node for node, name in enumerate(plan.names)}

    def rename(self, names: Mapping[str, str]) -> None:
        """Call operations what the other graph calls them."""
        if names:
            self.names = [names.get(name, name) for name in self.names]
            self.node_of = {name: node for node, name in enumerate(self.names)}

    def inputs(self, node: int) -> dict[str, list[Any]]:
        """Return for each input what it is given, in that order: constants, and sources as `_Source`."""
        bindings = self.survey.bindings(node)
        names = list(self.operations[node].ports.input_index)
        return {
            name: [value if source == _CONSTANT else self._source(source, output) for source, output, value in given]
            for name, given in zip(names, bindings, strict=True)
        }

    def _source(self, node: int, output: int) -> _Source:
        if node == _GIVEN:
            return _Source(f"parameter {self.given[output].name}")
        return _Source(f"{self.names[node]}.{self.operations[node].ports.outputs[output][0]}")

    def waits_for(self, node: int) -> list[str]:
        """Return the operations that a node waits for without data."""
        feeding = {source for given in self.survey.bindings(node) for source, _, _ in given}
        return [self.names[before] for before in self.core.predecessors(node) if before not in feeding]


def _changes(old: _Side, old_node: int, new: _Side, new_node: int) -> Iterator[Change]:
    before, after = old.operations[old_node], new.operations[new_node]
    if before is not after:
        yield from _of_operations(before, after, "")
    yield from _of_inputs(old.inputs(old_node), new.inputs(new_node))
    waits, waits_now = sorted(old.waits_for(old_node)), sorted(new.waits_for(new_node))
    if waits != waits_now:
        yield Change("waits for", ", ".join(waits) or NOTHING, ", ".join(waits_now) or NOTHING)


def _of_operations(before: Operation, after: Operation, prefix: str) -> Iterator[Change]:
    kinds = _made_by(before), _made_by(after)
    if kinds[0] != kinds[1]:
        yield Change(f"{prefix}{'function' if isinstance(after, FunctionOperation) else 'class'}", *kinds)
    else:
        yield from _of_code(_code(before), _code(after), kinds[0], prefix)
    if before._arguments is not after._arguments and not isinstance(after, MappedOperation):
        yield from _of_arguments(before._arguments, after._arguments, prefix)
    for option in OPTIONS:
        if option == "name":
            continue
        own, others = getattr(before, option), getattr(after, option)
        if own is others or _same(own, others):
            continue
        if is_dataclass(own) and type(own) is type(others):
            parts = [(field.name, getattr(own, field.name), getattr(others, field.name)) for field in fields(own)]
            different = [part for part in parts if not _same(part[1], part[2])]
            yield from (_change(f"{prefix}{option}.{name}", was, now) for name, was, now in different)
        else:
            yield _change(f"{prefix}{option}", own, others)
    yield from _of_ports(before, after, prefix)
    if isinstance(before, MappedOperation) and isinstance(after, MappedOperation):
        for option in ("over", "stack", "on_error"):
            own, others = getattr(before, option), getattr(after, option)
            if not _same(own, others):
                yield _change(f"{prefix}{option}", own, others)
        if before.item is not after.item:
            yield from _of_operations(before.item, after.item, f"{prefix}item ")


def _made_by(operation: Operation) -> str:
    made: Any = operation.definition.function if isinstance(operation, FunctionOperation) else type(operation)
    return "a map" if isinstance(operation, MappedOperation) else _name_of(made)


def _name_of(made: Any) -> str:
    if isinstance(made, partial):
        return f"partial of {_name_of(made.func)}"
    if not hasattr(made, "__qualname__"):
        made = type(made)
    module, name = getattr(made, "__module__", None), made.__qualname__
    return name if module in (None, "builtins", "__main__") else f"{module}.{name}"


def _code(operation: Operation) -> Any:
    if isinstance(operation, FunctionOperation):
        return operation.definition.function
    return type(operation).execute


def _of_code(before: Any, after: Any, name: str, prefix: str) -> Iterator[Change]:
    """Compare two functions without their defaults, which are those of ports."""
    if before is after:
        return
    if not all(isinstance(function, FunctionType | MethodType) for function in (before, after)):
        if not _same(before, after):
            yield _change(f"{prefix}function", before, after)
        return
    if not _LIKENESS.get().same_code(before.__code__, after.__code__):
        yield Change(f"{prefix}code", name, "the same name with other code")
        return
    variables, variables_now = variables_of(before), variables_of(after)
    for variable in {**variables, **variables_now}:
        own, others = variables.get(variable, _ABSENT), variables_now.get(variable, _ABSENT)
        if not _same(own, others):
            yield _change(f"{prefix}variable {variable}", own, others)


def _of_arguments(
    before: tuple[tuple[Any, ...], dict[str, Any]], after: tuple[tuple[Any, ...], dict[str, Any]], prefix: str
) -> Iterator[Change]:
    for place, (own, others) in enumerate(zip_longest(before[0], after[0], fillvalue=_ABSENT)):
        if not _same(own, others):
            yield _change(f"{prefix}argument {place + 1}", own, others)
    for name in {**before[1], **after[1]}:
        if name in OPTIONS:
            continue
        own, others = before[1].get(name, _ABSENT), after[1].get(name, _ABSENT)
        if not _same(own, others):
            yield _change(f"{prefix}argument {name}", own, others)


def _of_ports(before: Operation, after: Operation, prefix: str) -> Iterator[Change]:
    if before.ports is after.ports:
        return
    for direction in ("input", "output"):
        own, others = _ports(before, direction), _ports(after, direction)
        for name in {**own, **others}:
            port, port_now = own.get(name), others.get(name)
            if not _same_port(port, port_now):
                yield _shown_change(f"{prefix}{direction} {name}", _port(port), _port(port_now))


def _ports(operation: Operation, direction: str) -> dict[str, tuple[Any, Any]]:
    """Return the ports by name, each with its type in this operation."""
    ports = operation.ports
    pairs: Sequence[tuple[str, Any]] = ports.inputs if direction == "input" else ports.outputs
    kinds = ports.input_types if direction == "input" else ports.output_types
    return {name: (port, kind) for (name, port), kind in zip(pairs, kinds, strict=True)}


def _same_port(before: tuple[Any, Any] | None, after: tuple[Any, Any] | None) -> bool:
    if before is None or after is None:
        return before is after
    (port, kind), (port_now, kind_now) = before, after
    if describe_type(kind) != describe_type(kind_now):
        return False
    return port is port_now or _same(_options_of(port), _options_of(port_now))


def _options_of(port: Any) -> tuple[Any, ...]:
    """Return the options of a port without its dtype, which its type tells."""
    options: tuple[Any, ...] = port._options or ()
    return (*options[:-3], *options[-2:])


def _port(known: tuple[Any, Any] | None) -> str:
    if known is None:
        return NOTHING
    port, kind = known
    return f"{describe_type(kind)} as {_text(port)}" if port._options is not None else describe_type(kind)


def _of_inputs(before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]) -> Iterator[Change]:
    for name in {**before, **after}:
        given, given_now = before.get(name, []), after.get(name, [])
        constants, constants_now = _constants(given), _constants(given_now)
        same_constants = _all_same(constants, constants_now)
        if not same_constants:
            yield _shown_change(f"constant {name}", _listed(constants), _listed(constants_now))
        sources, sources_now = _sources(given), _sources(given_now)
        if sources != sources_now:
            yield Change(f"channel into {name}", ", ".join(sources) or NOTHING, ", ".join(sources_now) or NOTHING)
        elif same_constants and _without_sources(given) != _without_sources(given_now):
            yield _shown_change(f"order of {name}", _listed(given), _listed(given_now))


def _constants(given: list[Any]) -> list[Any]:
    return [value for value in given if type(value) is not _Source]


def _sources(given: list[Any]) -> list[str]:
    return [value for value in given if type(value) is _Source]


def _without_sources(given: list[Any]) -> list[bool]:
    """Return where among what an input is given there are constants."""
    return [type(value) is not _Source for value in given]


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(value if type(value) is _Source else _text(value) for value in values) or NOTHING


class _Absent:
    def __repr__(self) -> str:
        return NOTHING


_ABSENT = _Absent()


_LIKENESS: ContextVar[Likeness] = ContextVar("execution_dataflow.likeness")


def _same(before: object, after: object) -> bool:
    return before is after or _LIKENESS.get().alike(before, after)


def _all_same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return len(before) == len(after) and all(map(_same, before, after))


def _same_definitions(before: Any, after: Any) -> bool | None:
    """Compare what graphs are made of; ``None`` for other values."""
    if isinstance(before, Operation):
        return not any(_of_operations(before, after, ""))
    if isinstance(before, OperationFunction):
        return _same(before.parts, after.parts)
    compiled = getattr(before, "_compiled_graph", None)  # of a graph that an operation runs
    if compiled is None or isinstance(before, type):
        return None
    return not difference_between(compiled(), after._compiled_graph())


def _text(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # as in _same
        text = f"<{type(value).__name__}, which cannot be shown>"
    return " ".join(printable(text).split())


def _change(aspect: str, before: object, after: object) -> Change:
    return _shown_change(aspect, _text(before), _text(after))


def _shown_change(aspect: str, before: str, after: str) -> Change:
    return Change(aspect, *_shortened(before, after))


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Clip two texts; where both begin alike for long, from shortly before the place where they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    shared = next((place for place, (own, other) in pairs if own != other), min(len(before), len(after)))
    start = max(shared - _WIDTH // 3, 0) if max(len(before), len(after)) > _WIDTH else 0
    parts = [f"…{text[start:]}" if start else text for text in (before, after)]
    first, second = (part if len(part) <= _WIDTH else f"{part[: _WIDTH - 1]}…" for part in parts)
    return first, second
