"""Items, iterations and what runs in the place of an operation are taken over only where their input is the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from noted import Notes
from patience import close_in_time

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)

pytest.importorskip("sqlalchemy")


class World(Notes):
    """What operations find, too."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = ["a", "b", "c"]
        self.start: Any = 1


world = World()
run = world.run


class Unstorable:
    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> Any:
        raise TypeError("not to be stored")


@operation
def rows() -> object:
    return (row for row in world.rows)


@operation
def listed() -> list[str]:
    world("listed")
    return list(world.rows)


@operation
def work(name: str) -> str:
    return world(f"did {name}")


@operation
def fetch(name: str) -> str:
    return world(f"rows of {name}")


@operation
def token() -> int:
    world("token")
    return len(world.ran)


@pytest.fixture(autouse=True)
def _forget() -> None:
    world.__init__()  # type: ignore[misc]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ExecutionEngine]:
    engine = ExecutionEngine(checkpoint=tmp_path / "runs.db", max_workers=1)
    yield engine
    close_in_time(engine.close)


def two_steps() -> GraphDefinition:
    inner = GraphDefinition("inner")
    inner.output("result", inner.add(work, name=inner.add(fetch, name=inner.parameter("name", str))))
    return inner


@pytest.mark.parametrize("of_graphs", [False, True])
def test_items_of_a_source_that_could_not_be_kept_run_again(engine: ExecutionEngine, of_graphs: bool) -> None:
    graph = GraphDefinition("map")
    mapped = graph.map(two_steps() if of_graphs else work, over={"name": graph.add(rows)})
    run(engine, graph, "did rows of c", "did c")
    world.rows = ["z", "a", "b", "c"]
    result = run(engine, graph)
    before = "did rows of" if of_graphs else "did"
    assert result.get_output(mapped) == [f"{before} {row}" for row in "zabc"]
    assert list(result.explain_resume().reasons.values())[1] == "something that it depends on ran again"


def test_items_of_a_damaged_source_run_again(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition("map")
    mapped = graph.map(work, over={"name": graph.add(listed)})
    world.rows = [f"row {number}" for number in range(5_000)]
    run(engine, graph, "did row 4000")
    (artifact,) = (path for path in (tmp_path / "runs.db.artifacts").rglob("*") if path.is_file())
    artifact.write_bytes(b"nothing")
    world.rows.insert(0, "new")
    assert run(engine, graph).get_output(mapped) == [f"did {row}" for row in world.rows]


def test_items_of_a_damaged_source_do_not_come_back_in_a_third_run(engine: ExecutionEngine, tmp_path: Path) -> None:
    graph = GraphDefinition("map")
    mapped = graph.map(work, over={"name": graph.add(listed)})
    graph.add(operation(lambda rows: len(rows), name="count"), rows=mapped)
    world.rows = [f"row {number}" for number in range(5_000)]
    run(engine, graph)
    for artifact in (tmp_path / "runs.db.artifacts").rglob("*"):
        if artifact.is_file():
            artifact.write_bytes(b"nothing")
    world.rows.insert(0, "new")
    run(engine, graph, "did row 9", retain="all")
    assert "listed" in world.ran
    result = run(engine, graph)
    assert result.restored == ["listed"]
    assert result.get_output("count") == 5_001
    assert run(engine, graph, retain="all").get_output(mapped) == [f"did {row}" for row in world.rows]


@pytest.mark.parametrize("over", [["a", "b", "c"], ("a", "b", "c")], ids=["list", "tuple"])
def test_items_of_a_constant_do_not_run_again(engine: ExecutionEngine, over: Any) -> None:
    graph = GraphDefinition("map")
    graph.map(work, over={"name": over})
    run(engine, graph, "did c")
    run(engine, graph)
    assert world.ran == ["did c"]


def test_iterations_after_a_start_that_could_not_be_kept_run_again(engine: ExecutionEngine) -> None:
    @operation
    def start() -> object:
        return Unstorable(world.start)

    @operation(outputs="x")
    def step(x: object) -> object:
        number = x.number if isinstance(x, Unstorable) else x
        assert isinstance(number, int)
        world(f"step {number}")
        return number * 10

    graph = GraphDefinition("loop")
    last = graph.repeat_until(step, until=lambda x: x >= 1000, max_iterations=10, x=graph.add(start))
    run(engine, graph, "step 100")
    world.start = 7
    assert run(engine, graph).get_output(last) == 7000


def test_iterations_after_one_that_could_not_be_kept_run_again(engine: ExecutionEngine) -> None:
    @operation(outputs="x")
    def step(x: object) -> object:
        number = x.number if isinstance(x, Unstorable) else x
        assert isinstance(number, int)
        world(f"step {number}")
        return Unstorable(world.start) if number == 10 else number * 10

    graph = GraphDefinition("loop")
    last = graph.repeat_until(step, until=lambda x: not isinstance(x, Unstorable) and x >= 1000, max_iterations=10, x=1)
    world.start = 50
    run(engine, graph, "step 500")
    world.start = 70
    assert run(engine, graph).get_output(last) == 7000
    assert world.ran == ["step 10", "step 70", "step 700"]


def test_parameters_of_a_returned_graph_count(engine: ExecutionEngine) -> None:
    inner = two_steps()

    @operation(dynamic=True)
    def latest() -> Any:
        return inner.with_parameters(name=world.start)

    graph = GraphDefinition("dynamic")
    last = graph.add(latest)
    world.start = "monday"
    run(engine, graph, "did rows of monday")
    run(engine, graph, "did rows of monday")
    assert world.ran == ["did rows of monday"]
    world.start = "tuesday"
    assert run(engine, graph).get_output(last) == "did rows of tuesday"


def sessions() -> GraphDefinition:
    @operation
    def use(number: int) -> int:
        world(f"use {number}")
        return number

    @operation
    def finish(number: int) -> int:
        world(f"finish {number}")
        return number

    @operation(dynamic=True, retry_policy=RetryPolicy(max_attempts=2))
    def session() -> Any:
        inner = GraphDefinition("inner")
        inner.output("result", inner.add(finish, number=inner.add(use, number=inner.add(token))))
        return inner

    graph = GraphDefinition("sessions")
    graph.add(session)
    return graph


def test_another_attempt_of_a_dynamic_operation_begins_anew(engine: ExecutionEngine) -> None:
    run(engine, sessions(), "use 1", "use 3")
    assert world.ran == ["token", "use 1", "token", "use 3"]
    run(engine, sessions(), "use 3")
    # The first attempt goes on where the last one had failed.
    assert world.ran == ["use 3", "token", "use 2", "finish 2"]


def test_what_an_attempt_has_done_is_not_combined_with_what_the_one_before_had_done(engine: ExecutionEngine) -> None:
    run(engine, sessions(), "finish 1", "use 4")
    assert world.ran == ["token", "use 1", "finish 1", "token", "use 4"]
    run(engine, sessions())
    assert world.ran == ["use 4", "finish 4"]


class Journey(Operation):
    dynamic = True
    result = OutputPort(str)

    def execute(self, context: ExecutionContext) -> Any:
        inner = GraphDefinition("inner")
        inner.output("result", inner.add(work, name="booked"))
        return inner

    def revert(self, context: ExecutionContext) -> None:
        world("undone")


class All(Operation):
    each = InputPort(list[str])
    result = OutputPort(str)

    def execute(self, context: ExecutionContext) -> None:
        self.result = ", ".join(self.each)

    def revert(self, context: ExecutionContext) -> None:
        world(f"undone {self.get_output('result')}")


def test_what_ran_in_the_place_of_an_operation_that_was_reverted_runs_again(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("journey")
    graph.add(operation(fetch, name="pay"), name=graph.add(Journey()))
    for _ in range(2):
        run(engine, graph, "rows of did booked", on_failure="revert")
        assert world.ran == ["did booked", "rows of did booked", "undone"]
    assert run(engine, graph).is_successful()
    assert world.ran == ["did booked", "rows of did booked"]


def test_what_was_restored_inside_of_an_operation_and_reverted_runs_again(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("journey")
    graph.add(operation(fetch, name="pay"), name=graph.add(Journey()))
    run(engine, graph, "rows of did booked")
    run(engine, graph, "rows of did booked", on_failure="revert")
    run(engine, graph)
    assert world.ran == ["did booked", "rows of did booked"]


def test_items_that_the_operation_behind_the_map_has_undone_run_again(engine: ExecutionEngine) -> None:
    graph = GraphDefinition("bookings")
    booked = graph.add(All(), each=graph.map(work, over={"name": ["a", "b"]}))
    graph.add(operation(fetch, name="pay"), name=booked)
    run(engine, graph, "rows of did a, did b", on_failure="revert")
    assert world.ran[-1] == "undone did a, did b"
    result = run(engine, graph)
    assert world.ran == ["did a", "did b", "rows of did a, did b"]
    assert result.explain_resume().reasons["work"] == "it was reverted"
