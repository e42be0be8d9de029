"""When a process dies: at a moment of the clock, or at the n-th time that it comes to a certain point of its work.

Points are what stands between a success and its record: a statement of SQL, the end of a transaction, a file that gets
its name, an artifact, a batch of commits; before each and after it.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any

from execution_dataflow.stores.opening import Store

__all__ = ["POINTS", "Points"]

# On Windows, os.kill ends a process with any number.
_KILL = getattr(signal, "SIGKILL", 9)

POINTS = (
    "before a statement",
    "after a statement",
    "before the end of a transaction",
    "before a file gets its name",
    "after a file got its name",
    "before an artifact",
    "after an artifact",
    "before a batch",
    "after a batch",
    "before the run is given back",
)


class Points:
    """Counts how often a process comes to each point, and ends it at one of them.

    Parameters
    ----------
    point : str or None
        At which it dies; ``None`` counts alone.
    count : int
        The how manieth time that is, from 1.
    """

    def __init__(self, point: str | None = None, count: int = 0) -> None:
        assert point is None or point in POINTS
        self.seen: Counter[str] = Counter()
        self._lock = Lock()
        self._point = point
        self._count = count

    def __call__(self, point: str) -> None:
        """Note that the process has come to a point; this may be the last that it does."""
        with self._lock:
            self.seen[point] += 1
            dies = point == self._point and self.seen[point] == self._count
        if dies:
            os.kill(os.getpid(), _KILL)

    def watch(self, store: Store) -> Store:
        """Put the points into a store, and into the libraries below it."""
        os.replace = self._around(os.replace, "before a file gets its name", "after a file got its name")
        os.rename = self._around(os.rename, "before a file gets its name", "after a file got its name")
        os.link = self._around(os.link, "before a file gets its name", "after a file got its name")
        self._watch_sql()
        journal: Any = type(store.journal)
        artifacts: Any = type(store.artifacts)
        journal.append = self._around(journal.append, "before a batch", "after a batch")
        journal.release = self._around(journal.release, "before the run is given back", None)
        artifacts.write = self._around(artifacts.write, "before an artifact", "after an artifact")
        return store

    def _watch_sql(self) -> None:
        from sqlalchemy import Engine, event

        event.listen(Engine, "before_cursor_execute", lambda *_: self("before a statement"))
        event.listen(Engine, "after_cursor_execute", lambda *_: self("after a statement"))
        event.listen(Engine, "commit", lambda _: self("before the end of a transaction"))

    def _around(self, function: Callable[..., Any], before: str, after: str | None) -> Callable[..., Any]:
        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            self(before)
            result = function(*arguments, **named)
            if after is not None:
                self(after)
            return result

        return watched
