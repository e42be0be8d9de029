"""From the answer of a predicate to what is said of a value: how much does not pass, and the first of that."""

from __future__ import annotations

from typing import Any

from execution_dataflow.checks.outcome import Judgement, plain
from execution_dataflow.checks.values import Mask, Table, table_of

__all__ = ["judgement_of", "passing_rows", "rows_judged"]

# A person reads the first few, and asks the data for more.
_EXAMPLES = 5


def judgement_of(value: Any, answer: Any) -> Judgement:
    """Return what the answer of a user's predicate says of a value.

    Raises
    ------
    TypeError, ValueError
        The answer is no truth, nor one for each row or element.
    """
    truth = _truth_of_all(answer)
    if truth is not None:
        return Judgement(is_good=truth, examples=() if truth else ((None, plain(value)),) if _is_short(value) else ())
    table = table_of(value)
    return rows_judged(table, table.truths(answer))


def passing_rows(value: Any, answer: Any) -> Mask:
    """Return the rows that pass, in the form of the value."""
    if _truth_of_all(answer) is not None:
        raise TypeError("it judges the value as a whole, and not its rows")
    return table_of(value).truths(answer)


def rows_judged(table: Table, mask: Mask, names: tuple[Any, ...] = ()) -> Judgement:
    """Return what a mask says of a table.

    Parameters
    ----------
    table : Table
        The value.
    mask : Mask
        Which rows or elements pass.
    names : tuple, optional
        The columns that are shown of rows that do not pass; all of them by default.
    """
    failed, places = table.first_false(mask, _EXAMPLES)
    examples = []
    for place in places:
        row = table.row(place)
        if names and isinstance(row, dict):
            row = {name: row.get(name) for name in names}
        examples.append((place, row))
    size = getattr(mask, "size", None)
    return Judgement(failed=failed, total=size if isinstance(size, int) else len(mask), examples=tuple(examples))


def _truth_of_all(answer: Any) -> bool | None:
    if isinstance(answer, bool):
        return answer
    if answer is None:
        raise TypeError("it returned None: a predicate returns whether the value passes, or that for each row")
    if getattr(answer, "shape", None) == () and getattr(getattr(answer, "dtype", None), "kind", "") == "b":
        return bool(answer)  # numpy's own truth
    return None


def _is_short(value: Any) -> bool:
    return not hasattr(value, "__len__") or isinstance(value, str | bytes) or len(value) <= _EXAMPLES
