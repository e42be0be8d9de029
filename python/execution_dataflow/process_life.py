"""What must happen when this process forks or ends: threads and runs do not survive either."""

from __future__ import annotations

import atexit
import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["LivesInOneProcess", "watch"]


class LivesInOneProcess(Protocol):
    """Something with threads or with a state that threads serve."""

    def after_fork_in_child(self) -> None:
        """Start afresh: in this process the threads do not exist."""

    def before_exit(self) -> None:
        """Stop the threads, before the interpreter takes itself apart below them."""


# In the order of creation, which is the order in which they are told.
_watched: WeakSet[LivesInOneProcess] = WeakSet()


def watch(thing: LivesInOneProcess) -> None:
    """Tell something of forks and of the end of the process, for as long as it lives."""
    _watched.add(thing)


def _after_fork_in_child() -> None:
    for thing in list(_watched):
        thing.after_fork_in_child()


def _before_exit() -> None:
    for thing in list(_watched):
        thing.before_exit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_before_exit)
