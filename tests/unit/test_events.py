"""Events are immutable records that show no secret."""

from __future__ import annotations

import dataclasses
import inspect

import pytest

from execution_dataflow import events
from execution_dataflow.checks import not_null
from execution_dataflow.states import OperationState, RunState

HEAD = ("run", 3, 1795390000.0)

EXAMPLES = [
    events.GraphStarted(*HEAD, graph="etl", operations=5),
    events.OperationStarted(*HEAD, operation="load", attempt=1, worker=0),
    events.OperationCompleted(*HEAD, operation="load", attempt=1, seconds=0.5),
    events.OperationFailed(*HEAD, operation="load", attempt=2, error=OSError("x"), message="OSError: x"),
    events.OperationRetrying(*HEAD, operation="load", attempt=1, delay_seconds=2.0, message="OSError: x"),
    events.OperationFellBack(
        *HEAD, operation="load", attempt=2, fallback="cached", error=OSError("x"), message="OSError: x"
    ),
    events.OperationRestored(*HEAD, operation="load"),
    events.OperationReverted(*HEAD, operation="load", seconds=0.5),
    events.OperationRevertFailed(*HEAD, operation="load", error=OSError("x"), message="OSError: x"),
    events.OperationSkipped(*HEAD, operation="load", reason="a branch not taken"),
    events.OperationChecked(*HEAD, operation="load", attempt=1, outcome=not_null().evaluate([None])),
    events.OperationCancelled(*HEAD, operation="load"),
    events.OperationUpstreamFailed(*HEAD, operation="clean", blame="load"),
    events.OperationProgress(*HEAD, operation="load", fraction=0.5, message="half"),
    events.GraphCompleted(*HEAD, graph="etl", state=RunState.SUCCEEDED, seconds=1.0),
]


def by_name(event: events.Event) -> str:
    return type(event).__name__


def test_every_kind_of_event_has_an_example_here() -> None:
    kinds = {kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, events.Event)}
    assert kinds - {events.Event, events.OperationEvent} == set(map(type, EXAMPLES))
    assert {kind.__name__ for kind in kinds} == set(events.__all__)


@pytest.mark.parametrize("event", EXAMPLES, ids=by_name)
def test_events_carry_run_sequence_and_time(event: events.Event) -> None:
    assert (event.run_id, event.sequence, event.time) == HEAD


@pytest.mark.parametrize("event", EXAMPLES, ids=by_name)
def test_events_cannot_be_changed(event: events.Event) -> None:
    for field in dataclasses.fields(event):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, field.name, None)
    assert not hasattr(event, "__dict__")


@pytest.mark.parametrize("event", EXAMPLES, ids=by_name)
def test_equal_events_are_equal(event: events.Event) -> None:
    assert dataclasses.replace(event) == event
    assert dataclasses.replace(event, sequence=4) != event


def test_a_subscriber_can_ask_for_all_events_of_operations() -> None:
    about_operations = [event for event in EXAMPLES if isinstance(event, events.OperationEvent)]
    assert len(about_operations) == len(EXAMPLES) - 2


def test_repr_of_a_failure_does_not_show_the_exception() -> None:
    event = events.OperationFailed(*HEAD, operation="load", attempt=1, error=OSError("hunter2"), message="OSError: ***")
    assert "hunter2" not in repr(event)
    assert event.state is OperationState.FAILED
