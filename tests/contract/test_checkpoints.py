"""A run that is repeated with the same run id takes over what had succeeded, and runs the rest."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noted import Notes
from patience import close_in_time, eventually

from execution_dataflow import (
    Checkpoint,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    Operation,
    OperationRestored,
    OperationStarted,
    OperationState,
    OutputPort,
    RunHeldError,
    RunState,
    UnknownOperationError,
    open_store,
    operation,
)

pytest.importorskip("sqlalchemy")


note = Notes()
ran, broken = note.ran, note.broken


@operation
def one() -> int:
    note("one")
    return 1


@operation
def increment(x: int) -> int:
    note(f"increment {x}")
    return x + 1


@operation
def numbers(n: int) -> list[int]:
    note("numbers")
    return list(range(n))


@operation
def square(x: int) -> int:
    note(f"square {x}")
    return x * x


@operation
def samples(n: int) -> np.ndarray:
    note("samples")
    return np.arange(n * 100_000, dtype=np.float64)


@operation
def total(values: np.ndarray) -> float:
    note("total")
    assert not values.flags.writeable
    return float(values.sum())


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    ran.clear()
    broken.clear()
    return


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture
def engine(address: str) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(checkpoint=address, max_workers=2, failure_policy="continue")
    yield engine
    close_in_time(engine.close)


def run(engine: ExecutionEngine, graph: GraphDefinition, run_id: str = "nightly", **options: Any) -> ExecutionResult:
    ran.clear()
    return engine.run(graph, ExecutionContext(run_id), **options)


def chain() -> GraphDefinition:
    graph = GraphDefinition("chain")
    first = graph.add(one)
    second = graph.add(increment, x=first)
    graph.add(operation(increment, name="last"), x=second)
    return graph


def test_what_had_succeeded_is_restored_and_the_rest_runs(engine: ExecutionEngine) -> None:
    graph = chain()
    broken.add("increment 2")
    first = run(engine, graph)
    assert first.state is RunState.FAILED
    assert first.restored == []
    broken.clear()
    second = run(engine, graph)
    assert ran == ["increment 2"]
    assert second.restored == ["one", "increment"]
    assert second.states == {
        "one": OperationState.RESTORED,
        "increment": OperationState.RESTORED,
        "last": OperationState.SUCCEEDED,
    }
    assert second.outputs() == {"last": {"result": 3}}
    assert second.is_successful()


def test_a_run_that_had_succeeded_runs_nothing_and_has_its_outputs(engine: ExecutionEngine) -> None:
    run(engine, chain())
    again = run(engine, chain())
    assert ran == []
    assert again.outputs() == {"last": {"result": 3}}
    assert set(again.states.values()) == {OperationState.RESTORED}


def test_another_run_id_starts_anew(engine: ExecutionEngine) -> None:
    run(engine, chain())
    assert run(engine, chain(), "other").restored == []
    assert len(ran) == 3


@pytest.mark.parametrize("way", ["submit", "async"])
def test_other_ways_to_run_take_over_too(engine: ExecutionEngine, way: str) -> None:
    run(engine, chain())
    ran.clear()
    context = ExecutionContext("nightly")
    if way == "submit":
        result = engine.submit(chain(), context).result(timeout=30)
    else:
        result = asyncio.run(engine.run_async(chain(), context))
    assert ran == []
    assert result.outputs() == {"last": {"result": 3}}


def test_arrays_come_back_mapped_and_not_writeable(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("arrays")
    values = graph.add(samples, n=1)
    graph.add(total, values=values)
    broken.add("total")
    run(engine, graph)
    broken.clear()
    result = run(engine, graph, retain="all")
    assert ran == ["total"]
    restored = result.get_output(values)
    assert restored.dtype == np.float64
    assert np.array_equal(restored, np.arange(100_000.0))
    assert not restored.flags.owndata
    assert not restored.flags.writeable


def test_changed_code_runs_again_with_all_that_depends_on_it_and_says_why(engine: ExecutionEngine) -> None:
    def graph(step: Callable[..., Any]) -> GraphDefinition:
        graph = GraphDefinition("chain")
        first = graph.add(one)
        second = graph.add(operation(step, name="step"), x=first)
        graph.add(increment, x=second)
        return graph

    def step(x: int) -> int:
        return x * 10

    run(engine, graph(step))

    def step(x: int) -> int:  # type: ignore[no-redef]
        return x * 20

    result = run(engine, graph(step))
    assert ran == ["increment 20"]
    assert result.restored == ["one"]
    report = result.explain_resume()
    assert report.reasons == {"step": "its code changed", "increment": "its inputs changed"}
    assert "its code changed: step" in str(report)


def test_changed_constants_and_parameters_run_again(engine: ExecutionEngine) -> None:
    def graph(n: int) -> GraphDefinition:
        graph = GraphDefinition("constants")
        scale = graph.parameter("scale", int, default=2)
        first = graph.add(numbers, n=n)
        graph.map(square, over=first)
        graph.add(increment, x=scale)
        return graph

    run(engine, graph(3))
    result = run(engine, graph(3), parameters={"scale": 5})
    assert ran == ["increment 5"]
    assert result.explain_resume().reasons == {"increment": "its configuration changed"}
    result = run(engine, graph(2), parameters={"scale": 5})
    assert "increment 5" not in ran
    assert "numbers" in ran
    assert result.get_output("square") == [0, 1]


def test_items_of_a_map_that_had_succeeded_do_not_run_again(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("items")
    mapped = graph.map(square, over=graph.add(numbers, n=10))
    broken.add("square 7")
    run(engine, graph)
    assert len(ran) == 11
    broken.clear()
    result = run(engine, graph)
    assert ran == ["square 7"]
    assert result.get_output(mapped) == [x * x for x in range(10)]


def test_iterations_of_a_loop_that_had_succeeded_do_not_run_again(engine: ExecutionEngine) -> None:
    @operation(outputs=["x"])
    def count(x: int) -> tuple[int]:
        note(f"count {x}")
        return (x + 1,)

    graph = GraphDefinition("loop")
    loop = graph.repeat_until(count, until=lambda x: x >= 6, x=graph.add(one), max_iterations=10)
    broken.add("count 4")
    run(engine, graph)
    assert ran == ["one", "count 1", "count 2", "count 3", "count 4"]
    broken.clear()
    result = run(engine, graph)
    assert ran == ["count 4", "count 5"]
    assert result.get_output(loop) == 6


def test_what_ran_in_the_place_of_a_dynamic_operation_does_not_run_again(engine: ExecutionEngine) -> None:
    @operation(dynamic=True)
    def grow(x: int) -> int:
        note("grow")
        inner = GraphDefinition("inner")
        inner.output("result", inner.add(square, x=inner.add(increment, x=x)))
        return inner  # type: ignore[return-value]

    graph = GraphDefinition("growing")
    grown = graph.add(grow, x=graph.add(one))
    broken.add("square 2")
    run(engine, graph)
    broken.clear()
    result = run(engine, graph)
    # Which graph it is only the function can tell.
    assert ran == ["grow", "square 2"]
    assert result.get_output(grown) == 4


class Splits(Operation):
    even = OutputPort(int, optional=True)
    odd = OutputPort(int, optional=True)

    def execute(self, context: ExecutionContext) -> None:
        note("splits")
        self.even = 4


def test_a_branch_that_was_not_taken_is_not_taken_by_a_resumed_run(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("branches")
    splits = graph.add(Splits())
    taken = graph.add(operation(increment, name="taken"), x=splits["even"])
    other = graph.add(operation(increment, name="other"), x=splits["odd"])
    broken.add("increment 4")
    run(engine, graph)
    broken.clear()
    result = run(engine, graph)
    assert ran == ["increment 4"]
    assert result.get_output(taken) == 5
    assert result.get_state(other) is OperationState.SKIPPED


def test_a_damaged_artifact_is_computed_again_and_reported(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition("arrays")
    values = graph.add(samples, n=1)
    graph.add(total, values=values)
    broken.add("total")
    run(engine, graph)
    broken.clear()
    (artifact,) = [path for path in (tmp_path / "runs.db.artifacts").rglob("*") if path.is_file()]
    content = bytearray(artifact.read_bytes())
    content[-5] ^= 1
    artifact.write_bytes(content)
    result = run(engine, graph)
    assert ran == ["samples", "total"]
    assert result.is_successful()
    assert "damaged" in result.explain_resume().reasons["samples"]


def test_two_runs_of_one_id_at_the_same_time_are_refused(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph, refused = GraphDefinition("twice"), []

    @operation
    def runs_itself(path: str) -> int:
        try:
            engine.run(chain(), ExecutionContext("nightly"))
        except RunHeldError as error:
            refused.append(error)
        return 1

    graph.add(runs_itself, path=str(tmp_path))
    assert run(engine, graph).is_successful()
    assert refused[0].run_id == "nightly"
    assert "another run_id" in str(refused[0])
    # And given back at the end.
    assert run(engine, graph).is_successful()


def test_a_run_that_is_refused_for_another_reason_is_not_held(engine: ExecutionEngine) -> None:
    with pytest.raises(UnknownOperationError):
        run(engine, chain(), retain=["lsat"])
    assert run(engine, chain()).is_successful()


def test_an_engine_that_is_thrown_away_closes_its_store_when_its_runs_have_ended(address: str) -> None:
    graph = GraphDefinition("late")
    waits = graph.add(operation(lambda: time.sleep(0.3), name="waits"))
    graph.add_dependency(waits, graph.add(one))
    engine = ExecutionEngine(checkpoint=address)
    handle = engine.submit(graph, ExecutionContext("late"))
    store = weakref.ref(engine._stores.get(address))
    del engine
    assert handle.result(timeout=30).is_successful()
    del handle
    gc.collect()
    assert eventually(lambda: store() is None)
    with open_store(address) as opened:
        assert {commit.key for commit in opened.journal.commits("late")} == {"waits", "one"}


def test_a_value_that_cannot_be_stored_is_reported_and_runs_again(engine: ExecutionEngine) -> None:
    @operation
    def opened() -> Any:
        note("opened")
        return (x for x in range(3))

    graph = GraphDefinition("unstorable")
    graph.add(opened)
    result = run(engine, graph)
    assert result.is_successful()
    assert "generator" in result.explain_resume().not_kept["opened"]
    assert run(engine, graph).restored == []
    assert ran == ["opened"]


def test_subscribers_hear_of_what_is_restored_before_anything_starts(engine: ExecutionEngine) -> None:
    broken.add("increment 2")
    run(engine, chain())
    broken.clear()
    heard: list[tuple[type, str]] = []
    with engine.subscribe(
        lambda event: heard.append((type(event), event.operation)), OperationRestored, OperationStarted
    ):
        run(engine, chain())
    assert heard == [(OperationRestored, "one"), (OperationRestored, "increment"), (OperationStarted, "last")]


def test_random_streams_of_a_resumed_run_are_those_of_the_first(engine: ExecutionEngine) -> None:
    @operation
    def draws(context: ExecutionContext) -> float:
        return float(context.rng().random())

    graph = GraphDefinition("random")
    drawn = graph.add(draws)
    first = run(engine, graph, "a").get_output(drawn)
    assert run(engine, graph, "a", checkpoint=False).get_output(drawn) != first
    kept = engine._options.checkpoint
    assert kept is not None
    with ExecutionEngine(checkpoint=Checkpoint(kept.store, durability="each")) as another:
        assert run(another, graph, "a").get_output(drawn) == first
    assert run(engine, graph, "b").get_output(drawn) != first


def test_what_was_reverted_runs_again(engine: ExecutionEngine) -> None:
    class Books(Operation):
        booked = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            note("books")
            self.booked = 1

        def revert(self, context: ExecutionContext) -> None:
            note("reverts")

    graph = GraphDefinition("saga")
    graph.add(increment, x=graph.add(Books()))
    broken.add("increment 1")
    run(engine, graph, on_failure="revert")
    assert ran == ["books", "increment 1", "reverts"]
    broken.clear()
    result = run(engine, graph)
    assert ran == ["books", "increment 1"]
    assert result.explain_resume().reasons["Books"] == "it was reverted"


def test_a_restored_operation_is_reverted_when_the_rest_fails(engine: ExecutionEngine) -> None:
    class Books(Operation):
        booked = OutputPort(int)

        def execute(self, context: ExecutionContext) -> None:
            self.booked = 17

        def revert(self, context: ExecutionContext) -> None:
            note(f"reverts {self.get_output('booked')}")

    graph = GraphDefinition("saga")
    graph.add(increment, x=graph.add(Books()))
    broken.add("increment 17")
    run(engine, graph)
    run(engine, graph, on_failure="revert")
    assert ran == ["increment 17", "reverts 17"]


def test_durability_each_has_committed_before_the_next_one_starts(address: str) -> None:
    seen: list[set[str]] = []

    @operation
    def looks(x: int) -> int:
        with open_store(address) as store:
            seen.append({commit.key for commit in store.journal.commits("nightly")})
        return x

    graph = GraphDefinition("each")
    graph.add(operation(looks, name="second"), x=graph.add(operation(looks, name="first"), x=graph.add(one)))
    with ExecutionEngine(checkpoint=address, durability="each") as engine:
        run(engine, graph).raise_if_failed()
    assert seen == [{"one"}, {"one", "first"}]


def test_a_checkpoint_that_is_no_store_is_refused_early(tmp_path: Path) -> None:
    for wrong, kind in (("runs.db", ValueError), (3, TypeError)):
        with pytest.raises(kind, match="checkpoint"):
            ExecutionEngine(checkpoint=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="durability"):
        ExecutionEngine(checkpoint=tmp_path / "runs.db", durability="never")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="same store"):
        ExecutionEngine(checkpoint=tmp_path / "runs.db", state=tmp_path / "state.db")
    with pytest.raises(ValueError, match="no checkpoint"):
        ExecutionEngine().run(chain()).explain_resume()
