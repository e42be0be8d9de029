"""Artifacts: bytes under a name, whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from execution_dataflow.store_errors import ArtifactNotFoundError
from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.conformance.opened import (
    ArtifactCheck,
    Checks,
    equal,
    new_name,
    opened,
    refused,
    together,
)

__all__ = ["CHECKS"]

CHECKS: Checks[ArtifactCheck] = Checks()


@CHECKS
def store_is_one(open_store: Callable[[], ArtifactStore]) -> None:
    """It has the methods of the protocol, and an address."""
    with opened(open_store) as store:
        equal(isinstance(store, ArtifactStore), True, "isinstance(store, ArtifactStore)")
        equal("://" in store.address, True, f"the address {store.address!r} has a scheme")
        equal(isinstance(store.is_local, bool), True, "is_local is a bool")


@CHECKS
def artifact_comes_back_equal(open_store: Callable[[], ArtifactStore]) -> None:
    """Whatever its parts are made of, and however long it is; as memory that cannot be written."""
    cases: list[list[Any]] = [
        [],
        [b""],
        [bytes(range(256))],
        [b"head", bytearray(b""), bytearray(b"middle"), memoryview(b"tail")],
        # What is no array of bytes is written as the bytes that it consists of.
        [memoryview(bytes(range(64))).cast("d"), memoryview(bytes(24)).cast("B", (2, 3, 4))],
        [b"x" * 100_003] * 200,
    ]
    for parts in cases:
        expected = b"".join(memoryview(part).cast("B") for part in parts)
        name = new_name("one/artifact.npy")
        with opened(open_store) as store:
            store.write(name, parts)
        with opened(open_store) as store:
            found = store.read(name)
            equal((type(found), found.format, found.ndim), (memoryview, "B", 1), "memory of bytes")
            equal(found.readonly, True, "whether the memory is read-only")
            equal(found.nbytes, len(expected), "its length")
            equal(bytes(found) == expected, True, "whether its bytes are those that were written")


@CHECKS
def names_may_have_folders(open_store: Callable[[], ArtifactStore]) -> None:
    """And every sign that is allowed in them; a name may be the folder of others in its first letters only."""
    base = new_name("names")
    names = [f"{base}/a", f"{base}/a.b", f"{base}/ab/c/d", f"{base}/A", f"{base}/x-_.9/y", f"{base}2/a"]
    with opened(open_store) as store:
        for number, name in enumerate(names):
            store.write(name, [str(number).encode()])
        for number, name in enumerate(names):
            equal(bytes(store.read(name)), str(number).encode(), f"what is under {name!r}")


@CHECKS
def unknown_artifact_is_named(open_store: Callable[[], ArtifactStore]) -> None:
    """Also one that was deleted; deleting it once more does nothing."""
    name = new_name("gone")
    with opened(open_store) as store:
        error = refused(ArtifactNotFoundError, lambda: store.read(name), "reading what does not exist")
        equal(error.name, name, "what the error names")
        store.delete(name)
        store.write(name, [b"x"])
        store.delete(name)
        refused(ArtifactNotFoundError, lambda: store.read(name), "reading what was deleted")
        store.delete(name)


@CHECKS
def name_that_exists_is_replaced(open_store: Callable[[], ArtifactStore]) -> None:
    """At once: what was read before stays, and what is read later is new."""
    name = new_name("twice")
    with opened(open_store) as store:
        store.write(name, [b"first" * 1000])
        before = store.read(name)
        store.write(name, [b"second"])
        equal(bytes(store.read(name)), b"second", "the new one")
        equal(bytes(before), b"first" * 1000, "what was read before")
        store.delete(name)
        equal(bytes(before), b"first" * 1000, "what was read before it was deleted")


@CHECKS
def what_was_read_outlives_the_store(open_store: Callable[[], ArtifactStore]) -> None:
    """It stays readable after close(), which may be called twice."""
    name = new_name("kept")
    store = open_store()
    store.write(name, [b"kept" * 5000])
    found = store.read(name)
    store.close()
    store.close()
    equal(bytes(found), b"kept" * 5000, "what was read before")


@CHECKS
def artifacts_are_listed(open_store: Callable[[], ArtifactStore]) -> None:
    """With size and time, by the beginning of their names, which is no pattern."""
    base = new_name("list")
    names = {f"{base}/{name}": number for number, name in enumerate(("a", "a.1", "a1", "ab/c", "b", "_"))}
    began = time.time()
    with opened(open_store) as store:
        for name, size in names.items():
            store.write(name, [b"x" * size])
        found = {info.name: info for info in store.list(f"{base}/")}
        equal({name: info.size for name, info in found.items()}, names, "names and sizes")
        for info in found.values():
            equal(
                abs(info.written_at - began) < 60.0, True, f"{info.name} was written at {info.written_at}, not {began}"
            )
        for prefix in ("a", "a.", "ab", "ab/", "_", "none"):
            listed = [info.name for info in store.list(f"{base}/{prefix}")]
            expected = sorted(name for name in names if name.startswith(f"{base}/{prefix}"))
            equal(sorted(listed), expected, f"the names that begin with {prefix!r}")
        equal(set(names) <= {info.name for info in store.list()}, True, "without a prefix all are listed")


@CHECKS
def threads_write_at_once(open_store: Callable[[], ArtifactStore]) -> None:
    """Different names, and the same name, of which one is left whole."""
    base = new_name("threads")
    with opened(open_store) as store:
        actions = [lambda n=n: store.write(f"{base}/{n}", [bytes([n]) * 1000]) for n in range(6)]
        actions += [lambda n=n: store.write(f"{base}/same", [bytes([n]) * 1000] * 5) for n in range(6)]
        equal(together(actions), [], "what writing raised")
        for number in range(6):
            equal(bytes(store.read(f"{base}/{number}")), bytes([number]) * 1000, f"artifact {number}")
        same = bytes(store.read(f"{base}/same"))
        equal(len(same) == 5000 and len(set(same)) == 1, True, "whether the one that all wrote is one of them")
