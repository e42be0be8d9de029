"""What an engine is given as its cache."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TypeAlias

from execution_dataflow.caching.result_cache import ResultCache
from execution_dataflow.caching.run_cache import RunCache
from execution_dataflow.stores.opening import Store

__all__ = ["CacheChoice", "cache_of_engine"]

CacheChoice: TypeAlias = "str | Path | Store | ResultCache | bool | None"
"""An address, a store, a cache, whether to use the cache of the user, or nothing, which is the same as ``True``."""

_lock = Lock()
_of_user: RunCache | None = None


def cache_of_engine(given: CacheChoice) -> RunCache | None:
    """Return the cache of an engine.

    Parameters
    ----------
    given : str, Path, Store, ResultCache or bool, optional
        What a user gave.

    Returns
    -------
    RunCache or None
        ``None`` if results are neither kept nor used.

    Raises
    ------
    TypeError
        It is none of these.
    """
    if given is False:
        return None
    if given is None or given is True:
        return _cache_of_user()
    if isinstance(given, ResultCache):
        return RunCache(given)
    if not isinstance(given, str | Path | Store):
        raise TypeError(
            "cache= is an address such as 'sqlite:///results.db', a path, a Store, a ResultCache or False, not "
            f"{given!r}"
        )
    return RunCache(ResultCache(given), is_owned=True)


def _cache_of_user() -> RunCache:
    """The one that all engines of this process share."""
    global _of_user
    with _lock:
        if _of_user is None:
            _of_user = RunCache(ResultCache())
        return _of_user
