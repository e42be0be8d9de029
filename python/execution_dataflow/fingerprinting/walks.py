"""The walk over a value and all that it is made of, which one digest comes of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any, TypeAlias

from execution_dataflow.fingerprint_errors import UnfingerprintableError

__all__ = ["DIGEST_BYTES", "Findings", "Walk", "digest_of_parts", "joined"]

DIGEST_BYTES = 16
"""The length of a digest."""

Bytes: TypeAlias = bytes | bytearray | memoryview
"""Contiguous memory."""

_PERSON = b"dataflow-1"


def joined(*parts: bytes) -> bytes:
    """Return one digest of several byte strings; where one ends and the next begins counts."""
    made = blake2b(digest_size=DIGEST_BYTES, person=_PERSON)
    for part in parts:
        made.update(len(part).to_bytes(8, "little"))
        made.update(part)
    return made.digest()


def digest_of_parts(parts: Sequence[bytes]) -> bytes:
    """Return the digest of a walk of which the parts were collected."""
    return blake2b(b"".join(parts), digest_size=DIGEST_BYTES, person=_PERSON).digest()


class _Collector:
    """Stands in for a hash, and keeps what it is given."""

    def __init__(self, parts: list[Any]) -> None:
        self.update = parts.append


class Findings:
    """What need not be found twice while the values of a process stay as they are.

    Attributes
    ----------
    large : dict of int to (object, bytes)
        Digests of large values, such as arrays, by identity.
    versions : dict of str to str
        The versions of installed packages.
    modules : dict of str to bytes
        Digests of modules that functions import, with all that these import.
    texts : dict of str to (bytes, tuple of str)
        The digest of a module by itself, and what it imports.
    """

    def __init__(self) -> None:
        self.large: dict[int, tuple[Any, bytes]] = {}
        self.versions: dict[str, str] = {}
        self.modules: dict[str, bytes] = {}
        self.texts: dict[str, tuple[bytes, tuple[str, ...]]] = {}


class Walk:
    """Takes what a digest is made of, part by part.

    Functions and classes count once: each gets a number where it is met first, and what it is made of follows at the
    end. So it does not matter that they refer to each other.

    Parameters
    ----------
    findings : Findings
        What is known already.
    value : callable
        Adds a value to the walk that it is given.
    define : callable
        Adds what a function or a class is made of, given the walk and the object.
    active : set of int
        The containers in which the walk is, by identity.

    Attributes
    ----------
    findings : Findings
        As given.
    user : str or None
        The module of the function or class whose parts are added.
    """

    def __init__(
        self,
        findings: Findings,
        value: Callable[[Walk, Any], None],
        define: Callable[[Walk, Any], None],
        active: set[int] | None = None,
    ) -> None:
        self.findings = findings
        self.user: str | None = None
        self._value = value
        self._define = define
        self._hash: Any = blake2b(digest_size=DIGEST_BYTES, person=_PERSON)
        self._active: set[int] = set() if active is None else active
        self._numbers: dict[int, int] = {}
        self._met: list[tuple[Any, tuple[Any, ...]]] = []
        # Texts, and in tuples what is to be found under a key.
        self._path: list[Any] = []

    def add(self, tag: str, *parts: Bytes) -> None:
        """Add bytes, with a word that says what they are."""
        update = self._hash.update
        update(f"{tag}:{len(parts)};".encode("utf-8", "surrogatepass"))
        for part in parts:
            update(len(part).to_bytes(8, "little"))
            update(part)

    def collect_into(self, parts: list[Any]) -> None:
        """Have what is added from now on put into a list, of which `digest_of_parts` makes the same digest."""
        self._hash = _Collector(parts)

    def text(self, tag: str, *texts: str) -> None:
        """Add texts."""
        self.add(tag, *(text.encode("utf-8", "surrogatepass") for text in texts))

    def memory(self, view: Any) -> None:
        """Add a memory of bytes, without copying it."""
        self._hash.update(view)

    def value(self, value: Any, place: str | tuple[Any] = "") -> None:
        """Add a value; `place` says where it is found, for messages: in words, or by a key or an index in a tuple."""
        if place:
            self._path.append(place)
            self._value(self, value)
            self._path.pop()
        else:
            self._value(self, value)

    def definition(self, definition: Any) -> None:
        """Add a function or a class that is to be followed."""
        number = self._numbers.get(id(definition))
        if number is None:
            number = self._numbers[id(definition)] = len(self._met)
            self._met.append((definition, tuple(self._path)))
        self.add("definition", number.to_bytes(4, "little"))

    def unordered(self, values: Iterable[Any]) -> None:
        """Add values whose order means nothing."""
        digests = []
        for value in values:
            inner = Walk(self.findings, self._value, self._define, self._active)
            inner._path, inner.user = list(self._path), self.user
            inner.value(value)
            digests.append(inner.digest())
        self.add("unordered", *sorted(digests))

    def large(self, value: Any, add: Callable[[Walk], None]) -> None:
        """Add a value whose own digest is worth to be kept."""
        known = self.findings.large.get(id(value))
        if known is None:
            inner = Walk(self.findings, self._value, self._define, self._active)
            inner._path, inner.user = list(self._path), self.user
            add(inner)
            known = self.findings.large[id(value)] = value, inner.digest()
        self.add("large", known[1])

    @contextmanager
    def inside(self, container: Any) -> Iterator[bool]:
        """Enter a container; tells whether the walk is in it already, so that there would be no end."""
        key = id(container)
        if key in self._active:
            yield True
            return
        self._active.add(key)
        try:
            yield False
        finally:
            self._active.discard(key)

    def refuse(self, reason: str) -> UnfingerprintableError:
        """Return the error for the value at which the walk is."""
        return UnfingerprintableError(" of ".join(map(_shown, reversed(self._path))), reason)

    def digest(self) -> bytes:
        """Add what the functions and classes are made of, and return the digest of all."""
        at = 0
        while at < len(self._met):  # which grows
            definition, path = self._met[at]
            self._path = list(path)
            self._define(self, definition)
            at += 1
        found: bytes = self._hash.digest()
        return found


def _shown(place: Any) -> str:
    if isinstance(place, str):
        return place
    try:
        return f"[{place[0]!r:.40}]"
    except Exception:  # somebody's __repr__
        return f"[{type(place[0]).__name__}]"
