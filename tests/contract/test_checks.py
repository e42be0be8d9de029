"""Checks of ports in runs: what fails, what warns, what is recorded, and where that is told."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import pytest
from checked_operations import ROWS, Load, Rows, failure, run

from execution_dataflow import (
    BrokenCheckError,
    Check,
    CheckFailed,
    ExecutionContext,
    ExecutionEngine,
    FallbackValue,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    PortError,
    RetryPolicy,
    UnknownPortError,
    operation,
)
from execution_dataflow.checks import in_range, not_null, references, row_count, unique

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
    """A name that is defined later is not known to annotations that are texts."""

    def draw() -> Annotated[int, Check("new", is_newer)]:  # type: ignore[name-defined]  # noqa: F821
        return 3

    with pytest.raises(PortError, match=r"may hold checks: NameError.*operation\(checks="):
        _ = operation(draw).ports


def test_a_check_in_an_annotation_may_use_what_the_function_around_defines() -> None:
    def is_new(value: int) -> bool:
        return value > 3

    def draw() -> Annotated[int, Check("new", is_new)]:
        return 3

    assert run(operation(draw)).checks.failed == 1


def test_a_check_is_kept_where_the_type_beside_it_is_not_known() -> None:
    def draw() -> Annotated[OnlyForTypeCheckers, in_range(high=2)]:  # type: ignore[name-defined]  # noqa: F821
        return 3

    assert run(operation(draw)).checks.failed == 1

    def choose() -> Annotated[OnlyForTypeCheckers, in_range(high=2)] | None:  # type: ignore[name-defined]  # noqa: F821
        return 3

    with pytest.raises(PortError, match="may hold checks"):
        _ = operation(choose).ports
