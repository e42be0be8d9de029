"""The main example on its real data: every number that it loads is compared with one that was computed by hand."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from integration.flights_by_hand import FlightsByHand, Group, column_by_key

from execution_dataflow import ExecutionContext, ExecutionEngine, ExecutionResult, OperationState
from execution_dataflow.demo.flights import MONTHS, build_graph
from execution_dataflow.demo.tables import data_folder

ALL_FLIGHTS = 336_776
SUMMARY = "flights, cancelled, departure_delay, arrival_delay, late_share"


def run_flights(
    database: Path, *, folder: Path | None = None, workers: int = 2, **parameters: object
) -> ExecutionResult:
    context = ExecutionContext(parameters={"database": database, **parameters})
    with ExecutionEngine(max_workers=workers) as engine:
        return engine.run(build_graph(folder or data_folder()), context)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[ExecutionResult, Path]:
    database = tmp_path_factory.mktemp("flights") / "flights.sqlite"
    result = run_flights(database)
    result.raise_if_failed()
    return result, database


@pytest.fixture
def connection(loaded: tuple[ExecutionResult, Path]) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(loaded[1])) as opened:
        yield opened


@pytest.fixture(scope="module")
def by_hand() -> FlightsByHand:
    return FlightsByHand(data_folder())


def content(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as opened:
        return list(opened.iterdump())


# ---------------------------------------------------------------- the numbers


def test_every_flight_is_either_loaded_or_set_aside(connection: sqlite3.Connection, by_hand: FlightsByHand) -> None:
    (flights,) = connection.execute("SELECT count(*) FROM flights").fetchone()
    (rejects,) = connection.execute("SELECT count(*) FROM rejects WHERE \"table\" = 'flights'").fetchone()
    assert flights + rejects == by_hand.read == ALL_FLIGHTS
    assert (flights, rejects) == (sum(by_hand.loaded.values()), len(by_hand.rejected))


def test_row_counts_add_up_for_every_table(connection: sqlite3.Connection, by_hand: FlightsByHand) -> None:
    counts = {name: rest for name, *rest in connection.execute("SELECT * FROM row_counts")}
    assert set(counts) == {"flights", "weather", "planes", "airports", "airlines"}
    assert all(read == accepted + rejected for read, accepted, rejected in counts.values())
    rejects = dict(connection.execute('SELECT "table", count(*) FROM rejects GROUP BY 1'))
    assert rejects == {name: rejected for name, (_, _, rejected) in counts.items() if rejected}
    assert rejects["weather"] == by_hand.weather_rejected


def test_every_reject_has_its_line_its_reason_and_its_record(
    connection: sqlite3.Connection, by_hand: FlightsByHand
) -> None:
    found = connection.execute("SELECT line, reason, record FROM rejects WHERE \"table\" = 'flights'").fetchall()
    assert {line: reason for line, reason, _ in found} == {
        line: reason for line, (reason, _) in by_hand.rejected.items()
    }
    for line, _, record in found:
        expected = by_hand.rejected[line][1]
        parsed = {name: "NA" if value is None else str(value) for name, value in json.loads(record).items()}
        assert {name: parsed[name] for name in expected if name != "time_hour"} == {
            name: value for name, value in expected.items() if name != "time_hour"
        }


def test_known_mistakes_in_the_data_are_found(connection: sqlite3.Connection) -> None:
    airports = connection.execute("SELECT record FROM rejects WHERE \"table\" = 'airports'").fetchall()
    assert {json.loads(record)["faa"] for (record,) in airports} == {"DVT", "EEN", "MYF"}
    (record,) = connection.execute("SELECT record FROM rejects WHERE reason = 'wind above 120 mph'").fetchone()
    assert json.loads(record)["wind_speed"] == pytest.approx(1048.36, abs=0.01)


@pytest.mark.parametrize(
    ("table", "key", "groups"),
    [
        ("delays_by_carrier", "carrier", "by_carrier"),
        ("delays_by_hour", "hour", "by_hour"),
        ("delays_by_weather", "conditions", "by_weather"),
    ],
)
def test_delays_are_those_of_the_file(
    table: str, key: str, groups: str, connection: sqlite3.Connection, by_hand: FlightsByHand
) -> None:
    found = {name: tuple(rest) for name, *rest in connection.execute(f"SELECT {key}, {SUMMARY} FROM {table}")}
    expected: dict[object, Group] = getattr(by_hand, groups)
    assert found.keys() == expected.keys()
    for name, group in expected.items():
        assert found[name] == pytest.approx(group.summary(), rel=1e-12), name


def test_each_month_has_its_flights(connection: sqlite3.Connection, by_hand: FlightsByHand) -> None:
    found = dict(connection.execute("SELECT month, count(*) FROM flights GROUP BY month"))
    assert found == dict(by_hand.loaded)
    assert list(found) == list(MONTHS)


def test_joined_columns_are_those_of_the_other_tables(connection: sqlite3.Connection) -> None:
    folder = data_folder()
    airlines = column_by_key(folder / "airlines.csv", "carrier", "name")
    airports = column_by_key(folder / "airports.csv", "faa", "name")
    seats = column_by_key(folder / "planes.csv", "tailnum", "seats", int)
    query = "SELECT DISTINCT carrier, airline, dest, destination, tailnum, seats FROM flights"
    for carrier, airline, dest, destination, tailnum, found_seats in connection.execute(query):
        assert airline == airlines[carrier]
        assert destination == airports.get(dest)
        assert found_seats == seats.get(tailnum)


def test_departures_are_points_in_time(connection: sqlite3.Connection) -> None:
    latest = "SELECT scheduled, departed, max(dep_delay) FROM flights"
    assert connection.execute(latest).fetchone() == ("2013-01-09 09:00", "2013-01-10 06:41", 1301)
    wrong = """
        SELECT count(*) FROM flights
        WHERE round((julianday(departed) - julianday(scheduled)) * 1440) IS NOT dep_delay
        OR cancelled IS NOT (departed IS NULL)
    """
    assert connection.execute(wrong).fetchone() == (0,)


# ---------------------------------------------------------------- the run


def test_all_operations_succeed_and_are_timed(loaded: tuple[ExecutionResult, Path]) -> None:
    result, database = loaded
    assert set(result.states.values()) == {OperationState.SUCCEEDED}
    assert len(result.timings) == len(result.states) == 5 + 5 + 12 + 3 + 3 + 1
    assert result.get_output("load", "database") == database


def test_result_does_not_depend_on_the_number_of_workers(loaded: tuple[ExecutionResult, Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone.sqlite"
    run_flights(alone, workers=1).raise_if_failed()
    assert content(alone) == content(loaded[1])


def test_months_that_are_not_wanted_are_branches_not_taken(tmp_path: Path, by_hand: FlightsByHand) -> None:
    database = tmp_path / "winter.sqlite"
    run_flights(database, months=[1, 2]).raise_if_failed()
    with closing(sqlite3.connect(database)) as opened:
        assert dict(opened.execute("SELECT month, count(*) FROM flights GROUP BY month")) == {
            month: by_hand.loaded[month] for month in (1, 2)
        }


def test_loading_again_replaces_the_database(tmp_path: Path) -> None:
    database = tmp_path / "flights.sqlite"
    run_flights(database, months=[1]).raise_if_failed()
    first = content(database)
    run_flights(database, months=[1]).raise_if_failed()
    assert content(database) == first
    assert list(tmp_path.iterdir()) == [database]


def copy_data(target: Path) -> Path:
    return Path(shutil.copytree(data_folder(), target))


def test_a_truncated_file_fails_the_run_and_leaves_the_old_database(tmp_path: Path) -> None:
    database = tmp_path / "flights.sqlite"
    run_flights(database, months=[1]).raise_if_failed()
    before = content(database)
    folder = copy_data(tmp_path / "data")
    weather = (folder / "weather.csv").read_text().splitlines(keepends=True)
    (folder / "weather.csv").write_text("".join(weather[:1000]))

    result = run_flights(database, folder=folder)

    assert result.get_state("validate_weather") is OperationState.FAILED
    assert result.get_state("load") is OperationState.CANCELLED
    message = result.get_error_message()
    assert message is not None
    assert "weather.csv has 999 rows where at least 26,000 are expected" in message
    assert content(database) == before


def test_a_missing_file_is_tried_three_times(tmp_path: Path) -> None:
    folder = copy_data(tmp_path / "data")
    (folder / "planes.csv").unlink()
    result = run_flights(tmp_path / "flights.sqlite", folder=folder)
    assert result.errors[0].operation == "read_planes"
    assert result.errors[0].attempt == 3
    assert isinstance(result.errors[0].exception, FileNotFoundError)
    assert not (tmp_path / "flights.sqlite").exists()


def test_a_file_that_is_no_database_is_not_replaced(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("ten years of work")
    result = run_flights(precious, months=[1])
    assert isinstance(result.errors[0].exception, FileExistsError)
    assert precious.read_text() == "ten years of work"
