"""The index of caches on Redis, and claims of names."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator

from execution_dataflow.stores.journal import CachedResult, Owner
from execution_dataflow.stores.owners import holder_is_gone
from execution_dataflow.stores.redis.records import (
    DamagedRecord,
    decode_cached,
    decode_owner,
    encode_cached,
    encode_owner,
    encode_text,
)
from execution_dataflow.stores.redis.scripts import (
    CLAIM,
    DELETE_CACHED,
    FIND_CACHED,
    PUT_CACHED,
    RELEASE_CLAIM,
    TOUCH_CACHED,
)
from execution_dataflow.stores.redis.server import Server

__all__ = ["CacheRecords"]

_log = logging.getLogger("execution_dataflow.stores")

# How many keys a request has: Lua hands a function some 8,000 values at most.
_KEYS_AT_ONCE = 1_000


class CacheRecords:
    """The part of a journal that knows cached results and claims.

    Parameters
    ----------
    server : Server
        Where they are.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def find_cached(self, key: str) -> CachedResult | None:
        """Return a cached result that has not expired; see `Journal.find_cached`."""
        record, used_at, now = self._server.ask(FIND_CACHED, self._tables(), encode_text(key))
        found = self._decoded(encode_text(key), record, used_at)
        if found is None or (found.expires_at is not None and found.expires_at * 1e6 <= int(now)):
            return None
        return found

    def put_cached(self, result: CachedResult) -> None:
        """Keep a result; see `Journal.put_cached`."""
        used_at = repr(float(result.used_at)).encode()
        self._server.write(PUT_CACHED, self._tables(), encode_text(result.key), encode_cached(result), used_at)

    def touch_cached(self, keys: Collection[str], used_at: float) -> None:
        """Note when results were last used; see `Journal.touch_cached`."""
        for page in _pages(keys):
            self._server.ask(TOUCH_CACHED, self._tables()[1:], repr(float(used_at)).encode(), *page)

    def cached(self) -> Iterator[CachedResult]:
        """Yield all cached results, the one that was used longest ago first; see `Journal.cached`."""
        results, uses = self._tables()
        found = self._server.command("ZRANGE", uses, 0, -1, "WITHSCORES")
        times = dict(zip(found[::2], found[1::2], strict=True))
        names = list(times)
        for start in range(0, len(names), _KEYS_AT_ONCE):
            page = names[start : start + _KEYS_AT_ONCE]
            for name, record in zip(page, self._server.command("HMGET", results, *page), strict=True):
                result = self._decoded(name, record, times[name])
                if result is not None:
                    yield result

    def delete_cached(self, keys: Collection[str]) -> None:
        """Delete cached results; see `Journal.delete_cached`."""
        for page in _pages(keys):
            self._server.write(DELETE_CACHED, self._tables(), *page)

    def claim(self, name: str, owner: Owner, seconds: float) -> bool:
        """Take a name for one owner alone; see `Journal.claim`."""
        keys = [self._server.key("claim", name)]
        texts = (encode_owner(owner), encode_text(owner.token), str(max(1, round(seconds * 1000))).encode())
        answer = self._server.ask(CLAIM, keys, *texts, b"")
        while answer[0] == b"held":
            try:
                holder = decode_owner(answer[1])
            except DamagedRecord:
                return False
            if not holder_is_gone(holder):
                return False
            answer = self._server.ask(CLAIM, keys, *texts, encode_text(holder.token))
        return True

    def release_claim(self, name: str, owner: Owner) -> None:
        """Give a name back; see `Journal.release_claim`."""
        self._server.ask(RELEASE_CLAIM, [self._server.key("claim", name)], encode_text(owner.token))

    def _tables(self) -> list[bytes]:
        return [self._server.key("cached"), self._server.key("cached-used")]

    def _decoded(self, key: bytes, record: bytes | None, used_at: bytes | float | None) -> CachedResult | None:
        if record is None:
            return None
        try:
            return decode_cached(record, float(used_at or 0))
        except DamagedRecord as damage:
            _log.warning("the cached result %r in %s is damaged, and left out: %s", key, self._server.address, damage)
            return None


def _pages(keys: Collection[str]) -> Iterator[list[bytes]]:
    names = [encode_text(key) for key in keys]
    for start in range(0, len(names), _KEYS_AT_ONCE):
        yield names[start : start + _KEYS_AT_ONCE]
