"""D1: memory passes between real processes without copies, and its lifetime follows the last that uses it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import memory_tasks
import numpy as np
import pytest
from memory_peer import Peer, receive, send
from patience import close_in_time, eventually

from execution_dataflow.shared_memory import SharedMemory, pack
from execution_dataflow.shared_memory.named_files import NamedFiles

MB = 1 << 20
LENGTH = 2 * MB  # of numbers: 16 MB


@pytest.fixture
def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedMemory]:
    if getattr(request, "param", None) == "named files":
        memory = SharedMemory(backing=NamedFiles.for_this_process(tmp_path))
    else:
        memory = SharedMemory()
    yield memory
    gc.collect()
    memory.close()
    assert list(tmp_path.iterdir()) == []


# The portable way too, where it differs.
either_way = pytest.mark.parametrize("memory", ["as the system does it best", "named files"], indirect=True)


@pytest.fixture
def peers(memory: SharedMemory) -> Iterator[Callable[[], Peer]]:
    started: list[Peer] = []

    def start() -> Peer:
        started.append(Peer(memory))
        return started[-1]

    yield start
    for peer in started:
        close_in_time(peer.close)


def copies(memory: SharedMemory) -> tuple[int, int]:
    stats = memory.stats()
    return stats.copies, stats.bytes_copied


@either_way
def test_an_array_made_in_shared_memory_is_never_copied(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    workers = [peers(), peers()]
    array: Any = memory.empty((LENGTH,))
    array[:] = np.arange(LENGTH)
    for hop in range(10):
        array = workers[hop % 2].call(memory_tasks.same, array)
    assert copies(memory) == (0, 0)
    assert [worker.call(memory_tasks.copies) for worker in workers] == [(0, 0)] * 2
    assert array.sum() == LENGTH * (LENGTH - 1) / 2
    assert sum(worker.bytes_sent for worker in workers) < 10_000


@either_way
def test_an_array_that_a_worker_made_in_shared_memory_is_never_copied(
    memory: SharedMemory, peers: Callable[[], Peer]
) -> None:
    first, second = peers(), peers()
    array = first.call(memory_tasks.shared, LENGTH, 2.5)
    assert second.call(memory_tasks.facts, array) == (2.5 * LENGTH, False, (LENGTH,), "float64")
    assert copies(memory) == (0, 0)
    assert first.call(memory_tasks.copies) == second.call(memory_tasks.copies) == (0, 0)


@either_way
def test_an_array_from_elsewhere_is_copied_once(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    workers = [peers(), peers()]
    array: Any = np.arange(float(LENGTH))
    for hop in range(6):
        array = workers[hop % 2].call(memory_tasks.same, array)
    assert copies(memory) == (1, LENGTH * 8)
    assert [worker.call(memory_tasks.copies) for worker in workers] == [(0, 0)] * 2
    assert array[-1] == LENGTH - 1


def test_a_locked_array_that_many_workers_need_is_copied_once(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    workers = [peers(), peers()]
    array = np.arange(float(LENGTH))
    array.setflags(write=False)
    view = array.view()
    for worker in [*workers, *workers]:
        assert worker.call(memory_tasks.facts, view)[0] == array.sum()
    assert copies(memory) == (1, LENGTH * 8)


def test_an_array_that_may_be_written_is_copied_each_time(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = np.zeros(LENGTH)
    assert worker.call(memory_tasks.facts, array)[0] == 0
    array[:] = 1
    assert worker.call(memory_tasks.facts, array)[0] == LENGTH


def test_a_copy_is_made_anew_when_its_memory_was_used_for_something_else(
    memory: SharedMemory, peers: Callable[[], Peer]
) -> None:
    worker = peers()
    array = np.arange(float(LENGTH))
    array.setflags(write=False)
    assert worker.call(memory_tasks.facts, array)[0] == array.sum()
    worker.settle()
    other = memory.empty((LENGTH,))  # takes the place of the copy, which nobody uses
    other[:] = 7
    assert worker.call(memory_tasks.facts, array)[0] == array.sum()
    assert memory.stats().copies == 2


VIEWS: dict[str, Callable[[Any], Any]] = {
    "a slice": lambda a: a[100:2000],
    "a column": lambda a: a[:, 7],
    "every other row": lambda a: a[::2],
    "backwards": lambda a: a[::-1, ::-3],
    "transposed": lambda a: a.T,
    "another shape": lambda a: a.reshape(-1),
    "another type": lambda a: a.view("u4"),
    "repeated": lambda a: np.broadcast_to(a[5:2000, :1], (1995, 300)),
    "nested": lambda a: {"left": a[:1000], "right": [a[1000:, 3:90]]},
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_shared_memory_is_not_copied(name: str, memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array: Any = memory.empty((65536, 100))
    array.flat = np.arange(array.size)
    view = VIEWS[name](array)
    back = worker.call(memory_tasks.same, worker.call(memory_tasks.same, view))
    np.testing.assert_equal(back, view)
    assert copies(memory) == (0, 0)
    assert worker.call(memory_tasks.copies) == (0, 0)
    assert worker.bytes_sent < 5000
    assert memory.stats().blocks_in_use == 1


def test_a_small_view_does_not_keep_a_large_block(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array: Any = memory.empty((LENGTH,))
    array[:] = 3
    worker.call(memory_tasks.keep, array[:10])
    del array
    worker.settle()
    assert memory.stats().blocks_in_use == 0
    assert worker.call(memory_tasks.kept_sum) == 30


def test_readers_cannot_write(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = memory.empty((LENGTH,))
    array[:] = 5
    assert "read-only" in worker.call(memory_tasks.try_to_write, array)
    assert "cannot set WRITEABLE" in worker.call(memory_tasks.try_to_unlock, array)
    assert array.min() == array.max() == 5


@either_way
def test_memory_stays_while_a_worker_looks_at_it(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = memory.empty((LENGTH,))
    array[:] = 1.5
    worker.call(memory_tasks.keep, array)
    del array
    worker.settle()
    assert memory.stats().blocks_in_use == 1
    again = memory.empty((LENGTH,))
    again[:] = 0
    assert worker.call(memory_tasks.kept_sum) == 1.5 * LENGTH
    assert worker.call(memory_tasks.let_go) == 1
    worker.settle()
    del again
    assert memory.stats().blocks_in_use == 0


@either_way
def test_what_a_dead_worker_held_is_free(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    worker.call(memory_tasks.keep, memory.empty((LENGTH,)))
    result = worker.call(memory_tasks.shared, LENGTH, 1.0)
    worker.settle()
    worker.kill()
    assert memory.stats().blocks_in_use == 1
    assert result.sum() == LENGTH
    del result
    stats = memory.stats()
    assert stats.blocks_in_use == 0
    assert stats.pooled_bytes == stats.mapped_bytes


@either_way
def test_what_was_lent_to_a_worker_that_dies_is_free(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    for _ in range(3):
        assert worker.call(memory_tasks.fresh, LENGTH, 1.0)[0] == 1.0
        worker.settle()
    with pytest.raises((EOFError, ConnectionError)):
        worker.call(memory_tasks.take_and_die, LENGTH)
    worker.kill()
    stats = memory.stats()
    assert stats.blocks_in_use == 0
    assert stats.pooled_bytes == stats.mapped_bytes


@either_way
def test_a_pipeline_uses_the_same_memory_over_and_over(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array: Any = np.zeros(LENGTH)
    segments = []
    for _ in range(12):
        array = worker.call(memory_tasks.plus, array, 1.0)
        segments.append(memory.stats().segments)
    assert array[0] == array[-1] == 12
    assert segments[-1] == segments[3] <= 4


def test_a_chain_over_two_workers_uses_the_same_memory_over_and_over(
    memory: SharedMemory, peers: Callable[[], Peer]
) -> None:
    workers = [peers(), peers()]
    array: Any = np.zeros(LENGTH)
    segments = []
    for hop in range(20):
        array = workers[hop % 2].call(memory_tasks.plus, array, 1.0)
        segments.append(memory.stats().segments)
    assert array[0] == array[-1] == 20
    assert segments[-1] == segments[6] <= 5


@either_way
def test_memory_that_is_idle_goes_back_to_the_system_everywhere(
    memory: SharedMemory, peers: Callable[[], Peer]
) -> None:
    worker = peers()
    for _ in range(3):
        worker.call(memory_tasks.plus, memory.empty((LENGTH,)), 1.0)
        worker.settle()
    assert memory.stats().mapped_bytes > 0
    worker.link.recall()
    worker.settle()
    worker.settle()
    memory.tidy(0.0)
    assert memory.stats() == (0, 0, 0, 0, *copies(memory))
    assert worker.link.has_news or worker.call(memory_tasks.stats)[0] == 0
    worker.settle()
    assert not worker.link.has_news
    assert worker.call(memory_tasks.stats)[:4] == (0, 0, 0, 0)


def test_the_pool_keeps_to_its_limit() -> None:
    memory = SharedMemory(limit=40 * MB)
    arrays = [memory.empty((LENGTH,)) for _ in range(4)]
    assert memory.stats().pooled_bytes == 0
    del arrays
    assert memory.stats().pooled_bytes == 32 * MB
    assert memory.stats().mapped_bytes == 32 * MB


def test_a_worker_keeps_no_descriptors(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    before = worker.call(memory_tasks.descriptors)
    arrays = [memory.empty((MB,)) for _ in range(6)]
    made = [worker.call(memory_tasks.shared, MB * (2 + at), 1.0) for at in range(4)]
    worker.call(memory_tasks.keep, arrays)
    assert worker.call(memory_tasks.descriptors) == before
    assert len(made) == 4


def test_a_value_that_is_sent_for_the_last_time_moves(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    # Outside of assert, which keeps what it shows.
    kept = memory.empty((LENGTH,))
    sole = [
        worker.post(memory_tasks.is_sole, memory.empty((LENGTH,)), final=True) or worker.read(),
        worker.call(memory_tasks.is_sole, np.zeros(LENGTH), final=True),
        worker.call(memory_tasks.is_sole, memory.empty((LENGTH,))),
        worker.call(memory_tasks.is_sole, kept, final=True),
    ]
    assert sole == [True, True, False, False]


def test_a_value_that_another_worker_looks_at_does_not_move(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    first, second = peers(), peers()
    array = memory.empty((LENGTH,))
    first.call(memory_tasks.keep, array)
    parcel = pack(memory, (memory_tasks.is_sole, (array,)))
    del array
    send(second.channel, second.link.wrap([parcel], final=True))
    assert second.read() is False


def test_a_copy_that_moved_is_not_used_for_another(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = np.arange(float(LENGTH))
    array.setflags(write=False)
    assert worker.call(memory_tasks.is_sole, array, final=True) is True
    assert worker.call(memory_tasks.facts, array)[0] == array.sum()
    assert memory.stats().copies == 2


def test_a_result_that_nobody_else_has_may_be_written(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = worker.call(memory_tasks.fresh, LENGTH, 2.0)
    array[0] = 9.0
    assert array[:2].tolist() == [9.0, 2.0]


def test_a_result_that_its_worker_keeps_may_not_be_written(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    array = memory.empty((LENGTH,))
    worker.call(memory_tasks.keep, array)
    back = worker.call(memory_tasks.same, array)
    assert not back.flags.writeable


def test_many_arrays_of_middle_size_take_few_segments(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    arrays = [memory.empty((20_000,)) for _ in range(500)]
    for at, array in enumerate(arrays):
        array[:] = at
    back = worker.call(memory_tasks.same, arrays)
    assert [array[0] for array in back] == list(range(500))
    assert memory.stats().segments < 12
    assert copies(memory) == (0, 0)


def test_many_small_arrays_share_one_block(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    worker = peers()
    arrays = [np.full(2_000, float(at)) for at in range(100)]
    back = worker.call(memory_tasks.same, arrays)
    assert [array.sum() for array in back] == [2_000.0 * at for at in range(100)]
    assert worker.bytes_sent < 100_000
    assert memory.stats().blocks_in_use == 1


def test_a_parcel_can_be_passed_on_without_being_opened(memory: SharedMemory, peers: Callable[[], Peer]) -> None:
    first, second = peers(), peers()
    first.post(memory_tasks.same, (memory_tasks.facts, (np.ones(LENGTH),)))
    received = receive(first.channel)
    assert received is not None
    (parcel,) = first.link.unwrap(*received)
    send(second.channel, second.link.wrap([parcel]))
    assert second.read() == (LENGTH, False, (LENGTH,), "float64")
    assert memory.stats().copies == 1


def test_values_that_wait_in_a_parcel_keep_their_memory(memory: SharedMemory) -> None:
    array = memory.empty((LENGTH,))
    array[:] = 4.0
    parcel = pack(memory, array)
    del array
    gc.collect()
    assert memory.stats().blocks_in_use == 1
    other = memory.empty((LENGTH,))
    other[:] = 0.0
    loaded = parcel.load()
    assert loaded[0] == 4.0
    del parcel, loaded, other
    assert eventually(lambda: memory.stats().blocks_in_use == 0)
