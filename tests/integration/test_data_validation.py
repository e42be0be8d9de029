"""The example that validates the flights of New York: what it finds is compared with what a plain loop finds."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import pytest

from execution_dataflow.demo.tables import data_folder

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "data_validation.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("data_validation", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flights() -> Iterator[dict[str, str]]:
    with ZipFile(data_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        yield from csv.DictReader(TextIOWrapper(file, "utf-8"))


@pytest.fixture(scope="module")
def counted() -> dict[str, int]:
    """The defects of the flights, counted by hand."""
    with (data_folder() / "planes.csv").open(encoding="utf-8") as file:
        planes = {"NA", *(plane["tailnum"] for plane in csv.DictReader(file))}
    counts = dict.fromkeys(
        ("cancelled", "midnight departure", "midnight arrival", "diverted", "lost", "strange tail"), 0
    )
    for flight in flights():
        departed, arrived, delay = flight["dep_time"], flight["arr_time"], flight["arr_delay"]
        counts["cancelled"] += departed == "NA"
        counts["midnight departure"] += departed == "2400"
        counts["midnight arrival"] += arrived == "2400"
        counts["diverted"] += delay == "NA" and arrived != "NA"
        counts["lost"] += delay == "NA" and departed != "NA" and arrived == "NA"
        counts["strange tail"] += flight["tailnum"] not in planes
    return counts


def run(example: ModuleType, folder: Path, *arguments: str) -> tuple[int, dict[tuple[str, str], Any]]:
    report = folder / "report.json"
    code = example.main([*arguments, "--report", str(report)])
    checks = json.loads(report.read_text(encoding="utf-8"))["checks"]
    return code, {(check["operation"], check["check"]): check for check in checks}


def failed(checks: dict[tuple[str, str], Any], *key: str) -> int:
    return checks[key[0], key[1]]["findings"][0]["failed"]


def test_the_report_of_the_example_counts_the_defects_that_are_there(
    example: ModuleType, counted: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = run(example, tmp_path)
    assert code == 0
    assert {
        "cancelled": failed(checks, "read_flights", "not_null(dep_time)"),
        "midnight departure": failed(checks, "read_flights", "departure is a time of day"),
        "midnight arrival": failed(checks, "read_flights", "arrival is a time of day"),
        "strange tail": failed(checks, "flag", "references(tailnum, 'planes')"),
        "lost": counted["lost"],
        "diverted": failed(checks, "read_flights", "who departed has an arrival delay") - counted["lost"],
    } == counted
    assert {check["status"] for (operation, _), check in checks.items() if operation == "SetAside"} == {"passed"}
    shown = capsys.readouterr().out
    assert f"{counted['diverted']:>8,}  not: who departed has an arrival delay" in shown
    assert f"{counted['lost'] + 5} were set aside" in shown


def test_the_example_ends_with_1_when_a_check_has_failed(
    example: ModuleType, counted: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, checks = run(example, tmp_path, "--as-it-is")
    assert code == 1
    assert failed(checks, "SetAside", "arrival is a time of day") == counted["midnight arrival"]
    assert "Operation 'SetAside' failed: CheckFailed" in capsys.readouterr().out
