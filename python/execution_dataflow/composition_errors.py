"""What is wrong with the values that a graph was given for one run."""

from __future__ import annotations

from collections.abc import Sequence

from execution_dataflow.errors import GraphError

__all__ = ["ParameterError"]


class ParameterError(GraphError, ValueError):
    """A run was given a parameter that its graph does not have, of a wrong type, or none where one is required.

    Nothing has started. The message tells everything that is wrong at once.

    Attributes
    ----------
    graph : str
        The name of the graph.
    missing : tuple of str
        The required parameters that were not given.
    unknown : tuple of str
        The names that the graph does not declare.
    wrong : tuple of str
        The parameters whose values have a wrong type.
    """

    def __init__(
        self,
        message: str,
        *,
        graph: str,
        missing: Sequence[str] = (),
        unknown: Sequence[str] = (),
        wrong: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.graph = graph
        self.missing = tuple(missing)
        self.unknown = tuple(unknown)
        self.wrong = tuple(wrong)
