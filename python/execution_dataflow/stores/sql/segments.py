"""Many commits in one row: a row costs a database the more the more columns it has, and hardly more when it is longer.

A row holds, in the order of the columns of its table, how many commits there are, their keys as a JSON list, the names
of their artifacts, one in a line, what else there is of them, and a checksum::

    36 bytes  for each commit: the lengths of its fingerprint and its outputs, how many artifacts it has, which attempt
              it was, and when that started and ended; little-endian
    ...       the fingerprint and the outputs of each

Rows are only ever added. Of two commits of a key, the one in the later row counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from struct import Struct
from typing import Any
from zlib import crc32

from execution_dataflow.stores.journal import Commit

__all__ = ["COLUMNS", "MOST_COMMITS", "Segment", "commits_of", "keys_in", "segments_of", "whole_commits"]

COLUMNS = "id, run, commit_count, commit_keys, artifacts, data, checksum"

Segment = tuple[Any, ...]
"""What is in these columns; anything at all where it is damaged."""

MOST_COMMITS = 64
"""How many commits are in a row at most."""

# A row fits into a page of SQLite: one that is damaged takes few commits with it, and rows cost little as they are.
_MOST_BYTES = 3 << 10

_HEAD = Struct("<IIIqdd")
# Of a commit in a row, with the punctuation of its key.
_BESIDE = _HEAD.size + 4
_FINGERPRINT_AND_OUTPUTS = itemgetter(1, 5)
# What a NamedTuple's own constructor calls, without its frame.
_new = tuple.__new__


def segments_of(run: int, commits: Sequence[Commit]) -> list[tuple[int, int, str, str, bytes, int]]:
    """Return the rows for commits, without their ids."""
    return [_segment(run, commits[first:end]) for first, end in _bounds(commits)]


def _bounds(commits: Sequence[Commit]) -> Iterator[tuple[int, int]]:
    """Where each row begins and ends."""
    first = size = 0
    for index, (key, fingerprint, _, _, _, outputs, _) in enumerate(commits):
        bytes_more = len(key) + len(fingerprint) + len(outputs) + _BESIDE
        size += bytes_more
        if index > first and (index - first == MOST_COMMITS or size > _MOST_BYTES):
            yield first, index
            first, size = index, bytes_more
    if commits:
        yield first, len(commits)


def _segment(run: int, commits: Sequence[Commit]) -> tuple[int, int, str, str, bytes, int]:
    keys = json.dumps([commit[0] for commit in commits])
    artifacts = "\n".join(chain.from_iterable(commit[6] for commit in commits))
    pack = _HEAD.pack
    heads = [
        pack(len(fingerprint), len(outputs), len(names), attempt, started, ended)
        for _, fingerprint, attempt, started, ended, outputs, names in commits
    ]
    data = b"".join(chain(heads, chain.from_iterable(map(_FINGERPRINT_AND_OUTPUTS, commits))))
    return run, len(commits), keys, artifacts, data, _checksum(run, len(commits), keys, artifacts, data)


def keys_in(text: object) -> list[str]:
    """Return the keys in a row; none if they are damaged."""
    try:
        keys = json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, RecursionError):
        return []
    return keys if isinstance(keys, list) and all(type(key) is str for key in keys) else []


def commits_of(segment: Segment) -> list[Commit] | None:
    """Return the commits in a row, ``None`` if it is not what was written."""
    try:
        _, run, count, keys, artifacts, data, checksum = segment
        if checksum != _checksum(run, count, keys, artifacts, data):
            return None
        names = artifacts.split("\n")
    # What is damaged may be of another type.
    except Exception:
        return None
    found = []
    begin, first = count * _HEAD.size, 0
    heads = _HEAD.iter_unpack(data[:begin])
    for key, (of_fingerprint, of_outputs, of_names, attempt, started, ended) in zip(
        json.loads(keys), heads, strict=True
    ):
        middle = begin + of_fingerprint
        end = middle + of_outputs
        of_commit = tuple(names[first : first + of_names]) if of_names else ()
        found.append(_new(Commit, (key, data[begin:middle], attempt, started, ended, data[middle:end], of_commit)))
        begin, first = end, first + of_names
    return found


def whole_commits(segments: Sequence[Segment], seen: set[str]) -> tuple[list[Commit], list[Segment]]:
    """Return what counts of rows that are in the order of their ids, the last first, and the rows that are damaged.

    Parameters
    ----------
    segments : sequence of tuple
        The rows.
    seen : set of str
        The keys of later rows, which count; those of these are added.
    """
    found: list[Commit] = []
    damaged = []
    for segment in segments:
        commits = commits_of(segment)
        if commits is None:
            damaged.append(segment)
            # What they have replaced does not count again.
            seen.update(keys_in(segment[3]))
            continue
        for commit in reversed(commits):
            key = commit[0]
            if key not in seen:
                seen.add(key)
                found.append(commit)
    return found, damaged


def _checksum(run: int, count: int, keys: str, artifacts: str, data: bytes) -> int:
    text = f"{run} {count} {len(keys)} {keys}{artifacts}".encode()
    return crc32(data, crc32(text))
