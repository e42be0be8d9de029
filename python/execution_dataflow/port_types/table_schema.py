"""Schemas of tables: columns and their dtypes, checked without a look at the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from execution_dataflow.errors import PortError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.port_types.dtype_names import checked_dtype
from execution_dataflow.port_types.specs import ValueSpec, libraries_of
from execution_dataflow.port_types.table_dtypes import describe_dtype, dtype_fits, dtype_is

__all__ = ["TableSchema", "schema_of_library"]

_SHOWN = 8
_TABLES = {"pandas": "a pandas frame", "polars": "a polars frame", "pyarrow": "an Arrow table"}


class TableSchema(ValueSpec):
    """The columns of a table and their dtypes, as the type of a port or in ``Annotated``.

    Tables of pandas, polars and Arrow are checked, and what has their attributes; rows are never looked at.

    Parameters
    ----------
    columns : mapping of str to dtype
        For each column its dtype: one of the table's library, such as ``pl.Int64``; a name, such as ``"int64"``, which
        is the same for all libraries; or a class of Python, which stands for every dtype of its kind: ``int``,
        ``float``, ``str``, ``bool``, ``bytes``, ``datetime.datetime``, ``datetime.date``, ``datetime.timedelta``.
        ``typing.Any`` is any. The schema of a library will do as well: a ``pyarrow.Schema``, a ``polars.Schema``, or
        the ``dtypes`` of a pandas frame.
    exact : bool
        Whether the table has no other columns.
    ordered : bool
        Whether the columns come in this order.

    Raises
    ------
    PortError
        It is no such mapping, or a dtype is misspelt.

    Examples
    --------
    >>> schema = TableSchema({"city": str, "degrees": "float64"})
    >>> schema
    TableSchema(city: str, degrees: float64)
    >>> import numpy as np
    >>> class Frame:
    ...     columns, dtypes = ["city", "degree"], [np.dtype("U8"), np.dtype("f8")]
    >>> print(TableSchema({"degrees": float}, exact=False).fault(Frame()))
    expected a table TableSchema(degrees: float, exact=False), got a table (Frame) without the column 'degrees'
    ('degree' is no column of the schema)
    """

    __slots__ = ("columns", "exact", "library", "ordered")

    columns: dict[str, Any]
    exact: bool
    ordered: bool
    library: str | None

    def __init__(self, columns: Any, *, exact: bool = True, ordered: bool = False) -> None:
        library = None
        known = columns if isinstance(columns, TableSchema) else _read_library_schema(columns)
        if isinstance(known, TableSchema):
            columns, library = known.columns, known.library
        names: list[object] = list(columns) if isinstance(columns, Mapping) else [None]
        if not all(isinstance(name, str) for name in names):
            raise PortError(
                "TableSchema(columns=) is a mapping of column names to dtypes, such as {'id': 'int64'}, or the schema "
                f"of a library, not {type(columns).__name__}"
            )
        for name, dtype in columns.items():
            checked_dtype(f"TableSchema, column {name!r}", dtype)
        object.__setattr__(self, "columns", dict(columns))
        object.__setattr__(self, "exact", bool(exact))
        object.__setattr__(self, "ordered", bool(ordered))
        object.__setattr__(self, "library", library)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a TableSchema does not change: make another one with another {name}")

    def fault(self, value: object) -> str | None:
        """Return what is wrong with a table, or ``None``.

        Parameters
        ----------
        value : object
            A table.

        Returns
        -------
        str or None
            All that differs.
        """
        if self.library is not None and self.library not in libraries_of(value):
            return f"expected {_TABLES[self.library]} {self!r}, got {type(value).__name__}"
        found = _columns_of(value)
        if found is None:
            return f"expected a table {self!r}, got {type(value).__name__}"
        faults = self._faults(found)
        if not faults:
            return None
        shown = "; ".join(faults[:_SHOWN])
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        return f"expected a table {self!r}, got a table ({type(value).__name__}) {shown}{more}"

    def _faults(self, found: list[tuple[str, Any]]) -> list[str]:
        names = [name for name, _ in found]
        faults = []
        twice = sorted({str(name) for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        faults += [f"with the column {name!r} twice" for name in twice]
        dtypes = dict(found)
        others = [name for name in dtypes if name not in self.columns]
        for name, expected in self.columns.items():
            if name not in dtypes:
                near = nearest_name(name, [str(other) for other in others])
                hint = f" ({near!r} is no column of the schema)" if near is not None else ""
                faults.append(f"without the column {name!r}{hint}")
            elif not dtype_is(expected, dtypes[name]):
                faults.append(f"whose column {name!r} is {dtypes[name]} and not {describe_dtype(expected)}")
        if self.exact and others:
            shown = ", ".join(map(repr, others[:_SHOWN])) + (", ..." if len(others) > _SHOWN else "")
            faults.append(f"with {'a further column' if len(others) == 1 else 'further columns'} {shown}")
        if self.ordered and not faults and [name for name in names if name in self.columns] != list(self.columns):
            faults.append(f"with its columns in another order: {', '.join(map(repr, names))}")
        return faults

    def misfit(self, other: ValueSpec) -> str | None:
        """Return why no table can have this schema and another one, or ``None``."""
        if not isinstance(other, TableSchema):
            return None
        if self.library is not None and other.library is not None and self.library != other.library:
            return f"{_TABLES[self.library]} is not {_TABLES[other.library]}"
        for name, dtype in self.columns.items():
            if name in other.columns:
                if not dtype_fits(dtype, other.columns[name]):
                    wanted = describe_dtype(other.columns[name])
                    return f"the column {name!r} is {describe_dtype(dtype)} and not {wanted}"
            elif other.exact:
                return f"the column {name!r} is not among those that are taken"
        missing = [name for name in other.columns if name not in self.columns]
        if self.exact and missing:
            near = nearest_name(missing[0], list(self.columns))
            return f"the column {missing[0]!r} is not among those that come{f'; {near!r} is' if near else ''}"
        return None

    def __eq__(self, other: object) -> bool:
        if type(other) is not TableSchema:
            return NotImplemented
        mine, theirs = (list(each.columns) for each in (self, other))
        alike = (self.exact, self.ordered, self.library) == (other.exact, other.ordered, other.library)
        if not alike or (mine != theirs if self.ordered else sorted(mine) != sorted(theirs)):
            return False
        return all(_same(dtype, other.columns[name]) for name, dtype in self.columns.items())

    def __hash__(self) -> int:
        return hash((TableSchema, frozenset(self.columns), self.exact, self.ordered))

    def __repr__(self) -> str:
        shown = [f"{name}: {describe_dtype(dtype)}" for name, dtype in list(self.columns.items())[:_SHOWN]]
        shown += ["..."] if len(self.columns) > _SHOWN else []
        shown += [] if self.exact else ["exact=False"]
        shown += ["ordered=True"] if self.ordered else []
        return f"TableSchema({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (self.columns, self.exact, self.ordered, self.library)


def _remake(columns: dict[str, Any], exact: bool, ordered: bool, library: str | None) -> TableSchema:
    made = TableSchema(columns, exact=exact, ordered=ordered)
    object.__setattr__(made, "library", library)
    return made


def _same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # libraries raise what they like
        return one is other


def _columns_of(value: Any) -> list[tuple[str, Any]] | None:
    """Return the columns of a table with their dtypes, or ``None`` if it is none."""
    libraries = libraries_of(value)
    try:
        if "polars" in libraries:
            schema = value.collect_schema() if hasattr(value, "collect_schema") else value.schema
            return list(schema.items())
        if "pyarrow" in libraries:
            schema = value.schema
            return list(zip(schema.names, schema.types, strict=True))
        if isinstance(value, type):
            return None
        names, dtypes = value.columns, value.dtypes
        return list(zip(names, dtypes, strict=True))
    except (AttributeError, TypeError, ValueError):
        return None


def schema_of_library(thing: object) -> TableSchema | None:
    """Return the schema object of a library as a `TableSchema`, or ``None`` if it is none."""
    return _read_library_schema(thing)


def _read_library_schema(thing: Any) -> TableSchema | None:
    kind = type(thing)
    if kind.__name__ not in ("Schema", "Series"):
        return None
    libraries = libraries_of(thing)
    columns: Iterable[tuple[Any, Any]]
    if kind.__name__ == "Schema" and "pyarrow" in libraries:
        library, columns = "pyarrow", zip(thing.names, thing.types, strict=True)
    elif kind.__name__ == "Schema" and "polars" in libraries:
        library, columns = "polars", thing.items()
    elif kind.__name__ == "Series" and "pandas" in libraries:
        library, columns = "pandas", thing.items()
    else:
        return None
    made = TableSchema(dict(columns))
    object.__setattr__(made, "library", library)
    return made
