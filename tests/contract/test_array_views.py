"""D2: consumers get read-only views of arrays, whatever the array is; what feeds nothing stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from array_operations import Make, facts, run, try_to_unlock, try_to_write

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    operation,
)


def test_consumers_get_a_read_only_view_of_the_same_memory() -> None:
    make = Make()
    graph = GraphDefinition()
    graph.add(make)
    nodes = [graph.add(facts, array=make) for _ in range(2)]
    tries = [graph.add(each, array=make) for each in (try_to_write, try_to_unlock)]
    result = run(graph, 2)
    assert [result.get_output(node) for node in nodes] == [(False, make.address, 15.0)] * 2
    assert "read-only" in result.get_output(tries[0])
    assert "cannot set WRITEABLE" in result.get_output(tries[1])


@pytest.mark.parametrize("many", [False, True])
def test_class_operations_and_many_ports_get_read_only_views(many: bool) -> None:
    class Look(Operation):
        array = InputPort(np.ndarray, many=many)
        flags = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            arrays = self.array if many else [self.array]
            self.flags = [array.flags.writeable for array in arrays]

    graph = GraphDefinition()
    look = graph.add(Look(), array=[graph.add(Make()), graph.add(Make())] if many else graph.add(Make()))
    assert run(graph).get_output(look) == [False] * (2 if many else 1)


def test_the_producers_own_array_is_locked() -> None:
    make = Make(keep=True)
    graph = GraphDefinition()
    graph.add(facts, array=graph.add(make))
    run(graph)
    assert make.kept is not None
    assert not make.kept.flags.writeable


def test_the_owner_behind_a_view_is_locked_and_the_view_keeps_its_layout() -> None:
    owner = np.arange(12.0).reshape(3, 4).copy()

    @operation
    def cut() -> np.ndarray:
        return owner[1:, ::2]

    @operation
    def look(array: np.ndarray) -> tuple[list[list[float]], bool]:
        return array.tolist(), array.flags.writeable

    graph = GraphDefinition()
    node = graph.add(look, array=graph.add(cut))
    assert run(graph).get_output(node) == ([[4.0, 6.0], [8.0, 10.0]], False)
    assert not owner.flags.writeable


def test_an_output_that_feeds_nothing_stays_the_identical_writeable_object() -> None:
    make = Make(keep=True)
    graph = GraphDefinition()
    graph.add(make)
    value = run(graph).get_output(make)
    assert value is make.kept
    assert value.flags.writeable


@pytest.mark.parametrize("dtype", [object, "datetime64[s]", "S3", [("a", int), ("b", float)], bool, complex])
def test_arrays_of_any_dtype_are_locked_and_moved(dtype: Any) -> None:
    addresses: list[int] = []

    @operation
    def make() -> np.ndarray:
        made = np.zeros(4, dtype=dtype)
        addresses.append(made.ctypes.data)
        return made

    class Take(Operation):
        array = InputPort(np.ndarray, mutable=True)

        def execute(self, context: ExecutionContext) -> None:
            addresses.append(self.array.ctypes.data)
            self.array[0] = self.array[1]

    graph = GraphDefinition()
    source = graph.add(make)
    locked = graph.add(try_to_write, array=source)
    taken = graph.add(Take(), array=source)
    graph.add_dependency(locked, taken)
    assert "read-only" in run(graph).get_output(locked)
    assert addresses[0] == addresses[1]


class Labelled(np.ndarray):
    """A subclass passes as it is: the engine does not know what its views would mean."""


def test_subclasses_and_other_values_pass_as_they_are() -> None:
    made = [
        np.arange(3).view(Labelled),
        np.ma.masked_array([1, 2], [0, 1]),
        np.float64(1.5),
        [np.zeros(2)],
        np.zeros(()),
    ]

    @operation
    def look(value: object) -> object:
        return value

    graph = GraphDefinition()
    nodes = [graph.add(look, value=graph.add(operation(lambda item=item: item))) for item in made]
    result = run(graph)
    for node, item in zip(nodes[:-1], made[:-1], strict=True):
        assert result.get_output(node) is item
    assert made[3][0].flags.writeable  # type: ignore[index]
    assert not made[4].flags.writeable


def test_an_array_that_was_read_only_already_passes_as_it_is() -> None:
    array = np.arange(3.0)
    array.setflags(write=False)

    @operation
    def make() -> np.ndarray:
        return array

    @operation
    def same(array_in: np.ndarray) -> bool:
        return array_in is array

    graph = GraphDefinition()
    node = graph.add(same, array_in=graph.add(make))
    assert run(graph).get_output(node) is True
