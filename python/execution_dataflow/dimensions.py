"""Named dimensions of the ports of one operation: which axes have a name, and whether its arrays agree."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from execution_dataflow._core import MISSING
from execution_dataflow.dimension_errors import DimensionError
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.signatures import PortSignature, array_facts_of_port

__all__ = ["Dimensions", "Measure", "dimensions_of"]

_MANY = 1 << 1


class Measure(NamedTuple):
    """The length of a named dimension, and where it was seen.

    Parameters
    ----------
    length : int
        How long.
    place : str
        The port, as ``operation.port``.
    """

    length: int
    place: str


class Flow(Protocol):
    """What a run knows of the dimensions of the operations that have ended."""

    def before(self, node: int) -> dict[str, tuple[Measure, ...]]:
        """Return what the operations say that a node has its values from."""

    def note(self, node: int, attempt: int, found: dict[str, Measure]) -> None:
        """Keep what an operation has set."""


class _Axes(NamedTuple):
    """The named axes of one port."""

    port: int
    name: str
    many: bool
    names: tuple[tuple[int, str], ...]


class Dimensions:
    """Compares the arrays of one attempt of an operation along its named dimensions; called by the native core.

    Parameters
    ----------
    inputs, outputs : tuple
        The ports that have named axes.
    expands : bool
        Whether something else runs in the place of the operation, so that its inputs are gone when its outputs come.
    """

    __slots__ = ("expands", "inputs", "outputs")

    def __init__(self, inputs: tuple[_Axes, ...], outputs: tuple[_Axes, ...], expands: bool = False) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.expands = expands

    def __call__(
        self,
        record: Any,
        node: int,
        attempt: int,
        items: tuple[int, ...],
        inputs: tuple[Any, ...],
        outputs: tuple[Any, ...] | None,
    ) -> None:
        """Compare the inputs before the attempt begins, and all when it is about to succeed.

        Parameters
        ----------
        record : RunRecord
            The run.
        node, attempt : int
            Which attempt it is.
        items : tuple of int
            Which item of a map it is.
        inputs : tuple
            The values of the inputs, or ``_core.MISSING``.
        outputs : tuple, optional
            Those of the outputs, once they are there.

        Raises
        ------
        DimensionError
            They do not agree.
        """
        name = record.name_of(node, items)
        found: dict[str, Measure] = {}
        if self.expands and outputs is not None:
            known, measured = record.scopes.dimensions.pop((node, items), (attempt, found))
            found = measured if known == attempt else found
        given = [(axes, inputs[axes.port]) for axes in self.inputs if axes.port < len(inputs)]
        if outputs is not None:
            given += [(axes, outputs[axes.port]) for axes in self.outputs]
        # An item of a map stands by itself: only what it has itself has to agree.
        flow: Flow | None = None if items else record.dimensions
        before = {} if flow is None else flow.before(node)
        for axes, value in given:
            for array in value if axes.many and isinstance(value, list | tuple) else (value,):
                if array is not MISSING and array is not None:
                    _measure(name, axes, array, found)
        for dimension, here in found.items():
            for there in () if dimension.startswith("_") else before.get(dimension, ()):
                if there.length != here.length:
                    raise _disagreement(name, dimension, there, here)
        if self.expands and outputs is None:
            record.scopes.dimensions[node, items] = attempt, found
        if flow is not None and outputs is not None:
            flow.note(node, attempt, {name: seen for name, seen in found.items() if not name.startswith("_")})


def _measure(name: str, axes: _Axes, array: Any, found: dict[str, Measure]) -> None:
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple):
        return  # the check of the port has said what there is to say
    for axis, dimension in axes.names:
        if axis < len(shape):
            here = Measure(shape[axis], f"{name}.{axes.name}")
            known = found.setdefault(dimension, here)
            if known.length != here.length:
                raise _disagreement(name, dimension, known, here)


def _disagreement(name: str, dimension: str, there: Measure, here: Measure) -> DimensionError:
    return DimensionError(
        f"the dimension {dimension!r} is {there.length} in {there.place} and {here.length} in {here.place}: it is the "
        "same wherever its name stands; give what differs another name",
        operation=name,
        port=here.place.rpartition(".")[2],
        dimension=dimension,
        lengths=(there.length, here.length),
        places=(there.place, here.place),
    )


def dimensions_of(ports: PortSignature, expands: bool = False) -> Dimensions | None:
    """Return what compares the arrays of operations with these ports, or ``None`` if no axis of them has a name.

    Parameters
    ----------
    ports : PortSignature
        The ports.
    expands : bool
        Whether something else runs in the place of the operation.

    Returns
    -------
    Dimensions or None
        The comparison.
    """
    inputs = tuple(
        axes for index, (name, port) in enumerate(ports.inputs) if (axes := _axes(index, name, port)) is not None
    )
    outputs = tuple(
        axes for index, (name, port) in enumerate(ports.outputs) if (axes := _axes(index, name, port)) is not None
    )
    return Dimensions(inputs, outputs, expands) if inputs or outputs else None


def _axes(index: int, name: str, port: InputPort[Any] | OutputPort[Any]) -> _Axes | None:
    if port.shape is None and type(port.data_type) is type:
        return None
    _, shape = array_facts_of_port(port)
    names = tuple((axis, length) for axis, length in enumerate(shape or ()) if isinstance(length, str))
    return _Axes(index, name, isinstance(port, InputPort) and bool(port.flags & _MANY), names) if names else None
