"""R4, R9: ``on_failure="revert"`` undoes what had succeeded, in the reverse order of completion."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from patience import await_event

from execution_dataflow import (
    Event,
    ExecutionContext,
    ExecutionEngine,
    GraphCompleted,
    GraphDefinition,
    GraphError,
    InputPort,
    Operation,
    OperationFailed,
    OperationReverted,
    OperationRevertFailed,
    OperationState,
    OutputPort,
    RunInterrupted,
    RunState,
    ValueReleasedError,
    operation,
)


class Step(Operation):
    before = InputPort(list, default=[])
    after = OutputPort(list)

    def __init__(self, name: str, told: list[str], **options: Any) -> None:
        super().__init__(name=name, **options)
        self.told = told

    def execute(self, context: ExecutionContext) -> None:
        self.after = [*self.before, self.name]

    def revert(self, context: ExecutionContext) -> None:
        self.told.append(f"{self.name}: {list(self.get_input('before'))} -> {self.get_output('after')}")


class LaterStep(Step):
    async def execute(self, context: ExecutionContext) -> None:  # type: ignore[override]
        before = list(self.before)
        await asyncio.sleep(0)
        self.after = [*before, self.name]

    async def revert(self, context: ExecutionContext) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        super().revert(context)
        await asyncio.to_thread(lambda: self.get_output("after"))


@operation
def fail(value: object = None) -> None:
    raise OSError("payment refused")


def chain(told: list[str], kinds: list[type[Step]], last: Any = fail) -> tuple[GraphDefinition, list[Step]]:
    graph = GraphDefinition("booking")
    steps = [kind(f"step{number}", told) for number, kind in enumerate(kinds)]
    previous: Any = None
    for step in steps:
        graph.add(step, **({} if previous is None else {"before": previous}))
        previous = step
    graph.add(last, value=previous)
    return graph, steps


EXPECTED = [
    "step2: ['step0', 'step1'] -> ['step0', 'step1', 'step2']",
    "step1: ['step0'] -> ['step0', 'step1']",
    "step0: [] -> ['step0']",
]


@pytest.mark.parametrize("way", ["run", "submit", "run_async"])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kinds", [[Step] * 3, [LaterStep] * 3, [Step, LaterStep, Step]])
def test_a_failed_run_is_undone_from_its_end_to_its_beginning(kinds: list[Any], workers: int, way: str) -> None:
    told: list[str] = []
    graph, steps = chain(told, kinds)
    with ExecutionEngine(max_workers=workers, on_failure="revert") as engine:
        if way == "run":
            result = engine.run(graph)
        elif way == "submit":
            result = engine.submit(graph).result(10)
        else:
            result = asyncio.run(engine.run_async(graph))
    assert told == EXPECTED
    assert result.reverted == ["step2", "step1", "step0"]
    assert result.revert_errors == []
    assert result.state is RunState.FAILED
    assert {result.get_state(step) for step in steps} == {OperationState.SUCCEEDED}
    assert str(result.get_error_message()).endswith("3 operations were reverted.")


def test_a_run_is_undone_only_where_that_was_asked_for_and_needed() -> None:
    told: list[str] = []
    graph, _ = chain(told, [Step] * 3)
    assert ExecutionEngine().run(graph).reverted == []
    fine, _ = chain(told, [Step] * 3, last=operation(lambda value: value))
    assert ExecutionEngine(on_failure="revert").run(fine).is_successful()
    assert ExecutionEngine(on_failure="revert").run(graph, on_failure="keep").reverted == []
    assert told == []
    assert ExecutionEngine().run(graph, on_failure="revert").reverted == ["step2", "step1", "step0"]


def test_an_operation_is_reverted_after_all_that_consumed_what_it_made() -> None:
    told: list[str] = []
    graph = GraphDefinition()
    root = graph.add(Step("root", told))
    middle = [graph.add(lambda value: value, value=root) for _ in range(5)]
    leaves = [graph.add(Step(f"leaf{n}", told), before=each) for n, each in enumerate(middle)]
    graph.add(operation(lambda values: 1 / 0), values=leaves[0])
    for leaf in leaves:
        graph.add_dependency(leaf, graph.operations[-1])
    result = ExecutionEngine(max_workers=3, failure_policy="continue").run(graph, on_failure="revert")
    assert sorted(result.reverted[:-1]) == [f"leaf{n}" for n in range(5)]
    assert result.reverted[-1] == "root"
    ended = [result.get_timing(name).ended for name in result.reverted]  # type: ignore[union-attr]
    assert ended == sorted(ended, reverse=True)


def test_what_did_not_succeed_is_not_reverted() -> None:
    told: list[str] = []

    class Broken(Step):
        def execute(self, context: ExecutionContext) -> None:
            raise OSError("no")

    graph = GraphDefinition()
    first = graph.add(Step("first", told))
    broken = graph.add(Broken("broken", told), before=first)
    graph.add(Step("never", told), before=broken)
    result = ExecutionEngine().run(graph, on_failure="revert")
    assert result.reverted == ["first"]


def test_an_error_in_a_revert_is_reported_and_the_rest_is_reverted() -> None:
    told: list[str] = []

    class Stuck(Step):
        def revert(self, context: ExecutionContext) -> None:
            raise SystemExit("cannot undo") if self.name == "step1" else KeyError("cannot undo")

    graph, _ = chain(told, [Step, Stuck, Stuck])
    events: list[Event] = []
    with ExecutionEngine() as engine, engine.subscribe(events.append):
        result = engine.run(graph, on_failure="revert")
    assert result.reverted == ["step0"]
    assert [(error.operation, type(error.exception)) for error in result.revert_errors] == [
        ("step2", KeyError),
        ("step1", SystemExit),
    ]
    assert isinstance(result.first_error.exception, OSError)  # type: ignore[union-attr]
    message = str(result.get_error_message())
    assert message.startswith("Operation 'fail' failed: OSError: payment refused")
    assert "The revert of 'step2' failed: KeyError: 'cannot undo'." in message
    kinds = [type(event) for event in events[-5:]]
    assert kinds == [OperationFailed, OperationRevertFailed, OperationRevertFailed, OperationReverted, GraphCompleted]
    assert [event.sequence for event in events] == list(range(len(events)))
    assert "cannot undo" in result.summary()


def test_a_cancelled_run_is_undone() -> None:
    told: list[str] = []
    entered, go = threading.Event(), threading.Event()

    def block(value: object, context: ExecutionContext) -> None:
        entered.set()
        assert go.wait(10)
        context.raise_if_cancelled()

    graph, _ = chain(told, [Step] * 2, last=block)
    with ExecutionEngine() as engine:
        handle = engine.submit(graph, on_failure="revert")
        await_event(entered)
        assert handle.state is RunState.RUNNING
        handle.cancel()
        go.set()
        result = handle.result(10)
        assert handle.done()
    assert result.state is RunState.CANCELLED
    assert result.reverted == ["step1", "step0"]


def test_ctrl_c_undoes_the_run_and_raises() -> None:
    told: list[str] = []

    def interrupt(value: object) -> None:
        raise KeyboardInterrupt

    graph, _ = chain(told, [Step] * 2, last=interrupt)
    with pytest.raises(RunInterrupted) as raised:
        ExecutionEngine().run(graph, on_failure="revert")
    assert raised.value.result.reverted == ["step1", "step0"]


def test_ctrl_c_in_a_revert_ends_the_undoing_and_the_result_says_what_is_left() -> None:
    told: list[str] = []

    class Interrupted(Step):
        def revert(self, context: ExecutionContext) -> None:
            raise KeyboardInterrupt

    graph, _ = chain(told, [Step, Interrupted, Step])
    with pytest.raises(RunInterrupted) as raised:
        ExecutionEngine().run(graph, on_failure="revert")
    result = raised.value.result
    assert result.reverted == ["step2"]
    assert result.not_reverted == ["step1", "step0"]
    assert "Ctrl-C ended the undoing before it came to 'step1', 'step0'." in result.get_error_message()


def test_reverts_have_the_context_of_the_run() -> None:
    seen: list[Any] = []

    class Client:
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    class Uses(Step):
        def revert(self, context: ExecutionContext) -> None:
            client = context.clients["db"]
            seen.append((context, context.run_id, context.operation_name, client, client.is_closed))

    context = ExecutionContext("night", clients={"db": Client})
    graph, _ = chain([], [Uses])
    result = ExecutionEngine().run(graph, context, on_failure="revert")
    [(received, run_id, name, client, was_closed)] = seen
    assert (received, run_id, name, was_closed) == (context, "night", "step0", False)
    assert client.is_closed
    assert result.run_id == "night"


def test_values_are_kept_for_reverts_and_let_go_when_the_run_has_succeeded() -> None:
    class Array(np.ndarray):
        pass

    refs: list[Any] = []

    class Make(Operation):
        values = OutputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            array = np.zeros(4).view(Array)
            refs.append(weakref.ref(array))
            self.values = array

        def revert(self, context: ExecutionContext) -> None:
            assert self.get_output("values") is refs[-1]()

    for last, lives in [(lambda value: None, False), (lambda value: 1 / 0, False)]:
        graph = GraphDefinition()
        made = graph.add(Make())
        passed = graph.add(lambda value: 1, value=made)
        graph.add(last, value=passed)
        result = ExecutionEngine().run(graph, on_failure="revert")
        assert result.revert_errors == []
        gc.collect()
        assert (refs[-1]() is not None) is lives
        with pytest.raises(ValueReleasedError):
            result.get_output(made)


def test_what_the_user_keeps_stays_kept() -> None:
    told: list[str] = []
    graph, steps = chain(told, [Step] * 2, last=operation(lambda value: value))
    result = ExecutionEngine(on_failure="revert").run(graph, retain=[steps[0]])
    assert result.get_output(steps[0]) == ["step0"]
    with pytest.raises(ValueReleasedError):
        result.get_output(steps[1])
    assert ExecutionEngine(on_failure="revert").run(graph, retain="all").get_output(steps[1]) == ["step0", "step1"]


def test_a_revert_sees_the_input_as_it_was_although_the_operation_wrote_into_it() -> None:
    seen: list[float] = []

    class Write(Operation):
        values = InputPort(np.ndarray, mutable=True)
        result = OutputPort(float)

        def execute(self, context: ExecutionContext) -> None:
            self.values[:] = 9
            self.result = 1.0

        def revert(self, context: ExecutionContext) -> None:
            seen.append(float(self.get_input("values").sum()))

    graph = GraphDefinition()
    written = graph.add(Write(), values=graph.add(lambda: np.ones(4)))
    graph.add(fail, value=written)
    ExecutionEngine().run(graph, on_failure="revert")
    assert seen == [4.0]


def test_a_fallback_operation_is_reverted_in_the_place_of_what_it_stood_in_for() -> None:
    told: list[str] = []

    class Spare(Step):
        error = InputPort(Exception)

        def revert(self, context: ExecutionContext) -> None:
            told.append(f"{self.name} after {self.get_input('error')} -> {self.get_output('after')}")

    class Broken(Step):
        def execute(self, context: ExecutionContext) -> None:
            raise OSError("no room")

    for fallback, reverted in [(Spare("spare", told), ["broken", "first"]), ([], ["first"])]:
        told.clear()
        graph = GraphDefinition()
        first = graph.add(Step("first", told))
        broken = graph.add(Broken("broken", told, on_failure=fallback), before=first)
        graph.add(fail, value=broken)
        result = ExecutionEngine().run(graph, on_failure="revert")
        assert result.reverted == reverted
        assert told[: len(reverted) - 1] == ["spare after no room -> ['first', 'spare']"][: len(reverted) - 1]


def test_clean_ups_come_before_the_undoing() -> None:
    told: list[str] = []
    graph, _ = chain(told, [Step])
    graph.add_dependency(graph.operations[-1], graph.add(operation(always_run=True)(lambda: told.append("clean"))))
    ExecutionEngine().run(graph, on_failure="revert")
    assert told == ["clean", "step0: [] -> ['step0']"]


def test_an_undone_run_in_an_operation_of_another_run_works() -> None:
    told: list[str] = []
    inner, _ = chain(told, [Step, LaterStep])
    outer = GraphDefinition()
    nested = outer.add(lambda: ExecutionEngine(on_failure="revert").run(inner).reverted)
    assert ExecutionEngine(max_workers=1).run(outer).get_output(nested) == ["step1", "step0"]


def test_closing_the_engine_waits_for_the_undoing() -> None:
    told: list[str] = []
    gate = threading.Event()

    class Slow(Step):
        def revert(self, context: ExecutionContext) -> None:
            assert gate.wait(10)
            super().revert(context)

    graph, _ = chain(told, [Slow])
    engine = ExecutionEngine()
    handle = engine.submit(graph, on_failure="revert")
    assert not handle.wait(0.2)
    threading.Timer(0.05, gate.set).start()
    engine.close()
    assert handle.done()
    assert len(told) == 1


def test_a_map_of_what_can_be_reverted_is_refused_where_runs_are_undone() -> None:
    graph = GraphDefinition()
    graph.map(Step("each", []), over={"before": [[1], [2]]})
    assert ExecutionEngine().run(graph).is_successful()
    with pytest.raises(GraphError, match="reverts of items are not"):
        ExecutionEngine().run(graph, on_failure="revert")


def test_on_failure_of_a_run_is_one_of_two_words() -> None:
    with pytest.raises(ValueError, match="'keep' leaves what was done"):
        ExecutionEngine(on_failure="undo")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_failure=3"):
        ExecutionEngine().run(GraphDefinition(), on_failure=3)  # type: ignore[arg-type]


def test_get_output_reads_back_what_the_attempt_has_set() -> None:
    class Twice(Operation):
        first = OutputPort(int)
        second = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.first = 2
            self.second = 2 * self.get_output("first")

    graph = GraphDefinition()
    twice = graph.add(Twice())
    assert ExecutionEngine().run(graph).get_output(twice, "second") == 4


@pytest.mark.parametrize("kind", [Step, LaterStep])
def test_an_error_in_a_revert_does_not_keep_the_run_alive(kind: type[Step]) -> None:
    class Stuck(kind):  # type: ignore[misc,valid-type]
        def revert(self, context: ExecutionContext) -> Any:
            return super().revert(context) if self.name == "step1" else self.told[10**6]

    class StuckLater(kind):  # type: ignore[misc,valid-type]
        async def revert(self, context: ExecutionContext) -> Any:
            await asyncio.sleep(0)
            raise KeyError("cannot undo")

    graph, _ = chain([], [Stuck, StuckLater])
    with ExecutionEngine() as engine:
        result = engine.run(graph, on_failure="revert")
    assert [type(error.exception) for error in result.revert_errors] == [KeyError, IndexError]
    assert "test_reverts.py" in str(result.revert_errors[0].where)
    record = weakref.ref(result._record)
    del result
    gc.collect()
    assert record() is None
