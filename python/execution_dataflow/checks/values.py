"""Values as tables and columns, whatever library they come from; nothing is imported that a value did not bring."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from execution_dataflow.nearest import nearest_name

__all__ = ["Column", "Mask", "Table", "hashable", "is_missing", "no_column"]

Mask = Any
"""A truth for every row, in the form of the value's library: true where a row passes."""


def is_missing(value: Any) -> bool:
    """Return whether a plain value stands for none: ``None``, a NaN, a NaT, or pandas' NA.

    Examples
    --------
    >>> is_missing(None), is_missing(float("nan")), is_missing(0)
    (True, True, False)
    """
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        # pandas.NA gives no truth; neither does an array, which is no missing value.
        return type(value).__name__ == "NAType"


def hashable(values: Iterable[Any]) -> set[Any]:
    """Return values as a set, without those that are missing."""
    return {value for value in values if not is_missing(value)}


class Column(ABC):
    """One column of a table, or all elements of a value that has no columns.

    A mask says which elements pass. What is missing passes all but `present`, as in SQL.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many elements."""

    @abstractmethod
    def present(self) -> Mask:
        """Which elements are not missing."""

    @abstractmethod
    def distinct(self) -> Mask:
        """Which elements occur once."""

    @abstractmethod
    def between(self, low: Any, high: Any, is_strict: bool) -> Mask:
        """Which elements lie between two bounds, of which one may be ``None``."""

    @abstractmethod
    def each(self, test: Callable[[Any], bool]) -> Mask:
        """Which elements a test of one plain value holds for; asked once for equal ones."""

    @abstractmethod
    def to_list(self) -> list[Any]:
        """The elements as plain Python values."""

    def among(self, known: set[Any]) -> Mask:
        """Which elements are among these."""
        return self.each(known.__contains__)

    def matching(self, pattern: str) -> Mask:
        """Which elements, as texts, a regular expression matches from beginning to end."""
        match = re.compile(pattern).fullmatch
        return self.each(lambda value: match(_text(value)) is not None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"texts are matched, not {value!r}")
    return value


class Table(ABC):
    """A value as checks see it.

    Attributes
    ----------
    what : str
        What it is, for messages.
    columns : tuple of str or None
        The names of its columns; ``None`` where it has none, but elements.
    is_single : bool
        Whether it is one value, and no collection of them.
    """

    what: ClassVar[str] = "value"
    columns: tuple[Any, ...] | None = None
    is_single: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """How many rows."""

    @abstractmethod
    def column(self, name: Any) -> Column:
        """A column, by its name."""

    def elements(self) -> Column:
        """All elements of a value that has no columns."""
        listing = ", ".join(map(repr, (self.columns or ())[:8]))
        raise TypeError(f"the check must name a column of the {self.what}, whose columns are {listing}")

    @abstractmethod
    def row(self, place: Any) -> Any:
        """What is in a row, plain."""

    def distinct(self, names: Sequence[Any]) -> Mask:
        """Which rows have values in these columns that no other row has together, or lack one of them."""
        if len(names) == 1:
            return self.column(names[0]).distinct()
        keys = list(zip(*(self.column(name).to_list() for name in names), strict=True))
        counts = Counter(keys)
        return [counts[key] == 1 or any(map(is_missing, key)) for key in keys]

    @abstractmethod
    def both(self, one: Mask, other: Mask) -> Mask:
        """Where both masks are true."""

    @abstractmethod
    def first_false(self, mask: Mask, most: int) -> tuple[int, list[Any]]:
        """How often a mask is false, and the first places where it is."""

    def truths_of_axes(self, answer: Any) -> Mask | None:
        """The answer of a predicate as a mask, if it has several axes, as this value has."""
        return None

    def mask_from(self, passes: list[bool]) -> Mask:
        """A mask from a list."""
        return passes


def no_column(name: Any, what: str, known: Sequence[Any]) -> KeyError:
    """Return the error of a column that is not there."""
    listing = ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")
    nearest = nearest_name(str(name), [str(column) for column in known])
    suggestion = f"; did you mean {nearest!r}?" if nearest is not None else "."
    return ColumnError(f"the {what} has no column {name!r}{suggestion} Its columns: {listing or 'none'}")


class ColumnError(KeyError):
    # A KeyError would show the repr of its text.
    def __str__(self) -> str:
        return str(self.args[0])
