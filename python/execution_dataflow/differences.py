"""What distinguishes two graphs: operations that only one of them has, and what changed about the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from itertools import zip_longest
from types import CodeType
from typing import Any, NamedTuple

from execution_dataflow._core import MISSING, Survey
from execution_dataflow.composition.given_values import Given
from execution_dataflow.drawing.labels import printable
from execution_dataflow.functions import FunctionOperation
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.operations import OPTIONS, Operation
from execution_dataflow.renames import renames_between
from execution_dataflow.signatures import describe_type
from execution_dataflow.wiring import CompiledGraph

__all__ = ["Change", "GraphDifference", "OperationChange", "Renaming", "difference_between"]

_SHOWN = 50
_WIDTH = 60
_NOTHING = "nothing"
# In the place of a node, where an input has a constant, or a value that each run is given.
_CONSTANT, _GIVEN = -1, -2


class Change(NamedTuple):
    """One thing about an operation that changed.

    Parameters
    ----------
    aspect : str
        What it is, such as ``"constant path"`` or ``"retry_policy"``.
    before, after : str
        What it was and what it is now.
    """

    aspect: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.aspect}: {self.before} -> {self.after}"


class Renaming(NamedTuple):
    """An operation that has another name.

    Parameters
    ----------
    before, after : str
        What it was called and what it is called now.
    """

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class OperationChange:
    """An operation that both graphs have, and what changed about it.

    Parameters
    ----------
    operation : str
        Its name.
    changes : tuple of Change
        At least one.
    """

    operation: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class GraphDifference:
    """What distinguishes two graphs; false if nothing does.

    Parameters
    ----------
    before, after : str
        The names of the graphs.
    added, removed : tuple of str
        The operations that only the second graph has, and those that only the first has.
    changed : tuple of OperationChange
        The operations of both that are not alike.
    interface : tuple of Change
        Parameters and outputs of the graphs that are not alike.
    renamed : tuple of Renaming
        The operations that only their names distinguish: they are neither among the added nor the removed ones.
    """

    before: str
    after: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[OperationChange, ...] = ()
    interface: tuple[Change, ...] = ()
    renamed: tuple[Renaming, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.interface or self.renamed)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in the types of JSON."""
        facts = asdict(self)
        facts["added"], facts["removed"] = list(self.added), list(self.removed)
        facts["changed"] = [
            {"operation": change.operation, "changes": [part._asdict() for part in change.changes]}
            for change in self.changed
        ]
        facts["interface"] = [part._asdict() for part in self.interface]
        facts["renamed"] = [part._asdict() for part in self.renamed]
        return facts

    def __str__(self) -> str:
        if not self:
            return "no difference"
        lines = [str(part) for part in self.interface]
        lines += [f"added: {_shown_name(name)}" for name in self.added[:_SHOWN]]
        lines += [f"and {len(self.added) - _SHOWN:,} more added"] if len(self.added) > _SHOWN else []
        lines += [f"removed: {_shown_name(name)}" for name in self.removed[:_SHOWN]]
        lines += [f"and {len(self.removed) - _SHOWN:,} more removed"] if len(self.removed) > _SHOWN else []
        lines += [f"renamed: {_shown_name(own)} -> {_shown_name(now)}" for own, now in self.renamed[:_SHOWN]]
        lines += [f"and {len(self.renamed) - _SHOWN:,} more renamed"] if len(self.renamed) > _SHOWN else []
        for change in self.changed[:_SHOWN]:
            lines.append(f"changed: {_shown_name(change.operation)}")
            lines += [f"    {part}" for part in change.changes]
        lines += [f"and {len(self.changed) - _SHOWN:,} more changed"] if len(self.changed) > _SHOWN else []
        return "\n".join(lines)


def _shown_name(name: str) -> str:
    return printable(name).replace("\n", "\\n")


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
    constants, constants_now = ([given for _, given, _ in side.inputs(at)] for side, at in ((old, node), (new, other)))
    return all(map(_all_same, constants, constants_now))


def _of_interface(before: CompiledGraph, after: CompiledGraph, names: Sequence[str]) -> Iterator[Change]:
    own = {item.name: item for item in before.given}
    others = {item.name: item for item in after.given}
    for name in {**own, **others}:
        texts = _parameter(own.get(name)), _parameter(others.get(name))
        if texts[0] != texts[1] or not _same(own[name].default, others[name].default):
            yield Change(f"parameter {name}", *texts)
    outputs, outputs_now = _outputs(before, names), _outputs(after, after.names)
    for name in {**outputs, **outputs_now}:
        if outputs.get(name) != outputs_now.get(name):
            yield Change(f"output {name}", outputs.get(name, _NOTHING), outputs_now.get(name, _NOTHING))


def _parameter(item: Given | None) -> str:
    if item is None:
        return _NOTHING
    default = "" if item.default is MISSING else f" = {_text(item.default)}"
    return f"{describe_type(item.data_type)}{default}"


def _outputs(plan: CompiledGraph, names: Sequence[str]) -> dict[str, str]:
    """Return the outputs of a graph by name, where they are more than what no channel leaves."""
    places = plan.declared_outputs
    return {
        name: f"{names[node]}.{plan.operations[node].ports.outputs[index][0]}" for name, (node, index) in places.items()
    }


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

    def inputs(self, node: int) -> list[tuple[str, list[Any], list[str]]]:
        """Return for each input its name, its constants, and its sources as ``operation.port``."""
        bindings = self.survey.bindings(node)
        names = list(self.operations[node].ports.input_index)
        return [
            (
                name,
                [value for source, _, value in given if source == _CONSTANT],
                [self._source(source, output) for source, output, _ in given if source != _CONSTANT],
            )
            for name, given in zip(names, bindings, strict=True)
        ]

    def _source(self, node: int, output: int) -> str:
        if node == _GIVEN:
            return f"parameter {self.given[output].name}"
        return f"{self.names[node]}.{self.operations[node].ports.outputs[output][0]}"

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
        yield Change("waits for", ", ".join(waits) or _NOTHING, ", ".join(waits_now) or _NOTHING)


def _of_operations(before: Operation, after: Operation, prefix: str) -> Iterator[Change]:
    kinds = _made_by(before), _made_by(after)
    if kinds[0] != kinds[1]:
        yield Change(f"{prefix}{'function' if isinstance(after, FunctionOperation) else 'class'}", *kinds)
    elif not _same_code(_code(before), _code(after)):
        yield Change(f"{prefix}code", kinds[0], "the same name with other code")
    if before._arguments is not after._arguments and not isinstance(after, MappedOperation):
        yield from _of_arguments(before._arguments, after._arguments, prefix)
    for option in OPTIONS:
        if option == "name":
            continue
        own, others = getattr(before, option), getattr(after, option)
        if _same(own, others):
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
            if own != others:
                yield _change(f"{prefix}{option}", own, others)
        if before.item is not after.item:
            yield from _of_operations(before.item, after.item, f"{prefix}item ")


def _made_by(operation: Operation) -> str:
    made: Any = operation.definition.function if isinstance(operation, FunctionOperation) else type(operation)
    if isinstance(operation, MappedOperation):
        return "a map"
    module, name = getattr(made, "__module__", None), getattr(made, "__qualname__", None) or repr(made)
    return name if module in (None, "builtins", "__main__") else f"{module}.{name}"


def _code(operation: Operation) -> Any:
    if isinstance(operation, FunctionOperation):
        return operation.definition.function
    return type(operation).execute


def _same_code(before: Callable[..., Any], after: Callable[..., Any]) -> bool:
    if before is after:
        return True
    codes = getattr(before, "__code__", None), getattr(after, "__code__", None)
    if not isinstance(codes[0], CodeType) or not isinstance(codes[1], CodeType):
        return type(before) is type(after)
    return _code_facts(codes[0]) == _code_facts(codes[1])


def _code_facts(code: CodeType) -> tuple[Any, ...]:
    """What a function does, wherever it stands: without its file and its lines."""
    constants = tuple(
        _code_facts(value) if isinstance(value, CodeType) else (type(value), repr(value)) for value in code.co_consts
    )
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants


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
            if own.get(name) != others.get(name):
                yield Change(f"{prefix}{direction} {name}", own.get(name, _NOTHING), others.get(name, _NOTHING))


def _ports(operation: Operation, direction: str) -> dict[str, str]:
    ports = operation.ports
    pairs: Sequence[tuple[str, Any]] = ports.inputs if direction == "input" else ports.outputs
    kinds = ports.input_types if direction == "input" else ports.output_types
    return {
        name: f"{describe_type(kind)} as {port!r}" if port._options is not None else describe_type(kind)
        for (name, port), kind in zip(pairs, kinds, strict=True)
    }


def _of_inputs(
    before: Sequence[tuple[str, list[Any], list[str]]], after: Sequence[tuple[str, list[Any], list[str]]]
) -> Iterator[Change]:
    own = {name: (constants, sources) for name, constants, sources in before}
    others = {name: (constants, sources) for name, constants, sources in after}
    for name in {**own, **others}:
        constants, sources = own.get(name, ([], []))
        constants_now, sources_now = others.get(name, ([], []))
        if not _all_same(constants, constants_now):
            yield Change(f"constant {name}", *_shortened(_listed(constants), _listed(constants_now)))
        if sources != sources_now:
            yield Change(f"channel into {name}", ", ".join(sources) or _NOTHING, ", ".join(sources_now) or _NOTHING)


def _all_same(before: Sequence[Any], after: Sequence[Any]) -> bool:
    return len(before) == len(after) and all(map(_same, before, after))


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(_text, values)) or _NOTHING


class _Absent:
    def __repr__(self) -> str:
        return _NOTHING


_ABSENT = _Absent()


def _same(before: object, after: object) -> bool:
    """Whether two values are alike; what cannot be compared is alike if it is the same object."""
    if before is after:
        return True
    if type(before) is not type(after):
        return False
    if isinstance(before, Operation) and isinstance(after, Operation):
        return not any(_of_operations(before, after, ""))
    if callable(before) and callable(after) and hasattr(before, "__code__"):
        return _same_code(before, after)
    compiled = getattr(before, "_compiled_graph", None)  # of a graph that an operation runs
    if compiled is not None:
        return not difference_between(compiled(), after._compiled_graph())  # type: ignore[attr-defined]
    try:
        if getattr(before, "shape", None) != getattr(after, "shape", None):
            return False
        equal: Any = before == after
        if equal is False:
            return before != before and after != after  # not a number
        return equal if isinstance(equal, bool) else bool(equal.all())
    except Exception:  # the values are anybody's
        return False


def _text(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # as in _same
        text = f"<{type(value).__name__}, which cannot be shown>"
    return " ".join(printable(text).split())


def _change(aspect: str, before: object, after: object) -> Change:
    return Change(aspect, *_shortened(_text(before), _text(after)))


def _shortened(before: str, after: str) -> tuple[str, str]:
    """Clip two texts; where both begin alike for long, from shortly before the place where they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    shared = next((place for place, (own, other) in pairs if own != other), min(len(before), len(after)))
    start = max(shared - _WIDTH // 3, 0) if max(len(before), len(after)) > _WIDTH else 0
    parts = [f"…{text[start:]}" if start else text for text in (before, after)]
    first, second = (part if len(part) <= _WIDTH else f"{part[: _WIDTH - 1]}…" for part in parts)
    return first, second
