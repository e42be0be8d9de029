"""What the thread that writes commits makes of a batch in which changes of state are in conflict."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event, Thread

import pytest

pytest.importorskip("sqlalchemy")

from execution_dataflow.checkpoints.commit_writer import CommitWriter
from execution_dataflow.store_errors import StateConflictError
from execution_dataflow.stores.conformance.opened import acquired, made_commit
from execution_dataflow.stores.journal import Commit, Journal, Lease, StateChange
from execution_dataflow.stores.opening import open_store


class HeldBack:
    """A journal whose first write waits until it is told to go on, so that what comes later makes one batch."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.first_began = Event()
        self.goes_on = Event()
        self.written: list[list[str]] = []

    def append(self, lease: Lease, batch: int, commits: Sequence[Commit], changes: Sequence[StateChange] = ()) -> None:
        self.first_began.set()
        assert self.goes_on.wait(10.0)
        self.journal.append(lease, batch, commits, changes)
        self.written.append([commit.key for commit in commits])

    def renew(self, lease: Lease) -> None:
        self.journal.renew(lease)


@pytest.fixture
def held_back(tmp_path: Path) -> Iterator[HeldBack]:
    with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        yield HeldBack(store.journal)


def test_a_conflict_costs_a_write_for_each_change_and_none_for_what_stands_between(held_back: HeldBack) -> None:
    lease = acquired(held_back.journal, "run")
    writer = CommitWriter(held_back, lease, lambda error: None)  # type: ignore[arg-type]
    outcomes: dict[str, str] = {}

    def write(name: str) -> None:
        try:
            writer.write(made_commit(name), [StateChange("totals", "count", b"1", 0)])
            outcomes[name] = "written"
        except StateConflictError:
            outcomes[name] = "in conflict"

    writer.add(made_commit("first"))
    assert held_back.first_began.wait(10.0)
    threads = []
    for number in range(3):
        for part in "ab":
            writer.add(made_commit(f"plain_{number}{part}"))
        threads.append(Thread(target=write, args=(f"changing_{number}",)))
        threads[-1].start()
        # Its place in the queue is what this test is about.
        while len(writer._entries) < 3 * (number + 1):
            time.sleep(0.001)
    held_back.goes_on.set()
    for thread in threads:
        thread.join(10.0)
    writer.close()
    assert outcomes == {"changing_0": "written", "changing_1": "in conflict", "changing_2": "in conflict"}
    assert held_back.written == [
        ["first"],
        ["plain_0a", "plain_0b"],
        ["changing_0"],
        ["plain_1a", "plain_1b"],
        ["plain_2a", "plain_2b"],
    ]
