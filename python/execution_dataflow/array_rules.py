"""What the dtype and the shape of an array port mean: whether two of them can fit, and whether a value has them.

numpy is imported only when a port names a dtype. Anything with ``dtype`` and ``shape`` attributes is an array here.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args, get_origin

from execution_dataflow.errors import PortError

__all__ = [
    "ArrayCheck",
    "Shape",
    "array_facts",
    "arrays_misfit",
    "checked_shape",
    "describe_dtype",
    "describe_shape",
    "dtypes_fit",
    "is_array_class",
    "joint_shape",
    "normal_dtype",
    "shapes_fit",
]

Shape: TypeAlias = tuple[int | str | None, ...]
"""The lengths of an array's axes; ``None`` is any length, and a name one that agrees wherever the name stands."""


def checked_shape(owner: str, shape: object) -> Shape | None:
    """Return a shape as a tuple, or raise an error that says what it may be; `owner` is what it was given to."""
    if shape is None:
        return None
    lengths = (shape,) if isinstance(shape, int) else shape
    if not isinstance(lengths, tuple | list) or not all(map(_is_length, lengths)):
        raise PortError(
            f"{owner}(shape=) is a tuple of lengths, None for any length and a name such as 'batch' for one that is "
            f"the same wherever the name stands, not {shape!r}"
        )
    return tuple(lengths)


def _is_length(length: object) -> bool:
    if isinstance(length, str):
        return length.isidentifier()
    return length is None or (type(length) is int and length >= 0)


def normal_dtype(dtype: object) -> object:
    """Return what `dtype` means: a numpy scalar class (for its subclasses too), a ``numpy.dtype``, or itself.

    A dtype that leaves its length or its unit open, such as ``str`` or ``"datetime64"``, is the class of all of them.
    What numpy does not know, such as the dtype of another array library, stays as it is and is compared with ``==``.
    """
    import numpy as np

    if isinstance(dtype, type) and issubclass(dtype, np.generic):
        return dtype
    try:
        found: np.dtype[Any] = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        return dtype
    return found.type if _is_open(found) else found


def _is_open(dtype: Any) -> bool:
    """Return whether a dtype of numpy has no length or no unit; no array has one like that but an empty one."""
    if dtype.kind in "mM":
        return str(dtype).endswith("64")
    return dtype.kind in "USV" and dtype.itemsize == 0 and dtype.names is None


def dtypes_fit(source: object, target: object) -> bool:
    """Return whether an array with the first normal dtype may have the second; ``None`` is any dtype."""
    if source is None or target is None:
        return True
    source_class, target_class = _scalar_class(source), _scalar_class(target)
    if isinstance(source, type) or isinstance(target, type):
        if source_class is None or target_class is None:
            return False
        return issubclass(source_class, target_class) or issubclass(target_class, source_class)
    return bool(source == target)


def _scalar_class(dtype: object) -> type | None:
    found = dtype if isinstance(dtype, type) else getattr(dtype, "type", None)
    return found if isinstance(found, type) else None


def shapes_fit(source: Shape | None, target: Shape | None) -> bool:
    """Return whether an array with the first shape may have the second; ``None`` is any shape."""
    if source is None or target is None:
        return True
    return len(source) == len(target) and all(
        type(have) is not int or type(want) is not int or have == want
        for have, want in zip(source, target, strict=True)
    )


def joint_shape(one: Shape | None, other: Shape | None) -> Shape | None:
    """Return what two shapes of the same arrays say together: for each axis a number, else a name, else nothing."""
    if one is None or other is None or len(one) != len(other):
        return one if other is None else other
    return tuple(_more_exact(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def _more_exact(one: int | str | None, other: int | str | None) -> int | str | None:
    if one is None or (isinstance(one, str) and type(other) is int):
        return other
    return one


def array_facts(hint: object) -> tuple[object, Shape | None]:
    """Return the dtype and the shape in a hint like ``NDArray[np.float64]``; ``None`` for what it leaves open."""
    if not is_array_class(get_origin(hint)):
        return None, None
    arguments = get_args(hint)
    scalars = get_args(arguments[1]) if len(arguments) > 1 else ()
    scalar = scalars[0] if scalars and isinstance(scalars[0], type) and scalars[0] is not Any else None
    return scalar, _shape_fact(arguments[0]) if arguments else None


def _shape_fact(hint: object) -> Shape | None:
    lengths = get_args(hint)
    if get_origin(hint) is not tuple or Ellipsis in lengths:
        return None
    return tuple(_length_fact(length) for length in lengths)


def _length_fact(hint: object) -> int | None:
    values = get_args(hint) if get_origin(hint) is Literal else ()
    return values[0] if len(values) == 1 and isinstance(values[0], int) else None


def is_array_class(kind: object) -> bool:
    """Return whether something is ``numpy.ndarray``, without importing it."""
    return getattr(kind, "__name__", "") == "ndarray" and getattr(kind, "__module__", "") == "numpy"


def arrays_misfit(source: tuple[object, Shape | None], target: tuple[object, Shape | None]) -> str | None:
    """Return why an array with the first dtype and shape can never have the second, or ``None``.

    Parameters
    ----------
    source, target : tuple of (object, shape or None)
        A normal dtype and a shape, ``None`` for any.

    Returns
    -------
    str or None
        What differs.

    Examples
    --------
    >>> arrays_misfit((None, (None, 3)), (None, ("batch", 4)))
    "shape (*, 3) is no shape ('batch', 4)"
    """
    (dtype, shape), (target_dtype, target_shape) = source, target
    if not dtypes_fit(dtype, target_dtype):
        return f"dtype {describe_dtype(dtype)} is no {describe_dtype(target_dtype)}"
    if shape is not None and target_shape is not None and not shapes_fit(shape, target_shape):
        return f"shape {describe_shape(shape)} is no shape {describe_shape(target_shape)}"
    return None


def describe_dtype(dtype: object) -> str:
    """Return a dtype as text, for messages."""
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)


def describe_shape(shape: Shape) -> str:
    """Return a shape as text, with ``*`` for any length."""
    lengths = ["*" if length is None else repr(length) for length in shape]
    return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"


class ArrayCheck:
    """Checks that a value has a class, a dtype and a shape; never looks at elements.

    Parameters
    ----------
    classes : tuple of type or None
        One of these; ``None`` takes anything with the dtype and the shape.
    dtype : object
        A normal dtype, or ``None`` for any.
    shape : tuple of (int, str or None) or None
        The lengths of the axes, or ``None`` for any. What stands under one name twice has to be the same.

    Examples
    --------
    >>> import numpy as np
    >>> check = ArrayCheck((np.ndarray,), normal_dtype("float64"), (None, 3))
    >>> check(np.zeros((5, 3))) is None
    True
    >>> check(np.zeros((5, 2)))
    'expected an array of shape (*, 3), got shape (5, 2)'
    """

    __slots__ = ("classes", "dtype", "shape")

    def __init__(self, classes: tuple[type, ...] | None, dtype: object, shape: Shape | None) -> None:
        self.classes = classes
        self.dtype = dtype
        self.shape = shape

    def __call__(self, value: Any) -> str | None:
        """Return what is wrong with a value, or ``None``."""
        if self.classes is not None and not isinstance(value, self.classes):
            names = " or ".join(each.__name__ for each in self.classes)
            return f"expected {names}, got {type(value).__name__}"
        if self.dtype is not None:
            dtype = getattr(value, "dtype", None)
            if dtype is None:
                return f"expected an array of dtype {describe_dtype(self.dtype)}, got {type(value).__name__}"
            if not self._has_dtype(dtype):
                return f"expected an array of dtype {describe_dtype(self.dtype)}, got dtype {describe_dtype(dtype)}"
        if self.shape is not None:
            shape = getattr(value, "shape", None)
            if shape is None:
                return f"expected an array of shape {describe_shape(self.shape)}, got {type(value).__name__}"
            if not shapes_fit(tuple(shape), self.shape) or not self._names_agree(shape):
                return f"expected an array of shape {describe_shape(self.shape)}, got shape {tuple(shape)}"
        return None

    def _has_dtype(self, dtype: object) -> bool:
        if not isinstance(self.dtype, type):
            return bool(dtype == self.dtype)
        scalar = _scalar_class(dtype)
        return scalar is not None and issubclass(scalar, self.dtype)

    def _names_agree(self, shape: tuple[int, ...]) -> bool:
        assert self.shape is not None
        lengths: dict[str, int] = {}
        named = ((name, length) for name, length in zip(self.shape, shape, strict=True) if isinstance(name, str))
        return all(lengths.setdefault(name, length) == length for name, length in named)
