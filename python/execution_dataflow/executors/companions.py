"""The threads on which operations with a time limit run, each in the company of a worker that waits for it.

What they do is in the native core (``companion.rs``). They are ordinary daemon threads with names (rule R12), kept for
the next operation, and end when there was none for a while.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress

from execution_dataflow import _core
from execution_dataflow.cancellation import AttemptCancelled
from execution_dataflow.process_life import ExitStep, watch

__all__ = ["CompanionThreads", "companion_threads"]


class CompanionThreads:
    """Starts companions, and sees to it that they do not outlive the program."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        # Changed in single steps, by any thread.
        self._threads: dict[int, threading.Thread] = {}

    def start(self, companion: _core.Companion) -> None:
        """Start a thread for a companion.

        Parameters
        ----------
        companion : _core.Companion
            What it does.

        Raises
        ------
        RuntimeError
            The system gives no more threads, or the program is ending.
        """
        number = next(self._numbers)

        def serve() -> None:
            # What is posted at the end of the program may come when the operation has ended already.
            with suppress(AttemptCancelled):
                companion.serve()
            with suppress(AttemptCancelled):
                self._threads.pop(number, None)

        thread = threading.Thread(target=serve, name=f"execution-dataflow-timed-{number}", daemon=True)
        self._threads[number] = thread
        try:
            thread.start()
        except BaseException:
            if thread.ident is None:
                self._threads.pop(number, None)
            raise

    def set_aside(self, ident: int, operation: str) -> None:
        """Name a thread that was left to itself after what it is stuck in, for whoever looks at the process."""
        for thread in list(self._threads.values()):
            if thread.ident == ident:
                thread.name = f"execution-dataflow-set-aside: {operation}"

    def after_fork_in_child(self) -> None:
        """Forget the parent's threads."""
        self._threads = {}

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Let the threads end, and interrupt what keeps them."""
        if step is ExitStep.INTERRUPT:
            _core.dismiss_companions()
            for thread in list(self._threads.values()):
                if thread.ident is not None and thread.is_alive():
                    _core.post_exception(thread.ident, AttemptCancelled)
        elif step is ExitStep.CLOSE:
            _core.dismiss_companions()
            for thread in list(self._threads.values()):
                if thread.ident is not None and not thread.name.startswith("execution-dataflow-set-aside"):
                    thread.join(max(0.0, deadline - time.monotonic()))


companion_threads = CompanionThreads()
"""Those of this process."""
watch(companion_threads)
