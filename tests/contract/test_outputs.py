"""R2: outputs are committed together when an attempt succeeds, and contract errors are never retried."""

from __future__ import annotations

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    NoValueError,
    Operation,
    OperationState,
    OutputNotSetError,
    OutputPort,
    RetryPolicy,
    UnknownPortError,
    ValueTypeError,
    operation,
)

RETRY = RetryPolicy(max_attempts=5)


class Both(Operation):
    left = OutputPort(int)
    right = OutputPort(int)


@operation
def keep(value: object) -> object:
    return value


def run(graph: GraphDefinition, **options: object) -> object:
    with ExecutionEngine(max_workers=2, **options) as engine:
        return engine.run(graph, failure_policy="continue")


def test_a_failed_attempt_leaves_no_output() -> None:
    class HalfWay(Both):
        def execute(self, context: ExecutionContext) -> None:
            self.left = 1
            raise RuntimeError("after the first output")

    graph = GraphDefinition()
    half = graph.add(HalfWay())
    after = graph.add(keep, value=half["left"])
    result = run(graph, retain="all")
    assert result.get_state(after) is OperationState.UPSTREAM_FAILED
    with pytest.raises(NoValueError, match="failed"):
        result.get_output(half, "left")
    assert result.outputs() == {}


def test_an_output_of_an_earlier_attempt_does_not_count_for_a_later_one() -> None:
    attempts: list[int] = []

    class Forgetful(Both):
        retry_policy = RETRY

        def execute(self, context: ExecutionContext) -> None:
            attempts.append(context.attempt)
            if context.attempt == 1:
                self.left = 1
                raise OSError("again")
            self.right = 2

    graph = GraphDefinition()
    graph.add(Forgetful())
    result = run(graph)
    assert isinstance(result.first_error.exception, OutputNotSetError)
    assert "left" in result.first_error.message
    assert attempts == [1, 2]


def test_an_optional_output_of_an_earlier_attempt_is_not_committed() -> None:
    class Branching(Operation):
        retry_policy = RETRY
        maybe = OutputPort(int, optional=True)

        def execute(self, context: ExecutionContext) -> None:
            if context.attempt == 1:
                self.maybe = 1
                raise OSError("again")

    graph = GraphDefinition()
    branching = graph.add(Branching())
    after = graph.add(keep, value=branching)
    assert run(graph).get_state(after) is OperationState.SKIPPED


def test_outputs_arrive_together() -> None:
    class Late(Both):
        def execute(self, context: ExecutionContext) -> None:
            self.left = 1
            self.left = 2
            self.right = 3

    class Compare(Operation):
        left = InputPort(int)
        right = InputPort(int)
        both = OutputPort(tuple)

        def execute(self, context: ExecutionContext) -> None:
            self.both = (self.left, self.right)

    graph = GraphDefinition()
    late = graph.add(Late())
    compare = graph.add(Compare(), left=late["left"], right=late["right"])
    assert run(graph).get_output(compare) == (2, 3)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_required_output_left_unset_fails_by_name_and_is_not_retried(is_async: bool) -> None:
    attempts: list[int] = []

    class Silent(Both):
        retry_policy = RETRY

        def execute(self, context: ExecutionContext) -> None:
            attempts.append(context.attempt)
            self.left = 1

    class SilentAsync(Both):
        retry_policy = RETRY

        async def execute(self, context: ExecutionContext) -> None:
            attempts.append(context.attempt)
            self.left = 1

    graph = GraphDefinition()
    silent = graph.add(SilentAsync() if is_async else Silent())
    result = run(graph)
    assert result.get_state(silent) is OperationState.FAILED
    assert isinstance(result.first_error.exception, OutputNotSetError)
    assert "right" in result.first_error.message
    assert type(silent).__name__ in result.get_error_message()
    assert attempts == [1]


def test_a_returned_value_of_a_class_operation_is_pointed_out() -> None:
    class Returns(Operation):
        out = OutputPort(int)

        def execute(self, context: ExecutionContext) -> int:
            return 42

    graph = GraphDefinition()
    graph.add(Returns())
    assert "returned is not used" in run(graph).get_error_message()


@pytest.mark.parametrize("is_async", [False, True])
def test_a_value_of_the_wrong_type_fails_by_name_and_is_not_retried(is_async: bool) -> None:
    attempts: list[int] = []

    class Wrong(Both):
        retry_policy = RETRY

        def execute(self, context: ExecutionContext) -> None:
            attempts.append(context.attempt)
            self.left = "one"  # type: ignore[assignment]

    @operation(retry_policy=RETRY)
    async def wrong(context: ExecutionContext) -> int:
        attempts.append(context.attempt)
        return "one"  # type: ignore[return-value]

    graph = GraphDefinition()
    graph.add(wrong if is_async else Wrong())
    error = run(graph).first_error
    assert isinstance(error.exception, ValueTypeError)
    assert "expected int, got str" in error.message
    assert ("result" if is_async else "left") in error.message
    assert attempts == [1]


def test_a_wrong_input_value_is_caught_where_the_connection_could_not() -> None:
    @operation
    def anything() -> object:
        return "text"

    @operation
    def needs_int(number: int) -> int:
        return number

    graph = GraphDefinition()
    target = graph.add(needs_int, number=graph.add(anything))
    result = run(graph)
    assert result.get_state(target) is OperationState.FAILED
    assert isinstance(result.first_error.exception, ValueTypeError)
    assert "number" in result.first_error.message


@pytest.mark.parametrize("value", [5, (1,), (1, 2, 3), [1, 2]])
def test_a_function_with_two_outputs_must_return_a_pair(value: object) -> None:
    @operation(outputs=("low", "high"), retry_policy=RETRY)
    def limits():  # type: ignore[no-untyped-def]
        return value

    graph = GraphDefinition()
    node = graph.add(limits)
    result = run(graph)
    assert isinstance(result.first_error.exception, ValueTypeError)
    assert "low" in result.get_error_message()
    timing = result.get_timing(node)
    assert timing.attempts == 1


def test_an_unknown_port_in_execute_fails_with_the_nearest_name() -> None:
    class Typo(Operation):
        retry_policy = RETRY
        clean = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.set_output("claen", 1)

    graph = GraphDefinition()
    node = graph.add(Typo())
    result = run(graph)
    assert isinstance(result.first_error.exception, UnknownPortError)
    assert "no output port 'claen'; did you mean 'clean'" in result.get_error_message()
    assert result.get_timing(node).attempts == 1


def test_none_is_a_value() -> None:
    class Nothing(Operation):
        out = OutputPort(object)

        def execute(self, context: ExecutionContext) -> None:
            self.out = None

    graph = GraphDefinition()
    nothing = graph.add(Nothing())
    after = graph.add(keep, value=nothing)
    result = run(graph, retain="all")
    assert result.is_successful()
    assert result.get_output(nothing) is None
    assert result.get_output(after) is None
