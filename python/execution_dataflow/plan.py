"""The compiled graph: immutable, and all that a run needs to know (rule G4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from execution_dataflow.errors import UnknownOperationError
from execution_dataflow.graph_views import GraphViews
from execution_dataflow.names import stable_names
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operations import Operation, label_of

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

    Attributes
    ----------
    limited : tuple of (_core.NodeSpec, object)
        As given.
    guarded : tuple or None
        The native plan for runs with ``debug=True``, and its spec for each of the others, once there was such a run.

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
    ) -> None:
        self._name = name
        # A field and no property: every run looks at it.
        self.limited = tuple(limited)
        self._core = core
        self._specs = tuple(specs)
        self.guarded: tuple[_core.Plan, dict[_core.NodeSpec, _core.NodeSpec]] | None = None

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
        """The stable identity of each operation (rule G6)."""
        return stable_names(self.operations)

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
        found = self._core.index_of(operation)
        if found >= 0:
            return found
        self._refuse(operation)

    def _refuse(self, operation: object) -> NoReturn:
        label = label_of(operation) if isinstance(operation, Operation) else repr(operation)
        raise UnknownOperationError(f"{label} is not an operation of {self._name}", operation=label)

    @cached_property
    def _indices_by_name(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def _index_of_name(self, name: str) -> int:
        found = self._indices_by_name.get(name)
        if found is not None:
            return found
        nearest = nearest_name(name, self.names)
        suggestion = f"; did you mean {nearest!r}?" if nearest else ""
        raise UnknownOperationError(f"{self._name} has no operation named {name!r}{suggestion}", operation=name)

    def _wiring(self) -> Wiring:
        from execution_dataflow.wiring import PlanWiring

        return PlanWiring(self)

    def _compiled_graph(self) -> Plan:
        return self

    def __len__(self) -> int:
        return len(self._core)

    def __repr__(self) -> str:
        return f"<Plan {self._name!r}: {len(self)} operations>"
