"""Small operations, a graph in which two of them fail, and a way to run it: what the tests of results share."""

from __future__ import annotations

from execution_dataflow import ExecutionContext, ExecutionEngine, ExecutionResult, GraphDefinition, Operation, operation


@operation
def give(value: int) -> int:
    return value


@operation
def add_one(value: int) -> int:
    return value + 1


@operation
def fail(value: int) -> int:
    raise ValueError(f"bad value {value}")


def run(graph: GraphDefinition, **options: object) -> ExecutionResult:
    return ExecutionEngine(max_workers=1).run(graph, ExecutionContext("the-run"), **options)


def broken_graph() -> tuple[GraphDefinition, dict[str, Operation]]:
    """Two failures, and two operations that depend on the first of them."""
    graph = GraphDefinition("broken")
    source = graph.add(give.new(name="source"), value=1)
    fine = graph.add(add_one.new(name="fine"), value=source)
    first = graph.add(fail.new(name="first"), value=source)
    after = graph.add(add_one.new(name="after"), value=first)
    last = graph.add(add_one.new(name="last"), value=after)
    second = graph.add(fail.new(name="second"), value=fine)
    nodes = {"source": source, "fine": fine, "first": first, "after": after, "last": last, "second": second}
    return graph, nodes
