"""Starting the worker processes of one pool, and when to give that up."""

from __future__ import annotations

from typing import Any

from execution_dataflow.executors.processes.failures import told
from execution_dataflow.executors.processes.member import Ending, Member
from execution_dataflow.executors.processes.spawn import start_worker
from execution_dataflow.executors.processes.state_desk import StateDesk
from execution_dataflow.process_errors import WorkerStartError
from execution_dataflow.shared_memory import WorkerLink

__all__ = ["Starts"]

# Processes in a row that end by themselves before they take a task, until what waits for one is failed. One that was
# killed meanwhile says less: so many of these count as one.
_MOST_FAILED_STARTS = 3
_KILLED_STARTS = 30


class Starts:
    """Starts worker processes, and counts those that ended before they took any work.

    Parameters
    ----------
    native_threads : int or None
        How many threads the native libraries of each may use.
    memory : object
        The shared memory of this process.
    desk : StateDesk
        What answers them where a store has to be waited for.
    """

    def __init__(self, native_threads: int | None, memory: Any, desk: StateDesk) -> None:
        self._native_threads = native_threads
        self._memory = memory
        self._desk = desk
        self._failed = 0.0

    def start(self) -> Member:
        """Start a process.

        Raises
        ------
        WorkerStartError
            None can be started.
        """
        link = WorkerLink(self._memory)
        try:
            return Member(start_worker(self._native_threads, link.options()), link, self._desk)
        except BaseException as fault:
            link.close()
            # What the system refuses says all there is in its own words.
            what = str(fault) if isinstance(fault, OSError) else told(fault)
            raise WorkerStartError(f"no worker process can be started: {what}") from fault

    def note_ready(self) -> None:
        """A process takes tasks."""
        self._failed = 0.0

    def note_failed(self, ending: Ending) -> WorkerStartError | None:
        """A process has ended before it took any; return an error once that is enough of them."""
        self._failed += 1 if ending.signal is None else 1 / _KILLED_STARTS
        if self._failed < _MOST_FAILED_STARTS:
            return None
        self._failed = 0.0
        how = f"signal {ending.signal}" if ending.signal is not None else f"exit code {ending.exit_code}"
        return WorkerStartError(
            f"{_MOST_FAILED_STARTS} worker processes in a row ended before they took any work, the last one with "
            f"{how}; what they wrote to stderr says why"
        )
