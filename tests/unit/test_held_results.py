"""Results that a worker process holds back for a moment, and what it says to its parent."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
from patience import LIMIT_SECONDS

from execution_dataflow.executors.processes import messages
from execution_dataflow.executors.processes.held_results import HeldResults, results_in
from execution_dataflow.executors.processes.marker import Marker
from execution_dataflow.executors.processes.reports import Reports
from execution_dataflow.executors.processes.values import Packed
from execution_dataflow.executors.processes.wire import Inbox, Outbox
from execution_dataflow.shared_memory import MainLink


@pytest.fixture
def marker() -> Iterator[Marker]:
    marker = Marker()
    yield marker
    marker.close()


class NoMemory:
    owes = False


class Both:
    """A worker's reports, and the parent that hears them."""

    def __init__(self, marker: Marker) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(LIMIT_SECONDS)
        self.theirs = theirs
        self.page = HeldResults(marker)
        self.reports = Reports(Outbox(theirs), HeldResults(marker), cast(MainLink, NoMemory()))
        self.inbox = Inbox(self.ours)

    def hold(self, task: int, now: int, value: Any = "small") -> None:
        self.reports.hold(task, 7, pickle.dumps(value), now)

    def heard(self, kinds: int) -> list[tuple[int, Any]]:
        found: list[tuple[int, Any]] = []
        while len(found) < kinds:
            for message in self.inbox.receive():
                data = message.data
                if message.kind == messages.RESULTS:
                    data = [task for task, _, _ in results_in(memoryview(message.body)[:data])]
                found.append((message.kind, data))
        return found

    def hears_nothing(self) -> bool:
        self.ours.setblocking(False)
        try:
            return not self.ours.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.ours.settimeout(LIMIT_SECONDS)


@pytest.fixture
def both(marker: Marker) -> Iterator[Both]:
    both = Both(marker)
    yield both
    both.ours.close()
    both.theirs.close()


def held_in(page: HeldResults) -> list[tuple[int, int, Any]]:
    return [(task, took, pickle.loads(stream)) for task, took, stream in results_in(page.read())]


def test_parent_reads_what_a_worker_holds(marker: Marker) -> None:
    worker, parent = HeldResults(marker), HeldResults(marker)
    assert held_in(parent) == []
    assert worker.keep(3, 1_000, pickle.dumps(("a", 1)))
    assert worker.keep(4, 2_000, pickle.dumps(()))
    assert held_in(parent) == [(3, 1_000, ("a", 1)), (4, 2_000, ())]
    worker.clear()
    assert held_in(parent) == []
    worker.keep(5, 3_000, pickle.dumps(None))
    assert held_in(parent) == [(5, 3_000, None)]


def test_results_that_are_written_over_while_they_are_read_are_not_taken(
    marker: Marker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, parent = HeldResults(marker), HeldResults(marker)
    worker.keep(3, 1_000, pickle.dumps("first"))

    class Room:
        def __getitem__(self, part: slice) -> memoryview:
            worker.clear()
            worker.keep(4, 1_000, pickle.dumps("other"))
            return marker.room_for_results[part]

    monkeypatch.setattr(parent, "_room", Room())
    assert parent.read() == b""


def test_what_has_no_room_is_not_held(marker: Marker) -> None:
    worker = HeldResults(marker)
    stream = pickle.dumps(b"x" * 1000)
    count = 0
    while worker.keep(count + 1, 1, stream):
        count += 1
    assert count >= 10
    assert [task for task, _, _ in held_in(HeldResults(marker))] == list(range(1, count + 1))


def test_results_go_together_once_the_first_has_waited(both: Both) -> None:
    both.hold(1, now=1_000_000)
    both.hold(2, now=1_100_000)
    assert both.hears_nothing()
    both.hold(3, now=1_300_000)
    assert both.heard(1) == [(messages.RESULTS, [1, 2, 3])]
    assert held_in(both.page) == []


def test_whatever_else_is_said_comes_after_what_was_held(both: Both) -> None:
    both.hold(1, now=0)
    both.reports.say(messages.LOG, "after")
    both.hold(2, now=0)
    both.reports.result(3, 7, Packed(b"."))
    both.hold(4, now=0)
    both.hold(5, now=0, value=b"x" * (1 << 16))
    both.hold(6, now=0)
    both.reports.release()
    assert [(kind, data if kind != messages.RESULT else data[0]) for kind, data in both.heard(7)] == [
        (messages.RESULTS, [1]),
        (messages.LOG, "after"),
        (messages.RESULTS, [2]),
        (messages.RESULT, 3),
        (messages.RESULTS, [4]),
        (messages.RESULT, 5),
        (messages.RESULTS, [6]),
    ]


def test_nothing_is_taken_out_of_the_page_before_it_was_sent(both: Both) -> None:
    both.hold(1, now=0)
    both.ours.close()
    del both.reports  # it has a view of the page
