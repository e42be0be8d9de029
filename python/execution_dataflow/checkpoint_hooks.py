"""What the native run asks Python for where a run is kept by a checkpoint, and the end of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from execution_dataflow.run_record import RunRecord
from execution_dataflow.states import RunState

if TYPE_CHECKING:
    from execution_dataflow import _core
    from execution_dataflow.checkpoints.run_checkpoint import RunCheckpoint
    from execution_dataflow.plan import Plan

__all__ = ["CheckpointHooks", "RestoredNode"]

RestoredNode: TypeAlias = tuple[int, Sequence[tuple[int, Any]], bool]
"""A node, values of its outputs by port, and whether it left an output unset."""


class CheckpointHooks:
    """The part of a run's hooks that is about its checkpoint."""

    __slots__ = ()

    record: RunRecord
    run: _core.Run | None
    checkpoint: RunCheckpoint | None

    def stop_pending(self) -> None:
        """Cancel what is under way."""
        raise NotImplementedError

    def commit(
        self, node: int, items: Sequence[int], attempt: int, values: Sequence[object] | None, started: int, ended: int
    ) -> None:
        """Keep what an attempt has put out: see `RunCheckpoint.commit`."""
        assert self.checkpoint is not None, "a run has its checkpoint until it has ended"
        self.checkpoint.commit(node, items, attempt, values, started, ended)

    def checkpoint_failed(self, error: BaseException) -> None:
        """Stop the run: nothing that it does is kept any more."""
        record, run = self.record, self.run
        if record.checkpoint_error is not None:
            return
        record.checkpoint_error = error
        record.late_errors = [*record.late_errors, record.error_beside(error, "checkpoint")]
        if run is not None and not run.finished:
            record.cancel_reason = "its checkpoint could not be written"
            run.stop()
            self.stop_pending()

    def restored_items(self, node: int, items: tuple[int, ...]) -> Callable[[int], tuple[Any, ...] | None] | None:
        """Return what gives the outputs of those items of a map that an earlier run has done."""
        return None if self.checkpoint is None else self.checkpoint.restored_items(node, items)

    def begin_inside(self, node: int, items: tuple[int, ...], attempt: int, plan: Plan, given: Sequence[Any]) -> None:
        """Note that a plan is to run in the place of an attempt: see `RunCheckpoint.begin_inside`."""
        if self.checkpoint is not None:
            self.checkpoint.begin_inside(node, items, attempt, plan, given)

    def restored_inside(
        self, plan: Plan, base: int, outside: Sequence[int], outputs: Sequence[tuple[int, int]]
    ) -> Sequence[RestoredNode]:
        """Return what an earlier run has done of a plan that runs in the place of an operation."""
        return () if self.checkpoint is None else self.checkpoint.restored_inside(plan, base, outside, outputs)

    def _finish_checkpoint(self, state: RunState) -> RunState:
        """Return when all that has committed is durable, with how the run has ended; others may take it up then."""
        checkpoint = self.checkpoint
        if checkpoint is None:
            return state
        error = checkpoint.flush()
        if error is not None:
            self.checkpoint_failed(error)
            state = RunState.FAILED
        not_noted = checkpoint.close(state.value, self.record.reverted)
        if not_noted is not None and error is None:
            text = f"the end of the run was not noted, so that it looks interrupted; all commits are kept: {not_noted}"
            self.record.warnings.append(text)
            self.record.logger_for(None).warning("%s", text)
        return state
