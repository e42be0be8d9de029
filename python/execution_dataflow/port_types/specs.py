"""Specs of values: what a port may declare, as its type or in ``Annotated``, that is no class."""

from __future__ import annotations

from typing import Any

from execution_dataflow.array_rules import Shape, checked_shape, describe_dtype, describe_shape, normal_dtype
from execution_dataflow.port_types.dtype_names import checked_dtype

__all__ = ["ArraySpec", "ValueSpec", "libraries_of"]


class ValueSpec:
    """The base of what checks values by more than their class; compared with others when ports are connected."""

    __slots__ = ()

    def fault(self, value: object) -> str | None:
        """Return what is wrong with a value, or ``None``."""
        raise NotImplementedError

    def misfit(self, other: ValueSpec) -> str | None:
        """Return why no value can satisfy this and `other`, the one that takes the value; ``None`` if one may."""
        return None


class ArraySpec:
    """What arrays are like, for ``Annotated`` or as the type of a port.

    Parameters
    ----------
    dtype : object
        Their dtype, as numpy takes it, or an abstract one such as ``np.floating``; any by default.
    shape : tuple of (int, str or None), optional
        The lengths of their axes. ``None`` is any length. A name is a length that is the same wherever the name stands:
        on all ports of an operation, and on those of the operations that its values come from. A name that begins with
        an underscore is the operation's own.

    Raises
    ------
    PortError
        The shape is no such tuple, or the dtype is misspelt.

    Examples
    --------
    >>> ArraySpec("float64", ("batch", 3))
    ArraySpec(float64, ('batch', 3))
    """

    __slots__ = ("dtype", "shape")

    dtype: Any
    shape: Shape | None

    def __init__(self, dtype: object = None, shape: Shape | int | None = None) -> None:
        object.__setattr__(self, "dtype", checked_dtype("ArraySpec(dtype=)", dtype))
        object.__setattr__(self, "shape", checked_shape("ArraySpec", shape))

    @property
    def facts(self) -> tuple[object, Shape | None]:
        """The dtype as numpy has it, and the shape."""
        return None if self.dtype is None else normal_dtype(self.dtype), self.shape

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an ArraySpec does not change: make another one with another {name}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not ArraySpec:
            return NotImplemented
        return bool(self.dtype == other.dtype) and self.shape == other.shape

    def __hash__(self) -> int:
        return hash((ArraySpec, self.shape))

    def __repr__(self) -> str:
        shown = [] if self.dtype is None else [describe_dtype(self.dtype)]
        if self.shape is not None:
            shown.append(f"{'' if shown else 'shape='}{describe_shape(self.shape)}")
        return f"ArraySpec({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ArraySpec, (self.dtype, self.shape)


def libraries_of(thing: object) -> set[str]:
    """Return the names of the packages that the class of an object, and its bases, come from."""
    return {str(kind.__module__).partition(".")[0] for kind in type(thing).__mro__}
