"""The checks that nearly every pipeline needs, for tables and elements of every library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NotRequired, TypedDict, Unpack

from execution_dataflow.checks.check import Check
from execution_dataflow.checks.masks import rows_judged
from execution_dataflow.checks.outcome import Judgement, Severity
from execution_dataflow.checks.tables import table_of
from execution_dataflow.checks.values import Column, Mask, Table, hashable

__all__ = ["in_range", "in_set", "matches", "not_null", "references", "row_count", "unique"]

_NO_PORTS: Mapping[str, Any] = {}


class _Options(TypedDict):
    """What every ready check takes; see `Check`."""

    name: NotRequired[str]
    severity: NotRequired[Severity]
    description: NotRequired[str]
    mostly: NotRequired[float]


@dataclass(frozen=True)
class _Rule:
    """What a ready check asks."""

    made_by: ClassVar[str]

    def arguments(self) -> list[str]:
        """The arguments of the function that makes it, as text."""
        raise NotImplementedError

    def own_columns(self) -> tuple[Any, ...]:
        """The columns that it names."""
        return ()

    def default_name(self) -> str:
        """What the check is called: as it is made, with columns as plain words."""
        words = {repr(column): column for column in self.own_columns() if isinstance(column, str)}
        return f"{self.made_by}({', '.join(words.get(text, text) for text in self.arguments())})"


@dataclass(frozen=True)
class _RowRule(_Rule):
    """A rule that every row or element passes or does not."""

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows pass."""
        raise NotImplementedError

    def shown(self, table: Table) -> tuple[Any, ...]:
        """The columns that are shown of rows that do not pass."""
        raise NotImplementedError

    def passing(self, value: Any, ports: Mapping[str, Any]) -> Mask:
        """Which rows of a value pass."""
        return self.mask(table_of(value), ports)

    def __call__(self, value: Any, ports: Mapping[str, Any] = _NO_PORTS) -> Judgement:
        """Judge a value."""
        table = table_of(value)
        return rows_judged(table, self.mask(table, ports), self.shown(table))


@dataclass(frozen=True)
class _ColumnsRule(_RowRule):
    columns: tuple[Any, ...]

    def own_columns(self) -> tuple[Any, ...]:
        return self.columns

    def arguments(self) -> list[str]:
        return [repr(column) for column in self.columns]

    def shown(self, table: Table) -> tuple[Any, ...]:
        return self.columns or table.columns or ()


@dataclass(frozen=True)
class NotNull(_ColumnsRule):
    """Nothing is missing."""

    made_by: ClassVar[str] = "not_null"

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows miss nothing."""
        if table.columns is None and not self.columns:
            return table.elements().present()
        names = self.columns or table.columns or ()
        if not names:
            return table.mask_from([True] * len(table))
        return reduce(table.both, (table.column(name).present() for name in names))


@dataclass(frozen=True)
class Unique(_ColumnsRule):
    """No two rows are the same."""

    made_by: ClassVar[str] = "unique"

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows are there once."""
        if table.columns is None and not self.columns:
            return table.elements().distinct()
        names = self.columns or table.columns or ()
        return table.distinct(names) if names else table.mask_from([True] * len(table))


@dataclass(frozen=True)
class _ColumnRule(_RowRule):
    column: Any

    def of(self, table: Table) -> Column:
        """What is looked at."""
        return table.elements() if self.column is None else table.column(self.column)

    def shown(self, table: Table) -> tuple[Any, ...]:
        return () if self.column is None else (self.column,)

    def own_columns(self) -> tuple[Any, ...]:
        return (self.column,)

    def first_argument(self) -> list[str]:
        """The column, as text."""
        return [] if self.column is None else [repr(self.column)]


@dataclass(frozen=True)
class InRange(_ColumnRule):
    """Elements lie between two bounds."""

    made_by: ClassVar[str] = "in_range"

    low: Any
    high: Any
    strict: bool

    def arguments(self) -> list[str]:
        """As text."""
        given = [(name, getattr(self, name)) for name in ("low", "high")]
        given += [("strict", True)] if self.strict else []
        return self.first_argument() + [f"{name}={value!r}" for name, value in given if value is not None]

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows lie between."""
        return self.of(table).between(self.low, self.high, self.strict)


@dataclass(frozen=True)
class InSet(_ColumnRule):
    """Elements are among some."""

    made_by: ClassVar[str] = "in_set"

    values: tuple[Any, ...]

    def arguments(self) -> list[str]:
        """As text."""
        listing = "[" + ", ".join(map(repr, self.values)) + "]"
        return [*self.first_argument(), listing if self.column is not None else f"values={listing}"]

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows are among them."""
        return self.of(table).among(hashable(self.values))


@dataclass(frozen=True)
class Matches(_ColumnRule):
    """Elements are texts that a regular expression matches."""

    made_by: ClassVar[str] = "matches"

    pattern: str

    def arguments(self) -> list[str]:
        """As text."""
        return [*self.first_argument(), repr(self.pattern) if self.column is not None else f"pattern={self.pattern!r}"]

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows it matches."""
        return self.of(table).matching(self.pattern)


@dataclass(frozen=True, eq=False)
class References(_ColumnRule):
    """Elements are keys of something else."""

    made_by: ClassVar[str] = "references"

    to: Any
    to_column: Any

    @property
    def other_ports(self) -> tuple[str, ...]:
        """The port that has the keys."""
        return (self.to,) if isinstance(self.to, str) else ()

    def arguments(self) -> list[str]:
        """As text."""
        to = repr(self.to) if isinstance(self.to, str) else f"<{type(self.to).__name__}>"
        column = [] if self.to_column is None else [repr(self.to_column)]
        return [*self.first_argument(), to if self.column is not None else f"to={to}", *column]

    def mask(self, table: Table, ports: Mapping[str, Any]) -> Mask:
        """Which rows have a known key."""
        to = self.to
        if isinstance(to, str):
            to = ports[to]
            if to is None:
                raise ValueError(f"port {self.to!r} has no value that could hold the keys")
        keys = table_of(to)
        name = self.to_column if self.to_column is not None else self.column
        known = keys.elements() if keys.columns is None or name is None else keys.column(name)
        return self.of(table).among(hashable(known.to_list()))


@dataclass(frozen=True)
class RowCount(_Rule):
    """There are as many rows as expected."""

    made_by: ClassVar[str] = "row_count"

    least: int | None
    most: int | None

    def arguments(self) -> list[str]:
        """As text."""
        given = (("min", self.least), ("max", self.most))
        return [f"{name}={count}" for name, count in given if count is not None]

    def __call__(self, value: Any) -> Judgement:
        """Count the rows."""
        count = len(table_of(value))
        is_good = (self.least is None or count >= self.least) and (self.most is None or count <= self.most)
        return Judgement(is_good=is_good, reason=f"{count} {'row' if count == 1 else 'rows'}")


def not_null(*columns: Any, **options: Unpack[_Options]) -> Check:
    """Return the check that nothing is missing: no ``None``, null, NaN, NaT or ``pandas.NA``.

    Parameters
    ----------
    *columns : str or int
        The columns that are looked at; all by default.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays, lists and single values.

    Examples
    --------
    >>> not_null("tail").evaluate({"tail": ["N14228", None, "N619AA"]}).message
    'not_null(tail): 1 of 3 rows does not pass: row 1 (tail=None)'
    """
    return _check(NotNull(columns), options)


def unique(*columns: Any, **options: Unpack[_Options]) -> Check:
    """Return the check that no value, or no combination of values, occurs twice. Rows that miss one of them pass.

    Parameters
    ----------
    *columns : str or int
        The columns that are unique together; all by default.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays and lists.

    Examples
    --------
    >>> unique("day", "gate").evaluate({"day": [1, 1, 1], "gate": ["A", "B", "A"]}).failed
    2
    """
    return _check(Unique(columns), options)


def in_range(
    column: Any = None, low: Any = None, high: Any = None, *, strict: bool = False, **options: Unpack[_Options]
) -> Check:
    """Return the check that numbers, times or texts lie between two bounds. What is missing passes.

    Parameters
    ----------
    column : str or int, optional
        The column; left out for a value without columns.
    low, high : object
        The bounds, which belong to the range; at least one of them.
    strict : bool
        Whether the bounds do not belong to the range.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays, lists and single values.

    Examples
    --------
    >>> in_range(low=0, high=1).evaluate(0.5).passed
    True
    """
    if low is None and high is None:
        raise TypeError(
            "in_range takes a bound: in_range('delay', 0, 600), or in_range(low=0) for a value without columns"
        )
    return _check(InRange(column, low, high, strict), options)


def in_set(column: Any = None, values: Iterable[Any] | None = None, **options: Unpack[_Options]) -> Check:
    """Return the check that elements are among some values. What is missing passes.

    Parameters
    ----------
    column : str or int, optional
        The column; left out for a value without columns.
    values : iterable
        What is allowed.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays, lists and single values.

    Examples
    --------
    >>> in_set(values=["EWR", "JFK", "LGA"]).evaluate(["JFK", "LAX"]).message
    "in_set(values=['EWR', 'JFK', 'LGA']): 1 of 2 rows does not pass: row 1 ('LAX')"
    """
    if values is None or isinstance(values, str):
        raise TypeError("in_set takes a collection: in_set('origin', ['EWR', 'JFK']), or in_set(values=['EWR', 'JFK'])")
    return _check(InSet(column, tuple(values)), options)


def matches(column: Any = None, pattern: str | None = None, **options: Unpack[_Options]) -> Check:
    """Return the check that a regular expression matches texts from beginning to end. What is missing passes.

    Parameters
    ----------
    column : str or int, optional
        The column; left out for a value without columns.
    pattern : str
        A regular expression of Python's `re`, whatever library the texts are in.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays, lists and single texts.

    Examples
    --------
    >>> matches("tail", r"N[0-9]{1,5}[A-Z]{0,2}").evaluate({"tail": ["N14228", "D942DN"]}).examples
    ((1, {'tail': 'D942DN'}),)
    """
    if not isinstance(pattern, str):
        raise TypeError("matches takes a pattern: matches('tail', 'N[0-9]+'), or matches(pattern='N[0-9]+')")
    re.compile(pattern)
    return _check(Matches(column, pattern), options)


def references(column: Any = None, to: Any = None, to_column: Any = None, **options: Unpack[_Options]) -> Check:
    """Return the check that keys exist elsewhere: a foreign key. What is missing passes.

    Parameters
    ----------
    column : str or int, optional
        The column with the keys; left out for a value without columns.
    to : str or table or collection
        The name of another port of the operation, or what holds the known keys itself.
    to_column : str or int, optional
        The column of that which has them; by default one of the same name.
    **options
        ``name``, ``severity``, ``description`` and ``mostly`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays, lists and single values.

    Examples
    --------
    >>> known = references("carrier", to="airlines", to_column="code")
    >>> known.evaluate({"carrier": ["UA", "ZZ"]}, {"airlines": {"code": ["UA", "AA"]}}).examples
    ((1, {'carrier': 'ZZ'}),)
    """
    if to is None:
        raise TypeError(
            "references takes what holds the known keys: references('carrier', to='airlines') for another port of the "
            "operation, or a table, a Series, a list or a set"
        )
    return _check(References(column, to, to_column), options)


def row_count(min: int | None = None, max: int | None = None, **options: Unpack[_Options]) -> Check:
    """Return the check that there are as many rows or elements as expected.

    Parameters
    ----------
    min, max : int
        The least and the most; at least one of them.
    **options
        ``name``, ``severity`` and ``description`` of `Check`.

    Returns
    -------
    Check
        Of tables, arrays and lists.

    Examples
    --------
    >>> row_count(min=3).evaluate([1, 2]).message
    'row_count(min=3): 2 rows'
    """
    bounds: tuple[object, ...] = (min, max)
    for count in bounds:
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
            raise TypeError(f"row_count(min, max) takes numbers of rows, not {count!r}")
    if min is None and max is None:
        raise TypeError("row_count takes a bound: row_count(min=1)")
    return _check(RowCount(min, max), options)


def _check(rule: _Rule, options: _Options) -> Check:
    for column in rule.own_columns():
        if column is not None and not isinstance(column, str | int):
            raise TypeError(
                f"{rule.made_by} takes the name of a column, or its number, not {column!r}; a value without columns is "
                f"checked with keywords alone, such as {rule.made_by}({_EXAMPLES[rule.made_by]})"
            )
    given: dict[str, Any] = dict(options)
    name = given.pop("name", None) or rule.default_name()
    predicate: Any = rule
    return Check(name, predicate, uses_ports=bool(getattr(rule, "other_ports", ())), **given)


_EXAMPLES = {
    "not_null": "",
    "unique": "",
    "in_range": "low=0",
    "in_set": "values=['a', 'b']",
    "matches": "pattern='[a-z]+'",
    "references": "to={1, 2}",
}
