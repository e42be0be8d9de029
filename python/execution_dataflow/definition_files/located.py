"""What was read from a file, each value with its place, and the faults that are found in it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, TypeAlias

from execution_dataflow.definition_errors import DefinitionError, DefinitionFault
from execution_dataflow.nearest import nearest_name

__all__ = ["MAX_DEPTH", "Faults", "Located", "Path", "TextError", "TextPlaces", "told"]

MAX_DEPTH = 100
"""How deep values may nest: more than any definition needs, and far from the end of the stack."""

Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and indices that lead to a value."""


@dataclass(slots=True, eq=False)
class Located:
    """A value and where it stands in its file.

    Parameters
    ----------
    value : object
        A scalar, a list of these, or a dict of them by name.
    line, column : int
        Where it begins, from 1.
    key_place : (int, int), optional
        Where its name begins, for the member of a mapping.
    """

    value: Any
    line: int
    column: int
    key_place: tuple[int, int] | None = None

    @property
    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {name: member.plain for name, member in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value


class TextError(Exception):
    """A text that cannot be read any further."""

    def __init__(self, problem: str, line: int | None = None, column: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column


class TextPlaces:
    """Lines and columns of the offsets in a text.

    Parameters
    ----------
    text : str
        The text.
    """

    def __init__(self, text: str) -> None:
        self._starts = [0]
        at = text.find("\n")
        while at >= 0:
            self._starts.append(at + 1)
            at = text.find("\n", at + 1)

    def of(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of an offset, from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class Faults:
    """The faults of one definition, in the order in which they are found.

    Parameters
    ----------
    file : str
        The name of the file.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[DefinitionFault] = []

    def of_file(self, file: str) -> Faults:
        """Return what notes faults of another file among these."""
        other = Faults(file)
        other.found = self.found
        return other

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[DefinitionFault]:
        return iter(self.found)

    def add(
        self,
        problem: str,
        path: Path,
        at: Located | None = None,
        *,
        expected: str | None = None,
        found: str | None = None,
        nearest: str | None = None,
        by_key: bool = False,
    ) -> None:
        """Note a fault.

        Parameters
        ----------
        problem : str
            What is wrong.
        path : tuple of (str or int)
            Where in the definition.
        at : Located, optional
            Where in the file.
        expected, found, nearest : str, optional
            As for `DefinitionFault`; `found` is told from `at` where `expected` is given alone.
        by_key : bool
            Whether it is the name of `at` that is wrong.
        """
        line, column = (None, None) if at is None else (at.line, at.column)
        if by_key and at is not None and at.key_place is not None:
            line, column = at.key_place
        if expected is not None and found is None and at is not None:
            found = told(at.value)
        self.note(problem, line, column, path, expected=expected, found=found, nearest=nearest)

    def note(self, problem: str, line: int | None, column: int | None, path: Path = (), **more: str | None) -> None:
        """Note a fault at a line and a column."""
        shown = ".".join(map(str, path))
        fault = DefinitionFault(problem, file=self.file, line=line, column=column, path=shown, **more)
        self.found.append(fault)

    def unknown_name(self, what: str, name: str, known: Iterable[str], path: Path, at: Located) -> None:
        """Note a name that there is not among some."""
        known = list(known)
        listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        self.add(
            f"there is no {what} {name!r}",
            path,
            at,
            expected=f"one of {listed}" if known else f"no {what}",
            found=repr(name),
            nearest=nearest_name(name, known),
            by_key=True,
        )

    def raise_if_any(self, problem: str = "is no valid definition") -> None:
        """Raise all that were noted."""
        if self.found:
            raise DefinitionError(self.file, problem, self.found)


def told(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {_short(value)}"
    if isinstance(value, str):
        return f"the text {_short(value)}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, datetime | date | time):
        return f"the time {value}"
    return f"{type(value).__name__} {_short(value)}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int with more digits than Python prints
        return "with very many digits"
    return text if len(text) <= 60 else f"{text[:40]}...{text[-15:]}"
