"""Arrays of numpy as tables and columns: plain, structured and masked ones, of any number of axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.plain_values import ListColumn
from execution_dataflow.checks.values import Column, Mask, Table, no_column

__all__ = ["array_table"]


class _ArrayColumn(Column):
    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __len__(self) -> int:
        return int(self._values.size)

    def present(self) -> Mask:
        values = self._values
        there = ~np.ma.getmaskarray(values)
        values = np.ma.getdata(values)
        if values.dtype.kind in "fc":
            there &= ~np.isnan(values)
        elif values.dtype.kind in "mM":
            there &= ~np.isnat(values)
        elif values.dtype.kind == "O":
            there &= np.array(ListColumn(values.ravel().tolist()).present(), bool).reshape(values.shape)
        return there

    def distinct(self) -> Mask:
        values = np.ma.getdata(self._values)
        if values.dtype.kind == "O":
            passes = np.array(ListColumn(values.ravel().tolist()).distinct(), bool).reshape(values.shape)
        else:
            there = self.present()
            _, places, counts = np.unique(values[there], return_inverse=True, return_counts=True)
            passes = np.ones(values.shape, bool)
            passes[there] = (counts == 1)[places.reshape(-1)]
        return passes | ~self.present()

    def between(self, low: Any, high: Any, is_strict: bool) -> Mask:
        values, there = np.ma.getdata(self._values), self.present()
        if values.dtype.kind == "O":
            passes = np.array(ListColumn(values.ravel().tolist()).between(low, high, is_strict), bool)
            return passes.reshape(values.shape)
        passes = np.ones(values.shape, bool)
        with np.errstate(invalid="ignore"):
            if low is not None:
                passes &= values > low if is_strict else values >= low
            if high is not None:
                passes &= values < high if is_strict else values <= high
        return passes | ~there

    def each(self, test: Callable[[Any], bool]) -> Mask:
        values, there = np.ma.getdata(self._values), self.present()
        passes = np.ones(values.shape, bool)
        if values.dtype.kind == "O":
            passes[there] = ListColumn(values[there].tolist()).each(test)
        else:
            distinct, places = np.unique(values[there], return_inverse=True)
            passes[there] = np.array([test(value) for value in distinct.tolist()], bool)[places.reshape(-1)]
        return passes

    def to_list(self) -> list[Any]:
        listed: list[Any] = self._values.ravel().tolist()
        return listed


class _ArrayTable(Table):
    """An array: its fields are columns, and so are the places of the last of two axes, by number."""

    what = "array"

    def __init__(self, values: Any) -> None:
        self._values = values if isinstance(values, np.ndarray) else np.asarray(values)
        self.columns = self._values.dtype.names
        self.is_single = self._values.ndim == 0
        if self.columns is not None and self._values.ndim != 1:
            self._values = self._values.reshape(-1)

    def __len__(self) -> int:
        return int(self._values.shape[0]) if self._values.ndim else 1

    def column(self, name: Any) -> Column:
        values = self._values
        if self.columns is not None:
            if name not in self.columns:
                raise no_column(name, "structured array", self.columns)
            return _ArrayColumn(values[name])
        if isinstance(name, int) and values.ndim == 2:
            if not -values.shape[1] <= name < values.shape[1]:
                raise no_column(name, "array", range(values.shape[1]))
            return _ArrayColumn(values[:, name])
        raise TypeError(
            f"an array of {values.ndim} axes and dtype {values.dtype} has no column {name!r}: leave the column out, or "
            "give the number of a column of an array with two axes"
        )

    def elements(self) -> Column:
        return super().elements() if self.columns is not None else _ArrayColumn(self._values)

    def row(self, place: Any) -> Any:
        cell = self._values[place]
        if self.columns is not None:
            return plain({name: cell[name] for name in self.columns})
        return plain(cell.tolist() if isinstance(cell, np.ndarray) else cell)

    def both(self, one: Mask, other: Mask) -> Mask:
        return np.logical_and(one, other)

    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        mask = np.asarray(mask, bool)
        flat = np.flatnonzero(~mask.ravel())
        first = flat[:most]
        if mask.ndim <= 1:
            return len(flat), [int(place) for place in first]
        places = zip(*np.unravel_index(first, mask.shape), strict=True)
        return len(flat), [tuple(int(index) for index in place) for place in places]

    def truths_of_axes(self, answer: Any) -> Mask | None:
        shape = np.shape(answer)
        if self._values.ndim > 1 and len(shape) > 1:
            mask = np.ma.filled(np.ma.asarray(answer), True)
            if mask.dtype != bool or shape != self._values.shape[: len(shape)]:
                raise ValueError(
                    f"it returned an array of shape {shape} and dtype {mask.dtype} for a value of shape "
                    f"{self._values.shape}; a truth for each row or element belongs there"
                )
            return mask
        return None

    def mask_from(self, passes: list[bool]) -> Mask:
        return np.array(passes, bool)


def array_table(value: Any) -> Table:
    """Return an array or a scalar of numpy as a table."""
    return _ArrayTable(value)
