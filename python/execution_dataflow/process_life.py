"""What must happen when this process forks or ends: threads and runs do not survive either."""

from __future__ import annotations

import atexit
import importlib
import logging  # noqa: F401 - before what is registered below, see there
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Protocol

from execution_dataflow import _core

__all__ = ["ExitStep", "LivesInOneProcess", "watch", "watched"]

# How long a program that ends waits for operations that still run, once their run was cancelled: first for them to end
# by themselves, then, with an exception raised in those that run Python code, in all.
_PATIENCE_SECONDS = 1.0
_GRACE_SECONDS = 5.0
# What subscribers and event loops get when operations have used up the grace.
_LAST_SECONDS = 0.5

# Of the modules that are being imported. CPython has no other way to ask; where it has none, nothing is waited for.
_locks_of_imports: Mapping[str, Callable[[], object]] = getattr(
    getattr(importlib, "_bootstrap", None), "_module_locks", {}
)


class ExitStep(Enum):
    """What happens at the end of the program, in this order; everything takes a step before anything takes the next.

    Nothing of ours should run Python code any more when the interpreter takes itself apart: it would end such a thread
    in the middle of whatever it does.
    """

    CANCEL = "runs are told to stop, engines take no new ones"
    WAIT = "runs that do so are waited for"
    INTERRUPT = "an exception is raised in the operations of the others"
    ABANDON = "these are waited for; what is left then is named on stderr and left behind"
    CLOSE = "threads end, when the last events were delivered"


class LivesInOneProcess(Protocol):
    """Something with threads or with a state that threads serve."""

    def after_fork_in_child(self) -> None:
        """Start afresh: in this process the threads do not exist."""

    def at_exit(self, step: ExitStep, deadline: float) -> None:
        """Take a step towards the end of the process, until a moment of ``time.monotonic()`` at the latest."""


_watched: _core.WeakRegistry[LivesInOneProcess] = _core.WeakRegistry()


watch: Callable[[LivesInOneProcess], None] = _watched.add
"""Tells something of forks and of the end of the process, for as long as it lives."""

watched: Callable[[], list[LivesInOneProcess]] = _watched.alive
"""Returns what is told."""


def _before_fork() -> None:
    """Wait for parts of this package that other threads are importing: the child would wait for them for ever."""
    # A few times, since one import may begin as another ends.
    for _ in range(5):
        being_imported = [name for name, lock in list(_locks_of_imports.items()) if _is_of_other_thread(name, lock())]
        for name in being_imported:
            with suppress(ImportError):
                importlib.import_module(name)
        if not being_imported:
            return


def _is_of_other_thread(name: str, lock: Any) -> bool:
    owner = getattr(lock, "owner", None)
    return name.startswith("execution_dataflow.") and owner is not None and owner != threading.get_ident()


def _after_fork_in_child() -> None:
    for thing in watched():
        thing.after_fork_in_child()


def _at_exit() -> None:
    began = time.monotonic()
    for step in ExitStep:
        if step is ExitStep.CLOSE:
            deadline = max(began + _GRACE_SECONDS, time.monotonic() + _LAST_SECONDS)
        else:
            deadline = began + (_GRACE_SECONDS if step is ExitStep.ABANDON else _PATIENCE_SECONDS)
        for thing in watched():
            thing.at_exit(step, deadline)


if hasattr(os, "register_at_fork"):
    # What was registered last is called first: while imports are waited for, which may make loggers, the lock of
    # logging is free only if logging has registered itself before.
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
