"""Ready checks find the same in the values of every library, and load none that the value did not bring."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from execution_dataflow import BrokenCheckError, Check
from execution_dataflow.checks import in_range, in_set, matches, not_null, references, row_count, unique

NAN = float("nan")
DATA: dict[str, list[Any]] = {
    "number": [1, 2, 2, None, 5],
    "text": ["x1", "y2", None, "zz", "y2"],
    "real": [0.5, NAN, 2.0, None, 9.0],
    "day": [dt.datetime(2013, 1, day) if day else None for day in (1, 2, 0, 2, 5)],
}
ROWS = [dict(zip(DATA, row, strict=True)) for row in zip(*DATA.values(), strict=True)]


class Row(NamedTuple):
    number: Any
    text: Any
    real: Any
    day: Any


@dataclass
class Record:
    number: Any
    text: Any
    real: Any
    day: Any


def structured() -> np.ndarray:
    rows = [tuple(row.values()) for row in ROWS]
    return np.array(rows, dtype=[(name, object) for name in DATA])


def in_pandas(nullable: bool = False) -> Any:
    frame = pytest.importorskip("pandas").DataFrame(DATA, index=list("abcde"))
    return frame.convert_dtypes() if nullable else frame


def in_polars() -> Any:
    return pytest.importorskip("polars").DataFrame(DATA, strict=False)


def in_arrow() -> Any:
    return pytest.importorskip("pyarrow").table(DATA)


TABLES: dict[str, Callable[[], Any]] = {
    "columns": lambda: DATA,
    "columns of arrays": lambda: {name: np.array(values, object) for name, values in DATA.items()},
    "rows": lambda: ROWS,
    "named tuples": lambda: [Row(**row) for row in ROWS],
    "dataclasses": lambda: [Record(**row) for row in ROWS],
    "structured array": structured,
    "pandas": in_pandas,
    "pandas, nullable": lambda: in_pandas(nullable=True),
    "polars": in_polars,
    "pyarrow": in_arrow,
    "pyarrow batch": lambda: in_arrow().to_batches()[0],
}
# With the rows that do not pass, found by hand.
CASES = [
    (not_null("number"), [3]),
    (not_null("real", "text"), [1, 2, 3]),
    (not_null(), [1, 2, 3]),
    (unique("number"), [1, 2]),
    (unique("text"), [1, 4]),
    (unique("day"), [1, 3]),
    (unique("number", "text"), []),
    (in_range("number", 2, 5), [0]),
    (in_range("number", 2, 5, strict=True), [0, 1, 2, 4]),
    (in_range("real", high=1.5), [2, 4]),
    (in_range("text", low="y"), [0]),
    (in_range("day", high=dt.datetime(2013, 1, 2)), [4]),
    (in_set("text", ["x1", "y2"]), [3]),
    (in_set("number", [1, 2.0]), [4]),
    (matches("text", r"[a-z]\d"), [3]),
    (matches("text", r"[a-z]"), [0, 1, 3, 4]),
    (references("number", {1, 2}), [4]),
    (references("number", {"number": [5, 1]}), [1, 2]),
]


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize(("check", "wrong"), CASES, ids=[repr(check) for check, _ in CASES])
def test_a_ready_check_finds_the_same_rows_in_every_kind_of_table(kind: str, check: Check, wrong: list[int]) -> None:
    table = TABLES[kind]()
    outcome = check.evaluate(table)
    assert (outcome.failed, outcome.total) == (len(wrong), 5)
    assert [place for place, _ in outcome.examples] == wrong
    assert outcome.passed is not wrong
    mask = check.passing(table)
    assert [place for place, passes in enumerate(getattr(mask, "to_pylist", lambda: mask)()) if not passes] == wrong


@pytest.mark.parametrize("kind", TABLES)
def test_rows_are_shown_as_plain_values(kind: str) -> None:
    [(place, row)] = matches("text", r"[a-z]\d").evaluate(TABLES[kind]()).examples
    assert (place, row) == (3, {"text": "zz"})
    assert type(row["text"]) is str
    assert row_count(max=4).evaluate(TABLES[kind]()).message == "row_count(max=4): 5 rows"


@pytest.mark.parametrize("kind", ["pandas", "pandas, nullable", "polars", "pyarrow"])
def test_a_predicate_may_answer_in_the_way_of_its_library(kind: str) -> None:
    def small(table: Any) -> Any:
        if kind == "pyarrow":
            import pyarrow.compute as compute

            return compute.less(table["number"], 3)
        return table["number"] < 3

    outcome = Check("small", small, columns=["number"]).evaluate(TABLES[kind]())
    # pandas without nullable types has no third truth: what is missing is not less than 3.
    assert [place for place, _ in outcome.examples] == ([3, 4] if kind == "pandas" else [4])


@pytest.mark.parametrize(
    "make", [list, np.array, lambda data: pytest.importorskip("pandas").Series(data, index=[7, 8, 9, 10])], ids=repr
)
def test_elements_are_checked_without_a_column(make: Callable[[list[float]], Any]) -> None:
    values = make([1.0, NAN, 3.0, 1.0])
    assert [place for place, _ in not_null().evaluate(values).examples] == [1]
    assert [place for place, _ in unique().evaluate(values).examples] == [0, 3]
    assert in_range(high=2).evaluate(values).examples == ((2, 3.0),)


def test_elements_of_arrays_with_several_axes_are_shown_with_their_indices() -> None:
    image = np.zeros((3, 4))
    image[1, 2] = 300
    assert in_range(high=255).evaluate(image).examples == (((1, 2), 300.0),)
    assert in_range(2, high=255).evaluate(image).examples[0][0] == 1
    assert in_range(3, high=255).evaluate(image).passed
    with pytest.raises(BrokenCheckError, match="no column 4"):
        in_range(4, high=255).evaluate(image)
    by_element = Check("not bright", lambda array: array <= 255)
    assert by_element.evaluate(image).examples == (((1, 2), 300.0),)
    by_row = Check("dark rows", lambda array: array.max(axis=1) <= 255)
    assert (by_row.evaluate(image).failed, by_row.evaluate(image).total) == (1, 3)
    with pytest.raises(BrokenCheckError, match="shape"):
        Check("wrong", lambda array: array[:2] <= 255).evaluate(image)


def test_masked_and_temporal_arrays_miss_what_they_miss() -> None:
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    assert not_null().evaluate(masked).examples[0][0] == 1
    assert in_range(high=2).evaluate(masked).failed == 1
    times = np.array(["2013-01-01", "NaT", "2014-01-01"], "datetime64[D]")
    assert not_null().evaluate(times).examples[0][0] == 1
    assert in_range(high=np.datetime64("2013-06-01")).evaluate(times).failed == 1


def test_elements_without_a_hash_are_compared_all_the_same() -> None:
    assert unique().evaluate([[1], [2], [1]]).failed == 2
    assert Check("short", lambda values: [len(value) < 2 for value in values]).evaluate([[1], [2, 3]]).failed == 1


def test_equal_elements_of_different_types_are_asked_each() -> None:
    """1 == True, and a text is matched that would pass as a number."""
    with pytest.raises(BrokenCheckError, match="texts are matched, not 1"):
        matches(pattern="x").evaluate(["x", 1])
    assert Check("truths", lambda values: [value is True for value in values]).evaluate([True, 1, True]).failed == 1


def test_a_lazy_frame_is_told_to_be_collected() -> None:
    polars = pytest.importorskip("polars")
    with pytest.raises(BrokenCheckError, match="collect"):
        not_null().evaluate(polars.LazyFrame({"a": [1]}))


def test_checks_of_plain_values_load_no_library() -> None:
    program = (
        "import sys; from execution_dataflow.checks import *; before = set(sys.modules)\n"
        "assert not not_null('a').evaluate([{'a': None}]).passed\n"
        "assert matches(pattern='x').evaluate(['x']).passed and unique().evaluate({1, 2}).passed\n"
        "loaded = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(loaded & {'numpy', 'pandas', 'polars', 'pyarrow', 'narwhals'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
