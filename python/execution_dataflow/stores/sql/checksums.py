"""A checksum for each row: a page that was damaged on its way to the disk or on it need not look damaged to SQLite.

CRC-32 finds accidents, not forgeries, and is a fifth of what writing a row costs. A key is for forgeries.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Any
from zlib import crc32

from execution_dataflow.stores.journal import CachedResult, Commit

__all__ = ["CommitRow", "cache_checksum", "checked_commits", "commit_row", "state_checksum"]

CommitRow = tuple[Any, ...]
"""Key, fingerprint, attempt, started, ended, outputs, artifacts and checksum; anything at all where it is damaged."""

_COMMIT = Struct("<qqddI").pack
_CACHED = Struct("<qddI").pack


def commit_row(run: int, commit: Commit) -> tuple[int, str, bytes, int, float, float, bytes, str, int]:
    """Return the row of a commit, the number of the run first and its checksum last."""
    key, fingerprint, attempt, started, ended, outputs, names = commit
    artifacts = "\n".join(names) if names else ""
    text = f"{key}\n{artifacts}".encode()
    head = _COMMIT(run, attempt, started, ended, len(text)) + text
    return run, key, fingerprint, attempt, started, ended, outputs, artifacts, crc32(outputs, crc32(head + fingerprint))


def checked_commits(run: int, rows: Sequence[CommitRow], damaged: list[str]) -> list[Commit]:
    """Return the commits of rows, and add the keys of those that are not what was written to a list."""
    try:
        return _commits(run, rows, damaged)
    # What is damaged may be of another type. One by one, such a row takes no others with it.
    except Exception:
        if len(rows) == 1:
            damaged.append(str(rows[0][0]))
            return []
    return [commit for row in rows for commit in checked_commits(run, [row], damaged)]


def _commits(run: int, rows: Sequence[CommitRow], damaged: list[str]) -> list[Commit]:
    # All in one function: a call for each row would be a tenth of the time.
    found: list[Commit] = []
    broken: list[str] = []
    for key, fingerprint, attempt, started, ended, outputs, artifacts, checksum in rows:
        text = f"{key}\n{artifacts}".encode()
        head = _COMMIT(run, attempt, started, ended, len(text)) + text
        if crc32(outputs, crc32(head + fingerprint)) == checksum:
            names = tuple(artifacts.split("\n")) if artifacts else ()
            found.append(Commit(key, fingerprint, attempt, started, ended, outputs, names))
        else:
            broken.append(key)
    damaged += broken
    return found


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
