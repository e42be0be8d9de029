"""What a native map asks Python for: unusual sources, stacked results, failures of items."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from execution_dataflow.error_record import ErrorRecord, exception_text
from execution_dataflow.errors import ContractError, ValueTypeError
from execution_dataflow.map_errors import ItemFailure, MapError
from execution_dataflow.mapping import source_fault
from execution_dataflow.plan import Plan
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.run_record import RunRecord

if TYPE_CHECKING:
    import numpy as np

__all__ = ["MapHooks"]

_Failure = tuple[int, int, BaseException]  # index, attempt, what it raised


class _Places:
    """What stands in the places of items without a result."""

    def __init__(self, failures: Sequence[_Failure]) -> None:
        self._errors = {index: error for index, _, error in failures}

    def __getitem__(self, index: int) -> ItemFailure:
        return ItemFailure(index, self._errors.get(index))


class MapHooks:
    """The part of a run's hooks that is about maps."""

    __slots__ = ()

    plan: Plan
    record: RunRecord
    # The exceptions of items that wait for another attempt, and the texts of those that got one.
    _waiting_items: dict[tuple[int, tuple[int, ...]], BaseException]
    _earlier: dict[tuple[int, tuple[int, ...]], list[str]]

    def map_source(self, label: str, port: str, value: Any) -> tuple[Any, int | None]:
        """Return what to take the items from: something with an index and a length, or an iterator."""
        fault = source_fault(value)
        if fault is not None:
            raise ContractError(f"input {port!r} of {label} cannot be mapped over: it is {fault}", port=port)
        if _has_index(value):
            return value, len(value)
        return iter(value), None

    def map_stack(self, rows: int, value: Any) -> tuple[np.ndarray, bool]:
        """Return a new array with a row for each item, for values like this one, and whether that is a scalar."""
        import numpy

        row = numpy.asarray(value)
        is_scalar = not isinstance(value, numpy.ndarray) and row.shape == () and row.dtype != object
        return numpy.zeros((rows, *row.shape), row.dtype), is_scalar

    def map_row(self, array: np.ndarray, index: int, value: Any) -> None:
        """Put a value into its row."""
        import numpy

        row = numpy.asarray(value)
        if row.shape != array.shape[1:] or row.dtype != array.dtype:
            raise ValueTypeError(
                f"the result has shape {row.shape} and dtype {row.dtype}, and cannot be stacked with others of shape "
                f"{array.shape[1:]} and dtype {array.dtype}; return arrays of one shape and dtype, or leave out "
                "stack=True"
            )
        array[index] = row[()]  # of an object the object, and not an array around it

    def map_stacked(self, values: list[Any]) -> np.ndarray:
        """Return the results of an iterator's items as one array."""
        import numpy

        array: np.ndarray | None = None
        for index, value in enumerate(values):
            if isinstance(value, ItemFailure):
                continue
            if array is None:
                array, _ = self.map_stack(len(values), value)
            try:
                self.map_row(array, index, value)
            except ValueTypeError as fault:
                raise ValueTypeError(f"item {index}: {fault}") from None
        return numpy.zeros(len(values)) if array is None else array

    def item_retry_delay(self, policy: RetryPolicy, attempt: int, error: BaseException) -> float | None:
        """Return the seconds until the next attempt of an item, or ``None`` when there is to be none."""
        return policy.next_delay(attempt, error, random.random)

    def item_attempt_failed(
        self, node: int, items: Sequence[int], error: BaseException, delay_seconds: float
    ) -> tuple[float, str, str]:
        """Note the failure of an item that another attempt follows."""
        key = node, tuple(items)
        self.record.drop_state(*key)
        text = self.record.redact(exception_text(error))
        self._earlier.setdefault(key, []).append(text)
        self._waiting_items[key] = error
        return delay_seconds, text, self.record.name_of(*key)

    def take_waiting_item(self, node: int, items: Sequence[int]) -> BaseException | None:
        """Let the exception of an item's last attempt go: its frames keep arrays alive."""
        return self._waiting_items.pop((node, tuple(items)), None)

    def item_failed(
        self, node: int, items: Sequence[int], attempt: int, max_attempts: int, error: BaseException, is_heard: bool
    ) -> ErrorRecord | None:
        """Note the final failure of an item; return it for who listens."""
        self.record.drop_state(node, tuple(items))
        earlier = self._earlier.pop((node, tuple(items)), [])
        if not is_heard:
            return None
        name, redact = self.record.name_of(node, tuple(items)), self.record.redact
        return ErrorRecord(node, name, attempt, max_attempts, error, earlier[: attempt - 1], redact)

    def map_failures(self, failures: Sequence[_Failure]) -> _Places:
        """Return what stands in the places of items without a result."""
        return _Places(failures)

    def map_error(
        self, node: int, items: Sequence[int], failures: Sequence[_Failure], results: list[Any], max_attempts: int
    ) -> MapError:
        """Return the error of a map of which items failed."""
        name = self.record.name_of(node, tuple(items))
        first, attempt, cause = failures[0]
        on_attempt = f" on attempt {attempt} of {max_attempts}" if max_attempts > 1 else ""
        message = f"{name}[{first}] failed{on_attempt}: {exception_text(cause)}"
        if len(failures) > 1:
            others = ", ".join(str(index) for index, _, _ in failures[1:6]) + (", ..." if len(failures) > 6 else "")
            noun = "items" if len(failures) > 2 else "item"
            message += f"; {len(failures) - 1} other {noun} failed too: {others}"
        plan, index = (self.plan, node) if self.record.scopes is None else self.record.scopes.place(node)
        names = list(plan.operations[index].ports.output_index)
        error = MapError(
            message,
            operation=name,
            errors={index: fault for index, _, fault in failures},
            results=results[0] if len(results) == 1 else dict(zip(names, results, strict=False)),
        )
        error.__cause__ = cause
        return error


def _has_index(value: object) -> bool:
    """Whether the items of a value are best read by their index."""
    if isinstance(value, deque):
        return False  # which takes time in proportion to the distance from its ends
    if isinstance(value, Sequence):
        return True
    array = getattr(type(value), "__array_finalize__", None)
    return array is not None  # a subclass of ndarray; not what labels its rows, as pandas does
