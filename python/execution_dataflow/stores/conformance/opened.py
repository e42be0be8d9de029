"""What the checks are written with: opening, naming, comparing."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Commit, Journal, Lease, Owner
from execution_dataflow.stores.owners import new_owner

__all__ = [
    "ArtifactCheck",
    "Checks",
    "JournalCheck",
    "acquired",
    "equal",
    "gone_owner",
    "made_commit",
    "new_name",
    "opened",
    "refused",
    "together",
]

JournalCheck: TypeAlias = Callable[[Callable[[], Journal]], None]
ArtifactCheck: TypeAlias = Callable[[Callable[[], ArtifactStore]], None]


class _Closable(Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=_Closable)
C = TypeVar("C", bound=Callable[..., None])
E = TypeVar("E", bound=BaseException)


@dataclass
class Checks(Generic[C]):
    """The checks of one subject, by name: what this decorates is one more."""

    checks: dict[str, C] = field(default_factory=dict)

    def __call__(self, check: C) -> C:
        """Add a check."""
        self.checks[check.__name__] = check
        return check


@contextmanager
def opened(open_store: Callable[[], S]) -> Iterator[S]:
    """Open a store and close it."""
    store = open_store()
    try:
        yield store
    finally:
        store.close()


def new_name(kind: str) -> str:
    """Return a name that nobody has."""
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def made_commit(key: str, number: int = 0, artifacts: tuple[str, ...] = ()) -> Commit:
    """Return a commit whose times need every bit of a double, and whose outputs have every byte."""
    started = 1_700_000_000.123456 + number / 3
    return Commit(key, number.to_bytes(48, "big"), number + 1, started, started + 1 / 7, bytes(range(256)), artifacts)


def acquired(journal: Journal, run_id: str, seconds: float = 60.0, owner: Owner | None = None) -> Lease:
    """Begin a run."""
    return journal.acquire(run_id, "graph", owner or new_owner(), seconds, {})


def equal(found: object, expected: object, what: str) -> None:
    """Raise unless both are equal."""
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def refused(kind: type[E], action: Callable[[], object], what: str) -> E:
    """Return what an action raises."""
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"{what} must raise {kind.__name__}, and raised nothing")


def gone_owner() -> Owner:
    """Return an owner whose process has ended."""
    ended = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    ended.wait()
    own = new_owner()
    return Owner(own.token, own.host, ended.pid, "")


def together(actions: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Call each in a thread of its own, all at once; return what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(len(actions))

    def call(action: Callable[[], object]) -> None:
        try:
            barrier.wait()
            action()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=call, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised
