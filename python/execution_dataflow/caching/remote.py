"""Operations in worker processes: the cache is asked in the parent, before anything is sent."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from execution_dataflow import _core
from execution_dataflow.caching.around import CachedKind, Place, kind_of_cached
from execution_dataflow.caching.inquiry import Answer, Found, Inquiry, Pause
from execution_dataflow.caching.log import CacheLog

if TYPE_CHECKING:
    from execution_dataflow.run_record import RunRecord

__all__ = ["CachedAttempt", "RemoteCalls", "Savers", "is_kept", "log_of", "warn_of_cache"]

_SLICE_SECONDS = 0.05
# A thread that keeps results ends when there was nothing to keep for so long.
_IDLE_SECONDS = 10.0
_MOST_THREADS = 2

_making = threading.Lock()
_Go = Callable[[Any], object]


class Savers:
    """Threads that keep what worker processes have computed: the one that drives the processes must not wait for it."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._ready = threading.Condition()
        self._jobs: deque[Callable[[], object]] = deque()
        self._threads = 0
        self._idle = 0

    def do(self, job: Callable[[], object]) -> None:
        """Have a function called soon, on another thread; here if there can be none."""
        if self._process != os.getpid():
            # The threads are in the process that this one was forked from, and one of them may have the lock.
            self.__init__()  # type: ignore[misc]
        with self._ready:
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or self._threads >= _MOST_THREADS:
                self._ready.notify()
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="execution-dataflow-cache", daemon=True).start()
        except RuntimeError:
            # The program is ending, and no thread starts any more.
            with self._ready:
                self._threads -= 1
                jobs, self._jobs = self._jobs, deque()
            for left in jobs:
                left()

    def _work(self) -> None:
        while True:
            with self._ready:
                self._idle += 1
                has_job = self._ready.wait_for(lambda: bool(self._jobs), _IDLE_SECONDS)
                self._idle -= 1
                if not has_job:
                    self._threads -= 1
                    return
                job = self._jobs.popleft()
            job()
            del job


class CachedAttempt:
    """Stands for an attempt in a worker process, and keeps its outputs before they are committed.

    Parameters
    ----------
    attempt : _core.RemoteAttempt
        The attempt.
    inquiry : Inquiry
        The search that has found nothing.
    kind : CachedKind
        What runs.
    savers : Savers
        Threads that keep results.
    place : Place
        Which attempt it is.
    """

    def __init__(
        self, attempt: _core.RemoteAttempt, inquiry: Inquiry, kind: CachedKind, savers: Savers, place: Place
    ) -> None:
        self._attempt = attempt
        # Its inputs are not to be kept alive.
        self._place = place._replace(inputs=())
        self._inquiry = inquiry
        self._kind = kind
        self._savers = savers
        self._took = 0
        self._is_being_kept = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attempt, name)

    def begin(self, nanoseconds_ago: int = 0) -> None:
        """Say that the operation was entered, so many nanoseconds ago."""
        self._took = max(self._took, nanoseconds_ago)
        self._attempt.begin(nanoseconds_ago)

    def complete(self, outputs: tuple[Any, ...]) -> None:
        """End it with its outputs, once they are kept."""
        if not is_kept(self._kind, self._place):
            self._inquiry.end()
            self._attempt.complete(outputs)
            return

        def keep() -> None:
            try:
                values = self._kind.checked([*outputs])
                if values is not None and self._attempt.is_live:
                    self._inquiry.keep(self._kind.names, values, self._took * 1e-9)
            finally:
                self._inquiry.end()
                self._attempt.complete(outputs)

        self._is_being_kept = True
        self._savers.do(keep)

    def fail(self, error: BaseException) -> None:
        """End it with what the operation raised, or with what became of its process."""
        self._inquiry.end()
        self._attempt.fail(error)

    def cancel(self) -> None:
        """End it because the run starts nothing new, or was cancelled."""
        if not self._is_being_kept:
            self._inquiry.end()
            self._attempt.cancel()

    def __del__(self) -> None:
        # An attempt that had ended in another way is dropped by those who would have run it.
        inquiry: Inquiry | None = self.__dict__.get("_inquiry")
        if inquiry is not None and not self._is_being_kept:
            with suppress(Exception):
                inquiry.end()


class RemoteCalls:
    """The part of a cache that is about worker processes."""

    inquiry: Callable[[CachedKind, Place], Inquiry | None]

    def __init__(self) -> None:
        self.savers = Savers()

    def launch(self, record: RunRecord, attempt: _core.RemoteAttempt, go: _Go) -> None:
        """End an attempt with what was kept, or have it run.

        Parameters
        ----------
        record : RunRecord
            The run.
        attempt : _core.RemoteAttempt
            The attempt, of an operation whose results are kept.
        go : callable
            Takes an attempt that is to run.
        """
        place = _place(record, attempt)
        kind = None if place is None else kind_of_cached(place.operation)
        inquiry = None if kind is None or place is None else self.inquiry(kind, place)
        if inquiry is None or kind is None or place is None:
            go(attempt)
            return
        try:
            answer = inquiry.step()
            if isinstance(answer, Pause):
                # Whoever launches has others to launch: somebody else waits.
                threading.Thread(
                    target=self._await,
                    args=(inquiry, answer, kind, place, attempt, go),
                    name="execution-dataflow-cache-wait",
                    daemon=True,
                ).start()
                return
        except BaseException:
            inquiry.end()
            raise
        self._act_on(answer, inquiry, kind, place, attempt, go)

    def _await(
        self, inquiry: Inquiry, answer: Answer, kind: CachedKind, place: Place, attempt: _core.RemoteAttempt, go: _Go
    ) -> None:
        try:
            while isinstance(answer, Pause):
                until = time.monotonic() + answer.seconds
                while (left := until - time.monotonic()) > 0:
                    if not attempt.is_live or attempt.is_unwanted:
                        inquiry.end()
                        attempt.cancel()
                        return
                    if answer.flight is None:
                        time.sleep(min(left, _SLICE_SECONDS))
                    elif answer.flight.wait(min(left, _SLICE_SECONDS)):
                        break
                answer = inquiry.step()
            self._act_on(answer, inquiry, kind, place, attempt, go)
        except BaseException as error:
            inquiry.end()
            attempt.fail(error)

    def _act_on(
        self, answer: Answer, inquiry: Inquiry, kind: CachedKind, place: Place, attempt: _core.RemoteAttempt, go: _Go
    ) -> None:
        if isinstance(answer, Found):
            inquiry.end()
            log_of(place.record).note_hit(place.node)
            attempt.complete(tuple(kind.renewed(answer.values)))
            return
        made = CachedAttempt(attempt, inquiry, kind, self.savers, place)
        try:
            go(made)
        except BaseException:
            inquiry.end()
            raise


def log_of(record: RunRecord) -> CacheLog:
    """Return what came of the cache in a run; made when it is first asked for."""
    log = record.cache_log
    if log is None:
        with _making:
            log = record.cache_log = record.cache_log or CacheLog()
    return log


def warn_of_cache(record: RunRecord, operation: str, kind: str, text: str) -> None:
    """Keep and log that the cache was of no use, unless that was done for this kind of operation and of fault."""
    if log_of(record).is_new(operation, kind, text):
        record.logger_for(None).warning("%s", text)


def is_kept(kind: CachedKind, place: Place) -> bool:
    """Return whether the result of an attempt may be kept: one that has used state depends on more than its inputs."""
    record: RunRecord = place.record
    if not record.uses_state(place.node, place.items):
        return True
    text = (
        f"{kind.operation} was not kept in the cache: it uses context.state, and so depends on more than its inputs; "
        "leave out cache="
    )
    warn_of_cache(record, kind.operation, "state", text)
    return False


def _place(record: RunRecord, attempt: _core.RemoteAttempt) -> Place | None:
    operation, given = attempt.operation, attempt.inputs
    if given is None:
        return None
    defaults = operation.ports.input_defaults
    inputs = tuple(default if value is _core.MISSING else value for value, default in zip(given, defaults, strict=True))
    if any(value is _core.MISSING for value in inputs):
        return None
    return Place(record, attempt.node, attempt.items, operation, inputs)
