"""Code that does not let itself be interrupted, and what can be seen of it."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

# A sleep in native code: with the interpreter's lock released, or held.
if sys.platform == "win32":
    _released, _held = ctypes.WinDLL("kernel32").Sleep, ctypes.PyDLL("kernel32").Sleep

    def native_sleep(seconds: float) -> None:
        """Sleep where no exception can reach the thread."""
        _released(int(seconds * 1000))

    def native_sleep_with_lock(seconds: float) -> None:
        """Sleep and let nobody else run Python code."""
        _held(int(seconds * 1000))

else:
    _released, _held = ctypes.CDLL(None).usleep, ctypes.PyDLL(None).usleep

    def native_sleep(seconds: float) -> None:
        """Sleep where no exception can reach the thread."""
        _released(int(seconds * 1_000_000))

    def native_sleep_with_lock(seconds: float) -> None:
        """Sleep and let nobody else run Python code."""
        _held(int(seconds * 1_000_000))


def spin(seconds: float = 30.0) -> None:
    """Run Python code that does nothing, for so long that a test fails which waits for it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def threads_named(part: str) -> list[str]:
    """The names of the living threads that have this in their name."""
    return sorted(thread.name for thread in threading.enumerate() if part in thread.name)


@contextmanager
def no_stray_exceptions() -> Iterator[None]:
    """Fail where a thread ends with an exception, or one is raised where nobody can catch it."""
    seen: list[str] = []
    thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda args: seen.append(f"thread {args.thread}: {args.exc_type} {args.exc_value}")
    sys.unraisablehook = lambda args: seen.append(f"unraisable in {args.object}: {args.exc_type} {args.exc_value}")
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = thread_hook, unraisable_hook
    if seen:
        pytest.fail("\n".join(seen))
