"""Records as bytes: each begins with a checksum of what follows, so that damage is seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import accumulate
from struct import Struct, unpack
from struct import error as StructError
from zlib import crc32

from execution_dataflow.stores.journal import CachedResult, Commit, Owner, StateChange, StateValue

__all__ = [
    "DamagedRecord",
    "decode_cached",
    "decode_commits",
    "decode_owner",
    "decode_state",
    "encode_cached",
    "encode_changes",
    "encode_commits",
    "encode_owner",
    "encode_text",
    "split_records",
]

# The scripts read these lengths too.
_LENGTH = Struct("<I")
# Checksum; lengths of key, fingerprint and names of artifacts; attempt; started, ended.
_COMMIT = Struct("<IIIIIdd")
_COMMIT_BODY = Struct("<IIIIdd")
# Lengths of namespace, key and value; 1 to put and 0 to delete; the version that is expected, -1 for any.
_CHANGE = Struct("<IIIBd")
# The version, twice: the script that counts it makes no checksum. Then the checksum of namespace, key and value.
_STATE = Struct("<ddI")
# Checksum; lengths of key, operation and names of artifacts; size; seconds, created, and expiry, which is NaN for none.
_CACHED = Struct("<IIIIQddd")


class DamagedRecord(ValueError):
    """A record is not what was written."""


def encode_text(text: str) -> bytes:
    """Return the bytes of a text, even of one that is no proper Unicode, such as the name of a file may be."""
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def encode_commits(commits: Sequence[Commit]) -> bytes:
    """Return the keys and records of commits, each after its length."""
    parts: list[bytes] = []
    length, body_of = _LENGTH.pack, _COMMIT_BODY.pack
    for key, fingerprint, attempt, started, ended, outputs, artifacts in commits:
        name = key.encode("utf-8", "surrogatepass")
        names = "\n".join(artifacts).encode() if artifacts else b""
        body = body_of(len(name), len(fingerprint), len(names), attempt, started, ended)
        body = b"".join((body, name, fingerprint, names, outputs))
        parts += (length(len(name)), name, length(len(body) + 4), length(crc32(body)), body)
    return b"".join(parts)


def decode_commits(records: Sequence[bytes], damaged: Callable[[DamagedRecord], None]) -> list[Commit]:
    """Return what was encoded, without what is damaged, which is told of."""
    commits = []
    header_of, header, make = _COMMIT.unpack_from, _COMMIT.size, tuple.__new__
    for record in records:
        try:
            checksum, key_length, fingerprint_length, names_length, attempt, started, ended = header_of(record)
        except StructError:
            damaged(DamagedRecord("it is too short"))
            continue
        if crc32(record[4:]) != checksum:
            damaged(DamagedRecord("its checksum differs"))
            continue
        key_end = header + key_length
        fingerprint_end = key_end + fingerprint_length
        names_end = fingerprint_end + names_length
        values = (
            record[header:key_end].decode("utf-8", "surrogatepass"),
            record[key_end:fingerprint_end],
            attempt,
            started,
            ended,
            record[names_end:],
            tuple(record[fingerprint_end:names_end].decode().split("\n")) if names_length else (),
        )
        # Without the detour through the class, which costs as much as the slices.
        commits.append(make(Commit, values))
    return commits


def split_records(lengths: bytes, data: bytes) -> list[bytes]:
    """Return records that a script has put together."""
    ends = list(accumulate(unpack(f"<{len(lengths) // 4}I", lengths)))
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def encode_changes(changes: Sequence[StateChange]) -> bytes:
    """Return changes of state, as the scripts read them."""
    parts: list[bytes] = []
    for namespace, key, value, expected in changes:
        place, name = encode_text(namespace), encode_text(key)
        stored = b"" if value is None else _LENGTH.pack(_state_checksum(place, name, value)) + value
        version = -1.0 if expected is None else float(expected)
        parts += (_CHANGE.pack(len(place), len(name), len(stored), value is not None, version), place, name, stored)
    return b"".join(parts)


def decode_state(namespace: str, key: str, record: bytes) -> StateValue:
    """Return a value of state; raise `DamagedRecord` if it is damaged."""
    if len(record) < _STATE.size:
        raise DamagedRecord("it is too short")
    version, again, checksum = _STATE.unpack_from(record)
    value = record[_STATE.size :]
    if version != again or checksum != _state_checksum(encode_text(namespace), encode_text(key), value):
        raise DamagedRecord("its checksum differs")
    return StateValue(value, int(version))


def _state_checksum(namespace: bytes, key: bytes, value: bytes) -> int:
    return crc32(value, crc32(key, crc32(namespace)))


def encode_cached(result: CachedResult) -> bytes:
    """Return the record of a cached result, without the time when it was used last, which changes on its own."""
    key, operation = encode_text(result.key), encode_text(result.operation)
    names = "\n".join(result.artifacts).encode()
    expiry = float("nan") if result.expires_at is None else result.expires_at
    numbers = (len(key), len(operation), len(names), result.size, result.seconds, result.created_at, expiry)
    body = b"".join((_CACHED.pack(0, *numbers)[4:], key, operation, names, result.outputs))
    return _LENGTH.pack(crc32(body)) + body


def decode_cached(record: bytes, used_at: float) -> CachedResult:
    """Return a cached result; raise `DamagedRecord` if it is damaged."""
    if len(record) < _CACHED.size:
        raise DamagedRecord("it is too short")
    checksum, key_length, operation_length, names_length, size, seconds, created, expiry = _CACHED.unpack_from(record)
    if crc32(memoryview(record)[4:]) != checksum:
        raise DamagedRecord("its checksum differs")
    key_end = _CACHED.size + key_length
    operation_end = key_end + operation_length
    names_end = operation_end + names_length
    return CachedResult(
        _text(record[_CACHED.size : key_end]),
        _text(record[key_end:operation_end]),
        record[names_end:],
        tuple(record[operation_end:names_end].decode().split("\n")) if names_length else (),
        size,
        seconds,
        created,
        used_at,
        None if expiry != expiry else expiry,
    )


def encode_owner(owner: Owner) -> bytes:
    """Return an owner as JSON, which a person with redis-cli can read."""
    return json.dumps(asdict(owner)).encode()


def decode_owner(data: bytes) -> Owner:
    """Return an owner; raise `DamagedRecord` if it is none."""
    try:
        return Owner(**json.loads(data))
    except (ValueError, TypeError):
        raise DamagedRecord("its holder cannot be read") from None
