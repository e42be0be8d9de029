"""What is wrong with arrays that do not agree on a named dimension."""

from __future__ import annotations

from collections.abc import Sequence

from execution_dataflow.errors import GraphError, ValueTypeError

__all__ = ["DimensionConflictError", "DimensionError"]


class DimensionError(ValueTypeError):
    """Two arrays of a run have different lengths along a dimension that their ports call by the same name.

    Attributes
    ----------
    operation, port : str
        Where it was found.
    dimension : str
        The name.
    lengths : tuple of int
        The length at each of the two places.
    places : tuple of str
        The ports, as ``operation.port``: the one that came first, and the one that does not agree with it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        port: str | None = None,
        dimension: str = "",
        lengths: Sequence[int] = (),
        places: Sequence[str] = (),
    ) -> None:
        super().__init__(message, operation=operation, port=port)
        self.dimension = dimension
        self.lengths = tuple(lengths)
        self.places = tuple(places)


class DimensionConflictError(GraphError):
    """A graph connects ports so that a named dimension would have to have two lengths: no run could succeed.

    Attributes
    ----------
    dimension : str
        The name.
    lengths : tuple of int
        What it would have to be.
    places : tuple of str
        The ports that say so, as ``operation.port``.
    """

    def __init__(
        self, message: str = "", *, dimension: str = "", lengths: Sequence[int] = (), places: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.dimension = dimension
        self.lengths = tuple(lengths)
        self.places = tuple(places)
