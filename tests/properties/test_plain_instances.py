"""Instances that differ in plain attributes are digested in a shorter way, with the result of the longer one."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_dataflow import ExecutionContext, InputPort, Operation, OutputPort
from execution_dataflow.fingerprinting.operation_digests import OperationDigests


class Plain(Operation):
    x = InputPort(int)
    y = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.set_output("y", self.get_input("x"))


class ReadsParameters(Plain):
    def execute(self, context: ExecutionContext) -> None:
        self.set_output("y", context.parameters["by"])


class DrawsNumbers(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.add_input_port("more", InputPort(int, default=3))

    def execute(self, context: ExecutionContext) -> None:
        self.set_output("y", int(context.rng.integers(9)))


class Slotted(Plain):
    __slots__ = ("amount",)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
VALUES = st.one_of(SCALARS, SCALARS, st.lists(SCALARS, max_size=2), st.binary(max_size=3), st.just(len))
NAMES = st.sampled_from(["a", "b", "größe", "execute_later", "_hidden"])


@given(
    st.sampled_from([Plain, ReadsParameters, DrawsNumbers, Slotted]),
    st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=1, max_size=6),
)
def test_shorter_way_comes_to_the_same(kind: type[Operation], many: list[dict[str, Any]]) -> None:
    shorter, longer = OperationDigests({"by": 3}, 7), OperationDigests({"by": 3}, 7)
    for attributes in many:
        operation = kind()
        vars(operation).update(attributes)
        assert shorter.of(operation) == longer._find(operation)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0.0, -0.0), (0, False), ("1", 1), (None, "None")])
def test_values_that_are_equal_and_not_the_same_are_told_apart(one: object, other: object) -> None:
    digests = OperationDigests({}, None)
    found = []
    for value in (one, other, one):
        operation = Plain()
        operation.amount = value  # type: ignore[attr-defined]
        found.append(digests.of(operation))
    assert found[0] == found[2] != found[1]


def test_not_a_number_is_the_same_as_itself() -> None:
    digests = OperationDigests({}, None)
    found = set()
    for _ in range(2):
        operation = Plain()
        operation.amount = float("nan")  # type: ignore[attr-defined]
        assert math.isnan(operation.amount)  # type: ignore[attr-defined]
        found.add(digests.of(operation))
    assert len(found) == 1


@pytest.mark.parametrize("values", [(1, 2), ([1], [2])])
def test_attribute_may_be_called_as_a_field_of_the_operations_of_functions_is(values: tuple[object, object]) -> None:
    digests = OperationDigests({}, None)
    found = set()
    for value in values:
        operation = Plain()
        operation.definition = value  # type: ignore[attr-defined]
        found.add(digests.of(operation))
    assert len(found) == 2
