"""Threads beside the pool's own, for what may have to wait for a store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

__all__ = ["StateDesk"]

_log = logging.getLogger("execution_dataflow.processes")

# As many commits may wait at the same time, and so share what is written, even for one worker process.
_SHARE_A_WRITE = 16


class StateDesk:
    """Reads state for worker processes and commits what they did, while the pool's thread sees deaths and deadlines.

    Parameters
    ----------
    most : int
        How many threads are needed at the same time for what is read; each starts when there is something for it to do.
    hand_over : callable
        Has something done on the pool's thread.
    """

    def __init__(self, most: int, hand_over: Callable[[Callable[[], None]], None]) -> None:
        self.hand_over = hand_over
        self._most = max(most, _SHARE_A_WRITE)
        self._actions: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._open = 0
        self._lock = Lock()

    def do(self, action: Callable[[], None]) -> None:
        """Have something done soon; called on the pool's thread alone."""
        with self._lock:
            self._open += 1
            is_short_of_threads = self._open > len(self._threads)
        if is_short_of_threads and len(self._threads) < self._most:
            thread = Thread(target=self._serve, name="execution-dataflow-state", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._actions.put(action)

    def _serve(self) -> None:
        while (action := self._actions.get()) is not None:
            try:
                action()
            except Exception:
                _log.exception("internal error of the engine where it waits for a store; please report it")
            # What it holds is not to wait for the next one.
            del action
            with self._lock:
                self._open -= 1

    def close(self, seconds: float) -> None:
        """Let the threads end when all is done; wait for them at most so many seconds."""
        deadline = time.monotonic() + seconds
        for _ in self._threads:
            self._actions.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
