"""A graph as plain data: its operations in their order, with what feeds their inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from execution_dataflow.building import Building
from execution_dataflow.composition.flattening import OUTPUT
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.definition_errors import DefinitionError, DefinitionFault
from execution_dataflow.definition_files.located import MAX_DEPTH
from execution_dataflow.definition_files.operation_writing import OperationWriter, Report
from execution_dataflow.definition_files.plain_values import Encoder, NotPlainError
from execution_dataflow.definition_files.references import NoReferenceError
from execution_dataflow.definition_files.type_texts import text_of_type
from execution_dataflow.names import explicit_name, stable_names
from execution_dataflow.operations import Operation, OutputReference

__all__ = ["VERSION", "document_of"]

VERSION = 1
_MANY = 2  # the flag of an input port


class Definition(Protocol):
    """What is asked of a graph."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def _building(self) -> Building:
        """Its operations and connections."""

    @property
    def _contracts(self) -> str:
        """How much of the contracts it checks."""

    @property
    def _declared_outputs(self) -> Mapping[str, OutputReference]:
        """The outputs that were declared."""


class _Feed(NamedTuple):
    """What was connected to an input: an output by its reference, or a constant."""

    port: int
    source: str | None
    value: Any


class _Writing:
    def __init__(
        self,
        graph: Definition,
        encoder: Encoder,
        faults: list[DefinitionFault],
        path: tuple[str, ...] = (),
        around: tuple[Definition, ...] = (),
    ) -> None:
        self._graph = graph
        self._path = path
        self._around = (*around, graph)
        self._faults = faults
        building = graph._building
        self._building = building
        self._encoder = encoder
        self._operations = building.operations
        self._names = stable_names(self._operations)

    def document(self) -> dict[str, Any]:
        writer = OperationWriter(self._encoder, self._nested_in)
        feeds, edges = self._feeds()
        inline = self._is_natural(feeds, edges)
        operations: dict[str, Any] = {}
        for node, (operation, name) in enumerate(zip(self._operations, self._names, strict=True)):

            def report(path: str, problem: str, node: int = node) -> None:
                self._report(node, path, problem)

            if name in operations:
                report("", "another operation has the same name; give each a name of its own")
                continue
            written = self._written(writer, node, report)
            if explicit_name(operation) is not None and _looks_implicit(operation, name):
                written["options"] = {"name": name, **written.get("options", {})}
            operations[name] = written
            self._write_inputs(node, feeds[node], written, inline)
        document: dict[str, Any] = {"name": self._building.name}
        if self._graph._contracts != "values":
            document["contracts"] = self._graph._contracts
        parameters = [isinstance(operation, Parameter) for operation in self._operations]
        if any(parameters) and parameters == sorted(parameters, reverse=True):
            # Those that come first stand apart, where people look for them.
            names = self._names[: sum(parameters)]
            document["parameters"] = {name: operations.pop(name, {}).get("parameter", {}) for name in names}
        document["operations"] = operations
        declared = self._graph._declared_outputs
        if declared:
            nodes = {name: self._building.builder.index_of(operation) for name, (operation, _) in declared.items()}
            document["outputs"] = {name: f"{self._names[nodes[name]]}.{port}" for name, (_, port) in declared.items()}
        if not inline:
            document["connections"] = [
                [source, self._reference(node, port)]
                for source, node, port in edges
                if not _is_mixed([feed for feed in feeds[node] if feed.port == port])
            ]
        self._write_dependencies(document, operations)
        return document

    def _written(self, writer: OperationWriter, node: int, report: Report) -> dict[str, Any]:
        operation = self._operations[node]
        if type(operation) is Parameter:
            return {"parameter": self._parameter(operation, report)}
        if type(operation) is not NestedGraph:
            return writer.write(operation, report)
        written = {"graph": self._nested(operation.graph, (self._names[node], "graph"), report)}
        if operation.description is not None:
            written["options"] = {"description": operation.description}
        return written

    def _nested_in(self, inner: Any, part: str, report: Report) -> dict[str, Any]:
        return self._nested(inner, (part,), report)

    def _nested(self, inner: Any, place: tuple[str, ...], report: Report) -> dict[str, Any]:
        if any(inner is graph for graph in self._around):
            report("graph", f"graph {inner.name!r} is nested in itself")
            return {}
        path = (*self._path, "operations", *place)
        if len(path) > MAX_DEPTH // 2:
            report("graph", f"graphs nest more than {MAX_DEPTH // 6} deep")
            return {}
        return _Writing(inner, self._encoder, self._faults, path, self._around).document()

    def _parameter(self, parameter: Parameter, report: Report) -> dict[str, Any]:
        written: dict[str, Any] = {}
        try:
            if parameter.data_type is not Any:
                written["type"] = text_of_type(parameter.data_type)
        except (NoReferenceError, TypeError) as error:
            report("type", str(error))
        if not parameter.is_required:
            try:
                written["default"] = self._encoder.encode(parameter.default)
            except NotPlainError as error:
                report("default", str(error))
        if parameter.description is not None:
            written["description"] = parameter.description
        return written

    def _report(self, node: int, path: str, problem: str) -> None:
        operation = self._operations[node]
        place = self._building.place_of(operation)
        where = f" ({operation._implicit_name()} added at {place})" if place else ""
        shown = ".".join(part for part in (*self._path, "operations", self._names[node], path) if part)
        self._faults.append(DefinitionFault(problem + where, path=shown))

    def _reference(self, node: int, port: int, *, output: bool = False) -> str:
        ports = self._operations[node].ports
        if isinstance(self._operations[node], Parameter):
            return self._names[node]
        return f"{self._names[node]}.{(ports.outputs if output else ports.inputs)[port][0]}"

    def _feeds(self) -> tuple[list[list[_Feed]], list[tuple[str, int, int]]]:
        """What feeds the inputs of each node, and the channels in the order in which they were connected."""
        builder = self._building.builder
        edges = [
            (self._reference(source, output, output=True), target, into)
            for source, output, target, into in builder.edges()
        ]
        order: dict[int, dict[int, None]] = {}
        for _, target, into in edges:
            order.setdefault(target, {})[into] = None
        feeds: list[list[_Feed]] = []
        for node in range(len(self._operations)):
            given = [
                _Feed(port, self._reference(*source[1:], output=True), None)
                if source[0] == OUTPUT
                else _Feed(port, None, source[1])
                for port, source in builder.sources_into(node)
            ]
            ranks = {port: rank for rank, port in enumerate(order.get(node, {}))}
            feeds.append(sorted(given, key=lambda feed: ranks.get(feed.port, len(ranks))))
        return feeds, edges

    @staticmethod
    def _is_natural(feeds: list[list[_Feed]], edges: list[tuple[str, int, int]]) -> bool:
        """Whether connecting operation by operation, and input by input, gives the same order."""
        natural = [
            (feed.source, node, port)
            for node, given in enumerate(feeds)
            for port in dict.fromkeys(feed.port for feed in given)
            for feed in given
            if feed.port == port and feed.source is not None
        ]
        return natural == edges

    def _write_inputs(self, node: int, feeds: list[_Feed], written: dict[str, Any], inline: bool) -> None:
        ports = self._operations[node].ports
        inputs: dict[str, Any] = {}
        constants: dict[str, Any] = {}
        for port in dict.fromkeys(feed.port for feed in feeds):
            given = [feed for feed in feeds if feed.port == port]
            name = ports.inputs[port][0]
            takes_many = bool(ports.input_flags[port] & _MANY)
            if all(feed.source is None for feed in given):
                values = [self._constant(node, name, feed.value) for feed in given]
                constants[name] = values if takes_many else values[0]
            elif _is_mixed(given):
                inputs[name] = [
                    {"constant": self._constant(node, name, feed.value)} if feed.source is None else feed.source
                    for feed in given
                ]
            elif inline:
                inputs[name] = [feed.source for feed in given] if len(given) > 1 else given[0].source
        if inputs:
            written["inputs"] = inputs
        if constants:
            written["constants"] = constants

    def _constant(self, node: int, port: str, value: Any) -> Any:
        try:
            return self._encoder.encode(value)
        except NotPlainError as error:
            self._report(node, f"constants.{port}", str(error))
            return None

    def _write_dependencies(self, document: dict[str, Any], operations: dict[str, Any]) -> None:
        orders = self._building.builder.orders()
        if orders != sorted(orders, key=lambda order: order[1]):
            document["dependencies"] = [[self._names[before], self._names[after]] for before, after in orders]
            return
        for before, after in orders:
            operations[self._names[after]].setdefault("after", []).append(self._names[before])


def _is_mixed(feeds: list[_Feed]) -> bool:
    return len({feed.source is None for feed in feeds}) == 2


def _looks_implicit(operation: Operation, name: str) -> bool:
    label = operation._implicit_name()
    return name == label or (name.startswith(f"{label}_") and name[len(label) + 1 :].isdigit())


def document_of(graph: Any, encoder: Encoder) -> dict[str, Any]:
    """Return a graph as plain data.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.
    encoder : Encoder
        Writes values.

    Returns
    -------
    dict
        What a file holds.

    Raises
    ------
    DefinitionError
        With a fault for everything that cannot be written.
    """
    faults: list[DefinitionFault] = []
    document = _Writing(graph, encoder, faults).document()
    if faults:
        raise DefinitionError(graph.name, "cannot be saved", faults)
    return {"version": VERSION, **document}
