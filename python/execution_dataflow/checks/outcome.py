"""What came of one check: whether it passed, how much did not, and the first of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias

__all__ = ["CheckOutcome", "CheckPlace", "Example", "Judgement", "Severity", "plain", "status_of"]

Severity: TypeAlias = Literal["fail", "warn", "record"]
"""What it means that a check is not passed: the attempt fails; a warning; no more than an entry in the report."""

Example: TypeAlias = tuple[Any, Any]
"""Where something does not pass (a row, a tuple of indices, ``None`` for the whole value), and what is there."""

CheckPlace: TypeAlias = tuple[str, Literal["input", "output"], str, int]
"""Which check it is: the label of what runs, what kind of port, which port, and the place among the checks of that."""

_PLAIN = (int, float, str, type(None), date, datetime, time, timedelta, Decimal)
_LONGEST = 200
_STATUS = {"fail": "failed", "warn": "warned", "record": "recorded"}


def status_of(passed: bool, severity: Severity) -> str:
    """Return what a check of a severity came to, as one word."""
    return "passed" if passed else _STATUS[severity]


def plain(value: Any) -> Any:
    """Return a value as Python itself has it, or its text: it pins no memory, pickles, and is short.

    Examples
    --------
    >>> plain({"tail": "N14228", "parts": [1, 2]})
    {'tail': 'N14228', 'parts': '[1, 2]'}
    """
    if isinstance(value, dict):
        return {_shortened(str(key)): _plain_cell(cell) for key, cell in value.items()}
    return _plain_cell(value)


def _plain_cell(value: Any) -> Any:
    if type(value) not in _PLAIN and hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, str):
        return _shortened(str(value))
    if type(value) is bool or type(value) in _PLAIN:
        return value
    try:
        return _shortened(repr(value))
    except Exception as fault:
        return f"<{type(value).__name__} whose repr raised {type(fault).__name__}>"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a rule says of a value.

    Parameters
    ----------
    failed, total : int or None
        How many rows or values do not pass, of how many; ``None`` where it is about the value as a whole.
    examples : tuple of (place, value)
        The first that do not pass.
    is_good : bool
        Whether a value that is judged as a whole passes.
    reason : str
        What was found, where numbers do not say it.
    """

    failed: int | None = None
    total: int | None = None
    examples: tuple[Example, ...] = ()
    is_good: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check said of one value.

    Attributes
    ----------
    operation : str
        The operation, or the item of a map, such as ``"square[17]"``; empty outside of a run.
    port : str
        The port; empty outside of a run.
    direction : {"input", "output"}
        What kind of port.
    check : str
        The name of the check.
    severity : {"fail", "warn", "record"}
        What it means that it is not passed.
    passed : bool
        Whether the value passed.
    failed, total : int or None
        How many rows or values do not pass, of how many; ``None`` for a check of the value as a whole. A check with
        ``mostly`` passes with some that do not.
    examples : tuple of (place, value)
        The first that do not pass: the row and what is in it, as plain Python values.
    message : str
        All that as a sentence.
    description : str
        What the check is for.
    attempt : int
        Which attempt at the operation it was, from 1.
    """

    operation: str
    port: str
    direction: Literal["input", "output"]
    check: str
    severity: Severity
    passed: bool
    failed: int | None = None
    total: int | None = None
    examples: tuple[Example, ...] = ()
    message: str = ""
    description: str = ""
    attempt: int = 1

    @property
    def status(self) -> str:
        """``"passed"``, ``"failed"``, ``"warned"`` or ``"recorded"``."""
        return status_of(self.passed, self.severity)

    def redacted(self, redact: Callable[[str], str]) -> CheckOutcome:
        """Return the same without secrets in its message and its examples."""
        examples = tuple((place, _redacted(value, redact)) for place, value in self.examples)
        return replace(self, message=redact(self.message), examples=examples)

    def to_dict(self) -> dict[str, Any]:
        """Return its fields, with examples as ``{"row": ..., "value": ...}``; fit for JSON."""
        fields = asdict(self)
        fields["status"] = self.status
        fields["examples"] = [{"row": _jsonable(place), "value": _jsonable(value)} for place, value in self.examples]
        return fields

    def __str__(self) -> str:
        where = f"{self.operation}.{self.port}: " if self.operation else ""
        return f"{where}{self.message}"


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {redact(key): _redacted(cell, redact) for key, cell in value.items()}
    return redact(value) if isinstance(value, str) else value


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(cell) for key, cell in value.items()}
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return repr(value)  # JSON has no such numbers
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
