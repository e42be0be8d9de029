"""Any value becomes JSON: what JSON has as it is, the rest described, and nothing makes it fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_dataflow.commands.json_values import as_json
from execution_dataflow.commands.readable_values import readable, readable_outputs


def written(value: Any) -> Any:
    return json.loads(json.dumps(as_json(value), allow_nan=False).encode("ascii"))


class Colour(Enum):
    red = "r"


@dataclass
class Point:
    x: int
    y: float


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


class HostileDict(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("no items")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        ("héllo \ud800", "héllo \ud800"),
        ((1, [2]), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        (float("nan"), "NaN"),
        ([float("inf"), -float("inf")], ["Infinity", "-Infinity"]),
        (date(2026, 11, 23), "2026-11-23"),
        (timedelta(minutes=1), 60.0),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.red, "r"),
        (Point(1, float("nan")), {"x": 1, "y": "NaN"}),
        (np.float64(0.5), 0.5),
        (np.int32(7), 7),
        (np.array(3), 3),
    ],
)
def test_what_json_has_stays_what_it_is(value: Any, shown: Any) -> None:
    assert written(value) == shown


def test_arrays_are_described_with_few_values_and_without_many() -> None:
    assert written(np.array([[1.0, np.nan], [3.0, 5.0]])) == {
        "$type": "numpy.ndarray",
        "dtype": "float64",
        "shape": [2, 2],
        "nan": 1,
        "min": 1.0,
        "max": 5.0,
        "mean": 3.0,
        "values": [[1.0, "NaN"], [3.0, 5.0]],
    }
    large = written(np.zeros((1000, 1000)))
    assert (large["shape"], large["mean"], "values" in large) == ([1000, 1000], 0.0, False)
    assert written(np.array([object()]))["$type"] == "numpy.ndarray"


def test_tables_are_described_by_their_columns() -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    for frame in (pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}), polars.DataFrame({"a": [1, 2], "b": ["x", "y"]})):
        shown = written(frame)
        assert shown["rows"] == 2
        assert list(shown["columns"]) == ["a", "b"]
        assert "int64" in shown["columns"]["a"].lower()


def test_a_value_that_contains_itself_is_described() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert written(value)[1]["problem"] == "it contains itself"


def test_deep_values_are_described_from_some_depth() -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]
    assert "nested too deeply" in json.dumps(written(value))


def test_keys_that_are_alike_as_text_are_kept_apart() -> None:
    assert written({1: "a", "1": "b"})["items"] == [[1, "a"], ["1", "b"]]


def test_integers_with_more_digits_than_python_writes_are_described() -> None:
    assert written(10**5000)["bits"] == (10**5000).bit_length()


def test_hostile_values_are_described() -> None:
    for value in (Hostile(), HostileDict(a=1), [Hostile()], lambda: None, object, b"\x00\xff"):
        assert written(value)
        assert readable(value)


@given(st.recursive(st.none() | st.floats() | st.text() | st.binary() | st.complex_numbers(), st.lists))
def test_every_value_becomes_json(value: Any) -> None:
    written(value)
    readable(value)


def test_readable_values_are_short() -> None:
    assert readable(list(range(1_000_000))).startswith("[0, 1, 2,")
    assert len(readable(list(range(1_000_000)))) < 500
    assert len(readable("line\n" * 1000).splitlines()) == 31
    assert readable(np.zeros((3, 4))) == "ndarray of float64, 3 × 4: min 0.0, mean 0.0, max 0.0"
    assert readable(np.array([1, 2])) == "ndarray of int64, 2: [1, 2]"
    many = readable_outputs({f"n{number}": number for number in range(1000)}).splitlines()
    assert (len(many), many[-1]) == (101, "... and 900 more outputs; --json prints them all")
    assert readable_outputs({"a": 1, "b": {"k": [1, 2]}}) == "a: 1\nb: {'k': [1, 2]}"
