"""The worker threads of the process: one pool for all engines, as large as the largest of them asks for.

They are ordinary daemon threads with names (rule R12), so debuggers, profilers and coverage see them; what they do is
in the native core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from execution_dataflow import _core
from execution_dataflow.cancellation import AttemptCancelled
from execution_dataflow.process_life import ExitStep, watch

__all__ = ["WorkerThreads", "worker_threads"]

# How long idle threads take to leave, at the very most.
_LEAVE_SECONDS = 0.1


class WorkerThreads:
    """Starts and stops the pool's threads."""

    def __init__(self) -> None:
        # Reentrant: whoever holds it may collect garbage, and with it an engine that gives its threads back. So may a
        # thread that is being started, for which its starter waits: it must not do so with the lock.
        self._lock = threading.RLock()
        self._demands: dict[int, int] = {}
        self._blocked = 0
        self._threads: dict[int, threading.Thread] = {}

    def require(self, owner: int, threads: int, at_least: int) -> None:
        """Have this many threads for as long as the owner needs them.

        Parameters
        ----------
        owner : int
            Who asks; a later call replaces its demand.
        threads : int
            How many.
        at_least : int
            How many will do where the system gives no more: it has a limit, or the program is ending.

        Raises
        ------
        RuntimeError
            There are not even these.
        """
        if self._demands.get(owner, 0) >= threads:
            return
        with self._lock:
            self._demands[owner] = threads
            missing = self._resized()
        try:
            self._start(missing)
        except RuntimeError:
            # The next run asks again.
            serving = _core.serving_threads()
            with self._lock:
                self._demands[owner] = min(threads, serving)
            if serving < at_least:
                raise

    def release(self, owner: int) -> None:
        """Forget the demand of an owner; threads that nobody else asked for leave."""
        with self._lock:
            missing = [] if self._demands.pop(owner, None) is None else self._resized()
        self._start_if_possible(missing)

    @contextmanager
    def replace_blocked(self) -> Iterator[None]:
        """Have one more thread while an operation blocks its worker, so that what it waits for is not starved."""
        frame = _core.current_frame()
        if frame is None or frame.spec.is_coroutine:
            yield
            return
        with self._lock:
            self._blocked += 1
        try:
            with self._lock:
                missing = self._resized()
            self._start_if_possible(missing)
            yield
        finally:
            with self._lock:
                self._blocked -= 1
                missing = self._resized()
            self._start_if_possible(missing)

    def _resized(self) -> list[int]:
        """Tell the pool how many threads there are to be, and return the numbers of those to start: ours alone."""
        return _core.resize_pool(max(self._demands.values(), default=0) + self._blocked)

    def _start_if_possible(self, missing: list[int]) -> None:
        with suppress(RuntimeError):
            self._start(missing)

    def _start(self, missing: list[int]) -> None:
        for position, worker in enumerate(missing):
            thread = threading.Thread(
                target=_core.serve, args=(worker,), name=f"execution-dataflow-{worker + 1}", daemon=True
            )
            self._threads[worker] = thread
            try:
                thread.start()
            except BaseException:
                for unstarted in missing[position:]:
                    _core.worker_gone(unstarted)
                raise

    def after_fork_in_child(self) -> None:
        """Forget the parent's threads. Engines ask again when they run."""
        _core.forget_pool()
        _note_main_thread()
        self._lock = threading.RLock()
        self._demands = {}
        self._blocked = 0
        self._threads = {}

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Let the threads leave, and interrupt what keeps them.

        What catches that and goes on, or is stuck in native code, stays: see ``gate.rs`` for what becomes of it.
        """
        if step is ExitStep.INTERRUPT:
            with self._lock:
                self._demands = {}
                self._blocked = 0
                self._resized()
            for thread in self._alive_at(time.monotonic() + _LEAVE_SECONDS):
                assert thread.ident is not None
                _core.post_exception(thread.ident, AttemptCancelled)
        elif step is ExitStep.CLOSE:
            self._alive_at(deadline)

    def _alive_at(self, deadline: float) -> list[threading.Thread]:
        threads = [thread for thread in self._threads.values() if thread.ident is not None]
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [thread for thread in threads if thread.is_alive()]


def _note_main_thread() -> None:
    _core.note_main_thread(threading.main_thread().ident or 0)


_note_main_thread()
worker_threads = WorkerThreads()
"""The worker threads of this process."""
watch(worker_threads)
