"""What a result says of the operations inside of dynamic operations and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.run_outcome import RunOutcome
from execution_dataflow.states import OperationState

if TYPE_CHECKING:
    from execution_dataflow.operations import Operation

__all__ = ["ResultInside"]


class ResultInside:
    """The part of `ExecutionResult` that is about expansions."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def _outcome(self) -> RunOutcome: ...

    def get_error(self, operation: Operation | str) -> ErrorRecord | None:
        """Return the failure of an operation, also of one inside of a dynamic operation or of a loop.

        Parameters
        ----------
        operation : Operation or str
            The operation or its name, such as ``"solve[3]/step"``.

        Returns
        -------
        ErrorRecord or None
            ``None`` if it did not fail.
        """
        node = self._outcome.node_of(operation)
        return self._outcome.error(node) if self._outcome.state(node) is OperationState.FAILED else None

    def get_iterations(self, loop: Operation | str) -> int:
        """Return how many iterations a loop had in its last attempt.

        Parameters
        ----------
        loop : Operation or str
            The loop or its name; ``"solve[3]"`` for that of an item of a map.

        Returns
        -------
        int
            0 if it never began.
        """
        return self._outcome.iterations(loop)

    def states_inside(self, operation: Operation | str) -> dict[str, OperationState]:
        """Return the states of the operations inside of a dynamic operation or a loop, by their full names.

        Parameters
        ----------
        operation : Operation or str
            What was expanded, or its name.

        Returns
        -------
        dict of str to OperationState
            Of its last attempt; empty for what was not expanded.
        """
        return self._outcome.states_inside(operation)
