"""The journal on Redis."""

from __future__ import annotations

from execution_dataflow.stores.redis.addresses import RedisAddress
from execution_dataflow.stores.redis.cache_records import CacheRecords
from execution_dataflow.stores.redis.run_records import RunRecords
from execution_dataflow.stores.redis.server import Server
from execution_dataflow.stores.redis.state_records import StateRecords

__all__ = ["RedisJournal"]


class RedisJournal(RunRecords, StateRecords, CacheRecords):
    """Runs, state and the index of caches on a Redis server, under keys that begin with a prefix in braces.

    What `append` and `change_state` returned for is on the server. When it is on the server's disk is for the server to
    say: before they return, if it writes an append-only file and either does so with ``appendfsync always`` or is
    Redis 7.2 or later; else a second or two later (``everysec``), or with the next snapshot. What is not promised is
    logged as a warning when the store is opened.

    Parameters
    ----------
    address : str or RedisAddress
        Such as ``redis://user@host:6379/0?prefix=team``.

    Raises
    ------
    ValueError
        It is no address of a Redis server.
    MissingExtraError
        redis-py is not installed.
    StoreFormatError
        What lies under the prefix is of another version of this package.
    StoreError
        The server cannot be reached, refuses the password, is too old, or is a part of a cluster.
    """

    def __init__(self, address: str | RedisAddress) -> None:
        place = RedisAddress.parse(address) if isinstance(address, str) else address
        self._server = Server(place)

    @property
    def server(self) -> Server:
        """The connection."""
        return self._server

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        return str(self._server.address)

    @property
    def is_local(self) -> bool:
        """``False``: whoever may write to the server may have written what is read."""
        return False

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._server.close()

    def __repr__(self) -> str:
        return f"<RedisJournal {self.address}>"
