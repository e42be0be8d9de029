"""What came of the cache in one run: which results were there, and what it could not do."""

from __future__ import annotations

from threading import Lock

__all__ = ["CacheLog"]


class CacheLog:
    """The results of one run that came from the cache, and its warnings; from any thread.

    Attributes
    ----------
    hits : dict of int to int
        How many results came from there, by node; of a map, of its items.
    warnings : list of str
        One for each kind of operation and of fault.
    """

    def __init__(self) -> None:
        self.hits: dict[int, int] = {}
        self.warnings: list[str] = []
        self._lock = Lock()
        self._warned: set[tuple[str, str]] = set()

    def note_hit(self, node: int) -> None:
        """Count a result of an operation, or of an item of a map."""
        with self._lock:
            self.hits[node] = self.hits.get(node, 0) + 1

    def is_new(self, operation: str, kind: str, text: str) -> bool:
        """Keep a warning, unless there is one of that kind for the operation; tell whether it was kept."""
        with self._lock:
            if (operation, kind) in self._warned:
                return False
            self._warned.add((operation, kind))
            self.warnings.append(text)
            return True
