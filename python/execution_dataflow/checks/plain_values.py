"""Lists, mappings and single values of plain Python, as tables and columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.values import Column, Mask, Table, is_missing, no_column

__all__ = ["ListColumn", "ListTable", "fields_of", "row_or_element", "rows_or_elements"]


class ListColumn(Column):
    """Elements in a list."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def present(self) -> list[bool]:
        """Which are not missing."""
        return [not is_missing(value) for value in self._values]

    def distinct(self) -> list[bool]:
        """Which occur once."""
        try:
            counts = Counter(self._values)
        except TypeError:  # lists and dicts, which only compare
            counts = Counter(keys := [repr(value) for value in self._values])
            return [counts[key] == 1 or is_missing(value) for key, value in zip(keys, self._values, strict=True)]
        return [counts[value] == 1 or is_missing(value) for value in self._values]

    def between(self, low: Any, high: Any, is_strict: bool) -> list[bool]:
        """Which lie between two bounds."""
        if is_strict:
            return [
                is_missing(value) or ((low is None or low < value) and (high is None or value < high))
                for value in self._values
            ]
        return [
            is_missing(value) or ((low is None or low <= value) and (high is None or value <= high))
            for value in self._values
        ]

    def each(self, test: Callable[[Any], bool]) -> list[bool]:
        """Which a test holds for."""
        known: dict[Any, bool] = {}
        passes = []
        for value in self._values:
            if is_missing(value):
                passes.append(True)
                continue
            try:
                # 1 == True == 1.0, and a test may tell them apart.
                key = (type(value), value)
                answer = known.get(key)
                if answer is None:
                    answer = known[key] = test(value)
            except TypeError:
                answer = test(value)
            passes.append(answer)
        return passes

    def to_list(self) -> list[Any]:
        """The elements."""
        return list(self._values)


class ListTable(Table):
    """A table whose masks are lists."""

    def both(self, one: Mask, other: Mask) -> Mask:
        """Where both are true."""
        return [first and second for first, second in zip(one, other, strict=True)]

    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        """How often it is false, and where first."""
        places = [place for place, passes in enumerate(mask) if not passes]
        return len(places), places[:most]


class _Elements(ListTable):
    """A list of elements, or one element."""

    def __init__(self, values: Sequence[Any], what: str) -> None:
        self.what = what  # type: ignore[misc]
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def column(self, name: Any) -> Column:
        if not self._values and not self.is_single:
            return ListColumn([])  # no rows, and nobody can tell their columns
        raise TypeError(f"a value of {self.what} has no columns, such as {name!r}: leave the column out")

    def elements(self) -> Column:
        return ListColumn(self._values)

    def row(self, place: Any) -> Any:
        return plain(self._values[place])


class _Rows(ListTable):
    """A list of mappings, or of objects with fields."""

    what = "list of rows"

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows
        self.columns = tuple(fields_of(rows[0])) if rows else ()

    def __len__(self) -> int:
        return len(self._rows)

    def column(self, name: Any) -> Column:
        values, is_there = [], not self._rows
        for row in self._rows:
            if isinstance(row, Mapping):
                is_there = is_there or name in row
                values.append(row.get(name))
            else:
                is_there = is_there or hasattr(row, str(name))
                values.append(getattr(row, str(name), None))
        if not is_there:
            raise no_column(name, self.what, self.columns or ())
        return ListColumn(values)

    def row(self, place: Any) -> Any:
        row = self._rows[place]
        return plain(dict(row) if isinstance(row, Mapping) else {name: getattr(row, name) for name in fields_of(row)})


def fields_of(row: Any) -> tuple[Any, ...]:
    """The names of what is in a row: of a mapping, a dataclass, a named tuple or a model; empty for an element."""
    if isinstance(row, Mapping):
        return tuple(row)
    if isinstance(row, type):
        return ()
    for attribute in ("_fields", "__dataclass_fields__", "model_fields", "__attrs_attrs__"):
        fields = getattr(type(row), attribute, None)
        if isinstance(fields, Mapping | tuple):
            return tuple(getattr(field, "name", field) for field in fields)
    return ()


def row_or_element(value: Any) -> Table:
    """Return a value that is no collection as the only row, or the only element."""
    table = _Rows([value]) if fields_of(value) else _Elements([value], type(value).__name__)
    table.is_single = True
    return table


def rows_or_elements(values: Sequence[Any], what: str) -> Table:
    """Return a list as rows, if its first item has fields, and as elements otherwise."""
    return _Rows(values) if values and fields_of(values[0]) else _Elements(values, what)
