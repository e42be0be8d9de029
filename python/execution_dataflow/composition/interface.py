"""What a graph looks like from outside: its parameters, the inputs that nothing feeds, and its outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from execution_dataflow import _core
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.errors import PortError
from execution_dataflow.names import stable_names
from execution_dataflow.operations import OutputReference
from execution_dataflow.ports import InputPort, OutputPort

__all__ = ["Definition", "Interface", "NestedInput", "NestedOutput", "distinct_names", "graph_outputs", "interface_of"]


class Definition(Protocol):
    """What is asked of a graph."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def _builder(self) -> _core.GraphBuilder:
        """Its operations and connections."""

    @property
    def _contracts(self) -> ContractLevel:
        """How much of its contracts is checked."""

    @property
    def _declared_outputs(self) -> Mapping[str, OutputReference]:
        """The outputs that were declared."""


class NestedInput(NamedTuple):
    """An input of a graph: the node and the port that it feeds; of a parameter, no port."""

    name: str
    port: InputPort[Any]
    node: int
    port_index: int | None


class NestedOutput(NamedTuple):
    """An output of a graph: the node and the port that set it."""

    name: str
    port: OutputPort[Any]
    node: int
    port_index: int


class Interface(NamedTuple):
    """The inputs and outputs of a graph."""

    inputs: tuple[NestedInput, ...]
    outputs: tuple[NestedOutput, ...]


def graph_outputs(graph: Definition) -> dict[str, tuple[int, int]]:
    """Return the outputs of a graph: those that were declared, or else those that no channel leaves.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.

    Returns
    -------
    dict of str to (int, int)
        The node and the port of each. An undeclared one is called after its port where no other is called so, and
        otherwise ``operation.port``.
    """
    builder = graph._builder
    declared = graph._declared_outputs
    if declared:
        return {
            name: (builder.index_of(operation), operation.ports.output_index[port])
            for name, (operation, port) in declared.items()
        }
    operations = builder.operations()
    parameters = set(builder.nodes_of_classes((Parameter,)))
    found = [place for place in builder.open_outputs() if place[0] not in parameters]
    ports = [operations[node].ports.outputs[index][0] for node, index in found]
    return dict(zip(distinct_names(found, ports, lambda: stable_names(operations)), found, strict=True))


def distinct_names(
    places: Sequence[tuple[int, int]], ports: Sequence[str], names: Callable[[], Sequence[str]]
) -> list[str]:
    """Return the names of ports of several operations: their own where they differ, otherwise ``operation.port``.

    Parameters
    ----------
    places : sequence of (int, int)
        The node of each port, and its index.
    ports : sequence of str
        Their own names.
    names : callable
        Returns the names of the operations.
    """
    counts = Counter(ports)
    if max(counts.values(), default=0) <= 1:
        return list(ports)
    known = names()
    return [
        port if counts[port] == 1 else f"{known[node]}.{port}" for (node, _), port in zip(places, ports, strict=True)
    ]


def interface_of(graph: Definition) -> Interface:
    """Return what a graph looks like as an operation.

    Parameters
    ----------
    graph : GraphDefinition
        The graph.

    Returns
    -------
    Interface
        Its parameters and its required inputs without a source; its outputs.

    Raises
    ------
    PortError
        Two of them would have one name.
    """
    builder = graph._builder
    operations = builder.operations()
    inputs = []
    for node in builder.nodes_of_classes((Parameter,)):
        parameter = operations[node]
        port: InputPort[Any] = InputPort(parameter.data_type, default=parameter.default)
        inputs.append(NestedInput(parameter.name, port, node, None))
    found = builder.open_inputs()
    ports = [operations[node].ports.inputs[index] for node, index in found]
    taken = Counter([*(known.name for known in inputs), *(name for name, _ in ports)])
    names = stable_names(operations) if any(taken[name] > 1 for name, _ in ports) else ()
    for (node, index), (name, port) in zip(found, ports, strict=True):
        shown = name if taken[name] == 1 else f"{names[node]}.{name}"
        inputs.append(NestedInput(_identifier(shown), port, node, index))
    outputs = [
        NestedOutput(_identifier(name), operations[node].ports.outputs[index][1], node, index)
        for name, (node, index) in graph_outputs(graph).items()
    ]
    for direction, several in (("input", [known.name for known in inputs]), ("output", [out.name for out in outputs])):
        name, count = max(Counter(several).items(), key=lambda item: item[1], default=("", 1))
        if count > 1:
            raise PortError(
                f"graph {graph.name!r} has {count} {direction}s {name!r}; name them with graph.parameter() or "
                "graph.output() before it is nested",
                operation=graph.name,
                port=name,
            )
    return Interface(tuple(inputs), tuple(outputs))


def _identifier(name: str) -> str:
    """Return the name of a port for ``operation.port``, which is no identifier."""
    if name.isidentifier():
        return name
    made = "".join(letter if letter.isalnum() else "_" for letter in name)
    return made if made.isidentifier() else f"_{made}"
