"""A journal and a store of artifacts in memory, with a clock that the test moves: for what looks after stores."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from execution_dataflow.store_errors import (
    ArtifactNotFoundError,
    LeaseLostError,
    RunHeldError,
    StateConflictError,
    StoreError,
)
from execution_dataflow.stores.artifacts import ArtifactInfo, Bytes
from execution_dataflow.stores.journal import CachedResult, Commit, Lease, Owner, RunSummary, StateChange, StateValue
from execution_dataflow.stores.opening import Store
from execution_dataflow.stores.owners import holder_is_gone

DAY = 86400.0


class Clock:
    """The present, as far from the real one as the test wants."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class _Run:
    graph_name: str
    created_at: float
    state: str = "RUNNING"
    updated_at: float = 0.0
    lease: Lease | None = None
    lease_ends: float = 0.0
    epoch: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    # The keys of records that a disk has spoilt: they are counted and not yielded.
    damaged: set[str] = field(default_factory=set)


class MemoryJournal:
    """A journal in memory; see `Journal`."""

    is_local = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.address = "memory://"
        self.held: dict[str, _Run] = {}
        self.values: dict[tuple[str, str], StateValue] = {}
        self.results: dict[str, CachedResult] = {}
        self.claims: dict[str, tuple[Owner, float]] = {}

    def acquire(
        self, run_id: str, graph_name: str, owner: Owner, lease_seconds: float, metadata: Mapping[str, str]
    ) -> Lease:
        now = self.clock()
        run = self.held.setdefault(run_id, _Run(graph_name, now))
        if self._is_held(run):
            assert run.lease is not None
            raise RunHeldError(run_id, f"process {run.lease.owner.process}", run.lease_ends - now)
        run.epoch += 1
        run.lease, run.lease_ends = Lease(run_id, owner, run.epoch, lease_seconds), now + lease_seconds
        run.graph_name, run.state, run.updated_at = graph_name, "RUNNING", now
        run.metadata.update(metadata)
        run.batches.clear()
        return run.lease

    def _is_held(self, run: _Run) -> bool:
        return run.lease is not None and run.lease_ends > self.clock() and not holder_is_gone(run.lease.owner)

    def _own(self, lease: Lease) -> _Run:
        run = self.held.get(lease.run_id)
        if run is None or run.lease != lease:
            raise LeaseLostError(lease.run_id)
        return run

    def renew(self, lease: Lease) -> None:
        self._own(lease).lease_ends = self.clock() + lease.seconds

    def release(self, lease: Lease, state: str) -> None:
        try:
            run = self._own(lease)
        except LeaseLostError:
            return
        run.lease, run.state, run.updated_at = None, state, self.clock()

    def append(self, lease: Lease, batch: int, commits: Sequence[Commit], changes: Sequence[StateChange] = ()) -> None:
        run = self._own(lease)
        if batch in run.batches:
            return
        self.change_state(changes)
        run.batches.add(batch)
        run.commits.update((commit.key, commit) for commit in commits)
        run.updated_at = self.clock()

    def commits(self, run_id: str) -> Iterator[Commit]:
        run = self.held.get(run_id)
        yield from () if run is None else [commit for key, commit in run.commits.items() if key not in run.damaged]

    def find_run(self, run_id: str) -> RunSummary | None:
        run = self.held.get(run_id)
        if run is None:
            return None
        return RunSummary(
            run_id,
            run.graph_name,
            run.state,
            run.created_at,
            run.updated_at,
            len(run.commits),
            None if run.lease is None else run.lease.owner,
            0.0 if run.lease is None else run.lease_ends - self.clock(),
            run.epoch,
            dict(run.metadata),
        )

    def runs(self) -> Iterator[RunSummary]:
        found = [summary for run_id in self.held if (summary := MemoryJournal.find_run(self, run_id)) is not None]
        yield from sorted(found, key=lambda summary: -summary.updated_at)

    def delete_run(self, run_id: str) -> tuple[str, ...]:
        run = self.held.get(run_id)
        if run is None:
            return ()
        if self._is_held(run):
            raise RunHeldError(run_id)
        del self.held[run_id]
        return tuple(name for commit in run.commits.values() for name in commit.artifacts)

    def read_state(self, namespace: str, key: str) -> StateValue | None:
        return self.values.get((namespace, key))

    def change_state(self, changes: Sequence[StateChange]) -> None:
        values = dict(self.values)
        for change in changes:
            place = change.namespace, change.key
            version = values[place].version if place in values else 0
            if change.expected not in (None, version):
                raise StateConflictError(change.namespace, change.key)
            if change.value is None:
                values.pop(place, None)
            else:
                values[place] = StateValue(change.value, version + 1)
        self.values = values

    def state_keys(self, namespace: str, prefix: str = "") -> Iterator[str]:
        yield from sorted(key for space, key in self.values if space == namespace and key.startswith(prefix))

    def namespaces(self) -> Iterator[str]:
        yield from sorted({space for space, _ in self.values})

    def find_cached(self, key: str) -> CachedResult | None:
        found = self.results.get(key)
        expired = found is not None and found.expires_at is not None and found.expires_at <= self.clock()
        return None if expired else found

    def put_cached(self, result: CachedResult) -> None:
        self.results[result.key] = result

    def touch_cached(self, keys: Collection[str], used_at: float) -> None:
        for key in keys:
            if key in self.results:
                self.results[key] = self.results[key]._replace(used_at=used_at)

    def cached(self) -> Iterator[CachedResult]:
        yield from sorted(self.results.values(), key=lambda result: result.used_at)

    def delete_cached(self, keys: Collection[str]) -> None:
        for key in keys:
            self.results.pop(key, None)

    def claim(self, name: str, owner: Owner, seconds: float) -> bool:
        other, until = self.claims.get(name, (owner, 0.0))
        if other != owner and until > self.clock() and not holder_is_gone(other):
            return False
        self.claims[name] = owner, self.clock() + seconds
        return True

    def release_claim(self, name: str, owner: Owner) -> None:
        if name in self.claims and self.claims[name][0] == owner:
            del self.claims[name]

    def close(self) -> None:
        pass


class MemoryArtifacts:
    """A store of artifacts in memory; see `ArtifactStore`."""

    def __init__(self, clock: Clock, *, is_local: bool = True) -> None:
        self.clock = clock
        self.is_local = is_local
        self.address = "memory://artifacts"
        self.kept: dict[str, tuple[bytes, float]] = {}
        # What `list` calls when it has looked, before the caller sees anything: another process that writes meanwhile.
        self.after_listing = lambda: None
        self.is_read_only = False

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        if self.is_read_only:
            raise StoreError(f"{self.address} cannot be written")
        self.kept[name] = b"".join(parts), self.clock()

    def read(self, name: str) -> memoryview:
        if name not in self.kept:
            raise ArtifactNotFoundError(name)
        return memoryview(self.kept[name][0])

    def delete(self, name: str) -> None:
        if self.is_read_only:
            raise StoreError(f"{self.address} cannot be written")
        self.kept.pop(name, None)

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        found = [ArtifactInfo(name, len(data), at) for name, (data, at) in self.kept.items() if name.startswith(prefix)]
        self.after_listing()
        yield from found

    def close(self) -> None:
        pass


@dataclass
class MemoryStore:
    """A store in memory, and how tests fill it."""

    clock: Clock = field(default_factory=Clock)
    journal: MemoryJournal = field(init=False)
    artifacts: MemoryArtifacts = field(init=False)

    def __post_init__(self) -> None:
        self.journal, self.artifacts = MemoryJournal(self.clock), MemoryArtifacts(self.clock)

    @property
    def store(self) -> Store:
        return Store(self.journal, self.artifacts)

    def add_run(
        self,
        run_id: str,
        *,
        graph: str = "etl",
        state: str = "SUCCEEDED",
        days: float = 0.0,
        artifacts: Sequence[str] = (),
        owner: Owner | None = None,
        is_over: bool = True,
        metadata: Mapping[str, str] | None = None,
    ) -> Lease:
        """Add a run that ended so many days ago, with a commit for each artifact; or one that is under way."""
        self.clock.ahead -= days * DAY
        lease = self.journal.acquire(run_id, graph, owner or Owner("token", "elsewhere", 1, ""), 60.0, metadata or {})
        for number, name in enumerate(artifacts):
            self.artifacts.write(name, [b"1234"])
            self.journal.append(lease, number + 1, [commit_of(f"op{number}", name)])
        if is_over:
            self.journal.release(lease, state)
        self.clock.ahead += days * DAY
        return lease


def commit_of(key: str, *artifacts: str) -> Commit:
    return Commit(key, b"f" * 48, 1, 0.0, 1.0, b"record", artifacts)


def cached_of(key: str, *artifacts: str) -> CachedResult:
    return CachedResult(key, "load", b"record", artifacts, 10, 1.0, 0.0, 0.0, None)
