"""A store of artifacts in memory, and codecs over it, for tests that look at what was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from execution_dataflow.storage_formats import ValueCodec
from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError
from execution_dataflow.stores.artifacts import ArtifactInfo, Bytes

MISSING = object()


class MemoryArtifacts:
    """Keeps artifacts in a dict. `room` is how many it takes before it is full."""

    address = "memory://"
    is_local = True

    def __init__(self, room: int = 1 << 30) -> None:
        self.content: dict[str, bytes] = {}
        self.room = room

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        if len(self.content) >= self.room:
            raise StoreError("the store is full")
        self.content[name] = b"".join(parts)

    def read(self, name: str) -> memoryview:
        try:
            return memoryview(self.content[name])
        except KeyError:
            raise ArtifactNotFoundError(name) from None

    def delete(self, name: str) -> None:
        self.content.pop(name, None)

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        for name, content in self.content.items():
            if name.startswith(prefix):
                yield ArtifactInfo(name, len(content), 0.0)

    def close(self) -> None:
        pass


def codec_over(artifacts: Any = None, **options: Any) -> ValueCodec:
    """A codec as a store on this machine has it, unless told otherwise."""
    return ValueCodec(artifacts or MemoryArtifacts(), **{"trusts_pickles": True, "prefix": "runs/1", **options})


def round_trip(value: object, **options: Any) -> Any:
    """What comes back of a value that is written and read."""
    codec = codec_over(**options)
    (returned,) = codec.decode_outputs(codec.encode_outputs(["out"], [value], MISSING).record, MISSING)
    return returned


def format_of(value: object) -> str:
    """The format in which a value is written that does not fit into a record."""
    artifacts = MemoryArtifacts()
    codec_over(artifacts, inline_bytes=0).encode_outputs(["out"], [value], MISSING)
    (name,) = artifacts.content
    return name.rpartition("/")[2].partition(".")[2]


def is_same(one: object, other: object) -> bool:
    """Whether plain values are equal, of the same types all the way down, in the same order; NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return is_same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, float | complex | Decimal):
        return repr(one) == repr(other)
    return one == other
