"""What a person sees while a graph runs, made from events."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress

from execution_dataflow.demo.progress import ProgressBars, ProgressLines
from execution_dataflow.events import (
    Event,
    GraphStarted,
    OperationCancelled,
    OperationCompleted,
    OperationFailed,
    OperationProgress,
    OperationRetrying,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)

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
        (OperationCompleted(*MOMENT, "read", attempt=1, seconds=0.125), "0.12 s"),
        (OperationFailed(*MOMENT, "read", attempt=1, error=None, message="no [such] file"), "failed: no [such] file"),
        (OperationSkipped(*MOMENT, "read", reason="nothing to read"), "skipped: nothing to read"),
        (OperationUpstreamFailed(*MOMENT, "read", blame="fetch"), "not run, since fetch failed"),
    ],
)
def test_each_way_to_end_is_one_line(event: Event, text: str) -> None:
    assert lines_for(event) == [f"[ 1/12] read               {text}"]


def test_what_is_cancelled_is_counted_without_a_line() -> None:
    done = OperationCompleted(*MOMENT, "load", attempt=1, seconds=1.0)
    assert lines_for(OperationCancelled(*MOMENT, "read"), done) == ["[ 2/12] load               1.00 s"]


def test_long_lines_are_not_broken() -> None:
    failed = OperationFailed(*MOMENT, "read", attempt=1, error=None, message="x" * 200)
    assert len(lines_for(failed)) == 1


def test_a_retry_is_said_and_counts_as_no_end() -> None:
    again = OperationRetrying(*MOMENT, "read", attempt=1, delay_seconds=0.2, message="disk away")
    done = OperationCompleted(*MOMENT, "read", attempt=2, seconds=1.0)
    assert lines_for(again, done) == ["read: disk away; again in 0.2 s", "[ 1/12] read               1.00 s"]


def test_bars_follow_the_operations_that_run() -> None:
    bars = Progress(disable=True)
    subscriber = ProgressBars(bars)
    subscriber(START)
    subscriber(OperationStarted(*MOMENT, "read", attempt=1, worker=0))
    subscriber(OperationStarted(*MOMENT, "load", attempt=1, worker=1))
    subscriber(OperationProgress(*MOMENT, "load", fraction=0.25, message="1 of 4 rows"))
    assert [task.description.strip() for task in bars.tasks] == ["etl", "read", "load"]
    assert (bars.tasks[1].total, bars.tasks[2].percentage, bars.tasks[2].fields["note"]) == (None, 25, "1 of 4 rows")

    subscriber(OperationCompleted(*MOMENT, "read", attempt=1, seconds=1.0))
    subscriber(OperationSkipped(*MOMENT, "report", reason="nothing to tell"))
    assert [task.description.strip() for task in bars.tasks] == ["etl", "load"]
    assert (bars.tasks[0].completed, bars.tasks[0].total, bars.tasks[0].fields["note"]) == (2, 12, "2 of 12")
