"""Tables, record batches and arrays of pyarrow as tables and columns."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.plain_values import ListColumn
from execution_dataflow.checks.values import Column, Mask, Table, no_column

__all__ = ["arrow_table"]


def _compute() -> Any:
    import pyarrow.compute  # part of what the value came from

    return pyarrow.compute


class _ArrowColumn(Column):
    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def present(self) -> Mask:
        compute = _compute()
        return compute.invert(compute.is_null(self._values, nan_is_null=True))

    def distinct(self) -> Mask:
        compute = _compute()
        counts = compute.value_counts(self._values)
        repeated = counts.field("values").filter(compute.greater(counts.field("counts"), 1))
        compute_or = compute.or_(compute.invert(compute.is_in(self._values, value_set=repeated)), self._missing())
        return compute_or

    def between(self, low: Any, high: Any, is_strict: bool) -> Mask:
        compute, values = _compute(), self._values
        passes = self.present()
        if low is not None:
            passes = compute.and_(passes, (compute.greater if is_strict else compute.greater_equal)(values, low))
        if high is not None:
            passes = compute.and_(passes, (compute.less if is_strict else compute.less_equal)(values, high))
        return compute.or_(compute.fill_null(passes, True), self._missing())

    def each(self, test: Callable[[Any], bool]) -> Mask:
        arrow, compute = sys.modules["pyarrow"], _compute()
        distinct = compute.unique(self._values)
        passes = ListColumn(distinct.to_pylist()).each(test)
        wrong = distinct.filter(arrow.array([not passing for passing in passes], arrow.bool_()))
        return compute.or_(compute.invert(compute.is_in(self._values, value_set=wrong)), self._missing())

    def _missing(self) -> Mask:
        return _compute().is_null(self._values, nan_is_null=True)

    def to_list(self) -> list[Any]:
        listed: list[Any] = self._values.to_pylist()
        return listed


class _ArrowTable(Table):
    """A table, a record batch, an array or a chunked array."""

    what = "table"

    def __init__(self, value: Any) -> None:
        self._value = value
        if hasattr(value, "column_names"):
            self.columns = tuple(value.column_names)

    def __len__(self) -> int:
        return len(self._value) if self.columns is None else int(self._value.num_rows)

    def column(self, name: Any) -> Column:
        if self.columns is None:
            raise TypeError(f"an array has no columns, such as {name!r}: leave the column out")
        if name not in self.columns:
            raise no_column(name, self.what, self.columns)
        return _ArrowColumn(self._value.column(self.columns.index(name)))

    def elements(self) -> Column:
        return super().elements() if self.columns is not None else _ArrowColumn(self._value)

    def row(self, place: Any) -> Any:
        if self.columns is None:
            return plain(self._value[place].as_py())
        return plain({name: self._value.column(at)[place].as_py() for at, name in enumerate(self.columns)})

    def both(self, one: Mask, other: Mask) -> Mask:
        return _compute().and_(*(self._as_arrow(mask) for mask in (one, other)))

    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        compute = _compute()
        places = compute.indices_nonzero(compute.invert(self._as_arrow(mask)))
        return len(places), places[:most].to_pylist()

    def mask_from(self, passes: list[bool]) -> Mask:
        arrow = sys.modules["pyarrow"]
        return arrow.array(passes, arrow.bool_())

    def _as_arrow(self, mask: Mask) -> Mask:
        return self.mask_from(mask) if isinstance(mask, list) else mask


def arrow_table(value: Any) -> Table:
    """Return a table, a record batch or an array of pyarrow as a table."""
    return _ArrowTable(value)
