"""What is wrong with a demand that can never be met."""

from __future__ import annotations

from execution_dataflow.errors import GraphError

__all__ = ["ResourceError"]


class ResourceError(GraphError):
    """An operation asks for more of a resource than its engine has, so that it would wait for ever.

    Attributes
    ----------
    operation : str
        Which operation.
    resource : str
        What it asks for.
    requested : float
        How much of it.
    available : float
        How much there is; less than the engine has where the run was started by an operation that holds some.
    """

    def __init__(self, message: str, *, operation: str, resource: str, requested: float, available: float) -> None:
        super().__init__(message)
        self.operation = operation
        self.resource = resource
        self.requested = requested
        self.available = available
