"""DataFrames and Series of polars as tables and columns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.plain_values import ListColumn
from execution_dataflow.checks.values import Column, Mask, Table, no_column

__all__ = ["polars_table"]


class _SeriesColumn(Column):
    def __init__(self, series: Any) -> None:
        self._series = series

    def __len__(self) -> int:
        return len(self._series)

    def present(self) -> Mask:
        there = self._series.is_not_null()
        if self._series.dtype.is_float():
            there = there & self._series.is_not_nan().fill_null(True)
        return there

    def distinct(self) -> Mask:
        return self._series.is_unique() | ~self.present()

    def between(self, low: Any, high: Any, is_strict: bool) -> Mask:
        series, there = self._series, self.present()
        passes = there
        if low is not None:
            passes = passes & (series > low if is_strict else series >= low).fill_null(True)
        if high is not None:
            passes = passes & (series < high if is_strict else series <= high).fill_null(True)
        return passes | ~there

    def each(self, test: Callable[[Any], bool]) -> Mask:
        polars: Any = sys.modules["polars"]
        try:
            distinct = self._series.unique()
        except polars.exceptions.PolarsError:  # Python objects
            return polars.Series(ListColumn(self._series.to_list()).each(test), dtype=polars.Boolean)
        passes = polars.Series(ListColumn(distinct.to_list()).each(test), dtype=polars.Boolean)
        wrong = distinct.filter(~passes)
        if not len(wrong):
            return polars.repeat(True, len(self._series), eager=True)
        return ~self._series.is_in(wrong.implode()).fill_null(False)

    def to_list(self) -> list[Any]:
        listed: list[Any] = self._series.to_list()
        return listed


class _PolarsTable(Table):
    """A DataFrame or a Series."""

    what = "DataFrame"

    def __init__(self, value: Any) -> None:
        self._value = value
        columns = getattr(value, "columns", None)
        self.columns = None if columns is None else tuple(columns)

    def __len__(self) -> int:
        return len(self._value)

    def column(self, name: Any) -> Column:
        if self.columns is None:
            raise TypeError(f"a Series has no columns, such as {name!r}: leave the column out")
        if name not in self.columns:
            raise no_column(name, self.what, self.columns)
        return _SeriesColumn(self._value.get_column(name))

    def elements(self) -> Column:
        return super().elements() if self.columns is not None else _SeriesColumn(self._value)

    def row(self, place: Any) -> Any:
        return plain(self._value[place] if self.columns is None else self._value.row(place, named=True))

    def distinct(self, names: Sequence[Any]) -> Mask:
        if len(names) == 1:
            return self.column(names[0]).distinct()
        there = self.column(names[0]).present()
        for name in names[1:]:
            there = there & self.column(name).present()
        return self._value.select(names).is_unique() | ~there

    def both(self, one: Mask, other: Mask) -> Mask:
        return one & other

    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        places = (~mask).arg_true()
        return len(places), places.head(most).to_list()

    def mask_from(self, passes: list[bool]) -> Mask:
        polars: Any = sys.modules["polars"]
        return polars.Series(passes, dtype=polars.Boolean)


def polars_table(value: Any) -> Table:
    """Return a DataFrame or a Series of polars as a table."""
    return _PolarsTable(value)
