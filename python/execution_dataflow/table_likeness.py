"""Whether two arrays or tables are alike: of the same types and shape, with like values; not a number is like itself.

A library is asked only if it is imported: otherwise there is no value of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["table_rule"]

Alike: TypeAlias = Callable[[Any, Any], bool]
"""Whether two values are alike."""

Rule: TypeAlias = Callable[[Alike, Any, Any], bool]
"""Whether two values of one class are alike, given what compares the values in them."""


def table_rule(value: Any) -> Rule | None:
    """Return how values of this one's class are compared; ``None`` if it is neither an array nor a table."""
    numpy, pandas, polars, arrow = (sys.modules.get(name) for name in ("numpy", "pandas", "polars", "pyarrow"))
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _masked_arrays if isinstance(value, numpy.ma.MaskedArray) else _arrays
    if pandas is not None:
        if isinstance(value, pandas.DataFrame):
            return _pandas_frames
        if isinstance(value, pandas.Series | pandas.Index):
            return _pandas_columns
        if isinstance(value, pandas.api.extensions.ExtensionArray):
            return _pandas_values
    if polars is not None and isinstance(value, polars.DataFrame | polars.Series):
        return _polars_frames if isinstance(value, polars.DataFrame) else _polars_columns
    if arrow is not None and isinstance(value, arrow.Table | arrow.RecordBatch | arrow.Array | arrow.ChunkedArray):
        return _arrow_tables if isinstance(value, arrow.Table | arrow.RecordBatch) else _arrow_columns
    return None


def _arrays(alike: Alike, before: Any, after: Any) -> bool:
    numpy = sys.modules["numpy"]
    state, state_now = getattr(before, "__dict__", None), getattr(after, "__dict__", None)
    # Those of a map of a file say where that is.
    if not isinstance(before, numpy.memmap) and not alike(state, state_now):
        return False
    return _plain_arrays(alike, before.view(numpy.ndarray), after.view(numpy.ndarray))


def _plain_arrays(alike: Alike, before: Any, after: Any) -> bool:
    if before.dtype != after.dtype or before.shape != after.shape:
        return False
    if before.dtype.names is not None:
        return all(_plain_arrays(alike, before[name], after[name]) for name in before.dtype.names)
    if before.dtype.hasobject:
        return alike(before.reshape(-1).tolist(), after.reshape(-1).tolist())
    equal = before == after
    return bool(equal.all() or (equal | ((before != before) & (after != after))).all())


def _masked_arrays(alike: Alike, before: Any, after: Any) -> bool:
    numpy = sys.modules["numpy"]
    # What lies under the mask is no part of the value.
    return (
        alike(before.fill_value, after.fill_value)
        and _plain_arrays(alike, numpy.ma.getmaskarray(before), numpy.ma.getmaskarray(after))
        and _plain_arrays(alike, before.filled(), after.filled())
    )


def _pandas_frames(alike: Alike, before: Any, after: Any) -> bool:
    return (
        before.shape == after.shape
        and alike(before.index, after.index)
        and alike(before.columns, after.columns)
        and alike(before.attrs, after.attrs)
        and all(
            _pandas_values(alike, before.iloc[:, place].array, after.iloc[:, place].array)
            for place in range(before.shape[1])
        )
    )


def _pandas_columns(alike: Alike, before: Any, after: Any) -> bool:
    """Compare two series, or two indices."""
    pandas = sys.modules["pandas"]
    if not alike(list(getattr(before, "names", [before.name])), list(getattr(after, "names", [after.name]))):
        return False
    if isinstance(before, pandas.MultiIndex):
        levels = range(before.nlevels)
        return before.nlevels == after.nlevels and all(
            _pandas_values(alike, before.get_level_values(level).array, after.get_level_values(level).array)
            for level in levels
        )
    if isinstance(before, pandas.Series) and not (
        alike(before.index, after.index) and alike(before.attrs, after.attrs)
    ):
        return False
    return _pandas_values(alike, before.array, after.array)


def _pandas_values(alike: Alike, before: Any, after: Any) -> bool:
    if before.dtype != after.dtype or len(before) != len(after):
        return False
    if str(before.dtype) == "object":
        return alike(list(before), list(after))
    return bool(before.equals(after))


def _polars_frames(alike: Alike, before: Any, after: Any) -> bool:
    if before.shape != after.shape or list(before.schema.items()) != list(after.schema.items()):
        return False
    return all(map(lambda *columns: _polars_columns(alike, *columns), before.get_columns(), after.get_columns()))


def _polars_columns(alike: Alike, before: Any, after: Any) -> bool:
    polars = sys.modules["polars"]
    if before.name != after.name or before.dtype != after.dtype or len(before) != len(after):
        return False
    if before.dtype == polars.Object:
        return alike(before.to_list(), after.to_list())
    return bool(before.equals(after, null_equal=True))


def _arrow_tables(alike: Alike, before: Any, after: Any) -> bool:
    if not before.schema.equals(after.schema, check_metadata=True):
        return False
    return all(map(lambda *columns: _arrow_columns(alike, *columns), before.columns, after.columns))


def _arrow_columns(alike: Alike, before: Any, after: Any) -> bool:
    if before.type != after.type or len(before) != len(after):
        return False
    # To Arrow, what is not a number equals nothing.
    return bool(before.equals(after)) or all(
        alike(own.as_py(), other.as_py()) for own, other in zip(before, after, strict=True)
    )
