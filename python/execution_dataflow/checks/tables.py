"""Any value as a table or a column; nothing is imported that the value did not bring."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence, Set
from typing import Any

from execution_dataflow.checks.outcome import plain
from execution_dataflow.checks.plain_values import (
    ListColumn,
    ListTable,
    fields_of,
    row_or_element,
    rows_or_elements,
)
from execution_dataflow.checks.values import Column, Table, no_column

__all__ = ["table_of"]

# The values of most ports that are checked item by item belong to no library.
_BUILT_IN = frozenset((bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, type(None)))


def table_of(value: Any) -> Table:
    """Return a value as a table or a column of elements.

    Parameters
    ----------
    value : object
        A DataFrame, Series, Table or Array of pandas, polars or pyarrow; a numpy array; a list of rows or of elements;
        a mapping of columns or of the fields of one row; anything else is one element.

    Raises
    ------
    TypeError
        It has to be computed first, such as a LazyFrame of polars.
    """
    if type(value) in _BUILT_IN:
        return _plain_table(value)
    if isinstance(value, _classes("numpy", "ndarray", "generic")):
        from execution_dataflow.checks.numpy_values import array_table

        return array_table(value)
    if isinstance(value, _classes("pandas", "DataFrame", "Series", "Index")):
        from execution_dataflow.checks.pandas_values import pandas_table

        return pandas_table(value)
    if isinstance(value, _classes("polars", "LazyFrame")):
        raise TypeError("a LazyFrame holds no rows yet: give its .collect() to the port, or check it before")
    if isinstance(value, _classes("polars", "DataFrame", "Series")):
        from execution_dataflow.checks.polars_values import polars_table

        return polars_table(value)
    if isinstance(value, _classes("pyarrow", "Table", "RecordBatch", "Array", "ChunkedArray")):
        from execution_dataflow.checks.arrow_values import arrow_table

        return arrow_table(value)
    return _plain_table(value)


def _classes(library: str, *names: str) -> tuple[type, ...]:
    """Classes of a library: none, if it was not imported, since it cannot have made the value then."""
    module = sys.modules.get(library)
    # One that is being imported on another thread does not have them yet.
    return tuple(getattr(module, name) for name in names if hasattr(module, name))


def _plain_table(value: Any) -> Table:
    if isinstance(value, Mapping):
        is_one_row = value and not any(_is_column(cell) for cell in value.values())
        return row_or_element(value) if is_one_row else _Columns(value)
    is_collection = isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview)
    if not is_collection or fields_of(value):
        return row_or_element(value)
    return rows_or_elements(value if isinstance(value, Sequence) else list(value), type(value).__name__)


class _Columns(ListTable):
    """A mapping of names to columns of one length, each of which may come from another library."""

    what = "mapping of columns"

    def __init__(self, columns: Mapping[Any, Any]) -> None:
        self._tables = {name: table_of(values) for name, values in columns.items()}
        self.columns = tuple(columns)
        lengths = {name: len(table) for name, table in self._tables.items()}
        if len(set(lengths.values())) > 1:
            listing = ", ".join(f"{name!r}: {length}" for name, length in lengths.items())
            raise ValueError(f"the columns of the mapping differ in length: {listing}")
        self._length = next(iter(lengths.values()), 0)

    def __len__(self) -> int:
        return self._length

    def column(self, name: Any) -> Column:
        if name not in self._tables:
            raise no_column(name, self.what, self.columns or ())
        return ListColumn(self._tables[name].elements().to_list())

    def row(self, place: Any) -> Any:
        return plain({name: table.row(place) for name, table in self._tables.items()})


def _is_column(cell: Any) -> bool:
    return (isinstance(cell, list | tuple) and not fields_of(cell)) or getattr(cell, "shape", ()) != ()
