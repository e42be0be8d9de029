"""What a journal does: it keeps which operations of a run have committed, persistent state, and an index of caches.

A journal is small records; what is large lies in a store of artifacts, and is named here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

__all__ = [
    "CachedResult",
    "Commit",
    "Journal",
    "Lease",
    "Owner",
    "RunSummary",
    "StateChange",
    "StateValue",
    "record_binding",
]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a run: one engine's run in one process.

    Attributes
    ----------
    token : str
        What tells it from every other owner there ever was.
    host : str
        The machine, as it names itself, and its boot: a process of another boot is gone.
    process : int
        The process id.
    process_started : str
        When that process started, as the system tells it: a process id is used again. Empty where it does not tell.
    """

    token: str
    host: str
    process: int
    process_started: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a run.

    Attributes
    ----------
    run_id : str
        The run.
    owner : Owner
        Who has it.
    epoch : int
        How many leases of this run there were before: a journal takes nothing from a lease of an earlier epoch.
    seconds : float
        For how long it is valid after it was last renewed.
    """

    run_id: str
    owner: Owner
    epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a journal knows of a run.

    Attributes
    ----------
    run_id, graph_name : str
        What they say.
    state : str
        ``"RUNNING"``, or how its last execution ended: a value of `RunState`. A run whose process was killed is
        ``"RUNNING"`` with a lease that nobody renews.
    created_at, updated_at : float
        The first `Journal.acquire`, and the last change, in seconds of the Unix epoch by the journal's clock.
    commits : int
        How many operations and items have committed.
    holder : Owner or None
        Who holds it, or held it when its process ended.
    lease_seconds_left : float
        For how long that lease is still valid; 0 or less if it has ended, or if nobody has one.
    epoch : int
        How often it was begun or resumed.
    metadata : mapping of str to str
        What the engine noted of it: how to run it again.
    """

    run_id: str
    graph_name: str
    state: str
    created_at: float
    updated_at: float
    commits: int
    holder: Owner | None
    lease_seconds_left: float
    epoch: int
    metadata: Mapping[str, str] = field(default_factory=dict)


class Commit(NamedTuple):
    """That an operation, or an item of a map, has succeeded, with all its outputs.

    Attributes
    ----------
    key : str
        The stable identity within the run (rule G6), such as ``"clean/parse"`` or ``"square[17]"``.
    fingerprint : bytes
        What it was computed from: 48 bytes.
    attempt : int
        Which attempt it was, from 1.
    started, ended : float
        In seconds of the Unix epoch, by the clock of the process that ran it.
    outputs : bytes
        The values of its outputs, or where they are; what is in it is the affair of `storage_formats`.
    artifacts : tuple of str
        The names of the artifacts that `outputs` refers to.
    """

    key: str
    fingerprint: bytes
    attempt: int
    started: float
    ended: float
    outputs: bytes
    artifacts: tuple[str, ...] = ()


def record_binding(key: str, fingerprint: bytes) -> bytes:
    """Return what the outputs of a commit are bound to in their record: read for another one, they are damaged."""
    return fingerprint + key.encode("utf-8", "surrogatepass")


class StateChange(NamedTuple):
    """One change of persistent state.

    Attributes
    ----------
    namespace, key : str
        Which value.
    value : bytes or None
        The new one; ``None`` deletes it.
    expected : int or None
        The version that it must have now: 0 if it must not exist; ``None`` if it may be any.
    """

    namespace: str
    key: str
    value: bytes | None
    expected: int | None = None


class StateValue(NamedTuple):
    """A value of persistent state.

    Attributes
    ----------
    value : bytes
        What was put.
    version : int
        How often it was changed since it was created, from 1. A value that is created anew after it was deleted has a
        version that none had before.
    """

    value: bytes
    version: int


class CachedResult(NamedTuple):
    """The outputs of an operation for certain inputs, kept across runs.

    Attributes
    ----------
    key : str
        The fingerprint of operation and inputs, in hexadecimal.
    operation : str
        The name of the operation's class or function, for people.
    outputs : bytes
        As in `Commit`.
    artifacts : tuple of str
        As in `Commit`.
    size : int
        Bytes, artifacts included.
    seconds : float
        How long it took to compute.
    created_at, used_at : float
        In seconds of the Unix epoch.
    expires_at : float or None
        When it is not to be used any more.
    """

    key: str
    operation: str
    outputs: bytes
    artifacts: tuple[str, ...]
    size: int
    seconds: float
    created_at: float
    used_at: float
    expires_at: float | None


@runtime_checkable
class Journal(Protocol):
    """Keeps runs, state and the index of caches. Every method may be called from any thread.

    What fails raises a `StoreError` whose cause is the library's error. A journal connects again by itself, for as long
    as its own settings say. All times that decide something are those of the journal's own clock (a database server's),
    where it has one.
    """

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine: only then are pickles in it trusted without a key."""
        ...

    # ------------------------------------------------------------ runs

    def acquire(
        self, run_id: str, graph_name: str, owner: Owner, lease_seconds: float, metadata: Mapping[str, str]
    ) -> Lease:
        """Begin a run, or take one up again, for one owner alone.

        A run that is held is given up by its holder when it releases it, when its lease ends, or when `holder_is_gone`
        says that the process is no more.

        Parameters
        ----------
        run_id : str
            The run; it is created if it does not exist.
        graph_name : str
            The name of the graph.
        owner : Owner
            Who asks.
        lease_seconds : float
            For how long the lease is valid unless it is renewed.
        metadata : mapping of str to str
            Kept with the run; values of the same names are replaced.

        Raises
        ------
        RunHeldError
            Somebody else holds it.
        """
        ...

    def renew(self, lease: Lease) -> None:
        """Let a lease be valid for its whole time again, from now on.

        Raises
        ------
        LeaseLostError
            Somebody else has taken the run over.
        """
        ...

    def release(self, lease: Lease, state: str) -> None:
        """Give a run back, and note how it ended. Nothing happens if the lease was lost."""
        ...

    def append(self, lease: Lease, batch: int, commits: Sequence[Commit], changes: Sequence[StateChange] = ()) -> None:
        """Write commits and changes of state: all of them or, when this raises, none, and durably when it returns.

        Parameters
        ----------
        lease : Lease
            The lease of the run.
        batch : int
            1, 2, 3 ... within a lease, which may come in any order. A batch that is there already is not written again:
            the answer to the first call may have been lost with a connection.
        commits : sequence of Commit
            One with the key of an earlier one replaces that.
        changes : sequence of StateChange
            Made one after the other: an earlier one of the same batch counts for what a later one expects.

        Raises
        ------
        LeaseLostError
            Somebody else has taken the run over.
        StateConflictError
            A value does not have the version that a change expects.
        """
        ...

    def commits(self, run_id: str) -> Iterator[Commit]:
        """Yield what has committed in a run, in no order. A record that is damaged is left out, and logged."""
        ...

    def find_run(self, run_id: str) -> RunSummary | None:
        """Return what is known of a run; ``None`` if there is none of that id."""
        ...

    def runs(self) -> Iterator[RunSummary]:
        """Yield all runs, the one that changed last first."""
        ...

    def delete_run(self, run_id: str) -> tuple[str, ...]:
        """Delete a run and what it has committed.

        Returns
        -------
        tuple of str
            The artifacts that it referred to, for the caller to delete. State is no part of a run, and stays.

        Raises
        ------
        RunHeldError
            Somebody holds it.
        """
        ...

    # ------------------------------------------------------------ state

    def read_state(self, namespace: str, key: str) -> StateValue | None:
        """Return a value of persistent state; ``None`` if there is none."""
        ...

    def change_state(self, changes: Sequence[StateChange]) -> None:
        """Change state outside of a run: all of it or, when this raises a `StateConflictError`, nothing."""
        ...

    def state_keys(self, namespace: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a namespace that begin with a prefix, sorted."""
        ...

    def namespaces(self) -> Iterator[str]:
        """Yield the namespaces that have a value, sorted."""
        ...

    # ------------------------------------------------------------ caches

    def find_cached(self, key: str) -> CachedResult | None:
        """Return a cached result that has not expired; ``None`` if there is none."""
        ...

    def put_cached(self, result: CachedResult) -> None:
        """Keep a result; one of the same key is replaced."""
        ...

    def touch_cached(self, keys: Collection[str], used_at: float) -> None:
        """Note when results were last used."""
        ...

    def cached(self) -> Iterator[CachedResult]:
        """Yield all cached results, the expired ones too, the one that was used longest ago first."""
        ...

    def delete_cached(self, keys: Collection[str]) -> None:
        """Delete cached results; the artifacts are the caller's affair. Keys that do not exist are passed over."""
        ...

    def claim(self, name: str, owner: Owner, seconds: float) -> bool:
        """Take a name for one owner alone, for so many seconds; ``False`` if somebody else has it.

        Who has it already has it for so many seconds from now on. As with runs, the claim of a process that is gone
        does not count.
        """
        ...

    def release_claim(self, name: str, owner: Owner) -> None:
        """Give a name back; nothing happens if somebody else has it."""
        ...

    def close(self) -> None:
        """Free connections. A second call does nothing."""
        ...
