"""What cannot be saved is refused, all of it at once and by name."""

from __future__ import annotations

import math
from datetime import datetime, time, timedelta, timezone
from typing import Any

import filed_operations as ops
import pytest

from execution_dataflow import DefinitionError, GraphDefinition, Operation


def refused(graph: GraphDefinition) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionError, match="cannot be saved") as caught:
        graph.dumps(format="json")
    return [(fault.path, fault.problem) for fault in caught.value.faults]


class Local(Operation):
    def execute(self, context: object) -> None:
        pass


def test_everything_that_cannot_be_saved_is_named_at_once() -> None:
    import numpy as np

    class Within(Operation):
        def execute(self, context: object) -> None:
            pass

    def of_main() -> int:
        return 1

    of_main.__module__, of_main.__qualname__ = "__main__", "of_main"
    graph = GraphDefinition("etl")
    graph.add(lambda: 1)
    graph.add(Within())
    graph.add(of_main)
    graph.add(ops.add_three, iterable=[1])
    graph.add(ops.accept, value=np.zeros(2))
    graph.add(ops.accept, value=np.float64(2))
    graph.add(ops.accept, value=[{"a": object()}])
    graph.add(ops.accept.new(name="function"), value=math.sin)
    graph.map(ops.accept, over=iter([1, 2]), name="over_an_iterator")
    graph.add(ops.load.new(name="half"), path="\ud800")
    graph.add(ops.Clean(ending=lambda: "!"), raw=b"")
    changed = graph.add(ops.Clean(3, name="changed"), raw=b"")
    changed.limit = 4
    told = refused(graph)
    assert [path for path, _ in told] == [
        "operations.lambda.operation",
        "operations.Within.operation",
        "operations.of_main.operation",
        "operations.sum.operation",
        "operations.accept.constants.value",
        "operations.accept_2.constants.value",
        "operations.accept_3.constants.value",
        "operations.function.constants.value",
        "operations.over_an_iterator.constants.value",
        "operations.half.constants.path",
        "operations.Clean.arguments.ending",
        "operations.changed.attributes.limit",
    ]
    for (_, problem), words in zip(
        told,
        [
            "a lambda has no name to be imported by; write a function in a module",
            "Within was defined within a function",
            "of_main was defined in the program that runs (__main__), which others cannot import; move it to a module",
            "partial has no name of its own",
            "an array (ndarray) cannot be written; keep it in a file of its own",
            "numpy.float64 cannot be written; convert it with .item()",
            "builtins.object cannot be written",
            "is code and no data",
            "an iterator cannot be written",
            "half of a surrogate pair",
            "a lambda has no name to be imported by; write a function in a module",
            "'limit' was changed after it was made",
        ],
        strict=True,
    ):
        assert words in problem
    assert f"(lambda added at {__file__}:" in told[0][1]


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 11, 23, tzinfo=timezone(timedelta(hours=1), "CET")),
        time(12, tzinfo=timezone(timedelta(hours=1), "CET")),
    ],
    ids=repr,
)
def test_times_in_zones_with_names_are_refused(value: Any) -> None:
    graph = GraphDefinition()
    graph.add(ops.accept, value=value)
    assert "a time in a zone with a name of its own ('CET') cannot be written" in refused(graph)[0][1]


def test_constants_without_end_are_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    graph = GraphDefinition()
    graph.add(ops.accept, value=circle)
    assert "nests more than 42 deep, or contains itself" in refused(graph)[0][1]


def test_operation_that_cannot_be_made_again_is_refused() -> None:
    made = []

    class Once(Operation):
        def __init__(self) -> None:
            super().__init__()
            made.append(1)
            if len(made) > 1:
                raise OSError("in use")

        def execute(self, context: object) -> None:
            pass

    Once.__module__, Once.__qualname__ = "filed_operations", "Once"
    vars(ops)["Once"] = Once
    try:
        graph = GraphDefinition()
        graph.add(Once())
        assert refused(graph)[0][1].startswith("Once cannot be made again with these arguments: OSError: in use")
    finally:
        del vars(ops)["Once"]


def test_operations_of_one_name_are_refused() -> None:
    graph = GraphDefinition()
    graph.add(ops.load.new(name="a"), path="x")
    graph.add(ops.load.new(name="a"), path="y")
    assert refused(graph)[0][1].startswith("another operation has the same name")
