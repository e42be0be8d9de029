"""The thread pools of native libraries: workers times BLAS or OpenMP threads stay at the number of CPUs.

A matrix product uses a thread for every CPU. Where several workers compute one each, those threads fight for the CPUs,
and all of them become slower. So, while several workers are at work, each gets its share. The libraries are told
through threadpoolctl, which is imported when it is first needed.

OpenBLAS keeps one number for the process, OpenMP and MKL keep one for each thread: the first is told when a run begins
or ends to need a limit, the others by each thread that works, when the native core sees that it has to.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from execution_dataflow import _core
from execution_dataflow.cpus import usable_cpus
from execution_dataflow.process_life import ExitStep, watch

if TYPE_CHECKING:
    from threadpoolctl import LibController

__all__ = ["MayBeLimited", "NativeThreads", "native_threads"]

# Without any of these there is hardly a pool to limit. To look costs a millisecond, once, and again after imports.
_USERS_OF_POOLS = ("numpy", "torch", "pyarrow", "mkl", "faiss")


class MayBeLimited(Protocol):
    """A run that may have a limit."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended; what has may not begin to have a limit."""


class NativeThreads:
    """Limits the pools while at least one run needs it; the smallest limit of all runs holds."""

    def __init__(self) -> None:
        # Reentrant: what happens under it may collect garbage, and a finaliser may run a graph.
        self._lock = threading.RLock()
        # The threads for each worker, and whether this number is wanted even where it is more than there would be.
        self._limits: dict[MayBeLimited, tuple[int, bool]] = {}
        self._cpus = 0
        self._modules_seen = 0
        self._libraries: dict[str, LibController] = {}
        # What the libraries had before there was any limit; for OpenMP by thread.
        self._before: dict[str, int] = {}
        self._of_thread = threading.local()
        self._changes = 0

    def share(self, run: MayBeLimited, workers: int) -> None:
        """Give each of several workers its share of the CPUs, until the end of the run.

        Parameters
        ----------
        run : MayBeLimited
            Who needs it; a second call changes nothing.
        workers : int
            How many work at the same time.
        """
        if run not in self._limits and any(name in sys.modules for name in _USERS_OF_POOLS):
            # Not asked for each time: it reads files.
            self._cpus = self._cpus or usable_cpus()
            self._begin(run, (max(1, self._cpus // workers), False))

    def give(self, run: MayBeLimited, threads: int) -> None:
        """Give every worker this many threads, until the end of the run.

        Parameters
        ----------
        run : MayBeLimited
            Who needs it.
        threads : int
            How many.
        """
        self._begin(run, (threads, True))

    def end(self, run: MayBeLimited) -> None:
        """Forget the limit of a run. With the last one, the libraries get back what they had."""
        with self._lock:
            limit = self._limits.get(run)
            if limit is None:
                return
            others = [other for owner, other in self._limits.items() if owner is not run]
            # First this and then that: a call that was interrupted is made again.
            self._apply(others)
            del self._limits[run]

    def limit_this_thread(self) -> None:
        """Tell OpenMP what holds for the calling thread."""
        with self._lock:
            limits = list(self._limits.values())
            before: dict[str, int] = self._of_thread.__dict__.setdefault("before", {})
            for path, library in self._libraries.items():
                if _is_by_thread(library):
                    if limits and path not in before:
                        before[path] = library.get_num_threads()
                    if path in before:
                        _tell(library, limits, before[path])
            if not limits:
                before.clear()

    def release_this_thread(self) -> None:
        """Give the calling thread back what it had, unless it goes on with an operation of another run."""
        if _core.current_frame() is not None:
            self.limit_this_thread()
            return
        before: dict[str, int] = self._of_thread.__dict__.pop("before", {})
        for path, threads in before.items():
            _tell(self._libraries[path], [], threads)

    def _begin(self, run: MayBeLimited, limit: tuple[int, bool]) -> None:
        with self._lock:
            if run.is_over or run in self._limits:
                return
            self._find_libraries()
            if self._libraries:
                self._limits[run] = limit
                self._apply(list(self._limits.values()))

    def _apply(self, limits: list[tuple[int, bool]]) -> None:
        for path, library in self._libraries.items():
            if not _is_by_thread(library):
                if limits and path not in self._before:
                    self._before[path] = library.get_num_threads()
                if path in self._before:
                    _tell(library, limits, self._before[path])
        if not limits:
            self._before.clear()
        self._changes = self._changes % 0x7FFF_FFFF + 1
        _core.note_native_limit(self._changes if limits else 0)

    def _find_libraries(self) -> None:
        """Look for pools, if modules were imported since the last look: they may have brought some."""
        modules = len(sys.modules)
        if modules != self._modules_seen:
            from threadpoolctl import ThreadpoolController

            for library in ThreadpoolController().lib_controllers:
                self._libraries.setdefault(library.filepath, library)
            self._modules_seen = len(sys.modules)

    def after_fork_in_child(self) -> None:
        """Undo the limits: the runs are in the parent."""
        self._lock = threading.RLock()
        if self._limits:
            self._limits.clear()
            self._apply([])
            self.release_this_thread()

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Do nothing: runs end by themselves, and their limits with them."""


def _is_by_thread(library: Any) -> bool:
    """Whether what a thread sets holds for itself alone: so does OpenMP, what is built on it, and MKL."""
    kind = library.internal_api
    return library.user_api == "openmp" or kind == "mkl" or getattr(library, "threading_layer", "") == "openmp"


def _tell(library: Any, limits: list[tuple[int, bool]], before: int) -> None:
    """Give a library the smallest of the limits, or what it had before."""
    threads = min((number if is_wanted else min(number, before) for number, is_wanted in limits), default=before)
    # threadpoolctl lets one thread at a time set what is the whole process's. Where a part of the program does so that
    # is under way, its number stands, unless the user gave the engine one; and nobody finds us in the way.
    hand_over = getattr(library, "clear_controlling_thread", None)
    if hand_over is not None and any(is_wanted for _, is_wanted in limits):
        hand_over(force=True)
    library.set_num_threads(threads)
    if hand_over is not None:
        hand_over()


native_threads = NativeThreads()
"""The pools of this process."""
watch(native_threads)
