"""Results of operations with cache=True are kept across runs, for the same code, configuration and inputs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cached_operations import Shift, cube, elsewhere, ends, note, noted, run_one, square
from patience import close_in_time

from execution_dataflow import (
    CachePolicy,
    Check,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    GraphError,
    OperationState,
    OutputPort,
    ResultCache,
    RetryPolicy,
    ValueTypeError,
    operation,
)
from execution_dataflow.checks import in_range


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.txt"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultCache]:
    with ResultCache(tmp_path_factory.mktemp("cache") / "results.db") as made:
        yield made


@pytest.fixture(scope="module")
def engine(cache: ResultCache) -> Iterator[ExecutionEngine]:
    made = ExecutionEngine(max_workers=2, cache=cache)
    yield made
    close_in_time(made.close)


def test_second_run_computes_nothing(engine: ExecutionEngine, trace: Path) -> None:
    graph = GraphDefinition("all kinds")
    nine = graph.add(square, x=3, trace=str(trace))
    limits = graph.add(ends, values=[4, 1], trace=str(trace))
    cubed = graph.add(cube, x=nine, trace=str(trace))
    shifted = graph.add(Shift(5), x=cubed, trace=str(trace))
    squares = graph.map(square, over={"x": [1, 2, 3]}, trace=str(trace))
    first = engine.run(graph)
    assert sorted(noted(trace)) == ["1", "2", "3", "9", "by 5", "ends"]
    second = engine.run(graph)
    assert noted(trace) == []
    assert second.cached == {"square": 1, "ends": 1, "cube": 1, "Shift": 1, "square_2": 3}
    assert second.warnings == []
    for result in (first, second):
        assert result.get_output(shifted, "y") == 734
        assert result.get_output(limits, "high") == 4
        assert result.get_output(squares) == [1, 4, 9]
    assert {second.get_state(one) for one in (nine, limits, cubed, shifted)} == {OperationState.SUCCEEDED}


def test_results_outlive_engine_and_cache(tmp_path: Path, trace: Path) -> None:
    for expected in (["7"], []):
        with ExecutionEngine(cache=f"sqlite:///{tmp_path}/results.db") as engine:
            assert run_one(engine, square, x=7, trace=str(trace)).get_output("step") == 49
        assert noted(trace) == expected


def test_optional_output_that_was_left_unset_stays_so(engine: ExecutionEngine, trace: Path) -> None:
    def seen(flag: bool) -> bool:
        return flag

    for by, state in ((1, OperationState.SKIPPED), (1000, OperationState.SUCCEEDED)):
        graph = GraphDefinition("branches")
        shifted = graph.add(Shift(by), x=1, trace=str(trace))
        reader = graph.add(seen, flag=shifted["much"])
        for _ in range(2):
            assert engine.run(graph).get_state(reader) is state
    assert noted(trace) == ["by 1", "by 1000"]


def test_other_code_is_computed_anew(engine: ExecutionEngine, trace: Path) -> None:
    def first() -> Any:
        def step(x: int, trace: str) -> int:
            note(trace, "first")
            return x

        return step

    def second() -> Any:
        def step(x: int, trace: str) -> int:
            note(trace, "second")
            return -x

        return step

    values = [
        run_one(engine, _cached(make()), x=1, trace=str(trace)).get_output("step") for make in (first, second, first)
    ]
    assert values == [1, -1, 1]
    assert noted(trace) == ["first", "second"]


def _cached(function: Any) -> Any:
    return operation(cache=True)(function)


def test_other_configuration_is_computed_anew(engine: ExecutionEngine, trace: Path) -> None:
    assert run_one(engine, Shift(2, name="step"), x=1, trace=str(trace)).get_output("step", "y") == 3
    assert run_one(engine, Shift(3, name="step"), x=1, trace=str(trace)).get_output("step", "y") == 4
    assert run_one(engine, Shift(2, name="other"), x=1, trace=str(trace)).cached == {"other": 1}


def test_contents_of_inputs_count_and_not_where_they_come_from(engine: ExecutionEngine, trace: Path) -> None:
    data = trace.with_name("data.txt")

    def load(path: str) -> list[int]:
        return [int(line) for line in Path(path).read_text().split()]

    graph = GraphDefinition("data")
    low = graph.add(ends, values=graph.add(load, path=str(data)), trace=str(trace))["low"]
    for text, expected in (("3 1 2", ["ends"]), ("3 5", ["ends"]), ("3 1 2", [])):
        data.write_text(text)
        assert engine.run(graph).get_output(*low) == min(map(int, text.split()))
        assert noted(trace) == expected


def test_worker_processes_are_not_asked_for_what_is_there(engine: ExecutionEngine, trace: Path) -> None:
    graph = GraphDefinition("elsewhere")
    one, same = graph.add(elsewhere, x=1, trace=str(trace)), graph.add(elsewhere, x=1, trace=str(trace))
    many = graph.map(elsewhere, over={"x": [1, 2, 2]}, trace=str(trace))
    first = engine.run(graph)
    assert sorted(noted(trace)) == ["1", "2"]
    assert first.get_output(one) == first.get_output(same)
    second = engine.run(graph)
    assert noted(trace) == []
    assert second.cached == {"elsewhere": 1, "elsewhere_2": 1, "elsewhere_3": 3}
    assert second.get_output(many) == first.get_output(many)


def test_failed_attempt_keeps_nothing(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True, retry_policy=RetryPolicy(max_attempts=2))
    def flaky(trace: str) -> int:
        note(trace, "attempt")
        if len(Path(trace).read_text().splitlines()) < 2:
            raise OSError("not yet")
        return 5

    @operation(cache=True)
    def wrong(trace: str) -> int:
        note(trace, "wrong")
        return "text"  # type: ignore[return-value]

    assert run_one(engine, flaky, trace=str(trace)).get_output("step") == 5
    assert run_one(engine, flaky, trace=str(trace)).cached == {"step": 1}
    assert noted(trace) == ["attempt", "attempt"]
    for _ in range(2):
        with pytest.raises(Exception, match="wrong") as caught:
            run_one(engine, wrong, trace=str(trace))
        assert isinstance(caught.value.__cause__, ValueTypeError)
    assert noted(trace) == ["wrong", "wrong"]


def test_key_of_a_policy_stands_for_the_inputs(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=CachePolicy(key=lambda inputs: inputs["path"]))
    def load(path: str, connection: object, trace: str) -> str:
        note(trace, path)
        return path.upper()

    for path, expected in (("a", ["a"]), ("a", []), ("b", ["b"])):
        result = run_one(engine, load, path=path, connection=object(), trace=str(trace))
        assert result.get_output("step") == path.upper()
        assert (noted(trace), result.warnings) == (expected, [])


def test_what_cannot_be_told_apart_is_computed_and_reported_once(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True)
    def count(lines: object, x: int, trace: str) -> int:
        note(trace, x)
        return x

    with trace.open("a") as file:
        graph = GraphDefinition("open file")
        graph.map(count, over={"x": [1, 2, 3]}, lines=file, trace=str(trace))
        result = engine.run(graph)
    assert result.is_successful()
    assert sorted(noted(trace)) == ["1", "2", "3"]
    assert len(result.warnings) == 1
    assert "its input 'lines' has no digest" in result.warnings[0]
    assert "count" in result.warnings[0]


def test_what_cannot_be_stored_is_reported(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True)
    def lines(trace: str) -> object:
        note(trace, "lines")
        return (line for line in "abc")

    for _ in range(2):
        result = run_one(engine, lines, trace=str(trace))
        assert "".join(result.get_output("step")) == "abc"
        assert len(result.warnings) == 1
        assert "was not kept" in result.warnings[0]
    assert noted(trace) == ["lines", "lines"]


def test_parameters_that_an_operation_reads_are_part_of_the_key(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True)
    def scaled(x: int, trace: str, context: ExecutionContext) -> int:
        note(trace, x)
        return x * context.parameters["scale"]

    graph = GraphDefinition("parameters")
    made = graph.add(scaled, x=2, trace=str(trace))
    for scale, expected in ((3, ["2"]), (5, ["2"]), (3, [])):
        result = engine.run(graph, ExecutionContext(parameters={"scale": scale}))
        assert result.get_output(made) == 2 * scale
        assert noted(trace) == expected


def test_random_numbers_follow_the_seed_with_and_without_a_cache(engine: ExecutionEngine) -> None:
    @operation(cache=True)
    def draw(context: ExecutionContext) -> float:
        return float(context.random().random())

    graph = GraphDefinition("random")
    drawn = [graph.add(draw.new(name=name)) for name in ("one", "two")]
    with ExecutionEngine(cache=False) as plain:
        expected = [plain.run(graph, ExecutionContext(seed=7)).get_output(one) for one in drawn]
    for seed in (7, 8, 7):
        result = engine.run(graph, ExecutionContext(seed=seed))
        values = [result.get_output(one) for one in drawn]
        assert (values == expected) is (seed == 7)
    assert result.cached == {"one": 1, "two": 1}


def test_arrays_come_back_equal_and_fresh_where_that_was_promised(engine: ExecutionEngine, trace: Path) -> None:
    @operation(cache=True)
    def table(rows: int) -> np.ndarray:
        return np.arange(rows * 3.0).reshape(rows, 3)

    class Fresh(Shift):
        y = OutputPort(np.ndarray, fresh=True)

        def execute(self, context: Any) -> None:
            note(self.trace, "fresh")
            self.y = np.full(20_000, float(self.x))

    for _ in range(2):
        result = run_one(engine, table, rows=20_000)
    assert result.cached == {"step": 1}
    np.testing.assert_array_equal(result.get_output("step"), np.arange(60_000.0).reshape(20_000, 3))
    for _ in range(2):
        graph = GraphDefinition("fresh")
        made = graph.add(Fresh(1), x=2, trace=str(trace))
        graph.add(lambda values: float(values.sum()), values=made["y"])
        result = engine.run(graph)
        result.raise_if_failed()
    assert result.cached == {"Fresh": 1}


def test_result_that_no_longer_passes_its_checks_is_computed_anew(engine: ExecutionEngine, trace: Path) -> None:
    limit = trace.with_name("limit.txt")
    limit.write_text("10")

    def small(value: int) -> bool:
        return value < int(limit.read_text())

    @operation(cache=True, checks={"result": [Check("small", small), in_range(low=0)]})
    def read(trace: str) -> int:
        note(trace, "read")
        return int(limit.read_text()) - 1

    assert run_one(engine, read, trace=str(trace)).get_output("step") == 9
    kept = run_one(engine, read, trace=str(trace))
    assert (kept.cached, [one.evaluated for one in kept.checks]) == ({"step": 1}, [1, 1])
    limit.write_text("5")
    anew = run_one(engine, read, trace=str(trace))
    assert (anew.get_output("step"), anew.cached, anew.checks.failed) == (4, {}, 0)
    assert noted(trace) == ["read", "read"]


def test_engine_can_do_without_a_cache(cache: ResultCache, trace: Path) -> None:
    for _ in range(2):
        with ExecutionEngine(cache=False) as engine:
            assert run_one(engine, square, x=111, trace=str(trace)).cached == {}
    assert noted(trace) == ["111", "111"]
    assert all(entry.size > 0 for entry in cache.entries("square"))


def test_operation_may_be_taken_out_of_the_cache(engine: ExecutionEngine, trace: Path) -> None:
    for _ in range(2):
        run_one(engine, Shift(9, cache=False, name="step"), x=1, trace=str(trace))
    assert noted(trace) == ["by 9", "by 9"]


def test_cache_of_what_is_no_single_operation_is_refused() -> None:
    @operation(cache=True, dynamic=True)
    def grown() -> GraphDefinition:
        return GraphDefinition("inner")

    graph = GraphDefinition("map")
    graph.map(square, over={"x": [1]}, trace="").cache = True
    with pytest.raises(GraphError, match="no meaning for a map"):
        graph.compile()
    with pytest.raises(GraphError, match="returns a graph"):
        GraphDefinition("dynamic").add(grown)


@pytest.mark.parametrize("wrong", ["results.db", 17, object()])
def test_engine_says_what_a_cache_may_be(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="sqlite:///"):
        ExecutionEngine(cache=wrong)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"expires_seconds": 0}, ValueError),
        ({"expires_seconds": "1 h"}, TypeError),
        ({"max_bytes": "much"}, ValueError),
        ({"max_bytes": 0}, ValueError),
        ({"max_entries": 1.5}, TypeError),
        ({"key": "path"}, TypeError),
    ],
)
def test_policy_says_what_is_wrong_with_it(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match="CachePolicy"):
        CachePolicy(**options)
    with pytest.raises(TypeError, match="CachePolicy"):
        square.new(cache="yes")  # type: ignore[arg-type]
