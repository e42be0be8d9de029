"""Persistent state on Redis: a hash for each namespace."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence

from execution_dataflow.store_errors import DamagedArtifactError
from execution_dataflow.stores.journal import StateChange, StateValue
from execution_dataflow.stores.redis.records import (
    DamagedRecord,
    decode_state,
    encode_changes,
    encode_text,
)
from execution_dataflow.stores.redis.run_records import conflict
from execution_dataflow.stores.redis.scripts import CHANGE_STATE
from execution_dataflow.stores.redis.server import Server

__all__ = ["StateRecords", "pattern_of"]

# For how long a request is remembered beyond the time for which it may be repeated, in seconds.
_REMEMBERED = 600


class StateRecords:
    """The part of a journal that knows persistent state.

    Parameters
    ----------
    server : Server
        Where it is.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def read_state(self, namespace: str, key: str) -> StateValue | None:
        """Return a value of persistent state; see `Journal.read_state`.

        Raises
        ------
        DamagedArtifactError
            It is not what was written.
        """
        record = self._server.command("HGET", self._server.key("state", namespace), encode_text(key))
        if record is None:
            return None
        try:
            return decode_state(namespace, key, record)
        except DamagedRecord as damage:
            raise DamagedArtifactError(f"the state {key!r} of {namespace!r}", str(damage)) from None

    def change_state(self, changes: Sequence[StateChange]) -> None:
        """Change state outside of a run, all of it or nothing; see `Journal.change_state`."""
        server = self._server
        keys = [server.key("done", uuid.uuid4().hex), server.key("namespaces")]
        milliseconds = int((server.address.retry_seconds + server.address.timeout_seconds + _REMEMBERED) * 1000)
        answer = server.write(CHANGE_STATE, keys, server.prefix, encode_changes(changes), str(milliseconds).encode())
        if answer[0] == b"conflict":
            raise conflict(answer)

    def state_keys(self, namespace: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a namespace that begin with a prefix, sorted; see `Journal.state_keys`."""
        pages = self._server.scan(self._server.key("state", namespace), "1", pattern_of(prefix))
        yield from sorted({name.decode("utf-8", "surrogatepass") for page in pages for name in page})

    def namespaces(self) -> Iterator[str]:
        """Yield the namespaces that have a value, sorted; see `Journal.namespaces`."""
        found = self._server.command("SMEMBERS", self._server.key("namespaces"))
        yield from sorted(name.decode("utf-8", "surrogatepass") for name in found)


def pattern_of(prefix: str) -> bytes:
    """Return the pattern of Redis that all names match that begin with a prefix."""
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", encode_text(prefix)) + b"*"
