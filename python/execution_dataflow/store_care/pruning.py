"""Deleting runs, and then the artifacts that nothing refers to."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from execution_dataflow.nearest import nearest_name
from execution_dataflow.quantities import counted
from execution_dataflow.states import RunState
from execution_dataflow.store_care.references import artifacts_of, references
from execution_dataflow.store_care.reports import PruneReport
from execution_dataflow.store_care.standing import INTERRUPTED, is_held, standing_of
from execution_dataflow.store_errors import RunHeldError, StoreError
from execution_dataflow.stores.artifacts import ArtifactInfo, ArtifactStore
from execution_dataflow.stores.journal import RunSummary
from execution_dataflow.stores.opening import Store

__all__ = ["GRACE", "prune_runs"]

GRACE = timedelta(hours=1)
"""How long an artifact is left that nothing refers to: it is written before the record that names it."""


def prune_runs(
    store: Store,
    *,
    older_than: timedelta | None = None,
    states: Collection[str] | None = None,
    keep: int | None = None,
    dry_run: bool = False,
    grace: timedelta = GRACE,
) -> PruneReport:
    """Delete runs, and artifacts that nothing refers to. Runs that somebody holds are left.

    A run is deleted when all that is asked for holds of it; when nothing is asked for, none is, and only what a killed
    process has left behind goes. Persistent state and caches are no part of a run, and stay.

    Parameters
    ----------
    store : Store
        The store. Its artifacts belong to its journal alone: what another journal refers to would be deleted.
    older_than : timedelta, optional
        Delete runs that have not changed for so long.
    states : collection of str, optional
        Delete runs in these states: names of `RunState`, or ``"INTERRUPTED"`` for those whose process was killed.
    keep : int, optional
        Delete runs that are not among the latest so many of their graph.
    dry_run : bool
        Delete nothing, and say what would be deleted.
    grace : timedelta
        For how long an artifact is left that nothing refers to.

    Returns
    -------
    PruneReport
        What was deleted.

    Raises
    ------
    ValueError
        A state is unknown, or a number is negative.
    StoreError
        The store failed. What was deleted before stays deleted, and another call goes on.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from execution_dataflow.stores.opening import open_store
    >>> with open_store("sqlite:///runs.db") as store:  # doctest: +SKIP
    ...     print(prune_runs(store, older_than=timedelta(days=30), keep=10))
    deleted 12 runs and 340 artifacts (5.1 GB)
    """
    choice = _Choice(older_than, states, keep)
    if grace < timedelta():
        raise ValueError(f"grace= is not negative; it is {grace}")
    work = _Pruning(store, dry_run)
    for summary in choice.among(list(store.journal.runs())):
        work.delete_run(summary, choice)
    work.delete_artifacts(grace)
    return work.report()


class _Choice:
    """Which runs are to go."""

    def __init__(self, older_than: timedelta | None, states: Collection[str] | None, keep: int | None) -> None:
        if older_than is not None and older_than < timedelta():
            raise ValueError(f"older_than= is not negative; it is {older_than}")
        if keep is not None and keep < 0:
            raise ValueError(f"keep= is not negative; it is {keep}")
        if isinstance(states, str):
            states = (states,)
        self._before = None if older_than is None else time.time() - older_than.total_seconds()
        self._states = None if states is None else frozenset(map(_state_name, states))
        self._keep = keep

    def among(self, summaries: Iterable[RunSummary]) -> list[RunSummary]:
        """Return the runs that are to go, of all runs, the one that changed last first."""
        if self._before is None and self._states is None and self._keep is None:
            return []
        chosen = []
        seen: Counter[str] = Counter()
        for summary in summaries:
            seen[summary.graph_name] += 1
            is_kept = self._keep is not None and seen[summary.graph_name] <= self._keep
            if not is_kept and self.fits(summary):
                chosen.append(summary)
        return chosen

    def fits(self, summary: RunSummary) -> bool:
        """Whether age and state of a run are those that are asked for."""
        if self._before is not None and summary.updated_at > self._before:
            return False
        return self._states is None or standing_of(summary) in self._states


def _state_name(name: str) -> str:
    known = [state.name for state in RunState] + [INTERRUPTED]
    if name.upper() not in known:
        guess = nearest_name(name.upper(), known)
        meant = f"; did you mean {guess}?" if guess else ""
        raise ValueError(f"there is no state {name!r} of a run{meant} There are {', '.join(known)}")
    return name.upper()


@dataclass
class _Pruning:
    """A store that is being pruned, and what came of it so far."""

    store: Store
    dry_run: bool
    runs: list[RunSummary] = field(default_factory=list)
    held: list[RunSummary] = field(default_factory=list)
    # The artifacts of runs that are gone.
    freed: set[str] = field(default_factory=set)
    artifacts: int = 0
    freed_bytes: int = 0
    unreferenced: int = 0
    young: int = 0
    notes: list[str] = field(default_factory=list)

    def delete_run(self, listed: RunSummary, choice: _Choice) -> None:
        journal = self.store.journal
        # It may have been taken up again, and ended again, since it was listed.
        summary = journal.find_run(listed.run_id)
        if summary is None or not choice.fits(summary):
            return
        if is_held(summary):
            self.held.append(summary)
            return
        if self.dry_run:
            freed: Iterable[str] = artifacts_of(journal.commits(summary.run_id))
        else:
            try:
                freed = journal.delete_run(summary.run_id)
            except RunHeldError:
                self.held.append(summary)
                return
        self.freed.update(freed)
        self.runs.append(summary)

    def delete_artifacts(self, grace: timedelta) -> None:
        """Delete what nothing refers to: of the runs that are gone at once, all else when it is old enough."""
        artifacts = self.store.artifacts
        gone = frozenset(summary.run_id for summary in self.runs) if self.dry_run else frozenset[str]()
        # Listed before the references are read: what is committed in between is then seen as referred to.
        listed = list(artifacts.list())
        before = self._latest(listed, grace)
        referred = references(self.store.journal, without=gone)
        if referred.unread:
            self.notes.append(
                f"left what nothing refers to, since records of {_names(referred.unread)} cannot be read: resume or "
                "delete them first"
            )
        for info in listed:
            if info.name in referred.names:
                continue
            if info.name not in self.freed:
                if referred.unread:
                    continue
                if info.written_at > before:
                    self.young += 1
                    continue
                self.unreferenced += 1
            if not self.dry_run:
                artifacts.delete(info.name)
            self.artifacts += 1
            self.freed_bytes += info.size

    def _latest(self, listed: list[ArtifactInfo], grace: timedelta) -> float:
        """When an artifact was written at the latest that is deleted because nothing refers to it."""
        if not listed:
            return 0.0
        seconds = grace.total_seconds()
        now = store_clock(self.store.artifacts, may_write=not self.dry_run)
        # A run that is under way may have waited for long with what it has to commit; and where a clock has jumped, an
        # artifact of this minute may look like one of yesterday.
        begun = [summary.created_at for summary in self.store.journal.runs() if is_held(summary)]
        return min([now, *begun]) - seconds

    def report(self) -> PruneReport:
        return PruneReport(
            self.store.address,
            self.dry_run,
            tuple(self.runs),
            tuple(self.held),
            self.artifacts,
            self.freed_bytes,
            self.unreferenced,
            self.young,
            tuple(self.notes),
        )


def _names(runs: list[str]) -> str:
    shown = ", ".join(repr(run) for run in runs[:5])
    return shown if len(runs) <= 5 else f"{shown} and {counted(len(runs) - 5, 'more run')}"


def store_clock(artifacts: ArtifactStore, *, may_write: bool = True) -> float:
    """Return the time by the clock of a store of artifacts, in seconds of the Unix epoch.

    What lies on this machine has this machine's. A server is asked when it wrote what was written just now.

    Parameters
    ----------
    artifacts : ArtifactStore
        The store.
    may_write : bool
        Whether something may be written for it; otherwise this machine's clock has to do.
    """
    if artifacts.is_local or not may_write:
        return time.time()
    name = f"clock-probe-{uuid.uuid4().hex}"
    try:
        artifacts.write(name, [b"."])
        try:
            return max((info.written_at for info in artifacts.list(name)), default=time.time())
        finally:
            artifacts.delete(name)
    except StoreError:
        return time.time()
