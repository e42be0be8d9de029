"""What the native run asks Python for, and only when something rare happens: failures, coroutines, the end."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from threading import Lock
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.checkpoint_hooks import CheckpointHooks
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.event_dispatch import GRAPH_COMPLETED, Latch
from execution_dataflow.executors.watchdog import Alarm
from execution_dataflow.expansion_hooks import ExpansionHooks
from execution_dataflow.fallback_hooks import FallbackHooks
from execution_dataflow.map_hooks import MapHooks
from execution_dataflow.native_threads import native_threads
from execution_dataflow.plan import Plan
from execution_dataflow.run_record import RunRecord
from execution_dataflow.signal_handlers import raised_by_signal_handler
from execution_dataflow.states import OperationState, RunState
from execution_dataflow.time_hooks import TimeHooks

if TYPE_CHECKING:
    import asyncio

    from execution_dataflow.checkpoints.run_checkpoint import RunCheckpoint
    from execution_dataflow.executors.event_loop import CoroutineHost
    from execution_dataflow.executors.processes.pool import ProcessPool
    from execution_dataflow.executors.processes.process_run import ProcessRun

__all__ = ["RunHooks", "final_state"]

_READ_ONLY = (
    "Arrays that operations pass on are read-only for those that receive them: write into a copy, or declare the input "
    "with InputPort(numpy.ndarray, mutable=True)"
)

_FAILURES = sum(
    1 << state for state in (OperationState.FAILED, OperationState.UPSTREAM_FAILED, OperationState.CANCELLED)
)


def final_state(run: _core.Run) -> RunState:
    """Return how a run ended, from the states of its nodes (rule R5).

    Parameters
    ----------
    run : _core.Run
        A run whose nodes all have an outcome.

    Returns
    -------
    RunState
        SUCCEEDED when no node failed, was held up by a failure or was cancelled.
    """
    if not run.has_node_in(_FAILURES):
        return RunState.SUCCEEDED
    return RunState.CANCELLED if run.cancelled else RunState.FAILED


class ShieldedTasks:
    """The coroutine of an operation that always runs: the cancellation of its run does not reach it."""

    is_cancelled = False

    def __init__(self, hooks: RunHooks) -> None:
        self._hooks = hooks
        # Kept by the run: a loop has only weak references to its tasks.
        self.tasks = self.shielded = hooks.shielded

    @property
    def grace_seconds(self) -> float:
        """How long what is to stop may take to do so."""
        return self._hooks.grace_seconds

    def timed_out_coroutine(
        self, attempt: _core.Attempt, cause: BaseException | None, where: str | None, is_set_aside: bool
    ) -> BaseException:
        """Return the error of an attempt whose own time was over."""
        return self._hooks.timed_out_coroutine(attempt, cause, where, is_set_aside)

    def left_behind_coroutine(self, attempt: _core.Attempt) -> None:
        """Note an attempt that did not stop."""
        self._hooks.left_behind_coroutine(attempt)

    def end_task(self, attempt: _core.Attempt) -> None:
        """Forget the task of an attempt, which has ended."""
        self._hooks.end_task(attempt)

    async def complete_on_loop(self, attempt: _core.Attempt, value: object) -> None:
        """End an attempt with what its coroutine has returned."""
        await self._hooks.complete_on_loop(attempt, value)


class RunHooks(CheckpointHooks, MapHooks, FallbackHooks, ExpansionHooks, TimeHooks):
    """The Python part of one run.

    Parameters
    ----------
    plan : Plan
        What runs.
    record : RunRecord
        Where failures are kept.
    host : callable
        Gives the event loop for coroutine operations, which starts with the first one.
    pool : callable
        Gives the worker processes, which start with the first operation for them.
    threads : int or {"auto", "unlimited"}
        How many threads a native library may use for one worker.

    Attributes
    ----------
    run : _core.Run or None
        The native run, until it has ended.
    state : RunState or None
        How it ended, once it has.
    ended_ns : int
        When it ended, in nanoseconds since it began.
    workers : int
        How many may work at the same time, on this run and beside it.
    checkpoint : RunCheckpoint or None
        What keeps what it has done.
    deadline : Alarm or None
        What cancels it when its time is over.
    on_end : callable or None
        Called when every node has its outcome. An interrupt on the main thread may make it be called again.
    stops_at_failure : bool
        Whether nothing new starts once something has failed.
    undoes : bool
        Whether the run is undone if it does not succeed.
    undone : Latch or None
        Present once another thread is to end it: to undo it, or to close its clients; set when that is done.
    on_undo : callable or None
        Called when another thread is to end it, before the run is marked as finished.
    """

    __slots__ = (
        "_earlier",
        "_ends_limits",
        "_host",
        "_make_host",
        "_make_pool",
        "_native_threads",
        "_opening",
        "_processes",
        "_standing_in",
        "_waiting",
        "_waiting_items",
        "checkpoint",
        "deadline",
        "ended_ns",
        "on_end",
        "on_undo",
        "plan",
        "record",
        "run",
        "shielded",
        "state",
        "stops_at_failure",
        "tasks",
        "undoes",
        "undone",
        "workers",
    )

    def __init__(
        self,
        plan: Plan,
        record: RunRecord,
        host: Callable[[], CoroutineHost],
        pool: Callable[[], ProcessPool],
        threads: int | str,
    ) -> None:
        self._waiting_items = {}
        self._standing_in = {}
        self._earlier = {}
        self.plan = plan
        self.record = record
        self.run: _core.Run | None = None
        self.state: RunState | None = None
        self.ended_ns = 0
        self.workers = 1
        self.stops_at_failure = False
        self._native_threads = threads
        # A run that only the calling thread works on has nothing to forget.
        self._ends_limits = False
        self.on_end: Callable[[], object] | None = None
        self.tasks: dict[_core.Attempt, asyncio.Task[None]] = {}
        self.shielded: dict[_core.Attempt, asyncio.Task[None]] = {}
        self._make_host = host
        self._host: CoroutineHost | None = None
        self._make_pool = pool
        self._processes: tuple[ProcessPool, ProcessRun] | None = None
        self._opening = Lock()
        self._waiting: dict[int, BaseException] = {}
        self.undoes = False
        self.undone: Latch | None = None
        self.on_undo: Callable[[], object] | None = None
        self.deadline: Alarm | None = None
        self.checkpoint: RunCheckpoint | None = None
        self._alarm: Alarm | None = None
        self._insisted = 0
        self._coroutines_end_at = 0.0

    def attempt_failed(
        self, node: int, attempt: int, error: BaseException, *, delay_seconds: float
    ) -> tuple[float, str]:
        """Note a failure that another attempt follows."""
        text = self.record.supersede(node, error)
        self._waiting[node] = error
        return delay_seconds, text

    def attempt_starts(self, node: int, attempt: int) -> tuple[Any, ...] | None:
        """Let the exception of the attempt before go: its frames keep arrays alive. Return what stands in, if so."""
        self._waiting.pop(node, None)
        return self._what_stands_in(node) if self._standing_in else None

    def attempt_is_sent(self, node: int, attempt: int) -> tuple[Any, ...] | None:
        """Return what stands in, if so. Until the attempt begins elsewhere, it may have to end as its last failure."""
        return self._what_stands_in(node) if self._standing_in else None

    def failed(self, node: int, attempt: int, error: BaseException) -> ErrorRecord:
        """Note a failure that is final."""
        if type(error) is ValueError and "read-only" in str(error):
            error.add_note(_READ_ONLY)
        most: int = self._spec(node).max_attempts
        if node in self._standing_in:
            self._note_failed_fallback(node, error)
            most = max(most, attempt)
        scopes = self.record.scopes
        is_final = scopes is None or not scopes.is_contained(node)
        if self.stops_at_failure and is_final and self._processes is not None:
            self._processes[0].halt(self._processes[1])
        return self.record.fail(node, attempt, most, error)

    def waiting_failed(self, node: int, attempt: int) -> ErrorRecord | None:
        """Note that an operation which waited for its next attempt will not get it."""
        error = self._waiting.pop(node, None)
        return None if error is None else self.failed(node, attempt, error)

    def launch(self, attempt: _core.Attempt, context: Context) -> None:
        """Start a coroutine."""
        if self._host is None:
            self._host = self._make_host()
            self.record.run_awaitable = self._host.run_awaitable
        self._host.launch(attempt, context, ShieldedTasks(self) if attempt.ignores_stop else self)

    def complete(self, attempt: _core.Attempt, value: object) -> None:
        """End an attempt with what its coroutine has returned, in a run that commits; its loop waits for no store."""
        if self._host is not None and self._waits_to_commit(attempt, value):
            self._host.complete(attempt, value)
        else:
            attempt.complete(value)

    async def complete_on_loop(self, attempt: _core.Attempt, value: object) -> None:
        """Do the same for the task that awaits the attempt."""
        if self._host is None or not self._waits_to_commit(attempt, value):
            attempt.complete(value)
        else:
            await self._host.complete_on_loop(attempt, value)

    def _waits_to_commit(self, attempt: _core.Attempt, value: object) -> bool:
        # What returns nothing may have set its outputs.
        if self.checkpoint is not None and self.checkpoint.may_wait(attempt.outputs_set() if value is None else value):
            return True
        return self.record.uses_state(attempt.node, tuple(attempt.items))

    def launch_process(self, attempt: _core.RemoteAttempt) -> None:
        """Have an operation run in a worker process."""
        processes = self._processes or self._open_processes()
        processes[0].launch(processes[1], attempt)

    def _open_processes(self) -> tuple[ProcessPool, ProcessRun]:
        with self._opening:
            if self._processes is None:
                pool = self._make_pool()
                self._processes = pool, pool.open_run(self.record, self.plan)
            return self._processes

    def is_of_signal_handler(self, error: BaseException) -> bool:
        """Return whether a signal handler raised it, while an operation happened to run on the main thread."""
        return raised_by_signal_handler(error)

    def stop_pending(self) -> None:
        """Cancel the coroutines: the run is cancelled."""
        self.record.cancel_requested = True
        if self.record.cancel_reason is None:
            self.record.cancel_reason = "interrupted"
        if self._host is not None:
            self._host.cancel(self)
        if self._processes is not None:
            self._processes[0].cancel(self._processes[1], self.grace_seconds)
        self._expect_end()

    @property
    def is_stranded(self) -> bool:
        """Whether the event loop of its coroutines is closed: those that are left will never end."""
        return self._host is not None and self._host.loop.is_closed()

    def run_ends(self) -> RunState | None:
        """Close the clients and tell the engine: every node has its outcome. After an interrupt it is called again.

        A run that is to be undone still needs them, and on the event loop nobody can wait until they have closed there:
        `undo_ends` does the rest, and ``None`` says so.
        """
        if self.deadline is not None:
            self.deadline.cancel()
        if self._alarm is not None:
            self._expect_nothing()
        if self.record.guard is not None and self.run is not None:
            self.record.late_errors = self.record.guard.finish(self.run)
        if self.undoes and self._is_to_be_undone():
            return None
        if self._host is not None and self._must_wait() and _is_on(self._host):
            self._end_elsewhere()
            return None
        self.record.close()
        run = self.run
        if self.checkpoint is not None and run is not None:
            self._finish_checkpoint(self._final_state(run))
            self.checkpoint = None
        if run is not None:
            self.state = self._final_state(run) if self.record.late_errors else final_state(run)
            self.ended_ns = run.elapsed_ns
            self._waiting.clear()
            self._waiting_items.clear()
            self._standing_in.clear()
            # The native run holds these hooks: without this, its values would wait for the cycle collector.
            self.run = None
        if self._processes is not None:
            self._processes[0].end_run(self._processes[1])
        if self._ends_limits:
            native_threads.end(self)
        self.on_undo = None
        if self.on_end is not None:
            self.on_end()
            self.on_end = None
        assert self.state is not None
        return self.state

    def _must_wait(self) -> bool:
        """Whether the end of the run takes its time: clients close, commits are written."""
        return self.checkpoint is not None or self.record.has_open_clients

    def _final_state(self, run: _core.Run) -> RunState:
        # What went wrong beside the operations fails a run that would have succeeded, or that it has stopped.
        state = final_state(run)
        stops = state is RunState.SUCCEEDED or self.record.checkpoint_error is not None
        return RunState.FAILED if stops and self.record.late_errors else state

    def _is_to_be_undone(self) -> bool:
        run = self.run
        if run is not None and self._final_state(run) is RunState.SUCCEEDED:
            run.release_lent()
            self.undoes = False
            return False
        self._end_elsewhere()
        return True

    def _end_elsewhere(self) -> None:
        """Let another thread do what is left: undo the run, close its clients."""
        run = self.run
        if run is not None:
            self.state = self._final_state(run)
            self.ended_ns = run.elapsed_ns
            self._waiting.clear()
            self._waiting_items.clear()
            self.undone = Latch()
            self.run = None
        if self.on_undo is not None:
            self.on_undo()
            self.on_undo = None

    def undo_ends(self, run: _core.Run) -> None:
        """Do what the end of the run has left to be done, on another thread, after the reverts."""
        try:
            self.record.close()
            if self.checkpoint is not None and self.state is not None:
                self.state = self._finish_checkpoint(self.state)
                self.checkpoint = None
        finally:
            self._standing_in.clear()
            run.release_lent()
            if self._processes is not None:
                self._processes[0].end_run(self._processes[1])
            run.tell(GRAPH_COMPLETED, 0, self.state)
            if self._ends_limits:
                native_threads.end(self)
            if self.on_end is not None:
                self.on_end()
                self.on_end = None
            assert self.undone is not None
            self.undone.set()

    def run_awaitable(self, awaitable: Any) -> Any:
        """Run an awaitable on the event loop, which starts with it."""
        if self._host is None:
            self._host = self._make_host()
            self.record.run_awaitable = self._host.run_awaitable
        return self._host.run_awaitable(awaitable)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or will not be."""
        return self.run is None

    def begin(self) -> None:
        """Give the native libraries the number of threads that the user asked for."""
        if isinstance(self._native_threads, int):
            self._ends_limits = True
            native_threads.give(self, self._native_threads)

    def workers_meet(self) -> None:
        """Share the CPUs: several workers are at work, and this run has one of them."""
        if self._native_threads == "auto":
            native_threads.share(self, self.workers)

    def limit_this_thread(self) -> None:
        """Tell the native libraries what holds for the calling thread, which works on this run."""
        native_threads.limit_this_thread()

    def release_this_thread(self) -> None:
        """Take it back: the thread has done its work on this run."""
        native_threads.release_this_thread()

    def expect_workers(self, workers: int) -> None:
        """Say how many may work at the same time; before the run starts."""
        self.workers = workers
        self._ends_limits = True

    def give_up(self) -> None:
        """Forget the run, which will not start."""
        if self.deadline is not None:
            self.deadline.cancel()
        if self.checkpoint is not None:
            self.checkpoint.close(RunState.CANCELLED.value)
            self.checkpoint = None
        self.run = None  # no cycle: nothing else will end it
        if self._ends_limits:
            native_threads.end(self)
        if self.on_end is not None:
            self.on_end()


def _is_on(host: CoroutineHost) -> bool:
    import asyncio

    try:
        return asyncio.get_running_loop() is host.loop
    except RuntimeError:
        return False
