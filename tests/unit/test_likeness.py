"""Which values count as alike where graphs are compared."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pytest

from execution_dataflow.likeness import Likeness

NAN = float("nan")


def alike(before: Any, after: Any) -> bool:
    return Likeness(lambda own, other: None).alike(before, after)


@dataclass
class Reading:
    """Has a field that does not count."""

    values: Any
    seen: int = field(default=0, compare=False)


class Service:
    """Has no ``==`` of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.lock = threading.Lock()

    def call(self) -> str:
        return self.address


class Fickle:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


def local_row(default: int) -> Any:
    class Row(NamedTuple):
        count: int = default

    return Row()


def local_color(value: int) -> Any:
    class Color(Enum):
        RED = value

    return Color.RED


def holding_itself(value: int) -> Any:
    made: list[Any] = [value]
    made.append(made)
    return made


def shared(depth: int, last: Any) -> Any:
    made = [last]
    for _ in range(depth):
        made = [made, made]
    return made


def calling_itself(last: int) -> Callable[[int], int]:
    def count(number: int) -> int:
        return count(number - 1) if number else last

    return count


ALIKE: dict[str, Callable[[], Any]] = {
    "numbers that are none": lambda: [float("nan"), complex("nan")],
    "arrays of them": lambda: np.array([float("nan"), 1.0]),
    "arrays in lists": lambda: [np.ones(2)],
    "arrays of objects": lambda: np.array([None, float("nan"), "a"], dtype=object),
    "records": lambda: np.array([(1, np.nan)], dtype=[("a", int), ("b", float)]),
    "masked arrays": lambda: np.ma.array([1, 2], mask=[True, False]),
    "times that are none": lambda: np.array(["NaT"], dtype="datetime64[s]"),
    "sets": lambda: {1, "a", float("nan"), (2, 3)},
    "functions": lambda: lambda x, y=[1]: x + y[0],
    "functions that call themselves": lambda: calling_itself(1),
    "functions that keep their results": lambda: functools.lru_cache(lambda x: x),
    "methods": lambda: Service("a").call,
    "methods of builtins": lambda: [1].append,
    "objects": lambda: Service("a"),
    "dataclasses with arrays": lambda: Reading(np.ones(2)),
    "instances of local classes": lambda: local_row(1),
    "members of local enums": lambda: local_color(1),
    "what holds itself": lambda: holding_itself(1),
    "what is shared": lambda: shared(60, 1),
}
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    ([1], [True]),
    ([1], [1.0]),
    ([1], (1,)),
    ([1], [1, 2]),
    ({"a": 1}, {"a": True}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1}, OrderedDict(a=1)),
    ({1}, {True}),
    ({1}, {2}),
    (0.0, -0.0),
    (Decimal("1.0"), Decimal("1.00")),
    (datetime(2024, 1, 1, 12, tzinfo=UTC), datetime(2024, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))),
    (np.array([1]), np.array([1.0])),
    (np.array([1]), np.array([[1]])),
    (np.array([1]), np.array([2])),
    (np.array([1], dtype=object), np.array([True], dtype=object)),
    (np.array([(1, NAN)], dtype="i4,f8"), np.array([(2, NAN)], dtype="i4,f8")),
    (np.ma.array([1], mask=[True]), np.ma.array([1], mask=[False])),
    (np.float32(1), np.float64(1)),
    (lambda x: x, lambda x: -x),
    (lambda x, y=1: x, lambda x, y=2: x),
    (calling_itself(1), calling_itself(2)),
    (Service("a"), Service("b")),
    (Service("a").call, Service("b").call),
    (Reading([1]), Reading([True])),
    (local_row(1), local_row(2)),
    (local_color(1), local_color(2)),
    (holding_itself(1), holding_itself(2)),
    (shared(60, 1), shared(60, 2)),
    (object(), object()),
    ([], [object()]),
    (Fickle(), Fickle()),
    (len, max),
    (functools.lru_cache(lambda x: x), functools.lru_cache(lambda x: -x)),
]


@pytest.mark.parametrize("make", ALIKE.values(), ids=list(ALIKE))
def test_what_is_made_twice_is_alike(make: Callable[[], Any]) -> None:
    assert alike(make(), make())


@pytest.mark.parametrize(("before", "after"), DIFFERENT)
def test_other_classes_other_content_and_another_order_are_different(before: Any, after: Any) -> None:
    assert not alike(before, after)
    assert alike(before, before)


def test_what_was_found_on_the_way_to_a_difference_is_not_believed_later() -> None:
    likeness = Likeness(lambda own, other: None)
    first, second, last, other = [1], [1], [1], [2]
    first.append([first, last])  # type: ignore[arg-type]
    second.append([second, other])  # type: ignore[arg-type]
    assert not likeness.alike(first, second)
    assert not likeness.alike(first, second)
    assert not likeness.alike(last, other)


def test_tables_of_pandas_are_compared_with_their_types_and_labels() -> None:
    pd = pytest.importorskip("pandas")

    def made(**changes: Any) -> Any:
        parts: dict[str, Any] = {"a": [1.0, NAN], "b": ["x", None], "c": [[1], np.ones(1)]}
        return pd.DataFrame({**parts, **changes}, index=[3, 4])

    assert alike(made(), made())
    assert alike({"a": [made()["a"]]}, {"a": [made()["a"]]})
    for other in (made(a=[1.0, 2.0]), made(c=[[True], np.ones(1)]), made().rename(columns={"a": "z"})):
        assert not alike(made(), other)
    assert not alike(made(), made().reset_index(drop=True))
    assert not alike(pd.Series([1]), pd.Series([1.0]))
    assert not alike(pd.Series([1], name="a"), pd.Series([1], name="b"))
    times = pd.date_range("2024-01-01", periods=2, tz="UTC")
    assert alike(pd.Series(times), pd.Series(times.copy()))
    levels = [pd.MultiIndex.from_tuples([(1, "a"), (2, last)], names=["n", "t"]) for last in "bbc"]
    assert alike(levels[0], levels[1])
    assert not alike(levels[0], levels[2])


def test_tables_of_polars_are_compared_with_their_types() -> None:
    pl = pytest.importorskip("polars")
    frames = [pl.DataFrame({"a": [1.0, NAN, None], "b": ["x", None, "y"]}) for _ in range(2)]
    assert alike(frames[0], frames[1])
    assert not alike(frames[0], frames[1].with_columns(a=2.0))
    assert not alike(pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1.0]}))
    assert not alike(pl.Series("a", [1]), pl.Series("b", [1]))


def test_tables_of_arrow_are_compared_with_their_types() -> None:
    pa = pytest.importorskip("pyarrow")
    tables = [pa.table({"a": [1.0, NAN, None], "b": ["x", None, "y"]}) for _ in range(2)]
    assert alike(tables[0], tables[1])
    assert not alike(tables[0], pa.table({"a": [1.0, 2.0, None], "b": ["x", None, "y"]}))
    assert not alike(pa.array([1]), pa.array([1.0]))
