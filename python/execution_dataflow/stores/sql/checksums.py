"""A checksum for each row: a page that was damaged on its way to the disk or on it need not look damaged to SQLite.

CRC-32 finds accidents, not forgeries, and is a fifth of what writing a row costs. A key is for forgeries.
"""

from __future__ import annotations

from struct import Struct
from typing import Any
from zlib import crc32

from execution_dataflow.stores.journal import CachedResult

__all__ = ["Row", "cache_checksum", "state_checksum"]

Row = tuple[Any, ...]
"""A row of a table; anything at all where it is damaged."""

_CACHED = Struct("<qddI").pack


def state_checksum(namespace: str, key: str, value: bytes | None, version: int) -> int:
    """Return the checksum of a value of persistent state."""
    name = f"{len(namespace)} {namespace}{key}".encode()
    head = f"{len(name)} {version} {'-' if value is None else '+'}".encode()
    return crc32(b"".join((head, name, value or b"")))


def cache_checksum(result: CachedResult) -> int:
    """Return the checksum of a cached result, but for when it was used."""
    text = "\n".join((result.key, result.operation, repr(result.expires_at), *result.artifacts)).encode()
    head = _CACHED(result.size, result.seconds, result.created_at, len(text))
    return crc32(b"".join((head, text, result.outputs)))
