"""What the type checkers are told of results is what comes at run time."""

from __future__ import annotations

import inferred_types
import pytest

from execution_dataflow import (
    ExecutionEngine,
    FunctionOperation,
    GraphDefinition,
    Operation,
    OutputPort,
    UnknownPortError,
    operation,
)


def test_checked_assertions_hold_at_run_time() -> None:
    inferred_types.main()


def test_an_output_may_be_named_by_the_class_attribute_that_declares_it() -> None:
    class Pair(Operation):
        low = OutputPort(int)
        high = OutputPort(int)

        def execute(self, context: object) -> None:
            self.low, self.high = 1, 2

    graph = GraphDefinition()
    pair = graph.add(Pair())
    result = ExecutionEngine().run(graph)
    assert (result.get_output(pair, Pair.low), result.get_output("Pair", Pair.high)) == (1, 2)


def test_a_port_of_another_class_is_no_output() -> None:
    class One(Operation):
        first = OutputPort(int)

        def execute(self, context: object) -> None:
            self.first = 1

    class Other(Operation):
        frist = OutputPort(int)

    graph = GraphDefinition()
    one = graph.add(One())
    with pytest.raises(UnknownPortError, match="did you mean 'first'"):
        ExecutionEngine().run(graph).get_output(one, Other.frist)


def test_a_function_operation_is_generic_for_type_checkers_alone() -> None:
    @operation
    def one() -> int:
        return 1

    made = GraphDefinition().add(one)
    assert type(made) is FunctionOperation
    assert not hasattr(made, "__orig_class__")
