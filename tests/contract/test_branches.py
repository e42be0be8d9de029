"""G5: order-only dependencies, many-to-one ports, branches not taken, defaults; failure outranks skip."""

from __future__ import annotations

import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OperationState,
    OutputPort,
    operation,
)

SUCCEEDED, SKIPPED = OperationState.SUCCEEDED, OperationState.SKIPPED


class Switch(Operation):
    """Takes one of its branches, both or none."""

    left = OutputPort(str, optional=True)
    right = OutputPort(str, optional=True)

    def __init__(self, *taken: str) -> None:
        super().__init__()
        self.taken = taken

    def execute(self, context: ExecutionContext) -> None:
        for name in self.taken:
            self.set_output(name, name)


class Collect(Operation):
    parts = InputPort(str, many=True)
    text = OutputPort(str)

    def execute(self, context: ExecutionContext) -> None:
        self.text = "+".join(self.parts)


class CollectOptional(Operation):
    parts = InputPort(str, many=True, optional=True)
    text = OutputPort(str)

    def execute(self, context: ExecutionContext) -> None:
        self.text = "+".join(self.parts)


@operation
def needs(value: str) -> str:
    return value


@operation
def takes(value: str = "default", other: str = "other") -> str:
    return f"{value},{other}"


@operation
def fail() -> str:
    raise ValueError("no")


def run(graph: GraphDefinition, workers: int = 1) -> ExecutionResult:
    return ExecutionEngine(max_workers=workers, failure_policy="continue").run(graph, retain="all")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_many_port_receives_a_list_in_the_order_of_connection(workers: int) -> None:
    graph = GraphDefinition()
    sources = [graph.add(needs, value=letter) for letter in "abcdef"]
    collect = graph.add(Collect())
    for index in (3, 0, 5, 1):
        graph.connect(sources[index], "result", collect, "parts")
    listed = graph.add(Collect(), parts=[sources[2], "constant", sources[0], sources[2]])
    result = run(graph, workers)
    assert result.get_output(collect) == "d+a+f+b"
    assert result.get_output(listed) == "c+constant+a+c"


def test_skipped_sources_are_left_out_of_a_many_port() -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch("right"))
    ends = [
        graph.add(needs, value=switch["left"]),
        graph.add(needs, value="b"),
        graph.add(needs, value=switch["right"]),
    ]
    collect = graph.add(Collect(), parts=[*ends, switch["left"]])
    result = run(graph)
    assert result.get_output(collect) == "b+right"
    assert [result.get_state(end) for end in ends] == [SKIPPED, SUCCEEDED, SUCCEEDED]


def test_when_all_sources_were_skipped_so_is_the_many_port_unless_it_is_optional() -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch())
    both = [switch["left"], switch["right"]]
    collect, optional = graph.add(Collect(), parts=both), graph.add(CollectOptional(), parts=both)
    alone = graph.add(CollectOptional())
    result = run(graph)
    assert result.get_state(collect) is SKIPPED
    assert result.get_output(optional) == ""
    assert result.get_output(alone) == ""
    assert result.is_successful()


def test_what_requires_a_branch_not_taken_is_skipped_and_so_is_what_follows() -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch("left"))
    taken, left_out = graph.add(needs, value=switch["left"]), graph.add(needs, value=switch["right"])
    after = graph.add(needs, value=left_out)
    result = run(graph)
    assert [result.get_state(each) for each in (taken, left_out, after)] == [SUCCEEDED, SKIPPED, SKIPPED]
    assert result.get_timing(left_out) is None


def test_an_optional_input_takes_its_default_when_its_source_was_skipped() -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch("left"))
    skipped = graph.add(needs, value=switch["right"])
    first = graph.add(takes, value=switch["right"], other=switch["left"])
    second = graph.add(takes, value=skipped)
    result = run(graph)
    assert result.get_output(first) == "default,left"
    assert result.get_output(second) == "default,other"


@pytest.mark.parametrize("order", ["failure first", "skip first"])
def test_failure_outranks_skip(order: str) -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch())
    broken = graph.add(fail)
    parts = [broken, switch["left"]] if order == "failure first" else [switch["left"], broken]
    collect = graph.add(CollectOptional(), parts=parts)
    mixed = graph.add(takes, value=switch["left"], other=broken)
    result = run(graph)
    assert {result.get_state(each) for each in (collect, mixed)} == {OperationState.UPSTREAM_FAILED}
    assert {result.blame(each) for each in (collect, mixed)} == {"fail"}


def test_of_several_failures_the_first_in_topological_order_is_to_blame() -> None:
    graph = GraphDefinition()
    failures = [graph.add(fail.new(name=f"fail-{number}")) for number in range(6)]
    between = [graph.add(takes, value=failures[number], other=failures[number - 1]) for number in range(6)]
    last = graph.add(CollectOptional(), parts=[*reversed(between)])
    plan = graph.compile()
    first = next(each for each in plan.order if each in failures)
    for workers in (1, 3):
        assert run(graph, workers).blame(last) == plan.names[plan.index_of(first)]


def test_what_only_waits_for_a_skipped_operation_runs() -> None:
    graph = GraphDefinition()
    switch = graph.add(Switch())
    skipped = graph.add(needs, value=switch["left"])
    after = graph.add(needs, value="runs")
    graph.add_dependency(skipped, after)
    assert run(graph).get_output(after) == "runs"


def test_a_many_port_gets_a_list_of_its_own() -> None:
    class Pops(Collect):
        def execute(self, context: ExecutionContext) -> None:
            self.parts.pop()
            super().execute(context)

    graph = GraphDefinition()
    source = graph.add(needs, value="a")
    pops, collect = graph.add(Pops(), parts=[source, source]), graph.add(Collect(), parts=[source, source])
    graph.add_dependency(pops, collect)
    result = run(graph)
    assert (result.get_output(pops), result.get_output(collect)) == ("a", "a+a")
