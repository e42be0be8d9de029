"""Many operations of one graph as a sequence of node numbers, which makes objects only for what is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast, overload

from execution_dataflow._core import GraphBuilder
from execution_dataflow.operations import Operation, OutputReference

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NodeNumbers", "OperationArray", "OutputArray"]

AnyOperation = TypeVar("AnyOperation", bound=Operation, covariant=True)

NodeNumbers: TypeAlias = "range | np.ndarray[tuple[int], np.dtype[np.uint32]]"
"""Where operations are in their graph."""

Selection: TypeAlias = "slice | Sequence[int] | Sequence[bool] | np.ndarray[Any, Any]"
"""What selects several items, as it does in numpy: a slice, positions, or a mask."""


def _selected(nodes: NodeNumbers, key: Any) -> NodeNumbers:
    if isinstance(key, slice):
        return nodes[key]
    import numpy as np

    positions = np.asarray(key)
    if positions.size == 0 and positions.dtype == float:  # an empty list
        positions = positions.astype(np.intp)
    if positions.ndim != 1 or positions.dtype.kind not in "iub":
        raise TypeError(f"operations are selected by a slice, by whole numbers or by a mask, not by {key!r}")
    return cast(NodeNumbers, np.asarray(nodes, dtype=np.uint32)[positions])


class OperationArray(Sequence[AnyOperation], Generic[AnyOperation]):
    """Operations of one graph in a row; made by ``graph.add_many``.

    It is a sequence of operations. A slice, positions or a mask select a part of it, as in a numpy array of one axis.
    ``array["port"]`` stands for one output of each, and the array itself for their only one, where ``graph.add_many``
    takes inputs.

    Examples
    --------
    >>> from execution_dataflow.functions import operation
    >>> from execution_dataflow.graph import GraphDefinition
    >>> @operation
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> made = GraphDefinition().add_many(double, x=range(10))
    >>> made[0]
    <operation double>
    >>> made[2:5], made[[0, 0, 9]]
    (<OperationArray: 3 operations>, <OperationArray: 3 operations>)
    >>> made["result"]
    <OutputArray: 'result' of 10 operations>
    """

    __slots__ = ("_builder", "_nodes")

    def __init__(self, builder: GraphBuilder, nodes: NodeNumbers) -> None:
        self._builder = builder
        self._nodes = nodes

    @property
    def nodes(self) -> NodeNumbers:
        """Where the operations are in ``graph.operations``."""
        return self._nodes

    def is_of(self, builder: GraphBuilder) -> bool:
        """Whether the operations are those of a builder."""
        return self._builder is builder

    def output(self, name: str) -> OutputArray:
        """Return one output of each operation, for ``graph.add_many``; ``array[name]`` is the same.

        Parameters
        ----------
        name : str
            The name of the output.

        Returns
        -------
        OutputArray
            The outputs.

        Raises
        ------
        UnknownPortError
            The first operation has no such output; that the others have it is found out when they are connected.
        """
        if len(self):
            self[0].output(name)
        return OutputArray(self, name)

    @overload
    def __getitem__(self, key: int) -> AnyOperation: ...
    @overload
    def __getitem__(self, key: str) -> OutputArray: ...
    @overload
    def __getitem__(self, key: Selection) -> OperationArray[AnyOperation]: ...
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.output(key)
        if hasattr(key, "__index__") and not getattr(key, "shape", ()):
            return self._builder.operation(int(self._nodes[key]))
        return OperationArray(self._builder, _selected(self._nodes, key))

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[AnyOperation]:
        operation = self._builder.operation
        return (operation(int(node)) for node in self._nodes)

    def __contains__(self, operation: object) -> bool:
        node = self._builder.index_of(operation)
        return node >= 0 and node in self._nodes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OperationArray):
            return NotImplemented
        return other.is_of(self._builder) and list(self._nodes) == list(other._nodes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<OperationArray: {len(self)} operations>"


class OutputArray(Sequence[OutputReference]):
    """One output of each of many operations; made by ``OperationArray.output``.

    Parameters
    ----------
    operations : OperationArray
        The operations.
    port_name : str
        Their output.
    """

    __slots__ = ("operations", "port_name")

    def __init__(self, operations: OperationArray[Operation], port_name: str) -> None:
        self.operations = operations
        self.port_name = port_name

    @overload
    def __getitem__(self, key: int) -> OutputReference: ...
    @overload
    def __getitem__(self, key: Selection) -> OutputArray: ...
    def __getitem__(self, key: Any) -> Any:
        selected = self.operations[key]
        if isinstance(selected, OperationArray):
            return OutputArray(selected, self.port_name)
        return OutputReference(selected, self.port_name)

    def __len__(self) -> int:
        return len(self.operations)

    def __repr__(self) -> str:
        return f"<OutputArray: {self.port_name!r} of {len(self)} operations>"
