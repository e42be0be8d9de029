"""Waiting for what other threads do, never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

LIMIT_SECONDS = 20.0


def eventually(holds: Callable[[], object], limit: float = LIMIT_SECONDS) -> bool:
    """Whether something comes true in time."""
    deadline = time.monotonic() + limit
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def close_in_time(close: Callable[[], object]) -> None:
    """Close something in a fixture, where no timeout of pytest ends a test that has failed before."""
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(LIMIT_SECONDS)
    assert not closing.is_alive(), "it cannot be closed, since something of it still runs"


def await_event(event: threading.Event) -> None:
    """Wait for an event; a test that waits in vain fails instead of hanging."""
    if not event.wait(LIMIT_SECONDS):
        raise TimeoutError("the event never came")
