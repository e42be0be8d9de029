"""The checkpoint of one run: what it takes over, what it keeps, and how that ends."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from weakref import ref

from execution_dataflow import _core
from execution_dataflow.checkpoints.collection_pause import collection_paused
from execution_dataflow.checkpoints.commit_writer import CommitWriter
from execution_dataflow.checkpoints.leftovers import Leftovers
from execution_dataflow.checkpoints.resume_report import ResumeReport
from execution_dataflow.checkpoints.resumption import SKIPPED, USELESS, Resumption, reasons_to_run
from execution_dataflow.checkpoints.run_fingerprints import RunFingerprints
from execution_dataflow.checkpoints.settings import Checkpoint
from execution_dataflow.checkpoints.stand_ins import earlier_failures, failure_commit
from execution_dataflow.fingerprinting import item, what_changed
from execution_dataflow.kept_state import take_changes
from execution_dataflow.mapping import MappedOperation
from execution_dataflow.storage_formats import ValueCodec
from execution_dataflow.store_errors import StateNotKeptError, StoreError, UnstorableValueError
from execution_dataflow.stores.journal import Commit, record_binding
from execution_dataflow.stores.owners import has_ended, new_owner

if TYPE_CHECKING:
    from execution_dataflow.checkpoints.stores_of_engine import EngineStores
    from execution_dataflow.plan import Plan
    from execution_dataflow.run_record import RunRecord

__all__ = ["RunCheckpoint"]


_MISSING = _core.MISSING
_NANOSECOND = 1e-9
# What lies in its record, unless it is very long, and so waits for no store of artifacts.
_QUICK = frozenset({int, float, bool, str, type(None), list, dict, type(_MISSING)})
# What an output is called in a message when it cannot be stored.
_PORTS = tuple(f"output {port}" for port in range(1024))
# An attempt of what is expanded: its number, and when it began.
_ATTEMPT = struct.Struct("<qd")
_NO_LEFTOVERS = Leftovers({}, lambda name: True)


class RunCheckpoint:
    """Keeps what a run has done in a store, and gives it what earlier runs of the same id have done.

    Parameters
    ----------
    stores : EngineStores
        Opens the store.
    settings : Checkpoint
        Where, and how.
    plan : Plan
        What runs.
    given : sequence of object
        A value for each of the plan's `given`.
    record : RunRecord
        The run.
    on_failure : callable
        Told of the error after which nothing can be kept any more.

    Raises
    ------
    RunHeldError
        Another process runs this run id.
    StoreError
        The store cannot be read or written.
    """

    def __init__(
        self,
        stores: EngineStores,
        settings: Checkpoint,
        plan: Plan,
        given: Sequence[Any],
        record: RunRecord,
        on_failure: Callable[[BaseException], object],
    ) -> None:
        record.derive_seed()
        self.store = store = stores.get(settings.store)
        self._plan = plan
        # The record holds this: without a cycle, what it keeps goes as soon as nobody has the result.
        self._record_ref = ref(record)
        self._run_id = record.run_id
        self._waits = settings.durability == "each"
        self._resumption: Resumption | None = None
        self._began = 0.0
        self._not_kept: dict[str, str] = {}
        self._damaged_items: dict[str, str] = {}
        self._codec = ValueCodec(
            store.artifacts,
            key=store.key,
            trusts_pickles=store.trust_pickles or (store.artifacts.is_local and store.journal.is_local),
            prefix=f"runs/{_as_name(record.run_id)}",
        )
        journal = store.journal
        self._lease = journal.acquire(record.run_id, plan.name, new_owner(), settings.lease_seconds, settings.metadata)
        try:
            self._fingerprints = RunFingerprints(plan, given, record.parameters, record.seed, record.scopes)
            self._own, self._names, self._count = self._fingerprints.all, plan.names, len(plan)
            self._encode = self._codec.encode_outputs
            with collection_paused():
                self._earlier = {commit.key: commit for commit in journal.commits(record.run_id)}
            self._is_resumed = bool(self._earlier)
            self._leftovers = _NO_LEFTOVERS
            # The loops of which an iteration was not restored, and so none that follows it.
            self._broken_loops: set[str] = set()
            # What began anew, though something inside of it had committed.
            self._dropped: set[str] = set()
            self._writer = CommitWriter(journal, self._lease, on_failure)
        except BaseException:
            self._give_back("FAILED")
            raise

    @property
    def _record(self) -> RunRecord:
        record = self._record_ref()
        assert record is not None, "a run has its record until it has ended"
        return record

    # ------------------------------------------------------------ at the start

    def restore(self, run: _core.Run, retain: str | Sequence[int], lent: Sequence[int] | None) -> None:
        """Give a native run that has not started what earlier ones have done.

        Parameters
        ----------
        run : _core.Run
            The run.
        retain : str or sequence of int
            Which values it keeps, in the form that it takes.
        lent : sequence of int or None
            The slots whose values may be needed to undo it.

        Raises
        ------
        UntrustedArtifactError
            A value is a pickle that must not be read.
        StoreError
            The store cannot be read.
        """
        self._began = run.began_ns * 1e-9
        if lent and retain != "all":
            retain = [*(() if isinstance(retain, str) else retain), *lent]
        plan, fingerprints = self._plan, self._fingerprints.all
        failures, damaged = earlier_failures(plan, self._earlier, self._codec, self._record)
        self._damaged_items.update(damaged)
        self._drop(damaged)
        self._resumption = resumption = Resumption(
            plan.core, plan.names, fingerprints, self._earlier, self._codec, retain
        )
        if not self._earlier:
            return
        try:
            with collection_paused():
                nodes = resumption.nodes()
                self._leftovers = Leftovers(self._earlier, self._is_own)
                self._drop_inside(plan, plan.names, resumption.restored)
                restored = resumption.restored
                self._record.fallbacks.update({node: told for node, told in failures.items() if restored[node]})
                _core.restore(run, resumption.restored, nodes)
                resumption.forget_commits()
        except BaseException:
            self.close("FAILED")
            raise

    def restored_items(self, node: int, items: Sequence[int]) -> Callable[[int], tuple[Any, ...] | None] | None:
        """Return what gives the outputs of those items of a map that have committed; ``None`` if there are none."""
        if not self._earlier:
            return None
        key, fingerprint = self._record.name_of(node, tuple(items)), self._fingerprints.of(node, items)
        if fingerprint is None or not self._leftovers.items_of(key):
            return None
        find, codec, damaged = self._earlier.get, self._codec, self._damaged_items

        def restored(index: int) -> tuple[Any, ...] | None:
            name = f"{key}[{index}]"
            commit = find(name)
            if commit is None or commit.fingerprint != item(fingerprint, index):
                return None
            bound_to = record_binding(name, commit.fingerprint)
            try:
                return tuple(codec.decode_outputs(commit.outputs, _core.MISSING, bound_to=bound_to))
            except USELESS as error:
                damaged[name] = str(error)
                return None

        return restored

    def restored_inside(
        self, plan: Plan, base: int, outside: Sequence[int], outputs: Sequence[tuple[int, int]]
    ) -> list[tuple[int, list[tuple[int, Any]], bool]]:
        """Return what an earlier run has done of a plan that runs in the place of an operation.

        Parameters
        ----------
        plan : Plan
            The plan.
        base : int
            The number of its first operation.
        outside : sequence of int
            The nodes that stand for what it is given.
        outputs : sequence of (int, int)
            The outputs that are wanted: node and port, -1 as node for none.
        """
        if not self._is_resumed or not len(plan):
            return []
        record = self._record
        assert record.scopes is not None
        _, _, parent, items, iteration = record.scopes.origin(base)
        owner = record.name_of(parent, items)
        if not self._leftovers.inside(owner):
            return []
        numbers = range(base, base + len(plan))
        keys = [record.names(number) for number in numbers]
        restored = bytes(len(plan))
        nodes: list[tuple[int, list[tuple[int, Any]], bool]] = []
        if any(key in self._earlier for key in keys):
            fingerprints = [self._fingerprints.of(number) for number in numbers]
            retain = [plan.core.slot(node, port) for node, port in outputs if node >= 0]
            resumption = Resumption(plan.core, keys, fingerprints, self._earlier, self._codec, retain, outside)
            nodes = resumption.all_nodes()
            restored = resumption.restored
            self._damaged_items.update({keys[node]: reason for node, reason in resumption.damaged.items()})
        self._drop_inside(plan, keys, restored)
        # The last output says whether there is another iteration; the others are what that is given.
        if iteration is not None and not all(restored[node] for node, _ in outputs[:-1] if node >= 0):
            self._break_loop(owner, iteration)
        return nodes

    def _is_own(self, name: str) -> bool:
        return self._plan.position_of(name) is not None

    def _drop_inside(self, plan: Plan, keys: Sequence[str], restored: bytes) -> None:
        """Forget what is inside of operations that are given something else than in the earlier run."""
        inside, predecessors = self._leftovers.inside, plan.core.predecessors
        for node, flag in enumerate(restored):
            if (
                not flag
                and (found := inside(keys[node]))
                and not all(restored[before] for before in predecessors(node))
            ):
                self._dropped.add(keys[node])
                self._drop(found)

    def _break_loop(self, name: str, iteration: int) -> None:
        """Forget what follows an iteration that runs again."""
        if name not in self._broken_loops:
            self._broken_loops.add(name)
            found = self._leftovers.after_iteration(name, iteration)
            self._drop(found)
            self._write_off(found)

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._earlier.pop(key, None)

    def _write_off(self, keys: Iterable[str]) -> None:
        """Note that what has committed does not count any more."""
        for key in self._leftovers.write_off(keys):
            self._writer.add(Commit(key, b"", 1, 0.0, 0.0, b""))

    def begin_inside(self, node: int, items: tuple[int, ...], attempt: int, plan: Plan, given: Sequence[Any]) -> None:
        """Note that a plan is to run in the place of an attempt.

        What an attempt after the first has done is told from what those before it have done by what is noted here; a
        later run takes over what the last one has done.

        Parameters
        ----------
        node : int
            The operation.
        items : tuple of int
            Which item of a map it is.
        attempt : int
            From 1.
        plan : Plan
            What runs.
        given : sequence of object
            The values of its parameters, if they do not follow from the inputs of the operation.
        """
        which = b""
        if attempt > 1:
            name, now = self._record.name_of(node, items), time.time()
            which = _ATTEMPT.pack(attempt, now)
            self._writer.add(Commit(name, b"", attempt, now, now, b""))
        elif self._is_resumed:
            earlier = self._earlier.get(self._record.name_of(node, items))
            if earlier is not None and not earlier.fingerprint and earlier.attempt > 1:
                which = _ATTEMPT.pack(earlier.attempt, earlier.started)
        if which or given:
            self._fingerprints.begin_inside(node, items, plan, given, which)

    # ------------------------------------------------------------ while it runs

    def may_wait(self, value: object) -> bool:
        """Return whether to commit a value, or a tuple of several, may take as long as a store takes to write."""
        kinds = map(type, value) if type(value) is tuple else (type(value),)
        return self._waits or not _QUICK.issuperset(kinds)

    def commit(
        self,
        node: int,
        items: Sequence[int],
        attempt: int,
        values: Sequence[object] | None,
        started: int,
        ended: int,
    ) -> None:
        """Keep the outputs of an attempt that has succeeded, and its changes of state, before anybody gets them.

        Parameters
        ----------
        node : int
            The operation.
        items : sequence of int
            Which item of a map it is.
        attempt : int
            From 1.
        values : sequence of object or None
            The outputs in the order of ports, MISSING for one that was not set; ``None`` for an operation that was
            skipped, which counts for what came after it.
        started, ended : int
            In nanoseconds since the run began.

        Raises
        ------
        StateConflictError
            A value of the state was changed by somebody else; nothing was kept.
        StateNotKeptError
            It has changed state, and cannot be kept itself; nothing was kept.
        StoreError, LeaseLostError
            Nothing can be kept any more.
        """
        record = self._record_ref()
        assert record is not None, "a run has its record until it has ended"
        if items or node >= self._count:
            items = tuple(items)
            fingerprint, name = self._fingerprints.of(node, items), record.name_of(node, items)
        else:
            fingerprint, name = self._own[node], self._names[node]
        changes = () if record.overlays is None else take_changes(record, node, tuple(items), attempt)
        commit = None
        if values is None:
            if fingerprint is not None:
                if self._is_resumed:
                    self._write_off_followers(node, items)
                self._writer.add(Commit(name, fingerprint, 0, 0.0, 0.0, SKIPPED))
            return
        if fingerprint is not None:
            bound_to = record_binding(name, fingerprint)
            try:
                encoded = self._encode(_PORTS[: len(values)], values, _MISSING, bound_to=bound_to)
            except UnstorableValueError as error:
                self._not_kept[name] = str(error)
            else:
                began, ended_at = self._began + started * _NANOSECOND, self._began + ended * _NANOSECOND
                commit = Commit(name, fingerprint, attempt, began, ended_at, encoded.record, encoded.artifacts)
                if record.fallbacks and not items and node < self._count and node in record.fallbacks:
                    self._writer.add(failure_commit(self._codec, commit, record.fallbacks[node]))
        if self._is_resumed and commit is not None:
            self._write_off_followers(node, items)
        if changes or (self._waits and commit is not None):
            if commit is None:
                raise StateNotKeptError(name, self._not_kept.get(name) or self._why_unknown(node))
            self._writer.write(commit, changes)
        elif commit is not None:
            self._writer.add(commit)

    def _write_off_followers(self, node: int, items: Sequence[int]) -> None:
        """Have nobody combine what an operation puts out now with what followed from what it had put out before."""
        if items:
            return
        record, plan, index = self._record, self._plan, node
        if node >= self._count:
            assert record.scopes is not None
            plan, index = record.scopes.place(node)
        for follower in plan.core.successors(index):
            name = record.names(node - index + follower)
            self._write_off([name, *self._leftovers.inside(name)])

    def _why_unknown(self, node: int) -> str:
        """Say why an operation has no fingerprint."""
        reason = self._fingerprints.reason(node) if node < self._count else "its graph cannot be told"
        return f"what it is computed from cannot be told: {reason}"

    # ------------------------------------------------------------ at the end

    def flush(self) -> BaseException | None:
        """Return when all that has committed is durable; with the error that kept it from being so."""
        self._writer.flush()
        return self._writer.error

    def close(self, state: str, reverted: Sequence[str] = ()) -> StoreError | None:
        """End it: what was reverted does not count as committed any more, and others may take the run up.

        Parameters
        ----------
        state : str
            How the run ended.
        reverted : sequence of str
            The operations that were undone.

        Returns
        -------
        StoreError or None
            Why the end was not noted: then the run looks interrupted, and everything else is as it should be.
        """
        error: StoreError | None = None
        if reverted and self._writer.error is None:
            names = [*reverted, *self._maps_before(reverted)]
            for name in names:
                self._writer.add(Commit(name, b"", 0, 0.0, 0.0, b""))
            try:
                self._write_off_inside(names)
            except StoreError as failure:
                error = failure
        self._writer.close()
        self._forget_values()
        return self._give_back(state) or error

    def _maps_before(self, names: Iterable[str]) -> set[str]:
        """Return the maps that give something to operations, which undo their items: nothing else can."""
        plan = self._plan
        nodes = [node for node in map(plan.position_of, names) if node is not None]
        before = {source for node in nodes for feeders in plan.core.feeders(node) for source, _ in feeders}
        return {plan.names[node] for node in before if isinstance(plan.operations[node], MappedOperation)}

    def _write_off_inside(self, names: Iterable[str]) -> None:
        """Have nothing that is inside of operations count as committed, by this run or another one."""
        self._writer.flush()
        commits = {commit.key: commit for commit in self.store.journal.commits(self._run_id)}
        self._leftovers = Leftovers(commits, self._is_own)
        for name in names:
            self._write_off(self._leftovers.inside(name))

    def _forget_values(self) -> None:
        """Keep of what had committed before only what the report says something of: whoever has the result has this."""
        flags = bytes(self._count) if self._resumption is None else self._resumption.restored
        ran = [name for name, flag in zip(self._names, flags, strict=True) if not flag]
        self._earlier = {name: self._earlier[name]._replace(outputs=b"") for name in ran if name in self._earlier}
        self._leftovers = _NO_LEFTOVERS

    def _give_back(self, state: str) -> StoreError | None:
        try:
            self.store.journal.release(self._lease, state)
        except StoreError as error:
            has_ended(self._lease.owner)
            return error
        return None

    # ------------------------------------------------------------ afterwards

    def restored_nodes(self) -> list[int]:
        """Return the operations that were restored."""
        flags = b"" if self._resumption is None else self._resumption.restored
        return [node for node, flag in enumerate(flags) if flag == 1]

    @property
    def restored(self) -> list[str]:
        """The names of the operations that were restored."""
        names = self._plan.names
        return [names[node] for node in self.restored_nodes()]

    @cached_property
    def report(self) -> ResumeReport:
        """What was taken over, and why the rest ran."""
        resumption, without = self._resumption, self._fingerprints.reason
        not_kept = dict(self._not_kept)
        for node, fingerprint in enumerate(self._fingerprints.all):
            if fingerprint is None:
                not_kept[self._plan.names[node]] = self._why_unknown(node)
        reasons = {}
        if resumption is not None and self._is_resumed:
            reasons = reasons_to_run(
                self._plan,
                resumption.restored,
                self._fingerprints.all,
                without,
                self._earlier,
                resumption.damaged,
                self._dropped,
                what_changed,
            )
        reasons.update(self._damaged_items)
        return ResumeReport(self._run_id, self.store.address, self._is_resumed, tuple(self.restored), reasons, not_kept)


def _as_name(run_id: str) -> str:
    """Return what artifacts of a run are called: no two runs the same, and readable where that is possible."""
    readable = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in run_id[:40])
    return f"{readable}-{blake2b(run_id.encode(errors='surrogatepass'), digest_size=8).hexdigest()}"
