"""The result: values, states, timings and errors of a run, and texts that a person can read."""

from __future__ import annotations

import re

import pytest
from broken_graph import add_one, broken_graph, give, run

from execution_dataflow import (
    GraphDefinition,
    InputPort,
    NoValueError,
    Operation,
    OutputPort,
    PortError,
    UnknownOperationError,
    UnknownPortError,
    ValueReleasedError,
    operation,
)
from execution_dataflow.states import OperationState, RunState


class Split(Operation):
    number = InputPort(int)
    half = OutputPort(int)
    rest = OutputPort(int, optional=True)

    def execute(self, context: object) -> None:
        self.half = self.number // 2
        if self.number % 2:
            self.rest = 1


# ---------------------------------------------------------------- values


def test_the_output_is_the_identical_object() -> None:
    rows = [1, 2]

    @operation
    def load() -> list[int]:
        return rows

    graph = GraphDefinition()
    node = graph.add(load)
    assert run(graph).get_output(node) is rows


def test_outputs_are_found_by_operation_and_by_name() -> None:
    graph = GraphDefinition()
    split = graph.add(Split(), number=7)
    result = run(graph)
    assert (result.get_output(split, "half"), result.get_output("Split", "rest")) == (3, 1)
    assert result.outputs() == {"Split": {"half": 3, "rest": 1}}


def test_the_port_is_needed_where_there_are_several() -> None:
    graph = GraphDefinition()
    split = graph.add(Split(), number=7)
    with pytest.raises(PortError, match=r"Split has 2 outputs; say which: operation\['half'\] or operation\['rest'\]"):
        run(graph).get_output(split)


def test_an_operation_without_outputs_has_none_to_give() -> None:
    class Sink(Operation):
        def execute(self, context: object) -> None: ...

    graph = GraphDefinition()
    node = graph.add(Sink())
    result = run(graph)
    assert result.outputs() == {}
    with pytest.raises(PortError, match="Sink has no outputs"):
        result.get_output(node)


def test_an_unknown_port_suggests_the_nearest() -> None:
    graph = GraphDefinition()
    split = graph.add(Split(), number=7)
    with pytest.raises(UnknownPortError, match="no output port 'hafl'; did you mean 'half'") as caught:
        run(graph).get_output(split, "hafl")
    assert caught.value.nearest == "half"


def test_an_operation_of_another_graph_is_unknown() -> None:
    graph = GraphDefinition()
    graph.add(give, value=1)
    result = run(graph)
    for stranger in (Split(), "give_2"):
        for ask in (result.get_output, result.get_state, result.blame, result.get_timing):
            with pytest.raises(UnknownOperationError):
                ask(stranger)


def test_a_value_that_was_let_go_says_how_to_keep_it() -> None:
    graph = GraphDefinition()
    source = graph.add(give, value=1)
    end = graph.add(add_one, value=source)
    result = run(graph)
    assert result.get_output(end) == 2
    with pytest.raises(ValueReleasedError, match=re.escape('retain="all"')) as caught:
        result.get_output(source)
    assert (caught.value.operation, caught.value.port) == ("give", "result")
    assert result.outputs() == {"add_one": {"result": 2}}
    assert run(graph, retain="all").get_output(source) == 1
    assert run(graph, retain=[source]).get_output(source) == 1


def test_an_optional_output_left_unset_has_no_value() -> None:
    graph = GraphDefinition()
    split = graph.add(Split(), number=8)
    result = run(graph)
    with pytest.raises(NoValueError, match="'Split' succeeded without setting its optional output 'rest'") as caught:
        result.get_output(split, "rest")
    assert caught.value.state is OperationState.SUCCEEDED
    assert result.outputs() == {"Split": {"half": 4}}


def test_none_is_a_value() -> None:
    @operation
    def nothing() -> None: ...

    class Nothing(Operation):
        out = OutputPort()

        def execute(self, context: object) -> None:
            self.out = None

    graph = GraphDefinition()
    node = graph.add(Nothing())
    result = run(graph)
    assert result.get_output(node) is None
    assert result.outputs() == {"Nothing": {"out": None}}


@pytest.mark.parametrize(
    ("policy", "name", "state", "reason"),
    [
        ("continue", "first", OperationState.FAILED, "it failed: ValueError: bad value 1"),
        (
            "continue",
            "after",
            OperationState.UPSTREAM_FAILED,
            "did not run, since 'first', which it depends on, failed",
        ),
        ("continue", "last", OperationState.UPSTREAM_FAILED, "did not run, since 'first', which it depends on, failed"),
        ("fail_fast", "last", None, "(it was cancelled|it did not run)"),
    ],
)
def test_a_value_that_was_not_made_says_why(policy: str, name: str, state: OperationState | None, reason: str) -> None:
    graph, nodes = broken_graph()
    result = run(graph, failure_policy=policy)
    with pytest.raises(NoValueError, match=reason) as caught:
        result.get_output(nodes[name])
    assert state is None or caught.value.state is state


def test_a_skipped_operation_says_so() -> None:
    graph = GraphDefinition()
    split = graph.add(Split(), number=8)
    then = graph.add(add_one, value=split.output("rest"))
    result = run(graph)
    assert result.is_successful()
    with pytest.raises(NoValueError, match="it was skipped, since something that it requires was not produced"):
        result.get_output(then)


# ---------------------------------------------------------------- states and timings


def test_an_empty_graph_succeeds() -> None:
    result = run(GraphDefinition("empty"))
    assert result.is_successful()
    assert (result.outputs(), dict(result.states), result.timings, result.errors) == ({}, {}, [], [])
    assert result.get_error_message() is None
    assert "no operations" in repr(result)
    assert "no operations" in result.summary()


def test_a_success_has_no_error() -> None:
    graph = GraphDefinition("fine")
    graph.add(give, value=1)
    result = run(graph)
    assert (result.state, result.first_error, result.get_error_message()) == (RunState.SUCCEEDED, None, None)
    assert (result.run_id, result.graph_name, result.cancelled_by, result.dropped_events) == (
        "the-run",
        "fine",
        None,
        0,
    )
    assert result.seconds > 0
    result.raise_if_failed()


def test_states_and_blame_of_every_operation() -> None:
    graph, nodes = broken_graph()
    result = run(graph, failure_policy="continue")
    assert {name: state.name for name, state in result.states.items()} == {
        "source": "SUCCEEDED",
        "fine": "SUCCEEDED",
        "first": "FAILED",
        "after": "UPSTREAM_FAILED",
        "last": "UPSTREAM_FAILED",
        "second": "FAILED",
    }
    assert result.get_state(nodes["first"]) is OperationState.FAILED
    assert [result.blame(nodes[name]) for name in ("source", "first", "after", "last")] == [
        None,
        None,
        "first",
        "first",
    ]


def test_states_cannot_be_changed() -> None:
    graph = GraphDefinition()
    graph.add(give, value=1)
    with pytest.raises(TypeError):
        run(graph).states["give"] = OperationState.FAILED  # type: ignore[index]


def test_timings_of_what_ran_are_in_order_and_make_sense() -> None:
    graph, nodes = broken_graph()
    result = run(graph, failure_policy="continue")
    timings = result.timings
    assert {timing.operation for timing in timings} == {"source", "fine", "first", "second"}
    assert timings[0].operation == "source"
    for timing in timings:
        assert 0 <= timing.queued <= timing.started <= timing.ended <= result.seconds
        assert timing.seconds >= 0
        assert timing.queued_seconds >= 0
        assert (timing.attempts, timing.worker) == (1, 0)
    assert [timing.started for timing in timings] == sorted(timing.started for timing in timings)
    assert result.get_timing(nodes["fine"]) in timings
    assert result.get_timing("after") is None
