"""Checks of every kind of operation, wherever it runs, and where their outcomes are told."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
from typing import Annotated, Any

import pytest
from checked_operations import Load, Rows, failure, run

from execution_dataflow import (
    Check,
    CheckFailed,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    GraphValidationError,
    Operation,
    OperationChecked,
    OperationCompleted,
    OperationStarted,
    OperationState,
    OutputPort,
    operation,
)
from execution_dataflow.checks import in_range, row_count


def small(value: int) -> Annotated[int, in_range(high=9, severity="warn", name="small"), in_range(high=100)]:
    return value * value


async def small_later(
    value: int,
) -> Annotated[int, in_range(high=9, severity="warn", name="small"), in_range(high=100)]:
    return value * value


@pytest.mark.parametrize("function", [small, small_later])
def test_items_of_a_map_are_checked_by_name(function: Any) -> None:
    graph = GraphDefinition()
    graph.map(operation(function), over=list(range(12)))
    result = ExecutionEngine(max_workers=2).run(graph)
    name = function.__name__
    assert {one.operation for one in failure_of_item(result)} == {f"{name}[11]"}
    warned, failed = result.checks
    assert (warned.operation, warned.evaluated, warned.passed, warned.not_passed) == (name, 12, 4, 8)
    assert (failed.evaluated, failed.not_passed) == (12, 1)
    assert sorted(finding.operation for finding in warned.findings)[:2] == [f"{name}[10]", f"{name}[11]"]


def failure_of_item(result: ExecutionResult) -> tuple[Any, ...]:
    assert result.first_error is not None
    cause = result.first_error.exception.__cause__
    assert isinstance(cause, CheckFailed)
    return cause.outcomes


def test_many_items_that_warn_are_counted_and_logged_only_at_first(caplog: pytest.LogCaptureFixture) -> None:
    graph = GraphDefinition()
    graph.map(operation(small), over=[5] * 300)
    result = ExecutionEngine(max_workers=1).run(graph)
    warned = result.checks.summaries[0]
    assert (warned.not_passed, len(warned.findings), len(caplog.records)) == (300, 100, 10)
    assert caplog.records[-1].getMessage().endswith("further warnings of this check are only in result.checks")
    assert len(result.warnings) == 1


def test_coroutines_and_tuples_are_checked() -> None:
    @operation(outputs=("low", "high"))
    async def limits(values: list[int]) -> tuple[Annotated[int, in_range(low=0)], Annotated[int, in_range(high=5)]]:
        return min(values), max(values)

    result = run(limits, values=[1, 9])
    assert [(one.port, one.status) for one in result.checks] == [("low", "passed"), ("high", "failed")]
    assert failure(result).port == "high"


def test_checks_run_in_worker_processes_and_their_outcomes_come_back(processes: ExecutionEngine) -> None:
    events: list[Any] = []
    graph = GraphDefinition()
    load = graph.add(Load())
    graph.map(operation(small), over=[1, 2, 3, 4, 11], on_error="keep")
    with processes.subscribe(events.append):
        result = processes.run(graph)
    assert result.get_state(load) is OperationState.SUCCEEDED
    assert [(one.operation, one.status, one.evaluated, one.not_passed) for one in result.checks] == [
        ("Load", "passed", 1, 0),
        ("Load", "warned", 1, 1),
        ("Load", "recorded", 1, 1),
        ("small", "warned", 5, 2),
        ("small", "failed", 5, 1),
    ]
    of_load = [type(event) for event in events if getattr(event, "operation", "") == "Load"]
    assert of_load == [OperationStarted, *[OperationChecked] * 3, OperationCompleted]
    assert len(result.warnings) == 2


def test_a_check_that_fails_in_a_worker_process_is_told_like_any_other(processes: ExecutionEngine) -> None:
    result = run(Load([{"id": None, "age": 1}]), engine=processes)
    error = failure(result)
    assert (error.operation, error.port, error.outcomes[0].examples) == ("Load", "rows", ((0, {"id": None}),))
    assert result.checks.failed == 1


# ---------------------------------------------------------------- telling


def test_events_tell_of_every_check_between_start_and_end() -> None:
    events: list[Any] = []
    with ExecutionEngine() as engine, engine.subscribe(events.append):
        run(Load(), engine=engine)
    of_load = [event for event in events if getattr(event, "operation", None) == "Load"]
    assert list(map(type, of_load)) == [OperationStarted, *[OperationChecked] * 3, OperationCompleted]
    assert [event.sequence for event in events] == list(range(len(events)))
    warned = of_load[2]
    assert (warned.attempt, warned.outcome.severity, warned.outcome.status) == (1, "warn", "warned")


def test_no_secret_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    @operation
    def leak() -> Annotated[
        list[str], Check("clean", lambda v: [False], severity="warn"), Check("no", lambda v: False)
    ]:
        return ["hunter2"]

    events: list[Any] = []
    graph = GraphDefinition()
    graph.add(leak)
    with ExecutionEngine() as engine, engine.subscribe(events.append, OperationChecked):
        result = engine.run(graph, ExecutionContext(secrets={"password": "hunter2"}))
    told = [result.checks.to_json(), str(result.checks), repr(events), caplog.text, *result.warnings, result.summary()]
    assert all("hunter2" not in text for text in told)
    assert "***" in result.checks.to_json()


def test_one_graph_checks_in_every_run_anew() -> None:
    graph = GraphDefinition()
    graph.add(Load())
    engine = ExecutionEngine()
    assert [engine.run(graph).checks.warned for _ in range(3)] == [1, 1, 1]


def test_a_run_without_checks_has_an_empty_report() -> None:
    result = run(operation(lambda: 1))
    assert (len(result.checks), str(result.checks), result.warnings) == (0, "0 checks", [])


def callers() -> list[str]:
    frame: Any = sys._getframe(1)
    found = []
    while frame is not None:
        found.append(frame.f_globals.get("__name__", ""))
        frame = frame.f_back
    return found


def test_only_operations_with_checks_are_called_through_them() -> None:
    class Plain(Operation):
        names = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            self.names = callers()

    class Checked(Plain):
        names = OutputPort(list, checks=[row_count(1)])

    def room(result: ExecutionResult) -> bool:
        return "execution_dataflow.checks.checking" in next(iter(result.outputs().values()))["names"]

    assert room(run(Checked()))
    assert not room(run(Plain()))


def test_debug_mode_watches_operations_with_checks_too() -> None:
    def spoil(rows: Rows) -> bool:
        rows.append({})
        return True

    @operation(checks={"rows": [Check("spoils", spoil)]})
    def count(rows: Rows) -> int:
        return len(rows)

    graph = GraphDefinition()
    graph.add(count, rows=graph.add(Load([{"id": 1, "age": 2}])))
    result = ExecutionEngine(debug=True).run(graph)
    assert result.first_error is not None
    assert type(result.first_error.exception).__name__ == "SharedValueChangedError"


def test_short_operations_in_processes_start_before_their_checks_are_told(processes: ExecutionEngine) -> None:
    """O1: their results come in bundles."""
    graph = GraphDefinition()
    function = operation(lambda: 1, checks={"result": [in_range(low=0)]})
    for number in range(40):
        graph.add(function.new(name=f"short{number}"))
    told: dict[str, list[Any]] = {}
    with processes.subscribe(lambda event: told.setdefault(getattr(event, "operation", ""), []).append(type(event))):
        result = processes.run(graph)
    assert result.checks.passed == 40
    del told[""]
    assert set(map(tuple, told.values())) == {(OperationStarted, OperationChecked, OperationCompleted)}


def test_outcomes_that_subscribers_were_too_slow_for_are_counted_as_dropped() -> None:
    hold = threading.Event()
    graph = GraphDefinition()
    graph.add(Load())
    with ExecutionEngine(event_drain_seconds=0.05) as engine:
        engine.subscribe(lambda event: hold.wait(20))
        result = engine.run(graph)
        hold.set()
    # All but GraphStarted, which is with the subscriber: Started, three outcomes, Completed, GraphCompleted.
    assert result.dropped_events == 6


def test_checks_in_nested_graphs_are_told_by_their_paths() -> None:
    inner = GraphDefinition("inner")
    inner.add(Load())
    outer = GraphDefinition("outer")
    outer.add(inner)
    result = ExecutionEngine().run(outer)
    assert {one.operation for one in result.checks} == {"inner/Load"}
    assert result.checks.findings[0].operation == "inner/Load"
    assert len(result.checks.of("inner/Load")) == 3


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda graph: pickle.loads(pickle.dumps(graph))])
def test_a_copy_of_an_operation_has_its_checks(make: Any) -> None:
    assert run(make(Load())).checks.warned == 1


def test_operations_of_a_graph_that_was_made_while_the_run_went_on_are_checked() -> None:
    def make() -> GraphDefinition:
        made = GraphDefinition("made")
        function = operation(lambda: -1, checks={"result": [in_range(low=0, severity="warn")]}, name="inside")
        made.output("result", made.add(function))
        return made

    report = run(operation(make, dynamic=True)).checks
    assert [(one.operation, one.status) for one in report] == [("make/inside", "warned")]
    graph = GraphDefinition()
    graph.add(operation(make, dynamic=True, checks={"result": [in_range(low=0)]}))
    with pytest.raises(GraphValidationError, match="to the operations in that graph"):
        graph.compile()
