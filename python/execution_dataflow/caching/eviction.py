"""What goes when a cache is full: first what has expired, then what was used longest ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from execution_dataflow.caching.entries import CacheEntry

__all__ = ["Limits", "Usage", "to_evict", "usage_of"]

# When a limit is exceeded, this part of it is freed beyond that, so that not every result that is kept lets one go.
_HEADROOM = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How much there may be.

    Parameters
    ----------
    max_bytes : int or None
        Of the sizes together.
    max_entries : int or None
        Of results.
    """

    max_bytes: int | None = None
    max_entries: int | None = None

    def __bool__(self) -> bool:
        return self.max_bytes is not None or self.max_entries is not None

    def are_exceeded_by(self, usage: Usage) -> bool:
        """Whether there is more than that."""
        if self.max_bytes is not None and usage.size > self.max_bytes:
            return True
        return self.max_entries is not None and usage.entries > self.max_entries

    def with_headroom(self) -> Limits:
        """Return the limits down to which is evicted."""
        size, entries = self.max_bytes, self.max_entries
        return Limits(
            None if size is None else size - size // _HEADROOM,
            None if entries is None else entries - entries // _HEADROOM,
        )


@dataclass(slots=True)
class Usage:
    """How much there is."""

    size: int = 0
    entries: int = 0

    def add(self, size: int) -> None:
        """Count one more."""
        self.size += size
        self.entries += 1

    def remove(self, size: int) -> None:
        """Count one less."""
        self.size -= size
        self.entries -= 1


def usage_of(entries: Iterable[CacheEntry]) -> tuple[Usage, dict[str, Usage]]:
    """Return how much there is, of all operations together and of each."""
    whole, each = Usage(), dict[str, Usage]()
    for entry in entries:
        whole.add(entry.size)
        each.setdefault(entry.operation, Usage()).add(entry.size)
    return whole, each


def to_evict(
    entries: Iterable[CacheEntry], limits: Limits, of_operations: Mapping[str, Limits], now: float
) -> list[CacheEntry]:
    """Return what has to go.

    Parameters
    ----------
    entries : iterable of CacheEntry
        All there are, the one that was used longest ago first.
    limits : Limits
        Of the whole cache.
    of_operations : mapping of str to Limits
        Of what single operations have, by their names.
    now : float
        In seconds of the Unix epoch.

    Returns
    -------
    list of CacheEntry
        What has expired; of an operation that exceeds its limits, and then of all together, what was used longest ago.

    Examples
    --------
    >>> old, new = (CacheEntry(key, "load", 10, 1.0, 0.0, used, None) for key, used in (("a", 1.0), ("b", 2.0)))
    >>> [entry.key for entry in to_evict([old, new], Limits(max_entries=1), {}, now=3.0)]
    ['a']
    """
    gone: list[CacheEntry] = []
    left: list[CacheEntry] = []
    for entry in entries:
        (gone if entry.is_expired(now) else left).append(entry)
    whole, each = usage_of(left)
    for name, own in of_operations.items():
        if name in each and own.are_exceeded_by(each[name]):
            oldest = _oldest([entry for entry in left if entry.operation == name], own.with_headroom(), each[name])
            keys = {entry.key for entry in oldest}
            left = [entry for entry in left if entry.key not in keys]
            for entry in oldest:
                whole.remove(entry.size)
            gone += oldest
    if limits.are_exceeded_by(whole):
        gone += _oldest(left, limits.with_headroom(), whole)
    return gone


def _oldest(entries: Iterable[CacheEntry], target: Limits, usage: Usage) -> list[CacheEntry]:
    """The first of some entries, without which they keep within limits; they are taken from `usage`."""
    gone = []
    for entry in entries:
        if not target.are_exceeded_by(usage):
            break
        usage.remove(entry.size)
        gone.append(entry)
    return gone
