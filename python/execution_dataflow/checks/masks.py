"""From the answer of a predicate to what is said of a value: how much does not pass, and the first of that."""

from __future__ import annotations

from typing import Any

from execution_dataflow.checks.outcome import Judgement, plain
from execution_dataflow.checks.tables import table_of
from execution_dataflow.checks.values import Mask, Table

__all__ = ["judgement_of", "passing_rows", "rows_judged"]

# A person reads the first few, and asks the data for more.
_EXAMPLES = 5


def judgement_of(value: Any, answer: Any, columns: tuple[Any, ...] = ()) -> Judgement:
    """Return what the answer of a user's predicate says of a value, and show these columns of it.

    Raises
    ------
    TypeError, ValueError
        The answer is no truth, nor one for each row or element.
    """
    truth = _truth_of_all(answer)
    if truth is not None:
        return Judgement(is_good=truth, examples=() if truth else ((None, plain(value)),) if _is_short(value) else ())
    table = table_of(value)
    return rows_judged(table, _mask_of(table, answer), columns)


def passing_rows(value: Any, answer: Any) -> Mask:
    """Return the rows that pass, in the form of the value."""
    if _truth_of_all(answer) is not None:
        raise TypeError("it judges the value as a whole, and not its rows")
    return _mask_of(table_of(value), answer)


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
        examples.append((None if table.is_single else place, row))
    size = getattr(mask, "size", None)
    return Judgement(failed=failed, total=size if isinstance(size, int) else len(mask), examples=tuple(examples))


def _mask_of(table: Table, answer: Any) -> Mask:
    """An answer of the user's, which has a truth for every row, as a mask of the value."""
    mask = table.truths_of_axes(answer)
    if mask is not None:
        return mask
    truths = table_of(answer)
    if truths.columns is not None:
        raise TypeError(f"it returned a {truths.what} where a truth for each row belongs")
    mask, count = truths.elements().each(_truth), len(truths)
    if count != len(table):
        raise ValueError(f"it returned {count} {'truth' if count == 1 else 'truths'} for a value of {len(table)} rows")
    return mask if type(truths) is type(table) else table.mask_from([bool(passes) for passes in mask])


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise TypeError(f"it returned {plain(value)!r} where a truth for a row belongs")


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
