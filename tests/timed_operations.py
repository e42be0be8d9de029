"""What tests of time limits share: an operation that ends in time, and the error of one that does not."""

from __future__ import annotations

from execution_dataflow import (
    ExecutionContext,
    ExecutionResult,
    InputPort,
    Operation,
    OperationState,
    OperationTimeout,
    OutputPort,
)


class AddAttempt(Operation):
    """Adds two numbers and that of the attempt."""

    a, b = InputPort(int), InputPort(int)
    total = OutputPort(int)

    def execute(self, context: ExecutionContext) -> None:
        self.total = self.a + self.b + context.attempt


def timeout_of(result: ExecutionResult, node: object) -> OperationTimeout:
    """Return the error of the one operation that took too long."""
    assert result.get_state(node) is OperationState.FAILED
    assert result.first_error is not None
    error = result.first_error.exception
    assert type(error) is OperationTimeout
    return error
