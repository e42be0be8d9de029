"""Digests of values of libraries: arrays, tables, models and what attrs makes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest

from execution_dataflow.fingerprinting import value_digest
from execution_dataflow.fingerprinting.walks import Walk


def test_attributes_that_attrs_does_not_know_count_and_the_properties_that_it_keeps_do_not() -> None:
    attrs = pytest.importorskip("attrs")

    @attrs.define  # type: ignore[untyped-decorator,unused-ignore]
    class Query:
        table: str

        @functools.cached_property
        def shown(self) -> str:
            return f"from {self.table}"

    class Limited(Query):  # type: ignore[misc,unused-ignore]
        def __init__(self, table: str, limit: int) -> None:
            super().__init__(table)
            self.limit = limit

    assert value_digest(Limited("a", 1)) == value_digest(Limited("a", 1)) != value_digest(Limited("a", 2))
    used = Query("a")
    assert used.shown == "from a"
    assert value_digest(used) == value_digest(Query("a")) != value_digest(Query("b"))


def test_dataclasses_of_pydantic_count_by_their_fields() -> None:
    dataclasses = pytest.importorskip("pydantic.dataclasses")

    @dataclasses.dataclass  # type: ignore[untyped-decorator,unused-ignore]
    class Size:
        rows: int

    assert value_digest(Size(1)) == value_digest(Size(1)) != value_digest(Size(2))


def test_arrays_count_by_type_shape_and_content() -> None:
    np = pytest.importorskip("numpy")
    values = [
        *(
            np.arange(4),
            np.arange(4.0),
            np.arange(4, dtype="i4"),
            np.arange(4).reshape(2, 2),
            np.zeros(0),
            np.zeros((0, 3)),
        ),
        *(np.int64(1), np.int32(1), np.float64(1), np.array(1), np.array([1, "a"], object), np.array([1, "b"], object)),
        *(np.array(["a"]), np.array(["a"], "U2"), np.array([b"a"]), np.datetime64(1, "s"), np.datetime64(1, "ms")),
        *(
            np.dtype("i4"),
            np.dtype("i8"),
            np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
            np.ma.array([1, 2], mask=[0, 1]),
        ),
        *(np.array([(1, 2.0)], [("a", "i4"), ("c", "f8")]), np.add, np.multiply, np.random.default_rng(1)),
        *(np.random.default_rng(2), np.array([1 + 2j]), np.array([True])),
    ]
    digests = [value_digest(value) for value in values]
    assert len(set(digests)) == len(values)
    assert value_digest(np.arange(8)[::2]) == value_digest(np.array([0, 2, 4, 6]))
    assert value_digest(np.asfortranarray(np.eye(3))) == value_digest(np.eye(3))
    assert value_digest(np.ma.array([1, 9], mask=[0, 1])) == value_digest(np.ma.array([1, 2], mask=[0, 1]))


def test_mapped_file_is_an_array_like_others(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "a.npy", np.arange(5))
    assert value_digest(np.load(tmp_path / "a.npy", mmap_mode="r")) == value_digest(np.arange(5))


def test_pandas_counts_by_content() -> None:
    pd = pytest.importorskip("pandas")

    def frames() -> list[Any]:
        table = pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["p", "q"])
        return [
            *(
                table,
                table.rename(columns={"a": "c"}),
                table.astype({"a": "float"}),
                table.reset_index(),
                table.iloc[:1],
            ),
            *(table["a"], table["b"], table["a"].rename("z"), table.index, table.columns, table.astype({"a": "Int64"})),
            *(table.assign(b=["x", "y"]), table.astype({"b": "category"}), pd.Series([1, None], dtype="Int64")),
            *(
                pd.Series([1, 2], dtype="Int64"),
                pd.date_range("2026", periods=2),
                pd.date_range("2026", periods=2, tz="UTC"),
            ),
            *(pd.MultiIndex.from_tuples([(1, "a")]), pd.MultiIndex.from_tuples([(1, "b")]), pd.Timestamp("2026")),
        ]

    digests = [value_digest(frame) for frame in frames()]
    assert len(set(digests)) == len(digests)
    assert digests == [value_digest(frame) for frame in frames()]


def test_values_of_pandas_that_look_alike_are_told_apart() -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    days = pd.date_range("2026", periods=3)
    values = [
        *(pd.Series(np.array([None, 1], object)), pd.Series(np.array([np.nan, 1], object))),
        *(days, pd.DatetimeIndex(days, freq=None), days.tz_localize("UTC"), days.tz_localize("Europe/Berlin")),
        *(pd.Series(days), pd.Series(days[::-1]), pd.Series([days[0], days[1], None]), pd.Series(days).dt.as_unit("s")),
        *(pd.Series(days - days[0]), pd.Series(days[::-1] - days[0]), pd.Series(days.to_period("D"))),
        *(pd.Series(days.to_period("M")), pd.Series(pd.array([None, 1.0, None], dtype="Float64"))),
        *(pd.Series(pd.array([0.0, 1.0, None], dtype="Float64")), pd.Series([True, None], dtype="boolean")),
        *(pd.Series([False, None], dtype="boolean"), pd.Series([1, 2], dtype="Int8"), pd.Series(["a", "bc"])),
        *(pd.Series(["ab", "c"]), pd.Series(["ab", None]), pd.Series(["ab", "c"], dtype="string[python]")),
        *(pd.Series(["ab", "c"], dtype=object), pd.Series(["ab", None], dtype=object)),
        *(pd.Series(pd.interval_range(0, 2)), pd.Series(pd.interval_range(0, 2, closed="left"))),
    ]
    digests = [value_digest(value) for value in values]
    assert len(set(digests)) == len(digests)
    assert digests == [value_digest(value.copy()) for value in values]


def test_numbers_times_and_texts_of_a_frame_are_not_walked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    many = 10_000
    frame = pd.DataFrame({"a": np.arange(many), "b": pd.date_range("2026", periods=many, freq="s")})
    frame = frame.assign(
        c=frame["a"].astype("Int64"), d=frame["a"].astype("string"), e=frame["b"].dt.tz_localize("UTC")
    )
    walked = []
    plain = Walk.value
    monkeypatch.setattr(Walk, "value", lambda walk, *given: (walked.append(1), plain(walk, *given))[1])
    value_digest(frame)
    assert len(walked) < 200


def test_arrow_and_polars_count_by_content_and_not_by_chunks() -> None:
    pl = pytest.importorskip("polars")
    whole = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "a text that is longer than twelve bytes"]})
    chunked = pl.concat([whole[:1], whole[1:]], rechunk=False)
    assert value_digest(whole) == value_digest(chunked) == value_digest(pl.concat([whole, whole])[3:])
    values = [
        whole,
        whole["a"],
        whole.rename({"a": "c"}),
        whole.cast({"a": pl.Int32}),
        whole[:2],
        whole[:0],
        whole["b"],
    ]
    assert len(set(map(value_digest, values))) == len(values)
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"a": [1, 2, None], "b": ["x", None, "z"]})
    assert value_digest(table) == value_digest(arrow.concat_tables([table[:1], table[1:]]))
    assert value_digest(table) == value_digest(arrow.concat_tables([table, table])[3:])
    others = [
        table,
        table[:2],
        table["a"],
        table["a"].combine_chunks(),
        arrow.table({"b": [1, 2, 3]}),
        table.to_batches()[0],
    ]
    assert len(set(map(value_digest, others))) == len(others)


def test_models_count_by_their_fields() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        size: int = 1
        names: tuple[str, ...] = ()

    assert value_digest(Model()) == value_digest(Model(size=1)) != value_digest(Model(size=2))
    assert value_digest(Model(names=("a",))) != value_digest(Model())
