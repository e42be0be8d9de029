"""Operations that ask the cache: on worker threads, and as coroutines."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from execution_dataflow.caching.around import CachedFunction, CachedKind, Place
from execution_dataflow.caching.flights import Flight, computing
from execution_dataflow.caching.inquiry import Found, Inquiry, Pause
from execution_dataflow.caching.remote import RemoteCalls, is_kept, log_of, warn_of_cache
from execution_dataflow.caching.result_cache import ResultCache
from execution_dataflow.cancellation import AttemptCancelled
from execution_dataflow.check_errors import CheckFailed
from execution_dataflow.executors.threads import worker_threads

if TYPE_CHECKING:
    from execution_dataflow.run_record import RunRecord

__all__ = ["RunCache"]

_log = logging.getLogger("execution_dataflow.caching")

# How often a thread that waits looks whether it still has to: what is raised in it is raised between two looks.
_SLICE_SECONDS = 0.05
_REFUSED = object()


class RunCache(RemoteCalls):
    """The cache as the operations of an engine's runs ask it.

    Parameters
    ----------
    results : ResultCache
        What is there.
    is_owned : bool
        Whether it was made for one engine, and is to be closed with it.
    """

    def __init__(self, results: ResultCache, *, is_owned: bool = False) -> None:
        super().__init__()
        self.results = results
        self._is_owned = is_owned

    def engine_closes(self) -> None:
        """Close it with its engine, or write what is left to write. What goes wrong is logged."""
        try:
            if self._is_owned:
                self.results.close()
            else:
                self.results.flush()
        except Exception as fault:
            _log.warning("a cache of results could not be closed: %s", fault)

    def inquiry(self, kind: CachedKind, place: Place) -> Inquiry | None:
        """Return the search for the result of an attempt; ``None`` if it is to be computed without one."""
        from execution_dataflow.caching.keys import key_of  # late: it loads all that makes fingerprints

        if self.results.is_resting:
            return None
        warn = partial(warn_of_cache, place.record, kind.operation)
        try:
            key = key_of(kind, place)
        except Exception as fault:
            # A KeyFault, or what some object of the user's raised when it was looked at.
            warn("key", f"{kind.operation} was computed without the cache: {fault}")
            return None
        return Inquiry(self.results, key, kind.operation, kind.policy, warn)

    def call(self, called: CachedFunction, places: list[Place], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what an attempt on this thread comes to, with its outputs set if it sets them.

        Parameters
        ----------
        called : CachedFunction
            What is called.
        places : list of Place
            Which attempt it is, taken from this list.
        args, kwargs
            What it is called with.
        """
        place = places.pop()
        inquiry: Inquiry | None = None
        try:
            inquiry = self.inquiry(called.kind, place)
            if inquiry is None:
                return called.compute(*args, **kwargs)
            answer = inquiry.step()
            if isinstance(answer, Pause):
                with worker_threads.replace_blocked():
                    while isinstance(answer, Pause):
                        _wait(answer, place)
                        answer = inquiry.step()
            if isinstance(answer, Found):
                returned = _played_back(called, place, answer, args, kwargs)
                if returned is not _REFUSED:
                    return returned
            began = time.perf_counter()
            with _computing(inquiry.flight):
                returned = called.compute(*args, **kwargs)
            seconds = time.perf_counter() - began
            outputs = called.kind.outputs_of(place.operation, returned) if is_kept(called.kind, place) else None
            if outputs is not None:
                inquiry.keep(called.kind.names, outputs, seconds)
            return returned
        finally:
            if inquiry is not None:
                inquiry.end()
            # The traceback of what the operation raised leads here, and must not lead on to the run that keeps it.
            del place, inquiry

    async def call_coroutine(
        self, called: CachedFunction, places: list[Place], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Return what an attempt on this event loop comes to, which is not held up by the cache.

        Parameters
        ----------
        called, places, args, kwargs
            As for `call`.
        """
        from execution_dataflow.caching.awaiting import Elsewhere, ended

        place = places.pop()
        elsewhere = Elsewhere()
        inquiry: Inquiry | None = None
        try:
            inquiry = await elsewhere.run(partial(self.inquiry, called.kind, place))
            if inquiry is None:
                return await called.compute(*args, **kwargs)
            answer = await elsewhere.run(inquiry.step)
            while isinstance(answer, Pause):
                await ended(answer)
                answer = await elsewhere.run(inquiry.step)
            if isinstance(answer, Found):
                returned = _played_back(called, place, answer, args, kwargs)
                if returned is not _REFUSED:
                    return returned
            began = time.perf_counter()
            with _computing(inquiry.flight):
                returned = await called.compute(*args, **kwargs)
            seconds = time.perf_counter() - began
            outputs = called.kind.outputs_of(place.operation, returned) if is_kept(called.kind, place) else None
            if outputs is not None:
                await elsewhere.run(partial(inquiry.keep, called.kind.names, outputs, seconds))
            return returned
        finally:
            if inquiry is not None:
                elsewhere.afterwards(inquiry.end)
            del place, inquiry


def _played_back(
    called: CachedFunction, place: Place, found: Found, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Do what the operation did when it was kept, or return `_REFUSED` where that does not pass its checks any more."""
    try:
        returned = called.replay(place.operation, found.values)(*args, **kwargs)
    except CheckFailed:
        return _REFUSED
    log_of(place.record).note_hit(place.node)
    return returned


def _wait(pause: Pause, place: Place) -> None:
    """Wait on this thread until somebody else may have computed it.

    Raises
    ------
    AttemptCancelled
        The run was cancelled.
    """
    record: RunRecord = place.record
    until = time.monotonic() + pause.seconds
    while (left := until - time.monotonic()) > 0:
        if record.cancel_requested and not place.operation._settings.always_run:
            raise AttemptCancelled(record.cancel_reason)
        if pause.flight is None:
            time.sleep(min(left, _SLICE_SECONDS))
        elif pause.flight.wait(min(left, _SLICE_SECONDS)):
            return


def _computing(flight: Flight | None) -> ExitStack:
    """Say what is computed here, to the runs that it begins."""
    stack = ExitStack()
    if flight is not None:
        token = computing.set((*computing.get(), flight))
        stack.callback(computing.reset, token)
    return stack
