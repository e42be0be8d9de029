"""Artifacts of moderate size on Redis, which holds everything in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from execution_dataflow.store_errors import ArtifactNotFoundError, DamagedArtifactError, StoreError
from execution_dataflow.stores.artifact_names import check_artifact_name
from execution_dataflow.stores.artifacts import ArtifactInfo, Bytes
from execution_dataflow.stores.redis.records import encode_text
from execution_dataflow.stores.redis.scripts import DELETE_ARTIFACT, READ_ARTIFACT, WRITE_ARTIFACT
from execution_dataflow.stores.redis.server import Server
from execution_dataflow.stores.redis.state_records import pattern_of

__all__ = ["RedisArtifacts"]

# A server that handles one value does nothing else meanwhile; 4 MiB are a millisecond or two.
_CHUNK = 4 << 20
# Chunks of an artifact that is never finished go away after so many seconds.
_UNFINISHED = 3_600
# How often a read begins again because the artifact was replaced under it.
_READS = 5


class RedisArtifacts:
    """Artifacts in the memory of a Redis server, as values of 4 MiB.

    Parameters
    ----------
    server : Server
        Where they are; `close` closes it.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._table = server.key("artifacts")
        self._chunks = server.key("chunk", "")

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        return str(self._server.address)

    @property
    def is_local(self) -> bool:
        """``False``: whoever may write to the server may have written what is read."""
        return False

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        """Write an artifact; see `ArtifactStore.write`.

        Raises
        ------
        StoreError
            It is larger than the limit, or was not written.
        """
        check_artifact_name(name)
        views = [memoryview(part).cast("B") for part in parts]
        size = sum(view.nbytes for view in views)
        limit = self._server.address.artifact_limit
        if size > limit:
            raise StoreError(
                f"the artifact {name!r} has {size:,} bytes, and {self.address} keeps at most {limit:,} of one in its "
                "memory: give large values a place of their own with open_store(..., artifacts=), a directory or a "
                "bucket; artifact_limit= in the address sets the limit"
            )
        identity = uuid.uuid4().hex.encode()
        header = (self._chunks, encode_text(name), identity, b"%d" % size)
        if size <= _CHUNK:
            self._server.write(WRITE_ARTIFACT, [self._table], *header, b"1", b"".join(views))
            return
        count = 0
        for chunk in _chunks(views):
            self._server.command("SET", self._chunk(identity, count), chunk, "EX", _UNFINISHED)
            count += 1
        answer = self._server.write(WRITE_ARTIFACT, [self._table], *header, b"%d" % count)
        if answer[0] == b"missing":
            raise StoreError(
                f"{self.address}: the artifact {name!r} was not written, since the server has lost a part of it: it "
                "was started again without its file, or its memory is full and its maxmemory-policy throws values away"
            )

    def read(self, name: str) -> memoryview:
        """Return what was written; see `ArtifactStore.read`."""
        check_artifact_name(name)
        reason = ""
        for _ in range(_READS):
            answer = self._server.ask(READ_ARTIFACT, [self._table], self._chunks, encode_text(name))
            if not answer:
                raise ArtifactNotFoundError(name)
            identity, size, count, _written = _entry(name, answer[0])
            if count == 1:
                data = answer[1] if len(answer) > 1 else None
                if data is not None and len(data) == size:
                    return memoryview(data)
                reason = "its value is missing" if data is None else f"it has {len(data)} bytes of {size}"
                continue
            whole = bytearray(size)
            filled = 0
            for at in range(count):
                data = self._server.command("GET", self._chunk(identity, at))
                if data is None or filled + len(data) > size:
                    reason = f"its part {at + 1} of {count} is {'missing' if data is None else 'too long'}"
                    break
                whole[filled : filled + len(data)] = data
                filled += len(data)
            else:
                if filled == size:
                    return memoryview(whole).toreadonly()
                reason = f"it has {filled} bytes of {size}"
        raise DamagedArtifactError(name, reason)

    def delete(self, name: str) -> None:
        """Delete an artifact; see `ArtifactStore.delete`."""
        check_artifact_name(name)
        self._server.write(DELETE_ARTIFACT, [self._table], self._chunks, encode_text(name))

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        """Yield what is there, in no order; see `ArtifactStore.list`."""
        seen: set[str] = set()
        for page in self._server.scan(self._table, "both", pattern_of(prefix)):
            for raw, entry in zip(page[::2], page[1::2], strict=True):
                name = raw.decode("utf-8", "surrogatepass")
                if name not in seen:
                    seen.add(name)
                    _, size, _, written = _entry(name, entry)
                    yield ArtifactInfo(name, size, written / 1e6)

    def close(self) -> None:
        """Close the connections. A second call does nothing."""
        self._server.close()

    def __repr__(self) -> str:
        return f"<RedisArtifacts {self.address}>"

    def _chunk(self, identity: bytes, at: int) -> bytes:
        return b"%b%b:%d" % (self._chunks, identity, at)


def _entry(name: str, entry: bytes) -> tuple[bytes, int, int, int]:
    """Identity, size, number of chunks, and when it was written."""
    try:
        identity, size, count, written = entry.split(b" ")
        return identity, int(size), int(count), int(written)
    except ValueError:
        raise DamagedArtifactError(name, "its entry cannot be read") from None


def _chunks(views: Sequence[memoryview]) -> Iterator[memoryview | bytes]:
    """Yield what parts consist of in pieces of the same size; one that lies within a part is not copied."""
    pending: list[memoryview] = []
    room = _CHUNK
    for view in views:
        while view.nbytes:
            piece, view = view[:room], view[room:]
            pending.append(piece)
            room -= piece.nbytes
            if not room:
                yield pending[0] if len(pending) == 1 else b"".join(pending)
                pending, room = [], _CHUNK
    if pending:
        yield pending[0] if len(pending) == 1 else b"".join(pending)
