"""What a cache tells of the results that it has."""

from __future__ import annotations

from typing import NamedTuple

from execution_dataflow.stores.journal import CachedResult

__all__ = ["CacheEntry", "entry_of", "is_of"]


class CacheEntry(NamedTuple):
    """A result that a cache has, without its values.

    Attributes
    ----------
    key : str
        What it was computed from, in hexadecimal.
    operation : str
        The class or function that computed it, with its module.
    size : int
        How many bytes it takes.
    seconds : float
        How long it took to compute.
    created_at, used_at : float
        When it was computed and last used, in seconds of the Unix epoch. That it was used is noted now and then, and
        not more than once a minute.
    expires_at : float or None
        When it is not to be used any more.
    artifacts : tuple of str
        What of it lies in the store of artifacts.
    """

    key: str
    operation: str
    size: int
    seconds: float
    created_at: float
    used_at: float
    expires_at: float | None
    artifacts: tuple[str, ...] = ()

    def is_expired(self, now: float) -> bool:
        """Whether it is not used any more at a moment, in seconds of the Unix epoch."""
        return self.expires_at is not None and self.expires_at <= now


def entry_of(result: CachedResult) -> CacheEntry:
    """Return what is told of a result: not its values, which may be large."""
    return CacheEntry(
        result.key,
        result.operation,
        result.size,
        result.seconds,
        result.created_at,
        result.used_at,
        result.expires_at,
        result.artifacts,
    )


def is_of(operation: str, name: str) -> bool:
    """Return whether a person who writes a name means an operation: with its module, or without.

    Examples
    --------
    >>> is_of("sales.steps.load", "load"), is_of("sales.steps.load", "steps.load"), is_of("sales.steps.load", "oad")
    (True, True, False)
    """
    return operation == name or operation.endswith(f".{name}")
