"""D2: what ``OutputPort(fresh=True)`` promises lets views move, and breaks no protection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_operations import Write, facts, run

from execution_dataflow import (
    ContractError,
    ExecutionContext,
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    RetryPolicy,
)


class Fresh(Operation):
    array = OutputPort(np.ndarray, fresh=True)

    def __init__(self, make: Callable[[], np.ndarray]) -> None:
        super().__init__()
        self.make = make

    def execute(self, context: ExecutionContext) -> None:
        made = self.make()
        self.address = made.ctypes.data
        self.array = made


VIEWS: list[Callable[[], np.ndarray]] = [
    lambda: np.arange(6.0),
    lambda: np.arange(10.0)[2:8],
    lambda: np.arange(6.0).reshape(2, 3),
    lambda: np.arange(6.0).reshape(2, 3).T,
    lambda: np.arange(12.0)[::2],
    lambda: np.frombuffer(bytearray(48)),
    lambda: np.zeros(6, dtype=[("a", "f8"), ("b", "f8")])["a"],
]


@pytest.mark.parametrize("make", VIEWS)
def test_a_fresh_array_moves_to_the_one_that_writes_whatever_view_it_is(make: Callable[[], np.ndarray]) -> None:
    fresh, write = Fresh(make), Write()
    graph = GraphDefinition()
    graph.add(write, array=graph.add(fresh))
    result = run(graph)
    assert write.address == fresh.address
    assert np.array_equal(result.get_output(write), make() + 1)


def test_one_who_only_reads_gets_a_read_only_view_and_the_owner_is_locked() -> None:
    kept: list[np.ndarray] = []

    def make() -> np.ndarray:
        kept.append(np.arange(10.0))
        return kept[-1][2:8]

    graph = GraphDefinition()
    read = graph.add(facts, array=graph.add(Fresh(make)))
    assert run(graph).get_output(read)[0] is False
    with pytest.raises(ValueError, match="read-only"):
        kept[-1][0] = 1


def test_a_fresh_array_that_others_read_or_that_may_be_needed_again_is_copied() -> None:
    fresh, write = Fresh(VIEWS[1]), Write()
    graph = GraphDefinition()
    graph.add(fresh)
    graph.add(write, array=fresh)
    graph.add(facts, array=fresh)
    run(graph)
    assert write.address != fresh.address
    fresh, write = Fresh(VIEWS[1]), Write()
    write.retry_policy = RetryPolicy(max_attempts=2)
    graph = GraphDefinition()
    graph.add(write, array=graph.add(fresh))
    run(graph)
    assert write.address != fresh.address


def test_a_read_only_array_breaks_the_promise() -> None:
    class Passes(Operation):
        array = InputPort(np.ndarray)
        part = OutputPort(np.ndarray, fresh=True)

        def execute(self, context: ExecutionContext) -> None:
            self.part = self.array[1:]

    graph = GraphDefinition()
    passed = graph.add(Passes(), array=graph.add(lambda: np.arange(4.0)))
    graph.add(Write(), array=passed)
    result = ExecutionEngine().run(graph)
    error: Any = result.first_error
    assert isinstance(error.exception, ContractError)
    assert 'Passes promises a fresh array in "part" and set one that is read-only' in error.message


def test_a_fallback_value_for_a_fresh_output_is_new_for_every_run() -> None:
    spare = np.zeros(6)

    class Breaks(Fresh):
        def execute(self, context: ExecutionContext) -> None:
            raise OSError("no")

    graph = GraphDefinition()
    broken = Breaks(VIEWS[0])
    broken.on_failure = spare
    write = Write()
    graph.add(write, array=graph.add(broken))
    for _ in range(3):
        assert run(graph).get_output(write).tolist() == [1.0] * 6
    assert spare.tolist() == [0.0] * 6
    spare[0] = 1  # and it is not locked


def test_a_port_says_that_it_is_fresh() -> None:
    assert OutputPort(np.ndarray, fresh=True).fresh
    assert not OutputPort(np.ndarray).fresh
    assert repr(OutputPort(np.ndarray, fresh=True)) == "OutputPort(numpy.ndarray, fresh=True)"
    assert OutputPort(np.ndarray, fresh=True) != OutputPort(np.ndarray)
