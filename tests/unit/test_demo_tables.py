"""Bad rows are told from good ones, each row goes one way, and what is set aside can be found again."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from polars import col

from execution_dataflow.demo.tables import Rule, Table, read_table, split_rows

READINGS = Table(
    name="readings",
    file="readings.csv",
    columns=pl.Schema({"station": pl.String, "hour": pl.Int64, "wind": pl.Float64}),
    key=("station", "hour"),
    minimum_rows=1,
    rules=(
        Rule("wind above 100", col("wind") > 100),
        Rule("wind above 50", col("wind") > 50),
        Rule("hour outside 0 to 23", ~col("hour").is_between(0, 23)),
    ),
)


def read(folder: Path, *lines: str) -> pl.DataFrame:
    (folder / "readings.csv").write_text("\n".join(["station,hour,wind", *lines]) + "\n")
    return read_table(READINGS, folder)


def reasons(rejected: pl.DataFrame) -> list[tuple[int, str]]:
    return rejected.select("line", "reason").rows()


def test_each_row_is_in_exactly_one_of_the_two(tmp_path: Path) -> None:
    rows = read(tmp_path, "JFK,1,10.5", "JFK,2,120", "JFK,24,0", "JFK,3,0")
    accepted, rejected = split_rows(rows, READINGS)
    assert accepted.rows() == [("JFK", 1, 10.5), ("JFK", 3, 0.0)]
    assert reasons(rejected) == [(3, "wind above 100"), (4, "hour outside 0 to 23")]


def test_a_row_that_breaks_several_rules_counts_for_the_first(tmp_path: Path) -> None:
    _, rejected = split_rows(read(tmp_path, "JFK,24,120", "JFK,25,60"), READINGS)
    assert reasons(rejected) == [(2, "wind above 100"), (3, "wind above 50")]


def test_a_missing_value_breaks_no_rule(tmp_path: Path) -> None:
    accepted, rejected = split_rows(read(tmp_path, "JFK,1,NA"), READINGS)
    assert accepted.rows() == [("JFK", 1, None)]
    assert rejected.is_empty()


def test_an_incomplete_key_is_set_aside(tmp_path: Path) -> None:
    _, rejected = split_rows(read(tmp_path, "NA,1,5", "JFK,NA,5"), READINGS)
    assert reasons(rejected) == [(2, "key is incomplete"), (3, "key is incomplete")]


def test_the_first_of_two_rows_with_one_key_stays(tmp_path: Path) -> None:
    accepted, rejected = split_rows(read(tmp_path, "JFK,1,5", "LGA,1,6", "JFK,1,7"), READINGS)
    assert accepted["wind"].to_list() == [5.0, 6.0]
    assert reasons(rejected) == [(4, "key occurs on an earlier line")]


def test_a_rejected_row_is_kept_whole(tmp_path: Path) -> None:
    _, rejected = split_rows(read(tmp_path, "JFK,1,120.5"), READINGS)
    assert rejected["table"].to_list() == ["readings"]
    assert json.loads(rejected["record"][0]) == {"station": "JFK", "hour": 1, "wind": 120.5}


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("wind,note,station,hour\n7.5,calm,JFK,4\n")
    accepted, _ = split_rows(read_table(READINGS, tmp_path), READINGS)
    assert accepted.rows() == [("JFK", 4, 7.5)]


def test_a_file_without_a_column_is_refused_by_the_name_of_the_column(tmp_path: Path) -> None:
    (tmp_path / "readings.csv").write_text("station,hour\nJFK,4\n")
    with pytest.raises(pl.exceptions.PolarsError, match="wind"):
        read_table(READINGS, tmp_path)


def test_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(pl.exceptions.PolarsError, match="noon"):
        read(tmp_path, "JFK,noon,4")
