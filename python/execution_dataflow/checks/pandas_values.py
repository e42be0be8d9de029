"""DataFrames, Series and indices of pandas as tables and columns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.plain_values import ListColumn
from execution_dataflow.checks.values import Column, Mask, Table, no_column

__all__ = ["pandas_table"]


def _truths(series: Any) -> Any:
    """A mask without pandas' third truth."""
    return series.to_numpy(dtype=bool, na_value=False)


class _SeriesColumn(Column):
    def __init__(self, series: Any) -> None:
        self._series = series

    def __len__(self) -> int:
        return len(self._series)

    def present(self) -> Mask:
        return _truths(self._series.notna())

    def distinct(self) -> Mask:
        return ~_truths(self._series.duplicated(keep=False)) | ~self.present()

    def between(self, low: Any, high: Any, is_strict: bool) -> Mask:
        series, passes = self._series, ~self.present()
        inside = ~passes
        if low is not None:
            inside &= _truths(series > low if is_strict else series >= low)
        if high is not None:
            inside &= _truths(series < high if is_strict else series <= high)
        return passes | inside

    def each(self, test: Callable[[Any], bool]) -> Mask:
        numpy = sys.modules["numpy"]
        try:
            codes, distinct = self._series.factorize()
        except TypeError:  # elements without a hash
            return numpy.array(ListColumn(self._series.tolist()).each(test), bool)
        # What is missing has the code -1, which is the last place.
        return numpy.array([*(test(value) for value in distinct.tolist()), True], bool)[codes]

    def to_list(self) -> list[Any]:
        listed: list[Any] = self._series.tolist()
        return listed


class _PandasTable(Table):
    """A DataFrame, a Series or an Index; rows are counted from 0, whatever their labels."""

    what = "DataFrame"

    def __init__(self, value: Any) -> None:
        pandas: Any = sys.modules["pandas"]
        self._value = value.to_series() if isinstance(value, pandas.Index) else value
        if value.ndim == 2:
            self.columns = tuple(value.columns)

    def __len__(self) -> int:
        return len(self._value)

    def column(self, name: Any) -> Column:
        if self.columns is None:
            raise TypeError(f"a Series has no columns, such as {name!r}: leave the column out")
        if name not in self.columns:
            raise no_column(name, self.what, self.columns)
        return _SeriesColumn(self._value.iloc[:, self.columns.index(name)])

    def elements(self) -> Column:
        return super().elements() if self.columns is not None else _SeriesColumn(self._value)

    def row(self, place: Any) -> Any:
        if self.columns is None:
            return plain(self._value.iloc[place])
        return plain({name: self._value.iat[place, at] for at, name in enumerate(self.columns)})

    def distinct(self, names: Sequence[Any]) -> Mask:
        if len(names) == 1:
            return self.column(names[0]).distinct()
        for name in names:
            self.column(name)
        among = self._value[list(names)]
        return ~_truths(among.duplicated(keep=False)) | _truths(among.isna().any(axis=1))

    def both(self, one: Mask, other: Mask) -> Mask:
        return one & other

    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        places = (~mask).nonzero()[0]
        return len(places), [int(place) for place in places[:most]]

    def mask_from(self, passes: list[bool]) -> Mask:
        return sys.modules["numpy"].array(passes, bool)


def pandas_table(value: Any) -> Table:
    """Return a DataFrame, a Series or an Index of pandas as a table."""
    return _PandasTable(value)
