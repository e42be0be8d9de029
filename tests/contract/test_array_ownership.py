"""D2: consumers get read-only views of arrays, and the one that may write gets the same memory or a copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)


def run(graph: GraphDefinition, workers: int = 1, **options: Any) -> ExecutionResult:
    with ExecutionEngine(max_workers=workers, **options) as engine:
        result = engine.run(graph)
    result.raise_if_failed()
    return result


class Make(Operation):
    """Makes an array and remembers where its memory lies."""

    array = OutputPort(np.ndarray)

    def __init__(self, keep: bool = False) -> None:
        super().__init__()
        self.keep = keep

    def execute(self, context: ExecutionContext) -> None:
        made = np.arange(6.0)
        self.address = made.ctypes.data
        self.kept = made if self.keep else None
        self.array = made


class Write(Operation):
    """Writes into its input and passes it on."""

    array = InputPort(np.ndarray, mutable=True)
    out = OutputPort(np.ndarray)

    def execute(self, context: ExecutionContext) -> None:
        array = self.array
        assert array.flags.writeable
        self.address = array.ctypes.data
        array += 1
        self.out = array


@operation
def facts(array: np.ndarray) -> tuple[bool, int, float]:
    return array.flags.writeable, array.ctypes.data, float(array.sum())


@operation
def try_to_write(array: np.ndarray) -> str:
    try:
        array[...] = 0
    except ValueError as error:
        return str(error)
    return "written"


@operation
def try_to_unlock(array: np.ndarray) -> str:
    try:
        array.setflags(write=True)
    except ValueError as error:
        return str(error)
    return "unlocked"


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


def test_a_mutable_input_gets_the_same_memory_when_nobody_else_has_it() -> None:
    make, first, second = Make(), Write(), Write()
    graph = GraphDefinition()
    graph.add(make)
    graph.add(first, array=make)
    graph.add(second, array=first)
    result = run(graph)
    assert make.address == first.address == second.address
    assert result.get_output(second).tolist() == [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    assert result.get_output(second).flags.writeable


def test_a_mutable_input_after_a_read_only_consumer_that_is_done_moves() -> None:
    make, write = Make(), Write()
    graph = GraphDefinition()
    graph.add(make)
    reader = graph.add(facts, array=make)
    graph.add(write, array=make)
    graph.add_dependency(reader, write)
    assert run(graph).get_output(reader)[2] == 15.0
    assert write.address == make.address


def test_a_mutable_input_that_others_read_too_gets_a_copy() -> None:
    make, write = Make(), Write()
    graph = GraphDefinition()
    graph.add(make)
    graph.add(write, array=make)
    reader = graph.add(facts, array=make)
    graph.add_dependency(write, reader)
    result = run(graph)
    assert write.address != make.address
    assert result.get_output(reader) == (False, make.address, 15.0)


def test_two_writers_write_into_two_arrays() -> None:
    make, writers = Make(), [Write(), Write()]
    graph = GraphDefinition()
    graph.add(make)
    for write in writers:
        graph.add(write, array=make)
    result = run(graph, 2)
    assert [result.get_output(write).tolist() for write in writers] == [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]] * 2


@pytest.mark.parametrize("why", ["the producer keeps it", "it is retained", "a view of it is kept elsewhere"])
def test_an_array_that_somebody_still_has_is_copied(why: str) -> None:
    views: list[np.ndarray] = []

    class Peek(Operation):
        array = InputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            if why == "a view of it is kept elsewhere":
                views.append(self.array[1:])

    make, write = Make(keep=why == "the producer keeps it"), Write()
    graph = GraphDefinition()
    graph.add(make)
    peek = graph.add(Peek(), array=make)
    graph.add(write, array=make)
    graph.add_dependency(peek, write)
    result = run(graph, retain="all" if why == "it is retained" else "terminal")
    assert write.address != make.address
    if make.kept is not None:
        assert make.kept.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    if why == "it is retained":
        assert result.get_output(make).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    for view in views:
        assert view.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_same_array_on_two_outputs_is_never_written_under_a_reader() -> None:
    class Twice(Operation):
        left = OutputPort(np.ndarray)
        right = OutputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            array = np.zeros(3)
            self.left = array
            self.right = array

    twice, write = Twice(), Write()
    graph = GraphDefinition()
    graph.add(twice)
    graph.add(write, array=twice["left"])
    reader = graph.add(facts, array=twice["right"])
    graph.add_dependency(write, reader)
    assert run(graph).get_output(reader)[2] == 0.0


def test_an_input_passed_on_unchanged_is_never_written_under_a_reader() -> None:
    @operation
    def pass_on(array: np.ndarray) -> np.ndarray:
        return array

    make, write = Make(), Write()
    graph = GraphDefinition()
    graph.add(make)
    graph.add(write, array=graph.add(pass_on, array=make))
    reader = graph.add(facts, array=make)
    graph.add_dependency(write, reader)
    assert run(graph).get_output(reader) == (False, make.address, 15.0)


def test_an_array_connected_to_two_inputs_of_the_writer_is_copied() -> None:
    class Both(Operation):
        written = InputPort(np.ndarray, mutable=True)
        read = InputPort(np.ndarray)
        out = OutputPort(list)

        def execute(self, context: ExecutionContext) -> None:
            self.written[:] = -1.0
            self.out = self.read.tolist()

    make = Make()
    graph = GraphDefinition()
    graph.add(make)
    both = graph.add(Both(), written=make, read=make)
    assert run(graph).get_output(both) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_every_attempt_of_a_writer_begins_with_the_array_as_it_was() -> None:
    class Flaky(Operation):
        retry_policy = RetryPolicy(max_attempts=3)
        array = InputPort(np.ndarray, mutable=True)
        out = OutputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            array = self.array
            assert array.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
            array += 1
            if context.attempt < 3:
                raise OSError("busy")
            self.out = array

    graph = GraphDefinition()
    flaky = graph.add(Flaky(), array=graph.add(Make()))
    assert run(graph).get_output(flaky).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_reading_a_mutable_input_twice_gives_the_same_array() -> None:
    class Twice(Operation):
        array = InputPort(np.ndarray, mutable=True)
        same = OutputPort(bool)

        def execute(self, context: ExecutionContext) -> None:
            self.same = self.array is self.array

    graph = GraphDefinition()
    twice = graph.add(Twice(), array=graph.add(Make()))
    assert run(graph).get_output(twice) is True


def test_a_mutable_constant_is_copied_for_every_run() -> None:
    constant = np.zeros(6)
    write = Write()
    graph = GraphDefinition()
    graph.add(write, array=constant)
    for _ in range(2):
        assert run(graph).get_output(write).tolist() == [1.0] * 6
    assert constant.tolist() == [0.0] * 6
    assert constant.flags.writeable


def test_a_view_a_slice_and_a_transposed_array_are_copied_for_a_writer_not_misread() -> None:
    base = np.arange(6.0).reshape(2, 3)
    for cut in (lambda: base.copy()[:, 1:], lambda: base.copy().T, lambda: base.copy()[::-1], lambda: base.copy().ravel()):
        write = Write()
        graph = GraphDefinition()
        graph.add(write, array=graph.add(operation(cut)))
        assert run(graph).get_output(write).tolist() == (cut() + 1).tolist()


def test_memory_that_numpy_does_not_own_is_copied_for_a_writer() -> None:
    buffer = bytearray(8 * 6)
    write = Write()
    graph = GraphDefinition()
    graph.add(write, array=graph.add(operation(lambda: np.frombuffer(buffer))))
    assert run(graph).get_output(write).tolist() == [1.0] * 6
    assert bytes(buffer) == bytes(48)


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
    made = [np.arange(3).view(Labelled), np.ma.masked_array([1, 2], [0, 1]), np.float64(1.5), [np.zeros(2)], np.zeros(())]

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


def test_many_mutable_inputs_may_be_written_too() -> None:
    class Total(Operation):
        parts = InputPort(np.ndarray, many=True, mutable=True)
        total = OutputPort(np.ndarray)

        def execute(self, context: ExecutionContext) -> None:
            first, *others = self.parts
            for other in others:
                first += other
            self.total = first

    makes = [Make(), Make()]
    graph = GraphDefinition()
    total = graph.add(Total(), parts=[graph.add(make) for make in makes])
    readers = [graph.add(facts, array=make) for make in makes]
    for reader in readers:
        graph.add_dependency(total, reader)
    result = run(graph)
    assert result.get_output(total).tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert [result.get_output(reader)[2] for reader in readers] == [15.0, 15.0]
