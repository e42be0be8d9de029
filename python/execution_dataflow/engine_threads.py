"""What serves one engine: a share of the pool of threads, an event loop, worker processes, a dispatcher of events."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from execution_dataflow import _core
from execution_dataflow.cpus import usable_cpus
from execution_dataflow.event_dispatch import Dispatcher
from execution_dataflow.executors.threads import worker_threads

if TYPE_CHECKING:
    from execution_dataflow.executors.event_loop import CoroutineHost, LoopThread
    from execution_dataflow.executors.processes.pool import ProcessPool

__all__ = ["EngineThreads"]


class EngineThreads:
    """What is stopped with an engine; apart from it, so that it can be stopped when nobody has the engine any more."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self.loop_thread: LoopThread | None = None
        self.process_pool: ProcessPool | None = None
        self._lock = threading.Lock()

    def require(self, workers: int, at_least: int) -> None:
        """Have this many worker threads in the pool; `at_least` where the system gives no more."""
        worker_threads.require(id(self), workers, at_least)

    def loop(self) -> CoroutineHost:
        """Return the event loop; the first call starts it."""
        from execution_dataflow.executors.event_loop import LoopThread

        with self._lock:
            if self.loop_thread is None:
                self.loop_thread = LoopThread()
            return self.loop_thread

    def processes(self, workers: int, native_threads: int | str) -> ProcessPool:
        """Return the worker processes; the first call starts the thread that drives them.

        Parameters
        ----------
        workers : int
            How many there may be; the largest number that was ever asked for holds.
        native_threads : int or {"auto", "unlimited"}
            How many threads a native library may use in one of them; ``"auto"`` is their share of the CPUs.
        """
        from execution_dataflow.executors.processes.pool import ProcessPool

        with self._lock:
            if self.process_pool is None or self.process_pool.is_broken:
                if native_threads == "auto":
                    native_threads = max(1, usable_cpus() // workers)
                limit = native_threads if isinstance(native_threads, int) else None
                self.process_pool = ProcessPool(workers, limit)
            self.process_pool.workers = max(workers, self.process_pool.workers)
            return self.process_pool

    def stop(self, timeout: float) -> None:
        """Give the worker threads back and stop the others; wait for them at most ``timeout`` seconds each."""
        worker_threads.release(id(self))
        _core.dismiss_companions()
        if self.loop_thread is not None:
            self.loop_thread.close(timeout)
        if self.process_pool is not None:
            self.process_pool.close(timeout)
        self.dispatcher.close(timeout)

    def after_fork_in_child(self) -> None:
        """Start afresh: the threads are in the parent."""
        self.dispatcher = Dispatcher()
        self.loop_thread = None
        if self.process_pool is not None:
            self.process_pool.forget()
        self.process_pool = None
        self._lock = threading.Lock()
