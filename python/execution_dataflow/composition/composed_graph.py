"""What a graph has because it may be part of another one: parameters, outputs, and itself as an operation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from execution_dataflow import _core
from execution_dataflow._core import MISSING
from execution_dataflow.composition.copies import copy_graph, parameters_with_defaults
from execution_dataflow.composition.interface import graph_outputs
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.errors import DuplicateNameError, PortError, UnknownOperationError
from execution_dataflow.names import stable_names
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.output_choice import only_output
from execution_dataflow.signatures import check_identifier

__all__ = ["ComposedGraph"]


class ComposedGraph(ABC):
    """The base of `GraphDefinition`: what a graph shows to a graph around it, and to a run.

    Parameters
    ----------
    name : str
        The name of the graph.
    builder : _core.GraphBuilder
        Its operations and connections.
    """

    _contracts: ContractLevel = "values"

    def __init__(self, name: str, builder: _core.GraphBuilder) -> None:
        self._name = name
        self._builder = builder
        self._declared_outputs: dict[str, OutputReference] = {}

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    def parameter(
        self, name: str, data_type: Any = Any, *, default: Any = MISSING, description: str | None = None
    ) -> Parameter:
        """Declare an input of the graph, which each run is given with ``engine.run(graph, parameters={...})``.

        Parameters
        ----------
        name : str
            Its name, an identifier.
        data_type : type or type hint
            What its values are; anything by default.
        default : object, optional
            The value of a run that gives none. Without it, each run has to give one.
        description : str, optional
            What it is for.

        Returns
        -------
        Parameter
            Used as an operation with one output: ``graph.add(load, path=parameter)``.

        Raises
        ------
        DuplicateNameError
            The graph has a parameter of that name.
        PortError
            The name is no identifier, or the default is not of the type.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("powers")
        >>> base, exponent = graph.parameter("base", int), graph.parameter("exponent", int, default=2)
        >>> power = graph.add(lambda base, exponent: base**exponent, base=base, exponent=exponent)
        >>> ExecutionEngine().run(graph, parameters={"base": 3}).get_output(power)
        9
        """
        if name in self.parameters:
            raise DuplicateNameError(f"graph {self._name!r} has a parameter {name!r} already", name=name)
        parameter = Parameter(name, data_type, default=default, description=description)
        self.add_operation(parameter)
        return parameter

    @abstractmethod
    def add_operation(self, operation: Any) -> Any:
        """Add an operation."""

    @abstractmethod
    def connect(
        self, source_operation: Operation, source_port_name: str, target_operation: Operation, target_port_name: str
    ) -> Any:
        """Connect an output of one operation to an input of another."""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The declared inputs, by name, in the order in which they were declared."""
        found = map(self._builder.operation, self._builder.nodes_of_classes((Parameter,)))
        return {str(parameter.name): parameter for parameter in found}

    def output(self, name: str, source: Operation | OutputReference) -> OutputReference:
        """Declare an output of the graph: what a result keeps under this name, and what a graph around it sees.

        Parameters
        ----------
        name : str
            Its name, an identifier.
        source : Operation or OutputReference
            An operation with one output, or ``operation["port"]``.

        Returns
        -------
        OutputReference
            The output of the operation.

        Raises
        ------
        DuplicateNameError
            The graph has declared an output of that name.
        UnknownOperationError, PortError
            The operation is not part of the graph, has several outputs, or is a parameter.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("sums")
        >>> total = graph.add(sum, iterable=[1, 2, 3])
        >>> _ = graph.output("total", total)
        >>> ExecutionEngine().run(graph).values
        {'total': 6}
        """
        check_identifier("an output", name, "report")
        if name in self._declared_outputs:
            raise DuplicateNameError(f"graph {self._name!r} has an output {name!r} already", name=name)
        if isinstance(source, OutputReference):
            source = source.operation.output(source.port_name)
        elif isinstance(source, Operation):
            source = source.output(only_output(source, label_of(source)))
        else:
            raise PortError(
                f"the output {name!r} of a graph is an operation or operation['port'], not {source!r}", port=name
            )
        operation = source.operation
        label = label_of(operation)
        if self._builder.index_of(operation) < 0:
            raise UnknownOperationError(f"{label} is not an operation of {self._name}; add it first", operation=label)
        if isinstance(operation, Parameter):
            raise PortError(f"{label!r} is a parameter, and no output of an operation", operation=label, port=name)
        self._declared_outputs[name] = source
        return source

    @property
    def outputs(self) -> dict[str, OutputReference]:
        """The outputs by name: those that were declared, or else those that no channel leaves.

        One that was not declared is called after its port, or ``operation.port`` where several are called so.
        """
        operation = self._builder.operation
        found = {name: (operation(node), index) for name, (node, index) in graph_outputs(self).items()}
        return {
            name: OutputReference(source, source.ports.outputs[index][0]) for name, (source, index) in found.items()
        }

    def as_operation(self, name: str | None = None, *, description: str | None = None) -> NestedGraph:
        """Return the graph as an operation for another graph; a new one each time.

        Its inputs are the parameters of this graph, and the required inputs that nothing feeds; its outputs are
        `outputs`. When the outer graph is compiled, the operations of this one take its place, with names such as
        ``clean/parse``: nesting costs a run nothing.

        Parameters
        ----------
        name : str, optional
            Its name; that of this graph by default.
        description : str, optional
            What it is for.

        Returns
        -------
        NestedGraph
            The operation.

        Raises
        ------
        PortError
            Two inputs or two outputs would have one name.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> inner = GraphDefinition("clean")
        >>> text = inner.parameter("text", str)
        >>> stripped = inner.add(str.strip, self=text)
        >>> outer = GraphDefinition("report")
        >>> cleaned = outer.add(inner, text="  a line ")
        >>> shown = outer.add(repr, obj=cleaned)
        >>> result = ExecutionEngine().run(outer)
        >>> result.get_output(shown), list(result.states)
        ("'a line'", ['clean/strip', 'repr'])
        """
        return NestedGraph(self, name=name, description=description)

    def with_parameters(self, **values: Any) -> Self:
        """Return a variant of the graph whose parameters have other defaults.

        Parameters
        ----------
        **values
            The new defaults.

        Returns
        -------
        GraphDefinition
            Another graph with the same operations; only the parameters are new objects.

        Raises
        ------
        ParameterError
            There is no such parameter, or a value has a wrong type.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("greeting")
        >>> greeting = graph.add(str.upper, self=graph.parameter("name", str))
        >>> ExecutionEngine().run(graph.with_parameters(name="ada")).get_output(greeting)
        'ADA'
        """
        return self._variant(parameters_with_defaults(self, values))

    def replace(self, operation: Operation | str, other: Any) -> Self:
        """Return a variant of the graph with another operation in the place of one.

        Parameters
        ----------
        operation : Operation or str
            The operation, or its name.
        other : Operation, function or GraphDefinition
            What takes its place: it has the ports that are connected, by name.

        Returns
        -------
        GraphDefinition
            Another graph with the same operations but one.

        Raises
        ------
        UnknownOperationError
            The graph has no such operation.
        UnknownPortError, PortTypeError
            The other one lacks a port that is connected, or its type can never fit.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("shouting")
        >>> shouted = graph.add(str.upper, self="Hello")
        >>> quiet = graph.replace("upper", str.lower)
        >>> ExecutionEngine().run(quiet).values
        {'result': 'hello'}
        """
        return self._variant({self._node_of(operation): self._as_added(other)})

    def _variant(self, instead: dict[int, Operation]) -> Self:
        made = self._empty_copy()
        copy_graph(self, made, instead)
        return made

    @abstractmethod
    def _empty_copy(self) -> Self:
        """Return a graph of the same name without operations."""

    @abstractmethod
    def _as_added(self, other: Any) -> Operation:
        """Return what may be added as an operation."""

    def _node_of(self, operation: Operation | str) -> int:
        if isinstance(operation, str):
            names = stable_names(self._builder.operations())
            node = names.index(operation) if operation in names else -1
            label = operation
        else:
            node, label = self._builder.index_of(operation), label_of(operation)
        if node < 0:
            raise UnknownOperationError(f"{label!r} is not an operation of {self._name}", operation=label)
        return node
