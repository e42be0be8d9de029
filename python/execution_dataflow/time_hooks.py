"""What a native run asks Python for when time is over: errors of timeouts, threads, the steps of a cancellation."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING

from execution_dataflow import _core
from execution_dataflow.error_record import place_of_stack
from execution_dataflow.executors.companions import companion_threads
from execution_dataflow.executors.time_over import timeout_of
from execution_dataflow.executors.watchdog import Alarm, watchdog
from execution_dataflow.run_record import RunRecord
from execution_dataflow.timeout_errors import OperationTimeout

if TYPE_CHECKING:
    import asyncio

    from execution_dataflow.executors.event_loop import CoroutineHost

__all__ = ["TimeHooks"]

# What goes on after an exception was raised in it gets another one after this time, and ever more seldom.
_AGAIN_SECONDS = 0.02
_SELDOM_SECONDS = 0.25


class TimeHooks:
    """The part of a run's hooks that is about time."""

    __slots__ = ("_alarm", "_coroutines_end_at", "_insisted")

    record: RunRecord
    run: _core.Run | None
    tasks: dict[_core.Attempt, asyncio.Task[None]]
    # Those of operations that always run.
    shielded: dict[_core.Attempt, asyncio.Task[None]]
    _host: CoroutineHost | None
    # What is to happen at the end of the grace of a cancelled run, and how many steps were taken since.
    _alarm: Alarm | None
    _insisted: int
    _coroutines_end_at: float

    @property
    def is_cancelled(self) -> bool:
        """Whether the run was cancelled."""
        return self.record.cancel_requested

    def start_companion(self, companion: _core.Companion) -> None:
        """Start a thread for operations with a time limit."""
        companion_threads.start(companion)

    def timed_out(
        self,
        node: int,
        items: Sequence[int],
        attempt: int,
        seconds: float,
        cause: BaseException | None,
        thread: int | None,
    ) -> OperationTimeout:
        """Return the error of a thread operation whose time was over; with a thread, that was set aside."""
        name = self.record.name_of(node, tuple(items))
        where = None
        if thread is not None:
            where = place_of_stack(_frames_of(thread))
            companion_threads.set_aside(thread, name)
        return timeout_of(name, seconds, attempt, cause, where, is_set_aside=thread is not None)

    def left_behind(self, node: int, items: Sequence[int], thread: int) -> None:
        """Note an operation that did not stop when its run was cancelled."""
        name = self.record.name_of(node, tuple(items))
        companion_threads.set_aside(thread, name)
        self.record.left_behind.append(name)

    def timed_out_coroutine(
        self, attempt: _core.Attempt, cause: BaseException | None, where: str | None, is_set_aside: bool
    ) -> OperationTimeout:
        """Return the error of a coroutine whose time was over."""
        name = self.record.name_of(attempt.node, tuple(attempt.items))
        seconds = attempt.timeout_seconds
        assert seconds is not None
        return timeout_of(name, seconds, attempt.number, cause, where, is_set_aside=is_set_aside, kind="coroutine")

    def left_behind_coroutine(self, attempt: _core.Attempt) -> None:
        """Note a coroutine that did not stop when its run was cancelled."""
        self.record.left_behind.append(self.record.name_of(attempt.node, tuple(attempt.items)))

    def end_task(self, attempt: _core.Attempt) -> None:
        """Forget the task of an attempt, which has ended."""
        if self.tasks.pop(attempt, None) is None:
            self.shielded.pop(attempt, None)

    async def complete_on_loop(self, attempt: _core.Attempt, value: object) -> None:
        """End an attempt with what its coroutine has returned."""
        raise NotImplementedError

    @property
    def grace_seconds(self) -> float:
        """How long what was cancelled may take to stop."""
        run = self.run
        return 0.0 if run is None else run.grace_seconds

    def _expect_end(self) -> None:
        """Have the operations of the cancelled run stopped when its grace is over."""
        run, alarm = self.run, self._alarm
        if run is None:
            return
        moment = time.monotonic() + run.grace_seconds
        if alarm is not None and alarm.function is not None:
            if alarm.moment <= moment:
                return
            alarm.cancel()
        # At the end of the program no thread starts any more, and it ends runs in its own way.
        with suppress(RuntimeError):
            self._alarm = watchdog.call_at(moment, self._insist)

    def _insist(self) -> None:
        """Stop what goes on although the run was cancelled; again and again, since code may swallow what is raised."""
        run = self.run
        if run is None or run.finished:
            return
        self._insisted += 1
        run.interrupt_operations()
        grace, now = run.grace_seconds, time.monotonic()
        if self._host is not None:
            # Once cuts the clearing up of coroutines short, and what does not stop then is left to itself.
            if self._insisted == 1:
                self._host.cancel(self)
                self._coroutines_end_at = now + grace
            elif now >= self._coroutines_end_at:
                self._host.set_aside(self)
        pause = _AGAIN_SECONDS if self._insisted * _AGAIN_SECONDS < _SELDOM_SECONDS * 4 else _SELDOM_SECONDS
        with suppress(RuntimeError):
            self._alarm = watchdog.call_at(now + pause, self._insist)

    def _expect_nothing(self) -> None:
        """Forget the end of the grace: the run has ended."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _frames_of(thread: int) -> Iterator[FrameType]:
    frame = sys._current_frames().get(thread)
    while frame is not None:
        yield frame
        frame = frame.f_back
