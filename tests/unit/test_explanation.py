"""`plan.explain()`: what is known of a run before it starts, and what is not known is said."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drawn_graphs import Gather, graph_of, source

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OutputPort,
    RateLimit,
    RetryPolicy,
    operation,
)

# 0 -> 1 -> 3 -> 4, 0 -> 2 -> 4
DIAMOND: Sequence[Sequence[int]] = [[], [0], [0], [1], [3, 2]]
NAMES = ["start", "long", "short", "longer", "end"]


def measured(seconds: dict[str, float], outputs: dict[str, dict[str, Any]] | None = None) -> Any:
    """What a result says of times and sizes, for a run whose times are chosen."""
    timings = [SimpleNamespace(operation=name, seconds=value) for name, value in seconds.items()]
    return SimpleNamespace(timings=timings, outputs=lambda: outputs or {})


def test_the_shape_of_a_graph_is_its_levels_and_its_longest_path() -> None:
    facts = graph_of(DIAMOND, NAMES).explain()
    assert (facts.operations, facts.channels, facts.dependencies) == (5, 5, 0)
    assert (facts.levels, facts.depth, facts.width) == ((1, 2, 1, 1), 4, 2)
    assert facts.critical_path == ("start", "long", "longer", "end")
    assert (facts.work.source, facts.work.timed) == ("operations", 0)
    assert facts.parallelism == 5 / 4


def test_order_alone_counts_as_dependency_and_not_as_channel() -> None:
    graph = graph_of([[], [], [0]])
    graph.add_dependency(graph.operations[1], graph.operations[2])
    graph.add_dependency(graph.operations[0], graph.operations[2])
    facts = graph.explain()
    assert (facts.channels, facts.dependencies) == (1, 1)


def test_with_a_result_the_critical_path_is_the_one_that_takes_longest() -> None:
    graph = graph_of(DIAMOND, NAMES)
    facts = graph.explain(measured({"start": 1.0, "long": 0.5, "short": 4.0, "longer": 0.5, "end": 1.0}))
    assert facts.critical_path == ("start", "short", "end")
    assert (facts.work.source, facts.work.timed) == ("result", 5)
    assert (facts.work.work, facts.work.span) == (7.0, 6.0)
    assert facts.parallelism == 7 / 6


def test_operations_of_unknown_duration_count_as_the_mean() -> None:
    facts = graph_of(DIAMOND, NAMES).explain(measured({"start": 2.0, "end": 4.0}))
    assert facts.work.timed == 2
    assert facts.work.work == 15.0
    assert "for 2 of 5 operations" in str(facts)


def test_workers_give_a_least_and_a_most_time() -> None:
    work = graph_of(DIAMOND, NAMES).explain(measured(dict.fromkeys(NAMES, 1.0)), max_workers=2).work
    assert (work.least, work.most) == (4.0, 4.5)
    assert graph_of(DIAMOND).explain().work.least is None


def test_durations_that_were_seen_are_known_without_a_result() -> None:
    @operation
    def sleepy(number: int) -> int:
        time.sleep(0.02)
        return number

    graph = GraphDefinition()
    graph.add(sleepy, number=graph.add(sleepy, number=1))
    assert graph.explain().work.source == "operations"
    ExecutionEngine(max_workers=1).run(graph)
    work = graph.explain().work
    assert (work.source, work.timed) == ("seen", 2)
    assert 0.03 < work.span < 2


def test_memory_is_what_values_hold_along_the_planned_order() -> None:
    graph = GraphDefinition()

    @operation(output_bytes=100)
    def large(number: int = 0) -> bytes:
        return b""

    @operation(output_bytes=10)
    def small(raw: bytes) -> bytes:
        return b""

    first = graph.add(small, raw=graph.add(large))
    second = graph.add(small, raw=graph.add(large.new(name="second large"), number=1))
    graph.add(operation(output_bytes=1)(lambda left, right: 0), left=first, right=second)
    memory = graph.explain().memory
    # One large value at a time: the second is made when of the first only what came of it is left.
    assert (memory.peak_bytes, memory.kept_bytes) == (120, 1)
    assert (memory.known_outputs, memory.unknown_outputs, memory.most_values) == (5, 0, 3)
    assert memory.peak_operation in ("small", "small_2")


def test_sizes_are_measured_in_a_result_that_kept_its_values() -> None:
    graph = GraphDefinition()
    array = graph.add(operation(lambda: np.zeros(1000)).new(name="zeros"))
    graph.add(operation(lambda array: float(array.sum())).new(name="total"), array=array)
    engine = ExecutionEngine()
    memory = graph.explain(engine.run(graph, retain="all")).memory
    assert memory.unknown_outputs == 0
    assert memory.peak_operation == "total"
    assert 8000 < (memory.peak_bytes or 0) < 8200
    only_last = graph.explain(engine.run(graph)).memory
    assert (only_last.known_outputs, only_last.unknown_outputs) == (1, 1)


def test_unknown_sizes_are_said_to_be_unknown() -> None:
    facts = graph_of(DIAMOND).explain()
    assert facts.memory.peak_bytes is None
    assert facts.memory.unknown_outputs == 5
    assert "no sizes are known" in str(facts)


def test_types_are_those_of_both_ends_with_a_count() -> None:
    flows = graph_of(DIAMOND).explain().types
    assert [(flow.source, flow.source_type, flow.target, flow.target_type, flow.count) for flow in flows] == [
        ("Gather.total", "int", "Gather.values", "int", 5)
    ]


async def fetch(page: int) -> str:
    return str(page)


def places(graph: GraphDefinition, **options: Any) -> dict[str, tuple[str, str]]:
    return {place.kind: (place.place, place.reason) for place in graph.explain(**options).places}


def test_every_place_has_its_reason() -> None:
    graph = GraphDefinition()
    graph.add(fetch, page=1)
    graph.add(source)
    graph.add(operation(executor="process")(len), obj=())
    graph.add(Gather(executor="inline"))
    graph.map(operation(executor="thread")(abs), over=[1])
    default = places(graph)
    assert default == {
        "fetch": ("async", "since it is a coroutine function"),
        "source": ("thread", "the default"),
        "len": ("process", "since it says executor='process'"),
        "Gather": ("inline", "since it says executor='inline'"),
        "abs": ("thread", "each item: since it says executor='thread'"),
    }
    assert places(graph, executor="process")["source"] == ("process", "since the engine says executor='process'")
    inline = places(graph, engine=ExecutionEngine(executor="inline"))
    assert inline["source"] == inline["Gather"] == ("inline", "since the engine says executor='inline'")
    assert inline["len"][0] == "process"


def test_limits_and_safeguards_are_listed_by_kind() -> None:
    @operation(
        resources={"gpu": 2},
        max_concurrency=3,
        rate_limit=RateLimit(5),
        tags=["crm"],
        timeout_seconds=90,
        retry_policy=RetryPolicy(max_attempts=4),
        on_failure=0,
        always_run=True,
        priority=7,
    )
    def careful(number: int) -> int:
        return number

    graph = GraphDefinition()
    graph.add_many(careful, number=range(3))
    (limit,) = graph.explain(engine=ExecutionEngine(resources={"gpu": 5})).limits
    assert (limit.kind, limit.count) == ("careful", 3)
    assert limit.limits == (
        "2 of gpu (5 there, 2 at a time)",
        "3 of its kind at a time",
        repr(RateLimit(5)),
        "tags crm",
        "1 min 30 s for an attempt",
        "4 attempts",
        "a fallback stands in when it fails",
        "always runs",
        "priority 7",
    )
    (limit,) = graph.explain(engine=ExecutionEngine(resources={"gpu": 1})).limits
    assert limit.limits[0] == "2 of gpu (1 there, which it can never get)"


class Choose(Operation):
    """Has a branch that it may not take."""

    number = InputPort(int)
    large = OutputPort(int, optional=True)
    small = OutputPort(int)

    def execute(self, context: object) -> None: ...


def test_branches_and_maps_are_named() -> None:
    graph = GraphDefinition()
    for number in range(7):
        graph.add(Choose(), number=number)
    graph.map(lambda item: item, over=[1, 2], name="squares", max_concurrency=2)
    facts = graph.explain()
    (branch,) = facts.branches
    assert (branch.kind, branch.output, branch.count) == ("Choose", "large", 7)
    assert branch.operations == ("Choose", "Choose_2", "Choose_3", "Choose_4", "Choose_5")
    (found,) = facts.maps
    assert (found.kind, found.over, found.max_concurrency, found.operations) == ("lambda", ("item",), 2, ("squares",))
    assert "squares" in str(facts)
    assert "Choose_5 and 2 more" in str(facts)


def test_an_explanation_is_made_of_the_types_of_json() -> None:
    facts = graph_of(DIAMOND, NAMES).explain(max_workers=2)
    told = json.loads(json.dumps(facts.to_dict()))
    assert told == facts.to_dict()
    assert told["critical_path"] == ["start", "long", "longer", "end"]
    assert told["work"]["parallelism"] == 1.25
    assert (told["depth"], told["width"]) == (4, 2)


def test_a_hundred_thousand_operations_are_a_page() -> None:
    graph = GraphDefinition("big")
    last = graph.add_many(source, 50_000)
    graph.add_many(source, value=last)
    facts = graph.explain()
    assert facts.levels == (50_000, 50_000)
    assert len(str(facts).splitlines()) < 30
    assert len(json.dumps(facts.to_dict())) < 5_000
    chain = graph_of([[number - 1] if number else [] for number in range(2000)]).explain()
    assert "(1,992 more)" in str(chain)
    assert len(chain.to_dict()["critical_path"]) == 100


def test_an_empty_graph_can_be_explained() -> None:
    facts = GraphDefinition("empty").explain()
    assert (facts.levels, facts.critical_path, facts.parallelism, facts.width) == ((), (), 0.0, 0)
    assert "0 operations" in str(facts)


def test_a_graph_with_faults_cannot_be_explained() -> None:
    graph = GraphDefinition()
    graph.add(Choose())
    with pytest.raises(GraphValidationError):
        graph.explain()


@pytest.mark.parametrize("options", [{"executor": "async"}, {"max_workers": 0}, {"max_workers": 1.5}])
def test_options_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=r"max_workers|executor"):
        GraphDefinition().explain(**options)


@pytest.mark.parametrize("wrong", [3, GraphDefinition()])
def test_what_is_no_result_cannot_explain_a_graph(wrong: Any) -> None:
    for explained in (GraphDefinition(), GraphDefinition().compile()):
        with pytest.raises(TypeError, match=r"^explain\(\) takes the ExecutionResult of an earlier run, not "):
            explained.explain(wrong)
