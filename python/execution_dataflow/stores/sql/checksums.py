"""A checksum for each row: a page that was damaged on its way to the disk or on it need not look damaged to SQLite.

CRC-32 finds accidents, not forgeries. It is a fifth of what writing a row costs; whoever wants more signs what is in it.
"""

from __future__ import annotations

from struct import Struct
from zlib import crc32

from execution_dataflow.stores.journal import CachedResult, Commit

__all__ = ["cache_checksum", "checked_commit", "commit_row", "state_checksum"]

_COMMIT = Struct("<qqddI").pack
_CACHED = Struct("<qddI").pack


def commit_row(run: int, commit: Commit) -> tuple[int, str, bytes, int, float, float, bytes, str, int]:
    """Return the row of a commit, its checksum last."""
    key, fingerprint, attempt, started, ended, outputs, names = commit
    artifacts = "\n".join(names) if names else ""
    text = f"{key}\n{artifacts}".encode()
    checksum = crc32(b"".join((_COMMIT(run, attempt, started, ended, len(text)), text, fingerprint, outputs)))
    return run, key, fingerprint, attempt, started, ended, outputs, artifacts, checksum


def checked_commit(run: int, row: tuple[object, ...]) -> Commit | None:
    """Return the commit of a row (without the run, its checksum last); ``None`` if it is not what was written."""
    key, fingerprint, attempt, started, ended, outputs, artifacts, checksum = row
    try:
        text = f"{key}\n{artifacts}".encode()
        head = _COMMIT(run, attempt, started, ended, len(text))
        if crc32(b"".join((head, text, fingerprint, outputs))) != checksum:  # type: ignore[list-item]
            return None
    # What is damaged may be of another type.
    except Exception:
        return None
    names = tuple(artifacts.split("\n")) if artifacts else ()  # type: ignore[attr-defined]
    return Commit(key, fingerprint, attempt, started, ended, outputs, names)  # type: ignore[arg-type]


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
