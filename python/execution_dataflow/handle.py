"""A run that was submitted: to be waited for, followed and cancelled from any thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from execution_dataflow.active_run import ActiveRun
from execution_dataflow.engine_options import checked_grace
from execution_dataflow.result import ExecutionResult
from execution_dataflow.run_hooks import final_state
from execution_dataflow.states import OperationState, RunState

__all__ = ["RunHandle"]


class RunHandle:
    """What ``engine.submit`` returns.

    Examples
    --------
    >>> from execution_dataflow import ExecutionEngine, GraphDefinition
    >>> graph = GraphDefinition()
    >>> answer = graph.add(lambda: 42)
    >>> with ExecutionEngine() as engine:
    ...     handle = engine.submit(graph)
    ...     handle.result().get_output(answer)
    42
    """

    def __init__(self, run: ActiveRun) -> None:
        self._run = run

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self._run.record.run_id

    @property
    def state(self) -> RunState:
        """How the run stands.

        Raises
        ------
        RunLost
            When this process is a fork of the one that runs it.
        """
        self._run.check_not_lost()
        return final_state(self._run.core) if self._run.is_finished else RunState.RUNNING

    def done(self) -> bool:
        """Return whether the run has ended."""
        return self._run.is_finished

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether the run has ended; also true in a fork of the process that runs it, which has lost it.
        """
        return self._run.wait(timeout)

    def result(self, timeout: float | None = None) -> ExecutionResult:
        """Wait for the run and return its result; a failed run has one too.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        ExecutionResult
            What the run came to.

        Raises
        ------
        TimeoutError
            When the run goes on after ``timeout``. It is not disturbed.
        RunInterrupted
            When an operation raised ``KeyboardInterrupt``.
        RunLost
            When this process is a fork of the one that runs it.
        """
        begun = time.monotonic()
        if not self.wait(timeout) and not self._run.core.lost:
            waited = time.monotonic() - begun
            raise TimeoutError(f"run {self.run_id!r} has not ended after {waited:.3g} s; it goes on")
        return self._run.finish()

    def cancel(self, reason: str | None = None, *, grace_seconds: float | None = None) -> None:
        """Cancel the run: nothing new starts, coroutines are cancelled, ``context.cancelled`` turns true for the rest.

        When the grace is over, an `AttemptCancelled` is raised in the operations that still run, at their next line of
        Python, and the worker processes among them are killed. This returns at once; ``wait()`` waits for the end.

        Parameters
        ----------
        reason : str, optional
            Why; the result and ``context.raise_if_cancelled()`` repeat it.
        grace_seconds : float, optional
            How long operations that run may take to stop by themselves; the engine's by default.
        """
        self._run.cancel(reason, None if grace_seconds is None else checked_grace(grace_seconds))

    def progress(self) -> dict[str, Any]:
        """Return how far the run has come.

        Returns
        -------
        dict
            ``done`` and ``total`` numbers of operations, and ``operations``: by name the fraction and the message that
            running ones last reported. Of a loop that runs that is how many iterations have ended of those that may be.
        """
        progress = self._run.progress()
        progress["operations"].update(self._loops())
        return progress

    def _loops(self) -> Iterator[tuple[str, tuple[float, str]]]:
        record, core = self._run.record, self._run.core
        scopes = record.scopes
        if scopes is None:
            return
        for node, begun in scopes.loops():
            plan, index = scopes.place(node)
            if core.state(node) == OperationState.RUNNING:
                most = plan.operations[index].max_iterations
                yield record.names(node), ((begun - 1) / most, f"iteration {begun} of {most} at most")

    def __repr__(self) -> str:
        progress = self.progress()
        state = "lost in a fork" if self._run.core.lost else self.state
        return f"<RunHandle {self.run_id!r}: {state}, {progress['done']} of {progress['total']} operations>"
