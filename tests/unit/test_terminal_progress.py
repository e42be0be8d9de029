"""What a person sees while a graph runs, made from events."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from execution_dataflow.events import (
    Event,
    GraphCompleted,
    GraphStarted,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationProgress,
    OperationRestored,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)
from execution_dataflow.states import RunState
from execution_dataflow.terminal.display import RunDisplay
from execution_dataflow.terminal.lines import ProgressLines
from execution_dataflow.terminal.tally import Tally

MOMENT = ("nightly", 0, 0.0)
START = GraphStarted(*MOMENT, graph="etl", operations=12)


def lines_for(*events: Event) -> list[str]:
    written = StringIO()
    subscriber = ProgressLines(Console(file=written, width=40))
    for event in (START, *events):
        subscriber(event)
    return written.getvalue().splitlines()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (OperationCompleted(*MOMENT, "read", attempt=1, seconds=0.125), "125 ms"),
        (OperationFailed(*MOMENT, "read", attempt=1, error=None, message="no [such] file"), "failed: no [such] file"),
        (OperationSkipped(*MOMENT, "read", reason="nothing to read"), "skipped: nothing to read"),
        (OperationUpstreamFailed(*MOMENT, "read", blame="fetch"), "not run, since fetch failed"),
    ],
)
def test_each_way_to_end_is_one_line(event: Event, text: str) -> None:
    assert lines_for(event) == [f"[ 1/12] read               {text}"]


def test_what_is_cancelled_is_counted_without_a_line() -> None:
    done = OperationCompleted(*MOMENT, "load", attempt=1, seconds=1.0)
    assert lines_for(OperationCancelled(*MOMENT, "read"), done) == ["[ 2/12] load               1 s"]


def test_what_was_restored_is_one_line_together() -> None:
    restored = [OperationRestored(*MOMENT, name) for name in ("read", "clean")]
    done = OperationCompleted(*MOMENT, "load", attempt=1, seconds=1.0)
    first = "[2/12] restored: 2 operations had succeeded before"
    assert lines_for(*restored, done) == [first, "[ 3/12] load               1 s"]
    assert lines_for(*restored, GraphCompleted(*MOMENT, "etl", RunState.SUCCEEDED, 1.0)) == [first]


def test_the_tally_counts_what_was_restored() -> None:
    tally = Tally(pytest.fail)
    for event in (START, OperationRestored(*MOMENT, "read")):
        tally(event)
    assert (tally.ended, tally.restored) == (1, 1)


def test_long_lines_are_not_broken() -> None:
    failed = OperationFailed(*MOMENT, "read", attempt=1, error=None, message="x" * 200)
    assert len(lines_for(failed)) == 1


def test_a_retry_is_said_and_counts_as_no_end() -> None:
    again = OperationRetrying(*MOMENT, "read", attempt=1, delay_seconds=0.2, message="disk away")
    done = OperationCompleted(*MOMENT, "read", attempt=2, seconds=1.0)
    assert lines_for(again, done) == ["read: disk away; again in 0.2 s", "[ 1/12] read               1 s"]


def drawn(tally: Tally, height: int = 24) -> str:
    written = StringIO()
    Console(file=written, width=80, height=height).print(RunDisplay(tally))
    return written.getvalue()


def test_display_shows_nothing_before_a_run_begins() -> None:
    assert drawn(Tally(print)).strip() == ""


def test_display_counts_what_ended_and_shows_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution_dataflow.terminal.display.SHOWN_AFTER_SECONDS", -1.0)
    said: list[str] = []
    tally = Tally(said.append)
    tally(START)
    tally(OperationStarted(*MOMENT, "read", attempt=1, worker=0))
    tally(OperationStarted(*MOMENT, "load", attempt=1, worker=1))
    tally(OperationProgress(*MOMENT, "load", fraction=0.25, message="1 of 4 rows"))
    lines = drawn(tally).splitlines()
    assert "etl" in lines[0]
    assert "0/12 · 2 running" in lines[0]
    assert [line.strip() for line in lines[1:3]] == ["read 0:00", "load 0:00 25% 1 of 4 rows"]

    tally(OperationCompleted(*MOMENT, "read", attempt=1, seconds=1.0))
    tally(OperationSkipped(*MOMENT, "report", reason="nothing to tell"))
    tally(OperationFailed(*MOMENT, "load", attempt=1, error=None, message="OSError: [disk] full"))
    (line,) = drawn(tally).splitlines()
    assert "3/12 · 1 failed · 1 skipped" in line
    assert said == ["load failed: OSError: [disk] full"]


def test_display_is_never_higher_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("execution_dataflow.terminal.display.SHOWN_AFTER_SECONDS", -1.0)
    tally = Tally(print)
    tally(START)
    for number in range(30):
        tally(OperationStarted(*MOMENT, f"step_{number}", attempt=1, worker=number))
    assert len(drawn(tally, height=6).splitlines()) < 6
    assert "… and 22 more" in drawn(tally)


def test_only_the_first_failures_are_said() -> None:
    said: list[str] = []
    tally = Tally(said.append)
    for number in range(1000):
        tally(OperationFailed(*MOMENT, f"step_{number}", attempt=1, error=None, message="no"))
    assert (tally.failed, len(said)) == (1000, Tally.SAID)
    assert said[-1].endswith("further failures are counted, and not shown")
