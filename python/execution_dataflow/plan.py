"""The compiled graph: immutable, and all that a run needs to know (rule G4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from execution_dataflow.composition.given_values import Given
from execution_dataflow.composition.interface import distinct_names
from execution_dataflow.composition.levels import Layout, Selection
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.contract_levels import ContractLevel
from execution_dataflow.errors import UnknownOperationError
from execution_dataflow.graph_views import GraphViews
from execution_dataflow.names import stable_names
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, OutputReference, label_of
from execution_dataflow.output_choice import only_output

if TYPE_CHECKING:
    from execution_dataflow import _core
    from execution_dataflow.wiring import Wiring

__all__ = ["Plan"]


class Plan(GraphViews):
    """A graph that was found to be valid, in the form in which it runs; made by ``graph.compile()``.

    It holds no state of a run: any number of runs may share it, at the same time.

    Parameters
    ----------
    name : str
        The name of the graph.
    core : _core.Plan
        The native plan.
    specs : sequence of _core.NodeSpec
        The different kinds of node.
    limited : sequence of (_core.NodeSpec, object)
        Those that ask for something limited, each with what the operations of its kind have in common.
    layout : Layout or Selection, optional
        The names of the operations, where the graph has nested ones or is a part of one.
    given : tuple of Given
        What each run is given: values of parameters, and of ports that are overridden.
    outputs : mapping of str to (int, int), optional
        The outputs of the graph by name: the operation and the port of each. By default those that no channel leaves.

    contracts : {"values", "connect", "off"}
        How much of its contracts is checked at most.

    Attributes
    ----------
    contracts : str
        As given.
    unchecked, contract_free : Plan or None
        The plans for runs that check no types of values, and nothing at all, once there was such a run.
    limited : tuple of (_core.NodeSpec, object)
        As given.
    given : tuple of Given
        As given.
    kept : tuple of int
        The slots of outputs of the graph that channels leave.
    expands : bool
        Whether other plans may run in the place of some of its operations.
    guarded : tuple or None
        The native plan for runs with ``debug=True``, and its spec for each of the others, once there was such a run.
    has_dimensions : bool
        Whether some ports have named dimensions.
    dimension_sources : dict or None
        For each operation with named dimensions the nearest ones before it, once there was a run of it.

    Examples
    --------
    >>> from execution_dataflow.functions import operation
    >>> from execution_dataflow.graph import GraphDefinition
    >>> @operation
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> graph = GraphDefinition("arithmetic")
    >>> four = graph.add(double, x=2)
    >>> eight = graph.add(double, x=four)
    >>> graph.compile().names
    ('double', 'double_2')
    """

    def __init__(
        self,
        name: str,
        core: _core.Plan,
        specs: Sequence[_core.NodeSpec],
        limited: Sequence[tuple[_core.NodeSpec, object]] = (),
        *,
        layout: Layout | Selection | None = None,
        given: tuple[Given, ...] = (),
        outputs: Mapping[str, tuple[int, int]] | None = None,
        contracts: ContractLevel = "values",
    ) -> None:
        self._name = name
        self.contracts = contracts
        # What runs look at first, so that a plan without checks stands for itself.
        self.unchecked: Plan | None = None
        self.contract_free: Plan | None = None
        # A field and no property: every run looks at it.
        self.limited = tuple(limited)
        self._core = core
        self._specs = tuple(specs)
        self.layout = layout
        self.given = given
        self._outputs = outputs
        self.kept = (
            () if outputs is None else tuple(core.slot(*place) for place in outputs.values() if core.consumers(*place))
        )
        self.guarded: tuple[_core.Plan, dict[_core.NodeSpec, _core.NodeSpec]] | None = None
        self.expands = any(map(_expands, self._specs))
        self.has_dimensions = any(spec.dimensions is not None for spec in specs)
        self.dimension_sources: dict[int, tuple[int, ...]] | None = None

    def with_specs(
        self, core: _core.Plan, specs: Sequence[_core.NodeSpec], limited: Sequence[tuple[_core.NodeSpec, object]]
    ) -> Plan:
        """Return a plan of the same operations that runs them in another way; takes what the constructor does."""
        return Plan(
            self._name,
            core,
            specs,
            limited,
            layout=self.layout,
            given=self.given,
            outputs=self._outputs,
            contracts=self.contracts,
        )

    @property
    def name(self) -> str:
        """The name of the graph."""
        return self._name

    @property
    def core(self) -> _core.Plan:
        """The native plan."""
        return self._core

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, in the order in which they were added."""
        return self._core.operations()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The stable identity of each operation (rule G6); of one in a nested graph its path, as ``clean/parse``."""
        return stable_names(self.operations) if self.layout is None else self.layout.names

    @property
    def declared_outputs(self) -> Mapping[str, tuple[int, int]]:
        """The outputs that were declared, or that the graphs in it have; empty if they are what no channel leaves."""
        return self._outputs or {}

    @cached_property
    def outputs(self) -> Mapping[str, tuple[int, int]]:
        """The outputs of the graph by name: where the operation is that sets it, and the index of its port."""
        if self._outputs is not None:
            return self._outputs
        found, operations = self._core.open_outputs(), self.operations
        ports = [operations[node].ports.outputs[index][0] for node, index in found]
        return dict(zip(distinct_names(found, ports, lambda: self.names), found, strict=True))

    @cached_property
    def order(self) -> tuple[Operation, ...]:
        """The operations in topological order; always the same for the same graph."""
        return tuple(map(self.operations.__getitem__, self._core.order()))

    @property
    def specs(self) -> tuple[_core.NodeSpec, ...]:
        """The different kinds of node."""
        return self._specs

    @cached_property
    def spec_of(self) -> Sequence[int]:
        """For each operation, the index of its spec."""
        return self._core.spec_of()

    def label(self, index: int) -> str:
        """Return the stable identity of the operation at an index."""
        return self.names[index]

    def index_of(self, operation: Operation | str) -> int:
        """Return where an operation is.

        Parameters
        ----------
        operation : Operation or str
            The operation, or its stable identity.

        Returns
        -------
        int
            Its index in `operations`.

        Raises
        ------
        UnknownOperationError
            The graph had no such operation when it was compiled.
        """
        if isinstance(operation, str):
            return self._index_of_name(operation)
        if self.layout is None:
            found = self._core.index_of(operation)
        else:
            found = self.layout.find(operation)
        if found >= 0:
            return found
        self._refuse(operation)

    def output_of(
        self, operation: Operation | OutputReference | str, port_name: str | None = None
    ) -> tuple[int, str, int]:
        """Return where an output is.

        Parameters
        ----------
        operation : Operation, OutputReference or str
            The operation or its name; ``operation["port"]``; a nested graph; or the name of an output of the graph.
        port_name : str, optional
            The output; may be left out where there is only one.

        Returns
        -------
        (int, str, int)
            The index of the operation that sets it, the name of the port there, and its index.

        Raises
        ------
        UnknownOperationError, UnknownPortError, PortError
            There is no such operation or output, or it is not said which one of several.
        """
        place: tuple[int, int] | None = None
        if isinstance(operation, OutputReference):
            port_name = port_name or operation.port_name
            operation = operation.operation
        if isinstance(operation, str):
            if port_name is None and operation not in self._indices_by_name:
                place = self.outputs.get(operation)
        elif self.layout is not None and isinstance(operation, NestedGraph):
            place = self.layout.output_of(operation, only_output(operation, label_of(operation), port_name))
        if place is None:
            node = self.index_of(operation)
            ports = self.operations[node].ports
            name = only_output(self.operations[node], self.label(node), port_name)
            return node, name, ports.output_index[name]
        node, index = place
        return node, self.operations[node].ports.outputs[index][0], index

    def _refuse(self, operation: object) -> NoReturn:
        label = label_of(operation) if isinstance(operation, Operation) else repr(operation)
        raise UnknownOperationError(f"{label} is not an operation of {self._name}", operation=label)

    @cached_property
    def _indices_by_name(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def position_of(self, name: str) -> int | None:
        """Return the index of the operation with that stable identity, if there is one."""
        return self._indices_by_name.get(name)

    def _index_of_name(self, name: str) -> int:
        found = self._indices_by_name.get(name)
        if found is not None:
            return found
        if self.layout is not None and self.layout.is_left_out(name):
            raise UnknownOperationError(
                f"{name!r} has not run: it is no target of this run, and no target needs it", operation=name
            )
        nearest = nearest_name(name, self.names)
        suggestion = f"; did you mean {nearest!r}?" if nearest else ""
        raise UnknownOperationError(f"{self._name} has no operation named {name!r}{suggestion}", operation=name)

    def _wiring(self) -> Wiring:
        from execution_dataflow.wiring import PlanWiring

        return PlanWiring(self)

    def _compiled_graph(self) -> Plan:
        return self

    def is_given(self, index: int) -> bool:
        """Return whether an operation does nothing and stands for what an iteration of a loop is given."""
        return getattr(type(self.operations[index]), "is_given", False)

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"<Plan {self._name!r}: {len(self)} operations>"


def _expands(spec: _core.NodeSpec) -> bool:
    item: _core.NodeSpec | None = spec
    while item is not None:
        if item.is_expanding:
            return True
        item = item.item
    return False
