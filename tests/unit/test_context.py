"""The context: the very object that was given to run, which answers for the operation that is running."""

from __future__ import annotations

import asyncio
import copy
import threading
from dataclasses import dataclass

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    Operation,
    OutsideRunError,
    RetryPolicy,
    operation,
)
from execution_dataflow.events import OperationProgress
from execution_dataflow.shared_state import SharedState
from execution_dataflow.states import OperationState


def run_one(function: object, context: ExecutionContext | None = None, **options: object) -> object:
    """Run one function operation; return the result."""
    graph = GraphDefinition("one")
    graph.add(function)
    return ExecutionEngine().run(graph, context, **options)


def value_of(function: object, context: ExecutionContext | None = None) -> object:
    result = run_one(function, context)
    result.raise_if_failed()
    [outputs] = result.outputs().values()
    return outputs["result"]


# ---------------------------------------------------------------- what was given


def test_outside_of_a_run_it_holds_what_was_given() -> None:
    context = ExecutionContext("nightly", "INFO", parameters={"month": 7}, seed=3, shared={"rows": 1})
    assert (context.run_id, context.log_level, context.seed) == ("nightly", "INFO", 3)
    assert context.parameters == {"month": 7}
    assert context.shared["rows"] == 1


def test_nothing_needs_to_be_given() -> None:
    context = ExecutionContext()
    assert (context.run_id, context.log_level, context.seed) == (None, None, None)
    assert (dict(context.parameters), dict(context.secrets), len(context.shared)) == ({}, {}, 0)
    assert repr(context) == "ExecutionContext()"


def test_parameters_are_read_only_and_a_copy() -> None:
    given = {"month": 7}
    context = ExecutionContext(parameters=given)
    given["month"] = 8
    assert context.parameters["month"] == 7
    with pytest.raises(TypeError):
        context.parameters["month"] = 9  # type: ignore[index]


def test_a_copy_shares_the_state_of_the_original_whoever_asks_first() -> None:
    context = ExecutionContext()
    duplicate = copy.copy(context)
    duplicate.shared["rows"] = 1
    assert context.shared is duplicate.shared


def test_threads_that_ask_first_at_the_same_time_get_one_shared_state() -> None:
    for _ in range(50):
        context, together = ExecutionContext(), threading.Barrier(4)
        found: list[SharedState] = []

        def ask(context: ExecutionContext = context, together: threading.Barrier = together) -> None:
            together.wait()
            found.append(context.shared)  # noqa: B023 - of this round

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {id(shared) for shared in found} == {id(context.shared)}


def test_a_shared_state_can_serve_several_contexts() -> None:
    state = SharedState()
    first, second = ExecutionContext(shared=state), ExecutionContext(shared=state)
    first.shared["rows"] = 1
    assert second.shared["rows"] == 1
    assert "rows" not in ExecutionContext().shared


def test_repr_names_what_was_given() -> None:
    context = ExecutionContext(
        "nightly", "INFO", seed=1, parameters={"n": 3}, secrets={"token": "hunter2"}, clients={"db": object}
    )
    assert repr(context) == (
        "ExecutionContext(run_id='nightly', log_level='INFO', seed=1, "
        "parameters={'n': 3}, secrets=['token'], clients=['db'])"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"run_id": 7}, TypeError, "run_id is a str, not int"),
        ({"run_id": ""}, ValueError, "run_id is empty"),
        ({"log_level": "LOUD"}, ValueError, "'LOUD' is no level; use one of 'CRITICAL'"),
        ({"log_level": 1.5}, TypeError, "log_level is a level's name or number, not float"),
        ({"logger": "app"}, TypeError, "logger is a logging.Logger, not str"),
        ({"parameters": [1]}, TypeError, "parameters is a mapping of names to values, not list"),
        ({"parameters": {1: 2}}, TypeError, "name of a parameter is a str, not int"),
        ({"shared": [1]}, TypeError, "shared state begins with a mapping, not list"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ExecutionContext(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["attempt", "operation_name", "cancelled", "clients"])
def test_questions_about_an_attempt_need_one(name: str) -> None:
    with pytest.raises(OutsideRunError, match=rf"context\.{name} was asked for outside of a run"):
        getattr(ExecutionContext(), name)


@pytest.mark.parametrize("name", ["rng", "random", "raise_if_cancelled"])
def test_calls_about_an_attempt_need_one(name: str) -> None:
    with pytest.raises(OutsideRunError, match=rf"context\.{name} was asked for outside of a run"):
        getattr(ExecutionContext(), name)()


# ---------------------------------------------------------------- inside of a run


def test_execute_receives_the_very_object() -> None:
    context = ExecutionContext()
    seen: list[ExecutionContext] = []

    class Look(Operation):
        def execute(self, context: ExecutionContext) -> None:
            seen.append(context)

    graph = GraphDefinition()
    graph.add(Look())
    ExecutionEngine().run(graph, context).raise_if_failed()
    assert len(seen) == 1
    assert seen[0] is context


def test_subclasses_and_added_attributes_survive() -> None:
    class Site(ExecutionContext):
        def __init__(self, city: str) -> None:
            super().__init__(run_id="nightly")
            self.city = city

    @operation
    def look(context: ExecutionContext) -> tuple[str, str | None, int]:
        return context.city, context.run_id, context.added

    context = Site("Basel")
    context.added = 5
    assert value_of(look, context) == ("Basel", "nightly", 5)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_subclass_that_is_a_dataclass_works(frozen: bool) -> None:
    @dataclass(frozen=frozen)
    class Site(ExecutionContext):
        city: str = "Basel"

    @operation
    def look(context: ExecutionContext) -> tuple[str, int]:
        context.shared["seen"] = True
        context.logger.debug("seen")
        return context.city, context.attempt

    context = Site("Bern")
    assert value_of(look, context) == ("Bern", 1)
    assert context.shared["seen"]


def test_it_knows_the_run_the_operation_and_the_attempt() -> None:
    seen: list[tuple[str | None, str, int]] = []

    @operation(retry_policy=RetryPolicy(max_attempts=2))
    def flaky(context: ExecutionContext) -> None:
        seen.append((context.run_id, context.operation_name, context.attempt))
        if context.attempt == 1:
            raise OSError("again")

    run_one(flaky, ExecutionContext("nightly")).raise_if_failed()
    assert seen == [("nightly", "flaky", 1), ("nightly", "flaky", 2)]


def test_runs_without_an_id_make_one_each() -> None:
    context = ExecutionContext()

    @operation
    def name(context: ExecutionContext) -> str | None:
        return context.run_id

    graph = GraphDefinition()
    node = graph.add(name)
    results = [ExecutionEngine().run(graph, context) for _ in range(2)]
    assert [result.get_output(node) for result in results] == [result.run_id for result in results]
    assert results[0].run_id != results[1].run_id
    assert context.run_id is None


def test_a_run_without_a_context_has_one() -> None:
    @operation
    def look(context: ExecutionContext) -> str:
        return type(context).__name__

    assert value_of(look) == "ExecutionContext"


def test_concurrent_runs_may_share_one_context() -> None:
    context = ExecutionContext()
    both = threading.Barrier(2, timeout=30)
    seen: dict[str, tuple[str | None, str]] = {}

    def run(name: str) -> None:
        @operation(name=name)
        def meet(context: ExecutionContext) -> None:
            both.wait()
            seen[name] = (context.run_id, context.operation_name)
            both.wait()

        results[name] = run_one(meet, context)

    results: dict[str, object] = {}
    threads = [threading.Thread(target=run, args=(name,)) for name in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: operation_name for name, (_, operation_name) in seen.items()} == {"left": "left", "right": "right"}
    assert {name: run_id for name, (run_id, _) in seen.items()} == {
        name: result.run_id for name, result in results.items()
    }


def test_a_nested_run_has_its_own_answers_and_gives_them_back() -> None:
    @operation
    def inner(context: ExecutionContext) -> tuple[str | None, str]:
        return context.run_id, context.operation_name

    @operation
    def outer(context: ExecutionContext) -> list[object]:
        before = (context.run_id, context.operation_name)
        return [before, value_of(inner, ExecutionContext("inside")), (context.run_id, context.operation_name)]

    assert value_of(outer, ExecutionContext("outside")) == [
        ("outside", "outer"),
        ("inside", "inner"),
        ("outside", "outer"),
    ]


def test_coroutines_that_take_turns_keep_their_own_answers() -> None:
    @operation
    async def wait(context: ExecutionContext) -> list[str]:
        names = []
        for _ in range(3):
            names.append(context.operation_name)
            await asyncio.sleep(0.001)
        return names

    graph = GraphDefinition()
    nodes = [graph.add(wait.new(name=f"wait{number}")) for number in range(10)]
    result = ExecutionEngine().run(graph)
    result.raise_if_failed()
    assert [result.get_output(node) for node in nodes] == [[f"wait{number}"] * 3 for number in range(10)]


def test_a_thread_that_an_operation_starts_with_to_thread_knows_its_operation() -> None:
    @operation
    async def outer(context: ExecutionContext) -> str:
        return await asyncio.to_thread(lambda: context.operation_name)

    assert value_of(outer) == "outer"


def test_shared_state_is_seen_by_all_operations() -> None:
    @operation
    def count(context: ExecutionContext) -> None:
        context.shared.update("calls", lambda calls: calls + 1, default=0)

    graph = GraphDefinition()
    for _ in range(50):
        graph.add(count)
    context = ExecutionContext()
    ExecutionEngine(max_workers=4).run(graph, context).raise_if_failed()
    assert context.shared["calls"] == 50


# ---------------------------------------------------------------- progress and cancellation


def test_progress_becomes_events() -> None:
    @operation
    def work(context: ExecutionContext) -> None:
        context.progress(0.25, "reading")
        context.progress(1)

    seen: list[tuple[str, float, str]] = []
    graph = GraphDefinition()
    graph.add(work)
    with ExecutionEngine() as engine:
        engine.subscribe(lambda event: seen.append((event.operation, event.fraction, event.message)), OperationProgress)
        engine.run(graph).raise_if_failed()
    assert seen == [("work", 0.25, "reading"), ("work", 1.0, "")]


def test_progress_without_a_subscriber_is_fine() -> None:
    @operation
    def work(context: ExecutionContext) -> int:
        context.progress(0.5)
        context.progress(1 + 1e-12)
        return 1

    assert value_of(work) == 1


@pytest.mark.parametrize("fraction", [-0.5, 50, float("nan")])
def test_progress_that_is_no_fraction_is_refused(fraction: float) -> None:
    @operation
    def work(context: ExecutionContext) -> None:
        context.progress(fraction)

    result = run_one(work)
    assert isinstance(result.first_error.exception, ValueError)
    assert "progress is a fraction from 0 to 1" in result.get_error_message()


def test_nothing_is_cancelled_in_an_ordinary_run() -> None:
    @operation
    def work(context: ExecutionContext) -> bool:
        context.raise_if_cancelled()
        return context.cancelled

    assert value_of(work) is False


def test_an_operation_can_give_up_when_its_run_is_cancelled() -> None:
    started = threading.Event()

    @operation(retry_policy=RetryPolicy(max_attempts=5))
    def work(context: ExecutionContext) -> None:
        started.set()
        patience = threading.Event()
        while not context.cancelled:
            patience.wait(0.001)
        try:
            context.raise_if_cancelled()
        except Exception:
            pytest.fail("an `except Exception` must not swallow a cancellation")

    graph = GraphDefinition()
    node = graph.add(work)
    with ExecutionEngine() as engine:
        handle = engine.submit(graph)
        assert started.wait(30)
        handle.cancel()
        result = handle.result(timeout=30)
    assert result.get_state(node) is OperationState.CANCELLED
    assert not result.is_successful()
