"""The flights example computed once more, from the same files, with the standard library and plain loops."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from zipfile import ZipFile

Row = dict[str, str]


def rows_of(path: Path) -> Iterator[Row]:
    if path.suffix == ".zip":
        with ZipFile(path) as archive, archive.open(path.stem) as raw:
            yield from csv.DictReader(TextIOWrapper(raw, "utf-8"))
    else:
        with path.open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)


def fault_of_flight(row: Row) -> str | None:
    if row["dep_time"] != "NA" and row["arr_delay"] == "NA":
        return "departed, but no arrival recorded"
    if not 50 <= int(row["distance"]) <= 5000:
        return "distance outside 50 to 5,000 miles"
    if row["air_time"] != "NA" and int(row["distance"]) * 60 > 600 * int(row["air_time"]):
        return "faster than 600 mph over ground"
    return None


def fault_of_weather(row: Row) -> str | None:
    if row["wind_speed"] == "NA":
        return "no wind speed"
    if float(row["wind_speed"]) > 120:
        return "wind above 120 mph"
    if row["temp"] == "NA":
        return "no temperature"
    return None


def conditions_of(weather: Row | None) -> str:
    if weather is None:
        return "no reading"
    rain, visibility = float(weather["precip"]), float(weather["visib"])
    if rain > 0 and float(weather["temp"]) <= 34:
        return "snow or freezing rain"
    if rain > 0:
        return "heavy rain" if rain >= 0.1 else "light rain"
    if visibility < 3:
        return "fog or haze"
    return "strong wind" if float(weather["wind_speed"]) >= 20 else "fair"


class Group:
    """What is counted of one airline, one hour or one kind of weather."""

    def __init__(self) -> None:
        self.flights = 0
        self.cancelled = 0
        self.departure_delays: list[int] = []
        self.arrival_delays: list[int] = []

    def add(self, row: Row) -> None:
        self.flights += 1
        self.cancelled += row["dep_time"] == "NA"
        if row["dep_time"] != "NA":
            self.departure_delays.append(int(row["dep_delay"]))
            self.arrival_delays.append(int(row["arr_delay"]))

    def summary(self) -> tuple[int, int, float, float, float]:
        flown = len(self.arrival_delays)
        late = sum(delay > 15 for delay in self.arrival_delays)
        return (
            self.flights,
            self.cancelled,
            sum(self.departure_delays) / flown,
            sum(self.arrival_delays) / flown,
            late / flown,
        )


class FlightsByHand:
    """The numbers that the example must arrive at."""

    def __init__(self, folder: Path) -> None:
        self.read = 0
        self.loaded: Counter[int] = Counter()
        self.rejected: dict[int, tuple[str, Row]] = {}
        self.by_carrier: defaultdict[str, Group] = defaultdict(Group)
        self.by_hour: defaultdict[int, Group] = defaultdict(Group)
        self.by_weather: defaultdict[str, Group] = defaultdict(Group)

        self.weather_rejected = 0
        weather: dict[tuple[str, str], Row] = {}
        for row in rows_of(folder / "weather.csv"):
            if fault_of_weather(row) is None:
                weather[row["origin"], row["time_hour"]] = row
            else:
                self.weather_rejected += 1

        for line, row in enumerate(rows_of(folder / "flights.csv.zip"), start=2):
            self.read += 1
            if (fault := fault_of_flight(row)) is not None:
                self.rejected[line] = (fault, row)
                continue
            self.loaded[int(row["month"])] += 1
            self.by_carrier[row["carrier"]].add(row)
            self.by_hour[int(row["hour"])].add(row)
            self.by_weather[conditions_of(weather.get((row["origin"], row["time_hour"])))].add(row)


def column_by_key(path: Path, key: str, column: str, kind: Callable[[str], object] = str) -> dict[str, object]:
    """Read one column of a small table, by its key."""
    return {row[key]: None if row[column] == "NA" else kind(row[column]) for row in rows_of(path)}
