"""An ETL over the New York flights of 2013, written to be read and copied.

Five tables are read and validated side by side; bad rows are set aside with the reason, not dropped. Each month of
flights is cleaned and joined with the weather, the planes, the airports and the airlines by an operation of its own.
The year is put together again and summarised by carrier, by hour and by weather, and everything is loaded into one
SQLite database::

    read_flights  -> validate_flights  --+-> month_01 --+
    read_weather  -> validate_weather  --+-> month_02 --+               +-> by_carrier --+
    read_planes   -> validate_planes   --+-> ...        +-> all_months -+-> by_hour    --+-> load
    read_airports -> validate_airports --+-> month_12 --+               +-> by_weather --+
    read_airlines -> validate_airlines --+                                               |
                           +----------------> all_rejects, all_counts -------------------+

Run it from Python like this, or as ``execution-dataflow demo``::

    context = ExecutionContext(parameters={"database": Path("flights.sqlite")})
    result = ExecutionEngine().run(build_graph(data_folder()), context)
    result.raise_if_failed()
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars import col

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)
from execution_dataflow.demo.database import write_database
from execution_dataflow.demo.tables import TABLES, Table, read_table, split_rows

__all__ = ["MONTHS", "build_graph"]

MONTHS = range(1, 13)


# ---------------------------------------------------------------- extract and validate


class ReadTable(Operation):
    """Read one table of the data set from its file."""

    rows = OutputPort(pl.DataFrame)

    def __init__(self, table: Table, folder: Path) -> None:
        # A file on a network drive may be away for a moment; one with the wrong columns stays wrong.
        patience = RetryPolicy(max_attempts=3, delay_seconds=0.2, backoff=2, retry_on=OSError)
        super().__init__(name=f"read_{table.name}", retry_policy=patience)
        self.table = table
        self.folder = folder

    def execute(self, context: ExecutionContext) -> None:
        self.rows = read_table(self.table, self.folder)


class ValidateTable(Operation):
    """Split a table into the rows that follow its rules and those that do not; fail when the table is cut short."""

    rows = InputPort(pl.DataFrame)
    accepted = OutputPort(pl.DataFrame)
    rejected = OutputPort(pl.DataFrame)
    counts = OutputPort(pl.DataFrame)

    def __init__(self, table: Table) -> None:
        super().__init__(name=f"validate_{table.name}")
        self.table = table

    def execute(self, context: ExecutionContext) -> None:
        rows, table = self.rows, self.table
        if rows.height < table.minimum_rows:
            raise ValueError(
                f"{table.file} has {rows.height:,} rows where at least {table.minimum_rows:,} are expected: "
                "the file is incomplete, install the data set again"
            )
        accepted, rejected = split_rows(rows, table)
        context.logger.info("%s: %d rows, %d set aside", table.name, rows.height, rejected.height)
        self.accepted = accepted
        self.rejected = rejected
        self.counts = pl.DataFrame(
            {"table": table.name, "rows": rows.height, "accepted": accepted.height, "rejected": rejected.height}
        )


# ---------------------------------------------------------------- clean and join


class JoinMonth(Operation):
    """Clean the flights of one month, and join each with its weather, plane, destination and airline.

    The run's parameter `months` says which months are wanted. For any other the optional output stays unset: a branch
    not taken.
    """

    flights = InputPort(pl.DataFrame)
    weather = InputPort(pl.DataFrame)
    planes = InputPort(pl.DataFrame)
    airports = InputPort(pl.DataFrame)
    airlines = InputPort(pl.DataFrame)
    joined = OutputPort(pl.DataFrame, optional=True)

    def __init__(self, month: int) -> None:
        super().__init__(name=f"month_{month:02}")
        self.month = month

    def execute(self, context: ExecutionContext) -> None:
        if self.month not in context.parameters.get("months", MONTHS):
            return
        flights = clean_flights(self.flights.filter(col("month") == self.month))
        for table, key in (
            (self.weather.select("origin", "time_hour", *READINGS), ["origin", "time_hour"]),
            (self.planes.select("tailnum", "seats", built="year"), ["tailnum"]),
            (self.airports.select(dest="faa", destination="name"), ["dest"]),
            (self.airlines.select("carrier", airline="name"), ["carrier"]),
        ):
            # Flights that match nothing stay, and `m:1` makes sure that none is doubled.
            flights = flights.join(table, on=key, how="left", validate="m:1", maintain_order="left")
        self.joined = flights.with_columns(conditions=CONDITIONS).drop("time_hour")


def clean_flights(flights: pl.DataFrame) -> pl.DataFrame:
    """Replace clock readings such as 517, 2400 and null by points in time, and say which flights were cancelled."""
    scheduled = pl.datetime("year", "month", "day", "hour", "minute")
    return flights.select(
        scheduled.alias("scheduled"),
        (scheduled + pl.duration(minutes="dep_delay")).alias("departed"),
        col("dep_time").is_null().alias("cancelled"),
        *("month", "hour", "time_hour"),
        *("carrier", "flight", "tailnum", "origin", "dest"),
        *("dep_delay", "arr_delay", "air_time", "distance"),
    )


READINGS = ("temp", "wind_speed", "precip", "visib")

CONDITIONS = (
    pl.when(col("visib").is_null())
    .then(pl.lit("no reading"))
    .when((col("precip") > 0) & (col("temp") <= 34))
    .then(pl.lit("snow or freezing rain"))
    .when(col("precip") >= 0.1)
    .then(pl.lit("heavy rain"))
    .when(col("precip") > 0)
    .then(pl.lit("light rain"))
    .when(col("visib") < 3)
    .then(pl.lit("fog or haze"))
    .when(col("wind_speed") >= 20)
    .then(pl.lit("strong wind"))
    .otherwise(pl.lit("fair"))
)


class Concatenate(Operation):
    """Put tables of the same columns together, in the order in which they were connected."""

    parts = InputPort(pl.DataFrame, many=True)
    whole = OutputPort(pl.DataFrame)

    def execute(self, context: ExecutionContext) -> None:
        self.whole = pl.concat(self.parts)


# ---------------------------------------------------------------- aggregate


@operation
def by_carrier(flights: pl.DataFrame) -> pl.DataFrame:
    """Summarise the delays of each airline."""
    return summarise_delays(flights, "carrier", "airline")


@operation
def by_hour(flights: pl.DataFrame) -> pl.DataFrame:
    """Summarise the delays by the hour at which a flight was to leave."""
    return summarise_delays(flights, "hour")


@operation
def by_weather(flights: pl.DataFrame) -> pl.DataFrame:
    """Summarise the delays by the weather at the airport of departure."""
    return summarise_delays(flights, "conditions")


def summarise_delays(flights: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Count flights and cancellations, and take the mean delays in minutes of those that flew."""
    return (
        flights.group_by(keys)
        .agg(
            flights=pl.len(),
            cancelled=col("cancelled").sum(),
            departure_delay=col("dep_delay").mean(),
            arrival_delay=col("arr_delay").mean(),
            late_share=(col("arr_delay") > 15).mean(),
            cancelled_share=col("cancelled").mean(),
        )
        .sort(keys)
    )


# ---------------------------------------------------------------- load


class LoadDatabase(Operation):
    """Write the tables, each under the name of its port, into the SQLite database of the run's parameter `database`."""

    flights = InputPort(pl.DataFrame)
    delays_by_carrier = InputPort(pl.DataFrame)
    delays_by_hour = InputPort(pl.DataFrame)
    delays_by_weather = InputPort(pl.DataFrame)
    rejects = InputPort(pl.DataFrame)
    row_counts = InputPort(pl.DataFrame)
    database = OutputPort(Path)

    def __init__(self) -> None:
        super().__init__(name="load")

    def execute(self, context: ExecutionContext) -> None:
        database = Path(context.parameters["database"])
        tables = {
            "flights": self.flights,
            "delays_by_carrier": self.delays_by_carrier,
            "delays_by_hour": self.delays_by_hour,
            "delays_by_weather": self.delays_by_weather,
            "rejects": self.rejects,
            "row_counts": self.row_counts,
        }
        total = sum(table.height for table in tables.values())

        def report(written: int) -> None:
            context.raise_if_cancelled()
            context.progress(written / total, f"{written:,} of {total:,} rows")

        write_database(database, tables, report)
        context.logger.info("%s holds %d rows", database, total)
        self.database = database


# ---------------------------------------------------------------- the graph


def build_graph(folder: Path) -> GraphDefinition:
    """Build the ETL that reads the data set in a folder.

    A run takes two parameters: `database`, the path of the SQLite file, and `months`, those to load (all unless given).
    """
    graph = GraphDefinition("new-york-flights")

    checked: dict[str, Operation] = {}
    for table in TABLES:
        rows = graph.add(ReadTable(table, folder))
        checked[table.name] = graph.add(ValidateTable(table), rows=rows)

    tables = {name: check.output("accepted") for name, check in checked.items()}
    months = [graph.add(JoinMonth(month), **tables) for month in MONTHS]
    flights = graph.add(Concatenate(name="all_months"), parts=months)

    graph.add(
        LoadDatabase(),
        flights=flights,
        delays_by_carrier=graph.add(by_carrier, flights=flights),
        delays_by_hour=graph.add(by_hour, flights=flights),
        delays_by_weather=graph.add(by_weather, flights=flights),
        rejects=graph.add(
            Concatenate(name="all_rejects"), parts=[check.output("rejected") for check in checked.values()]
        ),
        row_counts=graph.add(
            Concatenate(name="all_counts"), parts=[check.output("counts") for check in checked.values()]
        ),
    )
    return graph
