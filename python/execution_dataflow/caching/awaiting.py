"""What a coroutine does with a cache on other threads, so that its event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from execution_dataflow.caching.inquiry import Pause

__all__ = ["Elsewhere", "ended"]

T = TypeVar("T")


class Elsewhere:
    """Calls functions on threads of the loop's executor, one after the other, for one coroutine."""

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """Call a function on another thread, with the context variables of this one.

        A coroutine that is cancelled meanwhile leaves it to itself: threads cannot be.
        """
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(None, copy_context().run, function)
        self._running = future
        return await asyncio.shield(future)

    def afterwards(self, function: Callable[[], object]) -> None:
        """Call a function when what was left to itself has ended; now if nothing was."""
        running = self._running
        if running is None or running.done():
            function()
            return

        def end(future: asyncio.Future[Any]) -> None:
            # Looked at, so that nobody reports that an error of it was not.
            if not future.cancelled():
                future.exception()
            function()

        running.add_done_callback(end)


async def ended(pause: Pause) -> None:
    """Wait until somebody else may have computed a result."""
    if pause.flight is None:
        await asyncio.sleep(pause.seconds)
        return
    loop = asyncio.get_running_loop()
    event = asyncio.Event()

    def tell() -> None:
        # The loop may have been closed since.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    pause.flight.call_at_end(tell)
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), pause.seconds)
