"""What an engine has besides its methods for users: its options, its threads, and the runs that go on."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from execution_dataflow import _core
from execution_dataflow.active_run import ActiveRun
from execution_dataflow.checkpoints.settings import Checkpoint, checked_checkpoint
from execution_dataflow.checkpoints.stores_of_engine import EngineStores, StoreAddress
from execution_dataflow.context import ExecutionContext
from execution_dataflow.engine_options import RunOptions
from execution_dataflow.engine_threads import EngineThreads
from execution_dataflow.errors import EngineClosedError
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.plan import Plan
from execution_dataflow.planning import Asked, planned
from execution_dataflow.policies import FailurePolicy
from execution_dataflow.process_life import ExitStep, watch, watched
from execution_dataflow.unchecked import unchecked_plan

if TYPE_CHECKING:
    from execution_dataflow.executors.event_loop import CoroutineHost

__all__ = ["EngineRuns", "OnFailure"]

OnFailure: TypeAlias = Literal["keep", "revert"]
"""What follows a run that failed or was cancelled: nothing, or the reverts of what had succeeded."""

# A context with its defaults, as __init__ leaves it that was given nothing.
_new_context = ExecutionContext.__new__
# Runs on the pool's threads, until they end, and how many workers each may have.
_submitted: dict[ActiveRun, int] = {}


class EngineRuns:
    """The base of `ExecutionEngine`: it prepares runs, keeps them, and ends with them.

    Parameters
    ----------
    options : RunOptions
        How runs go that say nothing else.
    """

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._threads = EngineThreads()
        # Reentrant: what happens under it may collect garbage, and a finaliser may run a graph on this engine.
        self._lock = threading.RLock()
        self._stores = EngineStores()
        self._closed = False
        # The seats of the submitted runs that have not ended.
        self._submitted_seats = 0
        # Engines that are thrown away without close() give their threads back, and wait for none of them.
        self._release = weakref.finalize(self, self._threads.stop, 0.0)
        self._release.atexit = False
        watch(self)

    @property
    def max_workers(self) -> int:
        """How many operations of one run may run at the same time."""
        return self._options.max_workers

    def close(self) -> None:
        """Wait for the runs that are going on, and free the engine's threads. A second call does nothing.

        Raises
        ------
        RuntimeError
            In an operation that this engine runs: it would wait for itself.
        """
        frame = _core.current_frame()
        if frame is not None and any(run.record is frame.run for run in self._runs()):
            raise RuntimeError("engine.close() was called in an operation of that engine, which it would wait for")
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for run in self._runs():
            run.cancel_if_stranded()
            run.wait()
        self._stop_threads()
        self._stores.close()
        if self._options.cache is not None:
            self._options.cache.engine_closes()

    def _runs(self) -> list[ActiveRun]:
        return [thing for thing in watched() if isinstance(thing, ActiveRun) and thing.threads is self._threads]

    def _stop_threads(self, timeout: float = 5.0) -> None:
        self._release.detach()
        self._threads.stop(timeout)

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = ", closed" if self._closed else ""
        return f"<ExecutionEngine: {self.max_workers} workers, {self._options.failure_policy}{closed}>"

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosedError("this engine was closed; make another ExecutionEngine to run graphs")

    def _prepare(
        self,
        graph: GraphDefinition | Plan,
        context: ExecutionContext | None,
        asked: Asked,
        failure_policy: FailurePolicy | None,
        retain: str | Sequence[Any] | None,
        max_workers: int | None,
        on_failure: OnFailure | None,
        deadline_seconds: float | None,
        checkpoint: StoreAddress | Checkpoint | Literal[False] | None,
        driven: bool,
        host: Callable[[], CoroutineHost] | None = None,
    ) -> ActiveRun:
        if self._closed:
            self._check_open()
        given: Sequence[Any] = ()
        parameters, targets, overrides = asked
        plan: Plan | None = None
        if parameters is None and targets is None and overrides is None and isinstance(graph, GraphDefinition):
            plan = graph.compile()  # which was mostly done before
        if plan is None or plan.given:
            plan, given = planned(graph, context, asked, self._options.contracts)
        if context is None:
            context = _new_context(ExecutionContext)
        elif not isinstance(context, ExecutionContext):
            raise TypeError(f"the context of a run is an ExecutionContext, not {type(context).__name__}")
        options = self._options
        if options.contracts == "off":
            plan = unchecked_plan(plan, "off")
        has_own = failure_policy is not None or retain is not None or max_workers is not None
        if has_own or on_failure is not None or deadline_seconds is not None or checkpoint is not None:
            own = options.checkpoint if checkpoint is None else checked_checkpoint(checkpoint, None)
            options = options.for_one_run(failure_policy, retain, max_workers, on_failure, deadline_seconds, own)
        run = ActiveRun(plan, context, options, self._threads, driven, host, given, self._stores)
        seats = run.core.seats
        try:
            # Under the lock: close() either refuses this run or waits for it, with the threads that it needs.
            with self._lock:
                if self._closed:
                    self._check_open()
                # The calling thread is a worker; one that only submits is not, and several runs work side by side.
                needed = seats - 1
                if not driven:
                    self._submitted_seats += seats
                    needed = min(options.max_workers, self._submitted_seats)
                if needed:
                    run.expect_workers(needed + driven)
                    self._threads.require(needed, at_least=0 if driven else 1)
                watch(run)
        except BaseException:
            run.give_up_unless_started()
            raise
        return run

    def _keep_until_end(self, run: ActiveRun, then: Callable[[], object] | None = None) -> None:
        """Keep a submitted run alive although its caller may drop the handle and the engine."""
        _submitted[run] = run.core.seats
        run_ref = weakref.ref(run)

        def let_go() -> None:
            run = run_ref()
            # An interrupted call is made again, and must not count a run twice.
            seats = 0 if run is None else _submitted.pop(run, 0)
            with self._lock:
                self._submitted_seats -= seats
            if then is not None:
                # Nobody awaits it any more on an event loop that was closed.
                with suppress(RuntimeError):
                    then()

        run.call_at_end(let_go)

    def after_fork_in_child(self) -> None:
        """Start afresh: the threads are in the parent."""
        self._lock = threading.RLock()
        self._threads.after_fork_in_child()
        self._options.limits.after_fork_in_child()
        self._stores.after_fork_in_child()
        self._submitted_seats = 0

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Take no more runs, deliver what is left to deliver, and stop the threads."""
        if step is ExitStep.CANCEL:
            self._closed = True
        elif step is ExitStep.CLOSE:
            self._stop_threads(deadline - time.monotonic())
