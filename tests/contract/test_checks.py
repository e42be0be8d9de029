"""Checks of ports in runs: what fails, what warns, what is recorded, and where that is told."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Annotated, Any

import pytest

from execution_dataflow import (
    BrokenCheckError,
    Check,
    CheckFailed,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    FallbackValue,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationChecked,
    OperationCompleted,
    OperationStarted,
    OperationState,
    OutputPort,
    PortError,
    RetryPolicy,
    UnknownPortError,
    operation,
)
from execution_dataflow.checks import in_range, not_null, references, row_count, unique

ROWS = [{"id": 1, "age": 5}, {"id": 2, "age": 500}, {"id": 2, "age": None}]
Rows = list[dict[str, Any]]


class Load(Operation):
    rows = OutputPort(
        list,
        checks=[
            not_null("id"),
            in_range("age", 0, 120, severity="warn"),
            unique("id", severity="record", description="the key"),
        ],
    )

    def __init__(self, given: Rows = ROWS) -> None:
        super().__init__()
        self.given = given

    def execute(self, context: ExecutionContext) -> None:
        self.rows = self.given


def run(*operations: Any, engine: ExecutionEngine | None = None, **inputs: Any) -> ExecutionResult:
    graph = GraphDefinition("checked")
    for added in operations:
        graph.add(added, **inputs)
    return (engine or ExecutionEngine(max_workers=1)).run(graph)


def failure(result: ExecutionResult) -> CheckFailed:
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, CheckFailed)
    return error


# ---------------------------------------------------------------- severities


def test_every_outcome_is_in_the_report_whatever_its_severity() -> None:
    report = run(Load()).checks
    assert [(one.check, one.status, one.severity) for one in report] == [
        ("not_null(id)", "passed", "fail"),
        ("in_range(age, low=0, high=120)", "warned", "warn"),
        ("unique(id)", "recorded", "record"),
    ]
    assert (report.passed, report.failed, report.warned, report.recorded, report.not_evaluated) == (1, 0, 1, 1, 0)
    first = report.findings[0]
    assert (first.operation, first.port, first.direction, first.failed, first.total) == ("Load", "rows", "output", 1, 3)
    assert first.examples == ((1, {"age": 500}),)
    assert report.findings[1].description == "the key"


def test_a_failed_check_fails_the_attempt_with_rows_and_nothing_is_committed() -> None:
    graph = GraphDefinition()
    load = graph.add(Load([{"id": None, "age": 1}, {"id": 3, "age": 900}]))
    after = graph.add(operation(lambda rows: rows), rows=load)
    result = ExecutionEngine().run(graph, retain="all")
    error = failure(result)
    assert (error.operation, error.port, [one.check for one in error.outcomes]) == ("Load", "rows", ["not_null(id)"])
    assert str(error) == (
        "a check of Load failed: output 'rows': not_null(id): 1 of 2 rows does not pass: row 0 (id=None)"
    )
    assert result.get_state(load) is OperationState.FAILED
    assert result.get_state(after) is not OperationState.SUCCEEDED
    assert (result.checks.failed, result.checks.warned) == (1, 1)


def test_all_checks_that_fail_are_told_at_once() -> None:
    @operation
    def pair() -> Annotated[list[int], row_count(3), in_range(low=0), unique()]:
        return [-1, -1]

    assert [one.check for one in failure(run(pair)).outcomes] == ["row_count(min=3)", "in_range(low=0)", "unique()"]


def test_a_warning_is_logged_through_the_logger_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = run(Load())
    text = "Load.rows: in_range(age, low=0, high=120): 1 of 3 rows does not pass: row 1 (age=500)"
    assert [(record.getMessage(), record.operation) for record in caplog.records] == [(text, "Load")]
    assert result.warnings == [text]
    assert result.is_successful()
    assert text in result.summary()


def test_inputs_are_checked_before_the_operation_runs() -> None:
    ran = []

    @operation
    def count(rows: Annotated[Rows, row_count(5)]) -> int:
        ran.append(1)
        return len(rows)

    error = failure(run(count, rows=ROWS))
    assert (error.port, error.outcomes[0].direction, ran) == ("rows", "input", [])


def test_what_did_not_arrive_or_was_not_set_is_not_checked() -> None:
    class Optional(Operation):
        given = InputPort(int, optional=True, checks=[not_null()])
        branch = OutputPort(int, optional=True, checks=[not_null()])

        def execute(self, context: ExecutionContext) -> None:
            pass

    report = run(Optional()).checks
    assert [one.status for one in report] == ["not evaluated", "not evaluated"]
    assert report.not_evaluated == 2


def test_a_default_is_checked_and_none_of_an_optional_port_is_not() -> None:
    @operation
    def add(
        number: Annotated[int, in_range(low=0, severity="record")] = -1,
        more: Annotated[int | None, not_null()] = None,
    ) -> int:
        return number

    assert [one.status for one in run(add).checks] == ["recorded", "not evaluated"]


def test_a_clean_up_whose_source_failed_is_not_stopped_by_checks_of_its_input() -> None:
    class CleanUp(Operation):
        rows = InputPort(list, checks=[row_count(1)])
        done = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.done = 1

    graph = GraphDefinition()
    clean_up = graph.add(CleanUp(always_run=True), rows=graph.add(Load([{"id": None, "age": 1}])))
    result = ExecutionEngine().run(graph)
    assert result.get_state(clean_up) is OperationState.SUCCEEDED


def test_checks_of_operations_that_never_ran_are_in_the_report() -> None:
    graph = GraphDefinition()
    load = graph.add(Load([{"id": None}]))

    @operation
    def count(rows: Annotated[Rows, row_count(1)]) -> int:
        return len(rows)

    graph.add(count, rows=load)
    report = ExecutionEngine().run(graph).checks
    assert [(one.operation, one.status) for one in report.of("count")] == [("count", "not evaluated")]
    assert report.of(load, "rows").failed == 1
    assert len(report.of("Load", "nothing")) == 0


def test_a_check_sees_the_other_ports_that_it_names() -> None:
    class Join(Operation):
        flights = InputPort(list, checks=[references("tail", to="planes", severity="warn")])
        planes = InputPort(list)
        joined = OutputPort(
            list, checks=[Check("as many", lambda rows, ports: len(rows) == len(ports["flights"]), uses_ports=True)]
        )

        def execute(self, context: ExecutionContext) -> None:
            self.joined = self.flights[:1]

    result = run(Join(), flights=[{"tail": "N1"}, {"tail": "N9"}], planes=[{"tail": "N1"}])
    assert result.checks.findings[0].examples == ((1, {"tail": "N9"}),)
    assert failure(result).outcomes[0].check == "as many"


def test_a_check_of_a_port_that_is_not_there_is_a_fault_of_the_graph() -> None:
    @operation
    def join(flights: Annotated[Rows, references("tail", to="plane")], planes: Rows) -> int:
        return 1

    graph = GraphDefinition()
    graph.add(join, flights=[], planes=[])
    with pytest.raises(GraphValidationError, match="no input port 'plane'; did you mean 'planes'"):
        graph.compile()


# ---------------------------------------------------------------- attempts


def flaky(values: list[Any]) -> Any:
    left = list(values)

    def draw() -> Annotated[int, in_range(low=0), in_range(high=50, severity="warn")]:
        return left.pop(0)

    return draw


def test_a_failed_check_is_not_retried_unless_the_policy_names_it() -> None:
    assert run(operation(retry_policy=RetryPolicy())(flaky([-1, 5]))).checks.failed == 1
    policy = RetryPolicy(retry_on=(OSError, CheckFailed))
    result = run(operation(retry_policy=policy)(flaky([-1, -2, 99])))
    assert result.is_successful()
    # Only the attempt that succeeded counts.
    assert (result.checks.passed, result.checks.failed, result.checks.warned) == (1, 0, 1)
    assert result.checks.findings[0].attempt == 3
    assert result.get_timing("draw").attempts == 3  # type: ignore[union-attr]


def test_a_failed_check_can_be_answered_by_a_fallback() -> None:
    """A fault of the data, not of the program."""
    result = run(operation(on_failure=FallbackValue(0))(flaky([-1])))
    assert result.is_successful()
    assert result.get_output("draw") == 0
    assert isinstance(result.fallbacks[0].exception, CheckFailed)
    assert result.checks.failed == 1


@pytest.mark.parametrize("severity", ["fail", "warn", "record"])
def test_a_check_that_raises_fails_the_attempt_by_its_name(severity: Any) -> None:
    def is_new(value: int) -> bool:
        raise LookupError("the catalogue is gone")

    tried = []

    @operation(
        retry_policy=RetryPolicy(), checks={"result": [in_range(low=0), Check("new", is_new, severity=severity)]}
    )
    def draw() -> int:
        tried.append(1)
        return 3

    result = run(draw)
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, BrokenCheckError)
    assert (error.check, error.operation, error.port, len(tried)) == ("new", "draw", "result", 1)
    assert isinstance(error.__cause__, LookupError)
    assert "the check 'new' of output 'result' cannot be evaluated: LookupError" in (result.get_error_message() or "")
    assert result.first_error.where is not None
    assert result.first_error.where.endswith("in is_new")
    assert [one.status for one in result.checks] == ["passed", "not evaluated"]


def test_outcomes_of_an_attempt_that_raised_are_kept() -> None:
    @operation
    def fail(rows: Annotated[Rows, row_count(9, severity="warn")]) -> int:
        raise OSError("disk")

    result = run(fail, rows=ROWS)
    assert (result.checks.warned, result.is_successful()) == (1, False)


def test_a_check_takes_part_in_the_time_limit() -> None:
    def spin(value: int) -> bool:
        while True:
            pass

    @operation(timeout_seconds=0.1, checks={"result": [Check("spins", spin)]})
    def draw() -> int:
        return 1

    result = run(draw)
    assert result.first_error is not None
    assert type(result.first_error.exception).__name__ == "OperationTimeout"


# ---------------------------------------------------------------- functions


def test_checks_of_a_function_are_given_by_annotation_or_by_port() -> None:
    function = operation(lambda rows: len(rows), checks={"rows": [row_count(1)], "result": [in_range(high=2)]})
    assert [(one.port, one.status) for one in run(function, rows=ROWS).checks] == [
        ("rows", "passed"),
        ("result", "failed"),
    ]
    with pytest.raises(UnknownPortError, match="did you mean 'rows'"):
        _ = operation(lambda rows: 1, checks={"row": [not_null()]}).ports


def test_a_check_in_an_annotation_that_cannot_be_read_is_not_lost() -> None:
    """A name of the function around is not known to annotations that are texts."""

    def is_new(value: int) -> bool:
        return True

    def draw() -> Annotated[int, Check("new", is_new)]:
        return 3

    with pytest.raises(PortError, match=r"may hold checks: NameError.*operation\(checks="):
        _ = operation(draw).ports


def test_a_check_is_kept_where_the_type_beside_it_is_not_known() -> None:
    def draw() -> Annotated[OnlyForTypeCheckers, in_range(high=2)]:  # type: ignore[name-defined]  # noqa: F821
        return 3

    assert run(operation(draw)).checks.failed == 1

    def choose() -> Annotated[OnlyForTypeCheckers, in_range(high=2)] | None:  # type: ignore[name-defined]  # noqa: F821
        return 3

    with pytest.raises(PortError, match="may hold checks"):
        _ = operation(choose).ports


# ---------------------------------------------------------------- kinds of operations


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
