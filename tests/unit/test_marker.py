"""What a worker process and its parent tell each other through a page that both have mapped."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
from patience import LIMIT_SECONDS, eventually

from execution_dataflow.executors.processes.marker import Marker


@pytest.fixture
def both() -> Iterator[tuple[Marker, Marker]]:
    parent = Marker()
    descriptor = None if parent.descriptor is None else os.dup(parent.descriptor)
    worker = Marker(descriptor, parent.name)
    yield parent, worker
    worker.close()
    parent.close()


def test_parent_sees_what_the_worker_is_at(both: tuple[Marker, Marker]) -> None:
    parent, worker = both
    assert (parent.task, parent.entered) == (0, 0)
    worker.take(1)
    assert (parent.task, parent.entered) == (1, 0)
    worker.enter(4_000_000_000_000)
    assert (parent.task, parent.entered) == (1, 4_000_000_000_000)
    worker.leave()
    assert (parent.task, parent.entered) == (1, 0)


def test_worker_that_is_condemned_begins_nothing_else(both: tuple[Marker, Marker]) -> None:
    parent, worker = both
    worker.take(1)
    assert parent.condemn(1)
    begun = threading.Event()
    beginning = threading.Thread(target=lambda: (worker.take(2), begun.set()), daemon=True)
    beginning.start()
    assert eventually(lambda: parent.task == 2)
    assert not begun.wait(0.05)
    # It is killed in that state; here it is let go, by a parent that finds it has gone on.
    assert not parent.condemn(1)
    beginning.join(LIMIT_SECONDS)
    assert begun.is_set()


def test_worker_that_has_gone_on_is_not_condemned(both: tuple[Marker, Marker]) -> None:
    parent, worker = both
    worker.take(1)
    worker.take(2)
    assert not parent.condemn(1)
    worker.take(3)
    assert parent.task == 3
