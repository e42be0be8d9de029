"""Values that are written to a store come back equal, and of the same types."""

from __future__ import annotations

import dataclasses
import enum
import sys
import threading
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_artifacts import MISSING, MemoryArtifacts, codec_over, format_of, is_same, round_trip

from execution_dataflow.storage_formats import ValueCodec
from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError, UnstorableValueError

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    pass


@dataclasses.dataclass
class Reading:
    place: str
    values: list[float]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=[]))
    | st.sampled_from([2**63, -(2**64), 10**700, float("nan"), -0.0, "\ud83d\ude00", "\ud83d" + "\ude00", "$tuple"])
)
LEAVES = (
    SCALARS
    | st.binary()
    | st.complex_numbers()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-3, seconds=7))))
)
# NaN differs from itself, so a set of it says nothing.
KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates()
HASHABLE = st.recursive(KEYS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["$set", "$"]), inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(HASHABLE, max_size=3)
    )


@settings(max_examples=80)
@given(st.recursive(LEAVES, containers, max_leaves=12), st.sampled_from([0, 16 << 10]))
def test_plain_data_comes_back_exactly(value: Any, inline_bytes: int) -> None:
    assert is_same(round_trip(value, trusts_pickles=False, inline_bytes=inline_bytes), value)


@settings(max_examples=40)
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12))
def test_a_state_value_comes_back_exactly(value: Any) -> None:
    codec = codec_over(trusts_pickles=False)
    assert is_same(codec.decode_value("watermark", codec.encode_value("watermark", value)), value)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Name("x"),
        Point(1, 2),
        OrderedDict(a=1),
        Reading("Oslo", [1.0]),
        [Colour.RED, {"deep": Point(1, [2])}],
        {Name("key"): 1},
        Fraction(1, 3),
        datetime(2026, 3, 29, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1), "named")),
        range(3),
        int,
    ],
    ids=repr,
)
def test_what_json_has_no_form_for_comes_back_of_the_same_type(value: Any) -> None:
    returned = round_trip(value)
    assert returned == value
    assert type(returned) is type(value)
    if isinstance(value, datetime):
        assert returned.tzname() == value.tzname()
        assert returned.fold == value.fold


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"rows": [1, 2.5, None, "é"]}, "json"),
        ([1, (2, b"x"), date(2026, 1, 1), time(1), Decimal("1.20"), {1: 2}, {3}, Path("a/b"), 1j], "json"),
        (b"bytes", "bin"),
        ("text", "txt"),
        ([0.5] * 1000, "npy"),
        ([True] * 1000, "json"),
        (Reading("Oslo", []), "pickle"),
    ],
    ids=lambda given: repr(given)[:20],
)
def test_each_kind_of_value_has_its_format(value: Any, expected: str) -> None:
    assert format_of(value) == expected


@pytest.mark.parametrize(
    "values",
    [
        [0.1 * n for n in range(5000)],
        [float("nan"), -0.0] * 1000,
        [-(2**63), 2**63 - 1] * 1000,
        [2**63] * 1000,
        [1, 2.0] * 1000,
        [1, True] * 1000,
        ["x"] * 5000,
        [[], *[None] * 2000],
    ],
    ids=lambda values: repr(values[:2]),
)
def test_long_lists_come_back_exactly(values: list[Any]) -> None:
    assert is_same(round_trip(values), values)


def test_a_list_at_two_places_is_one_list_again() -> None:
    row = [1]
    first, second = round_trip([row, row])
    assert first == row
    assert first is second


def test_a_list_within_itself_comes_back_as_one() -> None:
    value: list[Any] = [1]
    value.append(value)
    returned = round_trip(value)
    assert returned[1] is returned


def test_what_is_nested_deeper_than_a_text_may_be_comes_back() -> None:
    value: list[Any] = []
    for _ in range(150):
        value = [value]
    assert round_trip(value) == value


def test_an_integer_comes_back_when_the_interpreter_converts_fewer_digits_than_where_it_was_written() -> None:
    codec = codec_over(trusts_pickles=False)
    record = codec.encode_outputs(["out"], [10**3000], MISSING).record
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert codec.decode_outputs(record, MISSING) == [10**3000]
        assert round_trip([10**3000, 7**3000], trusts_pickles=False) == [10**3000, 7**3000]
    finally:
        sys.set_int_max_str_digits(limit)


def test_outputs_that_were_not_set_stay_missing_and_unwanted_ones_are_not_read() -> None:
    artifacts = MemoryArtifacts()
    codec = codec_over(artifacts, inline_bytes=50)
    encoded = codec.encode_outputs("abcd", [1, MISSING, None, b"x" * 100], MISSING)
    assert codec.decode_outputs(encoded.record, MISSING) == [1, MISSING, None, b"x" * 100]
    artifacts.content.clear()
    assert codec.decode_outputs(encoded.record, MISSING, wanted={0, 2}) == [1, MISSING, None, MISSING]
    with pytest.raises(ArtifactNotFoundError):
        codec.decode_outputs(encoded.record, MISSING, wanted={3})


def test_inline_values_behind_unwanted_ones_are_found() -> None:
    codec = codec_over()
    record = codec.encode_outputs("abc", [b"first", Fraction(1, 2), b"last"], MISSING).record
    assert codec.decode_outputs(record, MISSING, wanted=[2]) == [MISSING, MISSING, b"last"]


def test_the_size_counts_record_and_artifacts() -> None:
    artifacts = MemoryArtifacts()
    encoded = codec_over(artifacts, compression="off").encode_outputs("ab", [1, b"x" * 100_000], MISSING)
    assert encoded.artifacts == tuple(artifacts.content)
    assert encoded.artifacts[0].startswith("runs/1/")
    assert encoded.size == len(encoded.record) + 100_000


def test_a_value_that_changes_after_it_was_written_comes_back_as_it_was() -> None:
    codec = codec_over()
    value = {"rows": [1]}
    record = codec.encode_outputs(["out"], [value], MISSING).record
    value["rows"].append(2)
    assert codec.decode_outputs(record, MISSING) == [{"rows": [1]}]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (threading.Lock, "lock"),
        (lambda: open(__file__, encoding="utf-8"), "TextIOWrapper"),  # noqa: SIM115
        (lambda: (n for n in range(3)), "generator"),
        (lambda: {"deep": [threading.Lock()]}, "lock"),
    ],
    ids=["lock", "file", "generator", "inside"],
)
def test_what_cannot_be_written_is_refused_by_name_with_the_reason(make: Any, reason: str) -> None:
    value = make()
    artifacts = MemoryArtifacts()
    try:
        with pytest.raises(UnstorableValueError, match=reason) as caught:
            codec_over(artifacts, inline_bytes=0).encode_outputs(["large", "bad"], [b"x" * 100, value], MISSING)
    finally:
        getattr(value, "close", int)()
    assert caught.value.port == "bad"
    assert not artifacts.content


def test_what_only_cloudpickle_can_write_comes_back() -> None:
    factor = 3
    assert round_trip(lambda x: factor * x)(5) == 15


def test_artifacts_of_outputs_that_could_not_all_be_written_are_deleted_again() -> None:
    artifacts = MemoryArtifacts(room=2)
    with pytest.raises(StoreError, match="full"):
        codec_over(artifacts, inline_bytes=0).encode_outputs("abc", [b"x", b"y", b"z"], MISSING)
    assert not artifacts.content


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": b""}, "at least one byte"),
        ({"compression": "zip"}, "compression='zip'"),
        ({"inline_bytes": -1}, "0 or more"),
    ],
)
def test_options_that_are_not_possible_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ValueCodec(MemoryArtifacts(), **{"trusts_pickles": True, "prefix": "p", **options})


def test_as_many_values_as_names_are_needed() -> None:
    with pytest.raises(ValueError, match="2 values were given for 1 outputs"):
        codec_over().encode_outputs(["a"], [1, 2], MISSING)
