"""D2: a mutable input gets the same memory when nobody else has it, and a copy otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from array_operations import Make, Write, facts, run

from execution_dataflow import (
    ExecutionContext,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
    operation,
)


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
    for cut in (
        lambda: base.copy()[:, 1:],
        lambda: base.copy().T,
        lambda: base.copy()[::-1],
        lambda: base.copy().ravel(),
    ):
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
