"""Named dimensions: the same name is the same length on the ports of an operation, and on those before it (rule G3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pytest

from execution_dataflow import (
    ArraySpec,
    DimensionConflictError,
    DimensionError,
    ExecutionEngine,
    ExecutionResult,
    FallbackValue,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    RetryPolicy,
    operation,
)

Rows = Annotated[np.ndarray, ArraySpec(shape=("batch", 3))]
Labels = Annotated[np.ndarray, ArraySpec(shape=("batch",))]


@operation
def rows(count: int) -> Rows:
    return np.zeros((count, 3))


@operation
def labels(count: int) -> Labels:
    return np.zeros(count)


@operation
def train(data: Rows, targets: Labels) -> float:
    return float(len(data) + len(targets))


def run(graph: GraphDefinition, **options: Any) -> ExecutionResult:
    with ExecutionEngine(**options) as engine:
        return engine.run(graph, retain="all")


def error_of(result: ExecutionResult) -> DimensionError:
    assert result.first_error is not None
    error = result.first_error.exception
    assert isinstance(error, DimensionError), error
    return error


def test_a_name_is_the_same_length_on_all_inputs_of_an_operation() -> None:
    graph = GraphDefinition()
    node = graph.add(train, data=graph.add(rows, count=4), targets=graph.add(labels, count=4))
    assert run(graph).get_output(node) == 8.0


@pytest.mark.parametrize("executor", ["thread", "inline", "process"])
def test_what_does_not_agree_fails_the_operation_before_it_runs_and_names_both_places(executor: str) -> None:
    graph = GraphDefinition()
    graph.add(train, data=graph.add(rows, count=4), targets=graph.add(labels, count=5))
    error = error_of(run(graph, executor=executor))
    assert (error.dimension, error.lengths) == ("batch", (4, 5))
    assert error.places == ("train.data", "train.targets")
    assert error.operation == "train"
    assert str(error).startswith("the dimension 'batch' is 4 in train.data and 5 in train.targets")


def test_a_violation_is_never_retried() -> None:
    """R2."""
    graph = GraphDefinition()
    calls = []

    @operation(retry_policy=RetryPolicy(max_attempts=3))
    def widen(data: Rows) -> Rows:
        calls.append(len(data))
        return np.zeros((len(data) + 1, 3))

    graph.add(widen, data=graph.add(rows, count=2))
    error = error_of(run(graph))
    assert calls == [2]
    assert error.lengths == (2, 3)


def test_a_name_agrees_through_operations_that_do_not_declare_it() -> None:
    graph = GraphDefinition()
    first = graph.add(rows, count=4)
    shorter = graph.add(lambda data: data[:-1], data=first)
    last = graph.add(operation(lambda data: data).new(name="unnamed"), data=shorter)

    @operation
    def use(data: Rows) -> None: ...

    graph.add(use, data=last)
    error = error_of(run(graph))
    assert error.places == ("rows.result", "use.data")
    assert error.lengths == (4, 3)


def test_branches_that_nothing_joins_have_lengths_of_their_own() -> None:
    graph = GraphDefinition()
    sums = []
    for count in (32, 64):
        sums.append(graph.add(train, data=graph.add(rows, count=count), targets=graph.add(labels, count=count)))
    total = graph.add(lambda one, other: one + other, one=sums[0], other=sums[1])
    assert run(graph, max_workers=2).get_output(total) == 192.0


def test_what_fails_does_not_depend_on_the_schedule() -> None:
    """R3: only what lies before an operation counts."""
    for workers in (1, 4):
        graph = GraphDefinition()
        graph.add(train, data=graph.add(rows, count=4), targets=graph.add(labels, count=5))
        result = run(graph, max_workers=workers, failure_policy="continue")
        assert {name for name, state in result.states.items() if state is OperationState.FAILED} == {"train"}


def test_a_name_that_begins_with_an_underscore_is_the_operations_own() -> None:
    @operation
    def product(
        one: Annotated[np.ndarray, ArraySpec(shape=("_n", "_k"))],
        other: Annotated[np.ndarray, ArraySpec(shape=("_k", "_m"))],
    ) -> Annotated[np.ndarray, ArraySpec(shape=("_n", "_m"))]:
        return one @ other

    graph = GraphDefinition()
    first = graph.add(product, one=np.ones((2, 3)), other=np.ones((3, 4)))
    second = graph.add(product, one=first, other=np.ones((4, 5)))
    assert run(graph).get_output(second).shape == (2, 5)
    wrong = GraphDefinition()
    wrong.add(product, one=np.ones((2, 3)), other=np.ones((4, 5)))
    assert error_of(run(wrong)).dimension == "_k"


class Split(Operation):
    """Ports with a shape beside the type, and several outputs."""

    data = InputPort(np.ndarray, shape=("batch", None))
    upper = OutputPort(np.ndarray, shape=("batch",))
    rest = OutputPort(np.ndarray, shape=("batch", None), optional=True)

    def __init__(self, cut: int = 0) -> None:
        super().__init__()
        self.cut = cut

    def execute(self, context: Any) -> None:
        self.upper = self.data[self.cut :, 0]


class SplitLater(Split):
    async def execute(self, context: Any) -> None:  # type: ignore[override]
        super().execute(context)


@pytest.mark.parametrize("kind", [Split, SplitLater])
def test_outputs_of_classes_and_coroutines_are_compared(kind: Callable[..., Split]) -> None:
    graph = GraphDefinition()
    good = graph.add(kind(), data=np.zeros((4, 2)))
    assert run(graph).get_output(good, "upper").shape == (4,)
    wrong = GraphDefinition()
    wrong.add(kind(cut=1), data=np.zeros((4, 2)))
    error = error_of(run(wrong))
    assert error.places == (f"{kind.__name__}.data", f"{kind.__name__}.upper")


def test_the_arrays_of_a_many_port_agree() -> None:
    class Stack(Operation):
        parts = InputPort(np.ndarray, many=True, shape=("width",))
        stacked = OutputPort(np.ndarray, shape=(None, "width"))

        def execute(self, context: Any) -> None:
            self.stacked = np.stack(self.parts)

    graph = GraphDefinition()
    stack = graph.add(Stack(), parts=[np.zeros(2), np.zeros(2)])
    assert run(graph).get_output(stack).shape == (2, 2)
    wrong = GraphDefinition()
    wrong.add(Stack(), parts=[np.zeros(2), np.zeros(3)])
    assert error_of(run(wrong)).lengths == (2, 3)


def test_each_item_of_a_map_stands_by_itself() -> None:
    @operation
    def check(data: Rows, weights: Labels) -> int:
        return len(data)

    graph = GraphDefinition()
    sizes = graph.map(check, over={"data": [np.zeros((2, 3)), np.zeros((5, 3))], "weights": [np.zeros(2), np.zeros(5)]})
    assert run(graph).get_output(sizes) == [2, 5]
    wrong = GraphDefinition()
    wrong.map(check, over={"data": [np.zeros((2, 3))], "weights": [np.zeros(3)]}, name="check")
    with pytest.raises(Exception, match=r"'batch' is 2 in check\[0\]\.data and 3 in check\[0\]\.weights"):
        run(wrong).raise_if_failed()


def test_what_stands_in_for_a_failed_operation_agrees_too() -> None:
    @operation(on_failure=lambda data: np.zeros((1, 3)))
    def broken(data: Rows) -> Rows:
        raise OSError

    graph = GraphDefinition()
    graph.add(broken, data=graph.add(rows, count=4))
    assert error_of(run(graph)).lengths == (4, 1)


def test_a_value_that_stands_in_passes_on_what_lies_before_it() -> None:
    @operation(on_failure=FallbackValue(np.zeros((4, 3))))
    def broken(data: Rows) -> Rows:
        raise OSError

    graph = GraphDefinition()
    after = graph.add(broken, data=graph.add(rows, count=4))
    node = graph.add(train, data=after, targets=np.zeros(4))
    assert run(graph).get_output(node) == 8.0


def test_numbers_that_contradict_each_other_are_found_before_anything_runs() -> None:
    """G2: with the other faults of the whole."""

    @operation
    def four() -> Annotated[np.ndarray, ArraySpec(shape=(4, 3))]:
        raise AssertionError("nothing runs")

    @operation
    def five() -> Annotated[np.ndarray, ArraySpec(shape=(5,))]:
        raise AssertionError("nothing runs")

    graph = GraphDefinition()
    graph.add(train, data=graph.add(four), targets=graph.add(five))
    with pytest.raises(GraphValidationError) as caught:
        graph.compile()
    [fault] = caught.value.faults
    assert isinstance(fault, DimensionConflictError)
    assert (fault.dimension, fault.lengths, fault.places) == ("batch", (4, 5), ("four.result", "five.result"))
    unchecked = GraphDefinition(contracts="off")
    unchecked.add(train, data=unchecked.add(four), targets=unchecked.add(five))
    unchecked.compile()


def test_numbers_contradict_each_other_along_the_graph() -> None:
    @operation
    def four() -> Annotated[np.ndarray, ArraySpec(shape=(4, 3))]: ...

    @operation
    def keep(data: Rows) -> Rows: ...

    @operation
    def take_five(data: Annotated[np.ndarray, ArraySpec(shape=(5, 3))]) -> None: ...

    graph = GraphDefinition()
    graph.add(take_five, data=graph.add(keep, data=graph.add(four)))
    with pytest.raises(GraphValidationError, match=r"would have to be 4 because of four\.result and 5 because of take"):
        graph.compile()


def test_operations_without_names_keep_their_quick_way() -> None:
    graph = GraphDefinition()
    graph.add(lambda data: data, data=3)
    named = graph.add(rows, count=3)
    plan = graph.compile()
    specs = [plan.specs[index] for index in plan.spec_of]
    assert specs[0].dimensions is None
    assert specs[plan.index_of(named)].dimensions is not None
    plain = GraphDefinition()
    plain.add(lambda data: data, data=3)
    assert not plain.compile().has_dimensions


def test_a_long_row_of_named_operations_is_no_reason_to_go_deep() -> None:
    graph = GraphDefinition()

    @operation
    def keep(data: Rows) -> Rows:
        return data

    node: Any = graph.add(rows, count=2)
    for _ in range(3000):
        node = graph.add(keep, data=node)
    assert run(graph).get_output(node).shape == (2, 3)


def test_a_graph_runs_again_with_other_lengths() -> None:
    """G4: lengths belong to a run."""
    sizes = iter([2, 5])

    @operation
    def some() -> Rows:
        return np.zeros((next(sizes), 3))

    graph = GraphDefinition()

    @operation
    def keep(data: Rows) -> Rows:
        return data.copy()

    node = graph.add(keep, data=graph.add(some))
    assert [run(graph).get_output(node).shape[0] for _ in range(2)] == [2, 5]


class Expanded(Operation):
    """Returns a graph, whose output is said to be as long as what it is given."""

    dynamic = True
    data = InputPort(np.ndarray, shape=("batch", 3))
    longer: OutputPort[Any] = OutputPort(np.ndarray, shape=("batch",))

    def __init__(self, by: int, attempts: list[int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.by = by
        self.attempts = attempts

    def execute(self, context: Any) -> Any:
        by = self.by if self.attempts is None else self.attempts.pop(0)
        graph, length = GraphDefinition("inside"), len(self.data) + by
        made = graph.add(lambda: np.zeros(length))
        return graph, {"longer": made}


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_outputs_of_a_dynamic_operation_are_compared_with_its_inputs(executor: str) -> None:
    graph = GraphDefinition()
    graph.add(Expanded(1, name="expand"), data=graph.add(rows, count=4))
    error = error_of(run(graph, executor=executor, max_workers=2))
    assert error.dimension == "batch"
    assert error.places == ("expand.data", "expand.longer")
    assert error.lengths == (4, 5)
    graph = GraphDefinition()
    graph.add(Expanded(0), data=graph.add(rows, count=4))
    assert run(graph).is_successful()


def test_outputs_of_a_dynamic_operation_go_on_along_the_graph() -> None:
    class Made(Operation):
        dynamic = True
        labels = OutputPort(np.ndarray, shape=("batch",))

        def execute(self, context: Any) -> Any:
            inner = GraphDefinition("inside")
            return inner, {"labels": inner.add(lambda: np.zeros(5))}

    graph = GraphDefinition()
    made = graph.add(Made(name="made"))
    graph.add(train, data=graph.add(rows, count=4), targets=made)
    assert error_of(run(graph)).lengths == (4, 5)
    follows = GraphDefinition()
    first = follows.add(Made(name="made"))
    passed = follows.add(lambda value: value[:2], value=first)

    @operation
    def measure(targets: Labels) -> int:
        return len(targets)

    follows.add(measure, targets=passed)
    error = error_of(run(follows))
    assert error.places == ("made.labels", "measure.targets")


def test_attempts_of_a_dynamic_operation_are_compared_one_by_one() -> None:
    for second, length in ((0, 4), (1, None)):
        graph = GraphDefinition()
        attempts = [-9, second]  # of which the first makes no array at all
        made = graph.add(Expanded(0, attempts, retry_policy=RetryPolicy(max_attempts=2)), data=graph.add(rows, count=4))
        result = run(graph)
        assert not attempts
        if length is None:
            assert error_of(result).lengths == (4, 5)
        else:
            assert result.get_output(made).shape == (length,)


def test_items_that_expand_are_compared_one_by_one() -> None:
    graph = GraphDefinition()
    items = graph.map(Expanded(0), over={"data": [np.zeros((length, 3)) for length in (2, 3)]})
    assert [len(made) for made in run(graph).get_output(items)] == [2, 3]
    wrong = GraphDefinition()
    wrong.map(Expanded(1), over={"data": [np.zeros((2, 3))]})
    assert not run(wrong).is_successful()


def test_outputs_of_a_loop_are_compared() -> None:
    class Halve(Operation):
        data_in = InputPort(np.ndarray, shape=("n",))
        left = InputPort(int)
        half = OutputPort(np.ndarray, shape=("m",))

        def execute(self, context: Any) -> None:
            self.half = self.data_in[: len(self.data_in) // 2]

    graph = GraphDefinition()
    looped = graph.repeat_until(
        Halve(name="halve"), until=lambda half: True, max_iterations=3, data_in=np.zeros(8), left=1
    )

    class Pair(Operation):
        one = InputPort(np.ndarray, shape=("m",))
        other = InputPort(np.ndarray, shape=("m",))

        def execute(self, context: Any) -> None: ...

    graph.add(Pair(name="pair"), one=looped, other=np.zeros(4))
    assert run(graph).is_successful()
    wrong = GraphDefinition()
    again = wrong.repeat_until(
        Halve(name="halve"), until=lambda half: True, max_iterations=3, data_in=np.zeros(8), left=1
    )
    shortened = wrong.add(lambda value: value[:1], value=again)
    wrong.add(Pair(name="pair"), one=shortened, other=np.zeros(1))
    assert error_of(run(wrong)).places == ("halve.half", "pair.one")


def test_level_below_values_compares_no_dimensions_of_what_expands() -> None:
    graph = GraphDefinition()
    graph.add(Expanded(1), data=graph.add(rows, count=4))
    assert run(graph, contracts="connect").is_successful()
