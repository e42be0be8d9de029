"""One operation can be run alone in a test."""

from __future__ import annotations

import pytest

from execution_dataflow import (
    ExecutionContext,
    GraphValidationError,
    InputPort,
    Operation,
    OutputPort,
    PortTypeError,
    RetryPolicy,
)
from execution_dataflow.testing import run_operation


class Scale(Operation):
    value = InputPort(float)
    scaled, attempt = OutputPort(float), OutputPort(int)

    def __init__(self, factor: float, fails: int = 0) -> None:
        super().__init__(retry_policy=RetryPolicy(max_attempts=2))
        self.factor, self.fails = factor, fails

    def execute(self, context: ExecutionContext) -> None:
        if context.attempt <= self.fails:
            raise ConnectionError("not yet")
        self.scaled, self.attempt = self.factor * self.value, context.attempt


def test_operation_runs_alone_with_all_that_an_engine_does() -> None:
    assert run_operation(Scale(2), value=3).values == {"scaled": 6, "attempt": 1}
    assert run_operation(Scale(2, fails=1), value=3, executor="process").values == {"scaled": 6, "attempt": 2}
    assert str(run_operation(Scale(2, fails=2), value=3).first_error).count("not yet") == 1
    context = ExecutionContext(parameters={"base": 5})
    assert run_operation(lambda x: x, x=1, context=context).values == {"result": 1}


def test_mistakes_are_told_as_by_a_graph() -> None:
    with pytest.raises(GraphValidationError, match=r"Scale\.value"):
        run_operation(Scale(2))
    with pytest.raises(PortTypeError, match="expected float"):
        run_operation(Scale(2), value="3")
