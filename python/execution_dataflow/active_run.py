"""A run from its start to its result."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.dimension_flow import DimensionFlow
from execution_dataflow.errors import RunInterrupted, RunLost
from execution_dataflow.event_dispatch import RESTORED, EventStream
from execution_dataflow.executors.threads import worker_threads
from execution_dataflow.executors.watchdog import watchdog
from execution_dataflow.expansion.scopes import Scopes
from execution_dataflow.plan import Plan
from execution_dataflow.process_life import ExitStep
from execution_dataflow.result import ExecutionResult
from execution_dataflow.result_text import duration_text
from execution_dataflow.run_hooks import RunHooks, final_state
from execution_dataflow.run_record import RunRecord
from execution_dataflow.states import OperationState
from execution_dataflow.unchecked import unchecked_plan
from execution_dataflow.undo import Undo, lent_slots, revertible_nodes

if TYPE_CHECKING:
    import asyncio

    from execution_dataflow.checkpoints.stores_of_engine import EngineStores
    from execution_dataflow.checks.outcome import CheckOutcome
    from execution_dataflow.context import ExecutionContext
    from execution_dataflow.engine_options import RunOptions
    from execution_dataflow.engine_threads import EngineThreads
    from execution_dataflow.executors.event_loop import CoroutineHost

__all__ = ["ActiveRun"]

_RUNNING = int(OperationState.RUNNING)
# Items of a map that are on their way to a worker process or back: several times what one takes in one message.
_ITEMS_PER_PROCESS = 256


class _Undoing:
    """What is needed to undo a run."""

    __slots__ = ("context", "interrupt", "nodes")

    def __init__(self, nodes: Sequence[int], context: Context) -> None:
        self.nodes = nodes
        self.context = context
        self.interrupt: KeyboardInterrupt | None = None


class ActiveRun:
    """One run of a plan, made by an engine.

    Parameters
    ----------
    plan : Plan
        What runs.
    context : ExecutionContext
        The context that operations receive.
    options : RunOptions
        How it runs.
    threads : EngineThreads
        What serves the engine that made it.
    driven : bool
        Whether the calling thread works on it; otherwise the pool's threads do.
    host : callable, optional
        Gives the event loop for coroutine operations; by default the engine's.
    given : list of object
        A value for each of the plan's `given`.
    stores : EngineStores, optional
        Opens the store of its checkpoint.
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_is_given_up",
        "_listens",
        "_lock",
        "_made",
        "_needs_beginning",
        "_options",
        "_result",
        "_stream",
        "_undoing",
        "core",
        "plan",
        "record",
        "threads",
    )

    def __init__(
        self,
        plan: Plan,
        context: ExecutionContext,
        options: RunOptions,
        threads: EngineThreads,
        driven: bool,
        host: Callable[[], CoroutineHost] | None = None,
        given: Sequence[Any] = (),
        stores: EngineStores | None = None,
    ) -> None:
        self._made = 0.0 if options.deadline_seconds is None else time.monotonic()
        dispatcher = threads.dispatcher
        listens = dispatcher.has_subscribers
        if options.contracts != "values" or plan.contracts != "values":
            plan = unchecked_plan(plan)
        self.plan = plan
        self.threads = threads
        self._options = options
        self._listens = listens
        self._needs_beginning = listens or not options.is_auto or options.deadline_seconds is not None
        self._stream: EventStream | None = None
        self._lock = None if driven else threading.Lock()
        self._result: ExecutionResult | None = None
        self._is_given_up = False
        self.record = record = RunRecord(None, plan.name, context, plan.label)
        record.cache = options.cache
        if plan.has_dimensions:
            record.dimensions = DimensionFlow(plan)
        limits = options.limits
        limited = None
        if plan.expands:
            record.scopes = scopes = Scopes(plan)
            record.names = scopes.label
        if plan.limited or limits.memory is not None or plan.expands:
            record.held = limits.held_by_callers()
            record.limits = limits
            limited = limits.of_plan(plan, record.held)
            if limited is None and plan.expands:
                # What is limited may come with an expansion.
                limited = limits.core, [], None
        self._hooks = hooks = RunHooks(
            plan,
            record,
            host or threads.loop,
            lambda: threads.processes(options.max_workers, options.native_threads),
            options.native_threads,
        )
        hooks.stops_at_failure = options.fail_fast
        base_context = copy_context()
        lent: Sequence[int] | None = None
        self._undoing: _Undoing | None = None
        if options.on_failure == "revert" and (nodes := revertible_nodes(plan)):
            hooks.undoes = True
            lent = lent_slots(plan, nodes)
            self._undoing = _Undoing(nodes, base_context)
        commits: Callable[..., object] | None = None
        if options.state is not None and stores is not None:
            record.state_store = stores.get(options.state)
            commits = record.commit_changes
        if options.checkpoint is not None:
            commits = hooks.commit
        if not driven and (hooks.undoes or record.has_clients or options.checkpoint is not None):
            hooks.on_undo = self._start_undo
        core = plan.core
        if options.debug:
            from execution_dataflow.write_guard import WriteGuard, guarded_plan

            record.guard = WriteGuard(plan, record)
            core, stands_for = guarded_plan(plan)
            if limited is not None:
                limited = limited[0], [(stands_for[spec], group) for spec, group in limited[1]], limited[2]
        retain = options.retained_in(plan) if plan.kept or options.retain_word is None else options.retain_word
        self.core = hooks.run = _core.Run(
            core,
            context,
            record,
            hooks,
            base_context,
            options.fail_fast,
            options.max_workers,
            driven,
            retain,
            dispatcher.queue if listens else None,
            limited,
            options.executor,
            options.max_workers * _ITEMS_PER_PROCESS,
            lent,
            options.grace_seconds,
            given,
            commits,
        )
        if options.checkpoint is not None and stores is not None:
            from execution_dataflow.checkpoints.run_checkpoint import RunCheckpoint

            # Last: what is wrong with anything else must not leave the run held.
            checkpoint = RunCheckpoint(stores, options.checkpoint, plan, given, record, hooks.checkpoint_failed)
            checkpoint.restore(self.core, retain, lent)
            hooks.take_over_stand_ins()
            record.checkpoint = hooks.checkpoint = checkpoint
            record.state_store = checkpoint.store

    def _begin(self) -> None:
        if not self._options.is_auto:
            self._hooks.begin()
        deadline = self._options.deadline_seconds
        if deadline is not None:
            moment = self._made + deadline
            self._hooks.deadline = watchdog.call_at(moment, lambda: self._exceed_deadline(deadline))
        if self._listens:
            self._stream = self.threads.dispatcher.open_stream(self.record, len(self.plan), self.core.began_ns * 1e-9)
            self._listen_to_progress(weakref.ref(self.core))
            if self.record.checkpoint is not None:
                for node in self.record.checkpoint.restored_nodes():
                    self.core.tell(RESTORED, node)

    def _exceed_deadline(self, seconds: float) -> None:
        """Cancel the run, not on the thread of the watchdog: clients that are closed with the run may take long."""

        def cancel() -> None:
            if not self.core.finished and not self.record.cancel_requested:
                self.record.deadline_exceeded = seconds
                self.cancel(f"its deadline of {duration_text(seconds)} was over")

        try:
            threading.Thread(target=cancel, name="execution-dataflow-deadline", daemon=True).start()
        except RuntimeError:
            cancel()

    def _listen_to_progress(self, core: weakref.ref[_core.Run]) -> None:
        record, dispatcher = self.record, self.threads.dispatcher

        def emit(node: int, items: tuple[int, ...], fraction: float, message: str) -> None:
            run = core()
            if run is not None:
                dispatcher.progress(record, run.elapsed_ns, node, fraction, message, items)

        def emit_check(node: int, outcome: CheckOutcome) -> None:
            run = core()
            if run is not None:
                dispatcher.checked(record, run.elapsed_ns, node, outcome)

        record.emit_progress = emit
        record.emit_check = emit_check

    @property
    def is_finished(self) -> bool:
        """Whether every operation has its outcome, and the run is undone if it is to be."""
        undone = self._hooks.undone if self.core.finished else None
        return self.core.finished and (undone is None or undone.is_set())

    def _start_undo(self) -> None:
        # A thread of its own: who brings the last outcome may be an event loop, or a worker that others wait for.
        threading.Thread(target=self._undo, name="execution-dataflow-undo", daemon=True).start()

    def _undo(self) -> None:
        """Undo the run where that was asked for, and end it: its clients are closed."""
        hooks = self._hooks
        if self._undoing is None or not hooks.undoes:
            self._undoing = _Undoing((), Context())
        undoing = self._undoing
        try:
            self._wait_through_interrupts()
            undo = Undo(
                self.plan,
                self.core,
                self.record,
                undoing.nodes,
                hooks.stand_ins,
                undoing.context,
                hooks.run_awaitable,
            )
            undo.run()
            undoing.interrupt = undo.interrupt
        except KeyboardInterrupt as interrupt:
            undoing.interrupt = interrupt  # between two reverts
        finally:
            hooks.undo_ends(self.core)

    def call_at_end(self, function: Callable[[], object]) -> None:
        """Have a function called when it ends, or when it is given up; it may be called twice."""
        self._hooks.on_end = function

    def expect_workers(self, workers: int) -> None:
        """Say how many may work at the same time, on this run and beside it; before it starts."""
        self._hooks.expect_workers(workers)

    def drive(self) -> ExecutionResult:
        """Run on the calling thread and return the result."""
        if self._needs_beginning:
            self._begin()
        try:
            is_undisturbed = self.core.drive()
        except KeyboardInterrupt as interrupt:
            # Ctrl-C between two lines of ours, not in an operation and not while the core looked for signals.
            self.core.interrupt(interrupt)
            self._wait_through_interrupts()
            is_undisturbed = False
        if self._hooks.undone is not None:
            self._undo()
            is_undisturbed = False
        try:
            return self._make_result() if is_undisturbed else self.finish()
        finally:
            # The traceback of a failed operation leads to this frame, and must not lead on to the result that keeps it.
            del self

    def submit(self) -> None:
        """Hand it to the pool's threads."""
        self._begin()
        self.core.submit()

    def give_up_unless_started(self) -> None:
        """Let nobody wait for a run that was prepared and will not start: Ctrl-C came first."""
        if self.core.started:
            return
        self._is_given_up = True
        if self._listens:
            self.threads.dispatcher.drop_stream(self.record)
        self._hooks.give_up()

    def _wait_through_interrupts(self) -> None:
        while True:
            try:
                self.core.wait()
                return
            except KeyboardInterrupt:
                continue  # the run is on its way to its end already

    def finish(self) -> ExecutionResult:
        """Return the result of a run that has ended; raise what ended it from outside."""
        self.check_not_lost()
        result = self._make_result()
        raised = self.core.raised or (None if self._undoing is None else self._undoing.interrupt)
        if raised is None:
            return result
        if isinstance(raised, KeyboardInterrupt):
            message = f"run {result.run_id!r} of graph {result.graph_name!r} was interrupted; its result is in .result"
            raise RunInterrupted(message, result=result) from None
        raise raised

    def check_not_lost(self) -> None:
        """Raise an error in a fork of the process that runs it."""
        if self.core.lost:
            raise RunLost(
                f"run {self.record.run_id!r} belongs to the process that this one was forked from; "
                "run the graph again here if this process needs its result"
            )

    def _make_result(self) -> ExecutionResult:
        if self._stream is not None:
            self._await_delivery()
        result = self._result
        if result is None:
            hooks, core = self._hooks, self.core
            # A hook that was interrupted over and over may have left the state open.
            state = hooks.state or final_state(core)
            # The hooks point at the run, and the run at the hooks: the result needs neither of the two arrows.
            dropped = 0 if self._stream is None else self._dropped_events()
            made = ExecutionResult(self.plan, core, self.record, state, hooks.ended_ns * 1e-9, dropped)
            if self._lock is None:
                return made  # its one caller asks once
            with self._lock:
                self._result = result = self._result or made
        return result

    def _await_delivery(self) -> None:
        stream = self._stream
        if stream is None or stream.is_abandoned:
            return
        if threading.current_thread() is self.threads.dispatcher.thread:
            return  # a subscriber asks for the result of a run: it cannot wait for itself
        if not stream.delivered.wait(self._options.event_drain_seconds):
            self._abandon(stream)

    def _abandon(self, stream: EventStream) -> None:
        stream.is_abandoned = True
        self.record.logger_for(None).warning(
            "%d events were dropped: a subscriber was slower than event_drain_seconds=%g",
            self._dropped_events(),
            self._options.event_drain_seconds,
        )

    def _dropped_events(self) -> int:
        stream = self._stream
        if stream is None or not stream.is_abandoned:
            return 0
        # The native run has put all but GraphStarted and what operations said of their progress.
        return max(0, self.core.events_sent + 1 + stream.progressed - stream.sequence)

    async def finish_on_loop(self, ended: asyncio.Future[None]) -> ExecutionResult:
        """Await the end, which is told by ``ended``, and return the result. A cancellation cancels the run first."""
        import asyncio

        cancelled: asyncio.CancelledError | None = None
        while not ended.done():
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError as error:
                cancelled = error
                self.cancel("the task that awaited the run was cancelled")
        # The last outcome is told a moment before the run is marked as finished.
        while not self.is_finished:
            await asyncio.sleep(0)
        await self._await_delivery_on_loop()
        if cancelled is not None:
            raise cancelled
        return self.finish()

    async def _await_delivery_on_loop(self) -> None:
        """Wait for the subscribers without holding up the event loop."""
        import asyncio

        stream = self._stream
        if stream is None:
            return
        deadline = time.monotonic() + self._options.event_drain_seconds
        while not stream.delivered.is_set():
            if time.monotonic() >= deadline:
                # Here, so that nobody waits for them once more, on the loop.
                self._abandon(stream)
                return
            await asyncio.sleep(0.002)

    def cancel(self, reason: str | None = None, grace_seconds: float | None = None) -> None:
        """Let nothing new start, and cancel what can be cancelled. Does nothing to a run that has ended."""
        if self.core.finished:
            return
        if grace_seconds is not None:
            self.core.grace_seconds = grace_seconds
        self.record.cancel_reason = reason or "cancelled by the caller"
        self.record.cancel_requested = True
        # First this: what ends because of the rest must find its run cancelled.
        self.core.stop()
        self._hooks.stop_pending()

    def cancel_if_stranded(self) -> None:
        """Cancel it if the event loop of its coroutines was closed under it: it would never end."""
        if self._hooks.is_stranded:
            self.cancel(self.record.cancel_reason or "the event loop of its coroutines was closed")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end; an operation of another run that waits lends its thread, so that runs never starve."""
        if self._is_given_up:
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._wait_for_outcomes(timeout):
            return False
        undone = self._hooks.undone
        if undone is None or self.core.lost:
            return True
        return undone.wait(threading.TIMEOUT_MAX if deadline is None else max(0.0, deadline - time.monotonic()))

    def _wait_for_outcomes(self, timeout: float | None) -> bool:
        frame = _core.current_frame()
        if frame is None or self.core.finished:
            return self.core.wait(timeout)
        if frame.run is self.record:
            raise RuntimeError(
                f"operation {self.record.names(frame.node)!r} waits for the end of its own run, which waits for the "
                "operation: connect what it needs to its inputs instead"
            )
        if timeout is None:
            self.core.help()
            return self.core.wait()
        # What it would work on has no time limit, so it does not work on it: another thread takes its place.
        with worker_threads.replace_blocked():
            return self.core.wait(timeout)

    def progress(self) -> dict[str, Any]:
        """Return how far the run has come."""
        total = len(self.plan)
        done = total - self.core.remaining
        for node, items, count, of in self.core.maps():
            if not items:
                said = f"{count} of {of} items" if of >= 0 else f"{count} items"
                self.record.progress[node] = (count / of if of > 0 else float(of == 0), said)
        reported = {self.record.names(node): value for node, value in dict(self.record.progress).items()}
        return {"done": done, "total": total, "operations": reported}

    def after_fork_in_child(self) -> None:
        """Mark the run as lost: its workers are in the parent."""
        if not self.is_finished:
            self.core.lose()

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Stop the run: the program is over."""
        if self.is_finished or self.core.lost or self._is_given_up:
            return
        if step is ExitStep.CANCEL:
            self.cancel("the program ended")
        elif step in (ExitStep.WAIT, ExitStep.ABANDON):
            ended = self.wait(max(0.0, deadline - time.monotonic()))
            if step is ExitStep.ABANDON and not ended:
                self._name_what_is_left()

    def _name_what_is_left(self) -> None:
        running = [self.plan.label(node) for node, state in enumerate(self.core.states()) if state == _RUNNING]
        if sys.stderr is not None and running:
            names = ", ".join(map(repr, running))
            text = f"the program ended while {names} of run {self.record.run_id!r} did not stop; it was left behind"
            print(f"execution-dataflow: {text}", file=sys.stderr, flush=True)
