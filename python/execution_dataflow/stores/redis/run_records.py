"""Runs on Redis: who holds them, and what they have committed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from execution_dataflow.store_errors import DamagedArtifactError, LeaseLostError, RunHeldError, StateConflictError
from execution_dataflow.stores.journal import Commit, Lease, Owner, RunSummary, StateChange
from execution_dataflow.stores.owners import holder_is_gone
from execution_dataflow.stores.redis.records import (
    DamagedRecord,
    decode_commits,
    decode_owner,
    encode_changes,
    encode_commits,
    encode_owner,
    encode_text,
)
from execution_dataflow.stores.redis.scripts import ACQUIRE, APPEND, DELETE_RUN, RELEASE, RENEW, SUMMARIES
from execution_dataflow.stores.redis.server import Server

__all__ = ["RunRecords", "conflict", "microseconds"]

_log = logging.getLogger("execution_dataflow.stores")

# The bit of each batch that was written is kept: 2**32 of them are what Redis can number, in 512 MB.
_MOST_BATCHES = 2**32 - 1
_RUNS_AT_ONCE = 200


class RunRecords:
    """The part of a journal that knows runs and commits.

    Parameters
    ----------
    server : Server
        Where they are.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def acquire(
        self, run_id: str, graph_name: str, owner: Owner, lease_seconds: float, metadata: Mapping[str, str]
    ) -> Lease:
        """Begin a run, or take one up again, for one owner alone; see `Journal.acquire`."""
        keys = [self._run(run_id), self._server.key("runs"), self._batches(run_id)]
        texts: list[str | bytes] = [run_id, graph_name, encode_owner(owner), owner.token]
        texts += [microseconds(lease_seconds), uuid.uuid4().hex]
        noted = [encode_text(text) for pair in metadata.items() for text in pair]

        def ask(gone: str) -> list[bytes]:
            answer: list[bytes] = self._server.write(ACQUIRE, keys, *map(_bytes, [*texts, gone]), *noted)
            return answer

        answer = self._past_a_holder_that_is_gone(run_id, ask)
        return Lease(run_id, owner, int(answer[1]), lease_seconds)

    def renew(self, lease: Lease) -> None:
        """Let a lease be valid for its whole time again; see `Journal.renew`."""
        token, epoch, time = lease.owner.token, str(lease.epoch), microseconds(lease.seconds)
        if self._server.write(RENEW, [self._run(lease.run_id)], *map(_bytes, (token, epoch, time)))[0] == b"lost":
            raise LeaseLostError(lease.run_id)

    def release(self, lease: Lease, state: str) -> None:
        """Give a run back, and note how it ended; see `Journal.release`."""
        texts = (lease.run_id, lease.owner.token, str(lease.epoch), state)
        self._server.write(RELEASE, [self._run(lease.run_id), self._server.key("runs")], *map(_bytes, texts))

    def append(self, lease: Lease, batch: int, commits: Sequence[Commit], changes: Sequence[StateChange] = ()) -> None:
        """Write commits and changes of state, all or none; see `Journal.append`."""
        if not 1 <= batch <= _MOST_BATCHES:
            raise ValueError(f"batch is from 1 to {_MOST_BATCHES}, not {batch}")
        server, run_id = self._server, lease.run_id
        keys = [self._run(run_id), server.key("runs"), self._batches(run_id), self._commits(run_id)]
        texts = (run_id, lease.owner.token, str(lease.epoch), str(batch))
        answer = server.write(
            APPEND,
            [*keys, server.key("namespaces")],
            *map(_bytes, texts),
            server.prefix,
            encode_commits(commits),
            encode_changes(changes),
            str(len(commits)).encode(),
        )
        if answer[0] == b"lost":
            raise LeaseLostError(run_id)
        if answer[0] == b"conflict":
            raise conflict(answer)

    def commits(self, run_id: str) -> Iterator[Commit]:
        """Yield what has committed in a run, in no order; see `Journal.commits`."""
        # A hash that grows while it is read may show an entry twice.
        seen: set[str] = set()
        for records in self._server.scan(self._commits(run_id), "2"):
            for commit in decode_commits(records, lambda damage: self._leave_out("a commit of run", run_id, damage)):
                if commit.key not in seen:
                    seen.add(commit.key)
                    yield commit

    def find_run(self, run_id: str) -> RunSummary | None:
        """Return what is known of a run; see `Journal.find_run`."""
        try:
            return next(self._summaries([run_id]))
        except DamagedRecord as damage:
            raise DamagedArtifactError(f"the run {run_id!r} in {self._server.address}", str(damage)) from None

    def runs(self) -> Iterator[RunSummary]:
        """Yield all runs, the one that changed last first; see `Journal.runs`."""
        names = self._server.command("ZREVRANGE", self._server.key("runs"), 0, -1)
        ids = [name.decode("utf-8", "surrogatepass") for name in names]
        for start in range(0, len(ids), _RUNS_AT_ONCE):
            page = ids[start : start + _RUNS_AT_ONCE]
            try:
                found = list(self._summaries(page))
            except DamagedRecord:
                found = [summary for run_id in page for summary in self._undamaged(run_id)]
            yield from (summary for summary in found if summary is not None)

    def delete_run(self, run_id: str) -> tuple[str, ...]:
        """Delete a run and what it has committed; see `Journal.delete_run`."""
        keys = [self._run(run_id), self._server.key("runs"), self._batches(run_id), self._commits(run_id)]
        artifacts: dict[str, None] = {}
        changed = b""

        def ask(gone: str) -> list[bytes]:
            answer: list[bytes] = self._server.write(DELETE_RUN, keys, encode_text(run_id), encode_text(gone), changed)
            return answer

        # What a run refers to is read before it is deleted, so that nothing is lost when this process ends in between;
        # a run that has changed meanwhile is read again.
        while (answer := self._past_a_holder_that_is_gone(run_id, ask))[0] == b"changed":
            changed = answer[1]
            artifacts = dict.fromkeys(name for commit in self.commits(run_id) for name in commit.artifacts)
        return tuple(artifacts)

    # ------------------------------------------------------------ inside

    def _run(self, run_id: str) -> bytes:
        return self._server.key("run", run_id)

    def _commits(self, run_id: str) -> bytes:
        return self._server.key("commits", run_id)

    def _batches(self, run_id: str) -> bytes:
        return self._server.key("batches", run_id)

    def _past_a_holder_that_is_gone(self, run_id: str, ask: Callable[[str], list[bytes]]) -> list[bytes]:
        """Return an answer that is not "held": ask again where the process of the holder is no more."""
        answer = ask("")
        while answer[0] == b"held":
            try:
                holder = decode_owner(answer[1])
            except DamagedRecord:
                raise RunHeldError(run_id, expires_in_seconds=int(answer[2]) / 1e6) from None
            if not holder_is_gone(holder):
                who = f"process {holder.process} of {holder.host.partition('/')[0]}"
                raise RunHeldError(run_id, who, int(answer[2]) / 1e6)
            answer = ask(holder.token)
        return answer

    def _summaries(self, run_ids: Sequence[str]) -> Iterator[RunSummary | None]:
        keys = [key for run_id in run_ids for key in (self._run(run_id), self._commits(run_id))]
        now, *found = self._server.ask(SUMMARIES, keys)
        for run_id, fields, commits in zip(run_ids, found[::2], found[1::2], strict=True):
            yield _summary(run_id, dict(zip(fields[::2], fields[1::2], strict=True)), commits, int(now))

    def _undamaged(self, run_id: str) -> Iterator[RunSummary | None]:
        try:
            yield from self._summaries([run_id])
        except DamagedRecord as damage:
            self._leave_out("the run", run_id, damage)

    def _leave_out(self, what: str, run_id: str, damage: DamagedRecord) -> None:
        _log.warning("%s %r in %s is damaged, and left out: %s", what, run_id, self._server.address, damage)


def conflict(answer: Sequence[bytes]) -> StateConflictError:
    """Return the error that an answer of a script tells of."""
    namespace, key = (part.decode("utf-8", "surrogatepass") for part in answer[1:3])
    return StateConflictError(namespace, key)


def microseconds(seconds: float) -> str:
    """Return a time as the scripts take it."""
    return str(max(0, round(seconds * 1_000_000)))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else encode_text(text)


def _summary(run_id: str, fields: dict[bytes, bytes], commits: int, now: int) -> RunSummary | None:
    if not fields:
        return None
    try:
        until, epoch = int(fields[b"until"]), int(fields[b"epoch"])
        created, updated = int(fields[b"created"]), int(fields[b"updated"])
        graph, state, holder = fields[b"graph"].decode("utf-8", "surrogatepass"), fields[b"state"], fields[b"holder"]
    except (KeyError, ValueError) as fault:
        raise DamagedRecord(f"a field cannot be read: {fault}") from None
    owner: Any = decode_owner(holder) if holder else None
    noted = {name[2:].decode("utf-8", "surrogatepass"): value for name, value in fields.items() if name[:2] == b"m:"}
    return RunSummary(
        run_id=run_id,
        graph_name=graph,
        state=state.decode(),
        created_at=created / 1e6,
        updated_at=updated / 1e6,
        commits=commits,
        holder=owner,
        lease_seconds_left=(until - now) / 1e6 if owner else 0.0,
        epoch=epoch + 1,
        metadata={name: value.decode("utf-8", "surrogatepass") for name, value in noted.items()},
    )
