"""The time limits of coroutines: they are cancelled when their time is over, and then left to themselves.

The loop's own timers do that. A coroutine that does not let the loop go keeps them from it, and is interrupted by the
watchdog.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Protocol

from execution_dataflow import _core
from execution_dataflow.cancellation import AttemptTimedOut
from execution_dataflow.error_record import place_of_stack
from execution_dataflow.executors.watchdog import Alarm, watchdog

__all__ = ["Limits", "PendingTasks", "run_in_time"]

# How often somebody looks whether a coroutine keeps the loop from its timers, and for how long it may.
_LOOK_SECONDS = 0.25


class PendingTasks(Protocol):
    """The coroutines of one run that are on their way."""

    tasks: dict[_core.Attempt, asyncio.Task[None]]
    shielded: dict[_core.Attempt, asyncio.Task[None]]

    @property
    def is_cancelled(self) -> bool:
        """Whether the run was cancelled, so that its coroutines are to stop."""

    def timed_out_coroutine(
        self, attempt: _core.Attempt, cause: BaseException | None, where: str | None, is_set_aside: bool
    ) -> BaseException:
        """Return the error of an attempt whose time was over."""

    def left_behind_coroutine(self, attempt: _core.Attempt) -> None:
        """Note an attempt that did not stop when its run was cancelled."""

    def end_task(self, attempt: _core.Attempt) -> None:
        """Forget the task of an attempt, which has ended."""

    async def complete_on_loop(self, attempt: _core.Attempt, value: object) -> None:
        """End an attempt with what its coroutine has returned; others go on while a store writes that."""

    @property
    def grace_seconds(self) -> float:
        """How long what was cancelled may take to stop."""


class Limits:
    """Those of the coroutines of one event loop that are on their way."""

    def __init__(self) -> None:
        # A dict, of which a list is made in one step.
        self._live: dict[_Limit, None] = {}
        self._alarm: Alarm | None = None

    def add(self, limit: _Limit) -> None:
        """Look after a limit."""
        self._live[limit] = None
        if self._alarm is None:
            # At the end of the program no thread starts any more.
            with suppress(RuntimeError):
                self._alarm = watchdog.call_at(time.monotonic() + _LOOK_SECONDS, self._look)

    def remove(self, limit: _Limit) -> None:
        """Forget it."""
        self._live.pop(limit, None)

    def _look(self) -> None:
        now = time.monotonic()
        for limit in list(self._live):
            limit.interrupt_if_overdue(now)
        self._alarm = None
        if self._live:
            with suppress(RuntimeError):
                self._alarm = watchdog.call_at(now + _LOOK_SECONDS, self._look)


async def run_in_time(attempt: _core.Attempt, pending: PendingTasks, limits: Limits, seconds: float) -> None:
    """Await an attempt and conclude it.

    Parameters
    ----------
    attempt : _core.Attempt
        The attempt.
    pending : PendingTasks
        Its run.
    limits : Limits
        Those of the loop.
    seconds : float
        How long it may take from now on.
    """
    task = asyncio.current_task()
    assert task is not None
    limit = _Limit(attempt, pending, limits, task, seconds)
    cause: BaseException | None = None
    try:
        value = await attempt
    except BaseException as error:
        cause = error.with_traceback(_without_our_frame(error.__traceback__))
        limit.end()
        if isinstance(error, asyncio.CancelledError) and pending.is_cancelled:
            attempt.cancel()
        elif limit.is_over or isinstance(error, AttemptTimedOut):
            attempt.fail(pending.timed_out_coroutine(attempt, cause, None, False))
        else:
            attempt.fail(cause)
    else:
        limit.end()
        if limit.is_over and not pending.is_cancelled:
            # It was told to stop, and came to its end in its own way, after its time.
            attempt.fail(pending.timed_out_coroutine(attempt, None, None, False))
        else:
            await pending.complete_on_loop(attempt, value)
    finally:
        pending.end_task(attempt)
        # The frames of a failed coroutine lead back to this one, and must not lead on to the run that keeps it.
        del attempt, pending, limit, task, cause


class _Limit:
    """The time of one coroutine: it is cancelled at its end, and left to itself when that does not help."""

    __slots__ = ("_attempt", "_due", "_handle", "_limits", "_pending", "_steps", "_task", "is_over")

    def __init__(
        self, attempt: _core.Attempt, pending: PendingTasks, limits: Limits, task: asyncio.Task[Any], seconds: float
    ) -> None:
        self.is_over = False
        self._attempt: _core.Attempt | None = attempt
        self._pending: PendingTasks | None = pending
        self._task: asyncio.Task[Any] | None = task
        self._due = time.monotonic() + seconds
        self._handle = task.get_loop().call_later(seconds, self._cancel)
        self._steps = -1
        self._limits = limits
        limits.add(self)

    def end(self) -> None:
        """The coroutine has ended."""
        self._limits.remove(self)
        self._handle.cancel()
        self._attempt = self._pending = self._task = None

    def interrupt_if_overdue(self, now: float) -> None:
        """Interrupt the coroutine, from another thread, if it keeps the loop from cancelling it."""
        attempt = self._attempt
        if attempt is not None and not self.is_over and now > self._due:
            seen, self._steps = self._steps, attempt.steps
            # One step, since the last look at least. What only waits for its turn is left to the loop's timers.
            if seen == self._steps:
                attempt.interrupt()

    def _cancel(self) -> None:
        task, pending = self._task, self._pending
        if task is None or pending is None:
            return
        self.is_over = True
        task.cancel()
        grace = pending.grace_seconds
        if not math.isinf(grace):
            self._handle = task.get_loop().call_later(grace, self._leave)

    def _leave(self) -> None:
        task, pending, attempt = self._task, self._pending, self._attempt
        if task is None or pending is None or attempt is None:
            return
        where = place_of_stack(_frames_of(attempt.running))
        attempt.set_aside(pending.timed_out_coroutine(attempt, None, where, True))
        pending.end_task(attempt)
        self.end()
        # Once more, for a coroutine that swallowed the first one by mistake.
        task.cancel()


def _frames_of(awaited: Any) -> list[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, the innermost first."""
    frames: list[FrameType] = []
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        frames.append(frame)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return frames[::-1]


def _without_our_frame(traceback: TracebackType | None) -> TracebackType | None:
    return traceback.tb_next if traceback is not None else None
