"""Tables come back as the same library's, with the same columns, indices and dtypes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import pandas as frames
from polars.testing import assert_frame_equal
from stored_artifacts import MISSING, MemoryArtifacts, codec_over, format_of, round_trip

from execution_dataflow.storage_formats import formats
from execution_dataflow.store_errors import StoreFormatError

DAY = dt.date(2026, 3, 1)
POLARS = pl.DataFrame(
    {
        "integer": pl.Series([1, None, 3], dtype=pl.UInt8),
        "float": [1.0, float("nan"), None],
        "text": ["a", None, "ü"],
        "date": [DAY, None, DAY],
        "time zone": pl.Series([dt.datetime(2026, 3, 29, 0, 30)] * 3).dt.replace_time_zone("Europe/Berlin"),
        "category": pl.Series(["x", "y", None], dtype=pl.Categorical),
        "enumeration": pl.Series(["x", "y", None], dtype=pl.Enum(["y", "x"])),
        "list": [[1], [], None],
        "struct": [{"a": 1}, {"a": 2}, None],
        "decimal": [Decimal("1.20")] * 3,
        "array": pl.Series([[1, 2]] * 3, dtype=pl.Array(pl.Int8, 2)),
        "duration": [dt.timedelta(1)] * 3,
        "bytes": [b"a"] * 3,
        "nothing": [None] * 3,
    }
)


@pytest.mark.parametrize("inline_bytes", [0, 1 << 20])
@pytest.mark.parametrize("frame", [POLARS, POLARS.clear(), pl.DataFrame(), POLARS[1:2]], ids=lambda frame: frame.height)
def test_polars_frames_come_back(frame: pl.DataFrame, inline_bytes: int) -> None:
    returned = round_trip(frame, trusts_pickles=False, inline_bytes=inline_bytes)
    assert type(returned) is pl.DataFrame
    assert_frame_equal(returned, frame, categorical_as_str=False)


def test_polars_series_come_back() -> None:
    for series in POLARS:
        returned = round_trip(series, trusts_pickles=False)
        assert returned.name == series.name
        assert returned.dtype == series.dtype
        assert returned.equals(series, check_dtypes=True, check_names=True)


ARROW = pa.table({"a": [1, 2, None], "b": pa.array(["x", "y", "x"]).dictionary_encode()}, metadata={"k": "v"})


@pytest.mark.parametrize("inline_bytes", [0, 1 << 20])
@pytest.mark.parametrize(
    "value",
    [
        ARROW,
        ARROW.slice(1, 1),
        ARROW.schema.empty_table(),
        pa.concat_tables([ARROW, ARROW]),
        ARROW.to_batches()[0],
        pa.RecordBatch.from_pylist([], schema=ARROW.schema),
        ARROW.column("b"),
        pa.array([1, None]),
        pa.array([[1], None, []])[1:],
        pa.array([], pa.string()),
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value)}",
)
def test_values_of_pyarrow_come_back(value: Any, inline_bytes: int) -> None:
    returned = round_trip(value, trusts_pickles=False, inline_bytes=inline_bytes)
    assert type(returned) is type(value)
    assert returned.equals(value)
    if isinstance(value, pa.Table | pa.RecordBatch):
        assert returned.schema.equals(value.schema, check_metadata=True)
    else:
        assert returned.type == value.type


def test_an_arrow_table_lies_in_the_memory_that_was_read() -> None:
    artifacts = MemoryArtifacts()
    codec = codec_over(artifacts)
    record = codec.encode_outputs(["out"], [pa.table({"a": np.arange(10_000)})], MISSING).record
    before = pa.total_allocated_bytes()
    (table,) = codec.decode_outputs(record, MISSING)
    assert pa.total_allocated_bytes() - before < 10_000
    assert table.num_rows == 10_000


def berlin(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(texts, tz="Europe/Berlin", name="when")


FRAMES = {
    "numbers": pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": [True, False]}),
    "text": pd.DataFrame({"a": ["x", "y"]}),
    "nullable": pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.array(["x", None], dtype="string")}),
    "times": pd.DataFrame({"a": berlin("2026-03-29", "2026-03-30"), "b": pd.to_timedelta([1, None], unit="s")}),
    "categories": pd.DataFrame({"a": pd.Categorical(["x", None], categories=["y", "x"], ordered=True)}),
    "named index": pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 7], name="id")),
    "zoned index": pd.DataFrame({"a": [1, 2]}, index=berlin("2026-03-29", "2027-01-01")),
    "step": pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(0, 20, 10)),
    "many levels": pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(3, 1.5)], names=["n", None])),
    "numbers for names": pd.DataFrame({1: [2]}),
    "empty": pd.DataFrame({"a": pd.Series([], dtype="int8")}),
    "series": pd.Series([1, 2], name="x"),
    "nameless series": pd.Series([1.5, 2]),
}
PICKLED = {
    "objects": pd.DataFrame({"a": [object, 1]}),
    "mixed": pd.DataFrame({"a": pd.Series([1, True, 1.0], dtype=object)}),
    "frequency": pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2026", periods=2)),
    "same name twice": pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "attributes": pd.DataFrame({"a": [1]}),
    "unnamed by number": pd.Series([1], name=3),
    "index alone": pd.date_range("2026", periods=3),
}
PICKLED["attributes"].attrs["unit"] = (1, 2)


def assert_same(returned: Any, value: Any) -> None:
    assert type(returned) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(returned, value, check_freq=True, check_exact=True, check_column_type="exact")
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(returned, value, check_freq=True, check_exact=True)
    else:
        pd.testing.assert_index_equal(returned, value, exact=True)
    assert getattr(returned, "attrs", None) == getattr(value, "attrs", None)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("inline_bytes", [0, 1 << 20])
def test_pandas_frames_come_back_without_a_pickle(name: str, inline_bytes: int) -> None:
    assert_same(round_trip(FRAMES[name], trusts_pickles=False, inline_bytes=inline_bytes), FRAMES[name])


@pytest.mark.parametrize("name", PICKLED)
def test_frames_that_arrow_would_change_are_pickled(name: str) -> None:
    assert format_of(PICKLED[name]) == "pickle"
    assert_same(round_trip(PICKLED[name]), PICKLED[name])


@settings(max_examples=30)
@given(
    frames.data_frames(
        [
            frames.column("a", dtype="int16"),
            frames.column("b", dtype=float),
            frames.column("c", dtype=bool),
            frames.column("d", dtype="datetime64[ns]"),
        ],
        index=frames.range_indexes(max_size=5) | frames.indexes(elements=st.integers(-5, 5), max_size=5),
    )
)
def test_any_frame_of_numbers_comes_back(frame: Any) -> None:
    assert_same(round_trip(frame), frame)


@pytest.mark.parametrize(
    "value", [FRAMES["numbers"], FRAMES["series"], PICKLED["mixed"]], ids=["frame", "series", "pickle"]
)
def test_a_frame_of_pandas_may_be_written_to(value: Any) -> None:
    large = pd.concat([value] * 5000)
    returned = round_trip(large)
    place = (0, 0) if large.ndim == 2 else 0
    returned.iloc[place] = 1
    assert returned.iloc[place] == 1
    assert_same(returned.iloc[1:], large.iloc[1:])


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = codec_over()
    record = codec.encode_outputs(["out"], [POLARS], MISSING).record
    monkeypatch.delitem(formats._loaded, "polars")
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(StoreFormatError, match="polars"):
        codec.decode_outputs(record, MISSING)
