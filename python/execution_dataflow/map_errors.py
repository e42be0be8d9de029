"""How the failures of single items of a map show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from execution_dataflow.errors import DataflowError

__all__ = ["ItemFailure", "MapError"]


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Stands in the results of a map in the place of an item that has none.

    Parameters
    ----------
    index : int
        The index of the item.
    error : BaseException or None
        What its last attempt raised; ``None`` if it never ran, because the map ended before.

    Examples
    --------
    >>> ItemFailure(3, ValueError("no rows"))
    ItemFailure(index=3, error=ValueError('no rows'))
    """

    index: int
    error: BaseException | None


class MapError(DataflowError):
    """Items of a map failed; the exception of the first of them is its cause.

    Attributes
    ----------
    operation : str or None
        The stable identity of the map.
    errors : dict of int to BaseException
        What the failed items raised, by index.
    results : list, numpy.ndarray or dict
        What the others came to, in the order of the items, with an `ItemFailure` in the place of each that has no
        result (a row of zeros with ``stack=True``); by the name of the output where there are several.

    Examples
    --------
    >>> error = MapError("square[1] failed: TypeError", operation="square", results=[1, ItemFailure(1, None), 9])
    >>> [value for value in error.results if not isinstance(value, ItemFailure)]
    [1, 9]
    """

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        errors: Mapping[int, BaseException] | None = None,
        results: Any = (),
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.errors = dict(errors or {})
        self.results = results
