"""Coroutine operations on an event loop: a thread of the engine's own, or the loop of whoever awaits the run."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections import deque
from collections.abc import Awaitable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.executors.coroutine_limits import Limits, PendingTasks, run_in_time

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["CoroutineHost", "LoopThread", "PendingTasks"]

# How many coroutines may wait at the same time for what they have committed to be written.
_COMMITTERS = 16


class CoroutineHost:
    """Starts attempts on an event loop, from any thread. One wake-up of the loop serves all that came meanwhile.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop that runs them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._incoming: deque[tuple[_core.Attempt, Context, PendingTasks]] = deque()
        self._lock = threading.Lock()
        self._is_woken = False
        self._committers: ThreadPoolExecutor | None = None
        self.limits = Limits()

    def launch(self, attempt: _core.Attempt, context: Context, pending: PendingTasks) -> None:
        """Start an attempt soon.

        Parameters
        ----------
        attempt : _core.Attempt
            The attempt; the loop ends it.
        context : contextvars.Context
            The context variables that it runs with.
        pending : PendingTasks
            The run that it belongs to.
        """
        try:
            with self._lock:
                self._incoming.append((attempt, context, pending))
                if self._is_woken:
                    return
                self._is_woken = True
            self.loop.call_soon_threadsafe(self._start_all)
        except BaseException as error:
            # A closed loop, or Ctrl-C in one of these lines: one wake-up too many is better than none for ever.
            self._is_woken = False
            if isinstance(error, RuntimeError):
                # This one fails with what is raised; those that came before it and were not started do so too.
                for other, _, _ in self._taken_in():
                    if other is not attempt:
                        other.close()
                        other.fail(RuntimeError(str(error)))
            raise

    @property
    def _threads_that_wait(self) -> ThreadPoolExecutor:
        """The threads that wait until a store has what coroutines have committed; many share one write."""
        if self._committers is None:
            # Not with this module: it has a lock taken before forks and given back after them, and a fork may come in
            # between, since it waits for this module.
            from concurrent.futures import ThreadPoolExecutor

            self._committers = ThreadPoolExecutor(_COMMITTERS, thread_name_prefix="execution-dataflow-commit")
        return self._committers

    def complete(self, attempt: _core.Attempt, value: object) -> Future[None] | None:
        """End an attempt with what its coroutine has returned, on a thread that may wait for a store."""
        try:
            return self._threads_that_wait.submit(attempt.complete, value)
        except RuntimeError:
            # At the end of the program no thread starts any more.
            attempt.complete(value)
            return None

    async def complete_on_loop(self, attempt: _core.Attempt, value: object) -> None:
        """Do the same for a task that goes on when the attempt has ended."""
        ending = self.complete(attempt, value)
        if ending is not None:
            await asyncio.wrap_future(ending)

    def cancel(self, pending: PendingTasks) -> None:
        """Cancel the coroutines of a run, from any thread."""

        def cancel_now() -> None:
            for task in list(pending.tasks.values()):
                task.cancel()

        try:
            self.loop.call_soon_threadsafe(cancel_now)
        except RuntimeError:
            self._end_stranded(pending)

    def set_aside(self, pending: PendingTasks) -> None:
        """Leave the coroutines of a cancelled run to themselves that did not stop, from any thread."""

        def leave_now() -> None:
            for attempt, task in list(pending.tasks.items()):
                pending.left_behind_coroutine(attempt)
                attempt.set_aside()
                pending.end_task(attempt)
                task.cancel()

        try:
            self.loop.call_soon_threadsafe(leave_now)
        except RuntimeError:
            self._end_stranded(pending)

    def _end_stranded(self, pending: PendingTasks) -> None:
        """End the coroutines of a cancelled run, also those that always run: the loop is closed, and ends none."""
        for attempt, _, _ in self._taken_in():
            attempt.close()
            attempt.cancel()
        for attempt in [*pending.tasks, *pending.shielded]:
            pending.left_behind_coroutine(attempt)
            attempt.set_aside()
            pending.end_task(attempt)

    def _taken_in(self) -> deque[tuple[_core.Attempt, Context, PendingTasks]]:
        with self._lock:
            self._is_woken = False
            incoming, self._incoming = self._incoming, deque()
        return incoming

    def run_awaitable(self, awaitable: Awaitable[Any]) -> Any:
        """Run an awaitable on the loop, from another thread, and return its result."""
        # Taken out before it is awaited: on CPython 3.13 the frames of what it raises lead back to this one, and it may
        # hold the run that keeps the error.
        waiting = [awaitable]
        del awaitable

        async def wait_for_it() -> Any:
            return await waiting.pop()

        return asyncio.run_coroutine_threadsafe(wait_for_it(), self.loop).result()

    def _start_all(self) -> None:
        for attempt, context, pending in self._taken_in():
            if pending.is_cancelled:
                attempt.close()
                attempt.cancel()
                continue
            seconds = attempt.timeout_seconds
            # An attempt without a limit is a coroutine that concludes itself.
            steps: Any = attempt if seconds is None else run_in_time(attempt, pending, self.limits, seconds)
            task = self.loop.create_task(steps, context=context)
            if seconds is not None:
                # A task that is cancelled before its first step never enters its coroutine.
                task.add_done_callback(lambda _, attempt=attempt: attempt.cancel())  # type: ignore[misc]
            if not task.done():
                pending.tasks[attempt] = task


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop where that is installed, which does the same in less time."""
    try:
        uvloop: Any = importlib.import_module("uvloop")
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class LoopThread(CoroutineHost):
    """An event loop on a daemon thread of its own."""

    def __init__(self) -> None:
        super().__init__(_new_loop())
        self._thread = threading.Thread(target=self._run, name="execution-dataflow-loop", daemon=True)
        self._thread.start()

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller runs on this loop's thread."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            leftover = asyncio.all_tasks(self.loop)
            for task in leftover:
                task.cancel()
            if leftover:
                self.loop.run_until_complete(asyncio.gather(*leftover, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def close(self, timeout: float = 5.0) -> None:
        """Stop the loop and wait for its thread, at most ``timeout`` seconds."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.is_current_thread:
            self._thread.join(timeout)
