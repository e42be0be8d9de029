"""When memory is in use, who may write to it, and what threads, forks and finalizers do to that."""

from __future__ import annotations

import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import LIMIT_SECONDS
from programs import run_program

from execution_dataflow._core import Ledger
from execution_dataflow.shared_memory import SharedMemory, pack

LENGTH = 50_000


@pytest.fixture
def memory() -> SharedMemory:
    return SharedMemory()


def test_a_block_is_in_use_as_long_as_any_view_lives(memory: SharedMemory) -> None:
    array = memory.empty((LENGTH,))
    view: Any = memoryview(array[10:20].reshape(2, 5))
    del array
    gc.collect()
    assert memory.stats().blocks_in_use == 1
    view.release()
    del view
    gc.collect()
    assert memory.stats().blocks_in_use == 0


def test_a_free_block_is_used_again(memory: SharedMemory) -> None:
    array = memory.empty((LENGTH,))
    array[:] = 7
    address = array.ctypes.data
    del array
    again = memory.empty((LENGTH - 100,))
    assert again.ctypes.data == address
    assert memory.stats().segments == 1


def test_a_block_that_is_much_too_large_is_not_used(memory: SharedMemory) -> None:
    address = memory.empty((LENGTH * 4,)).ctypes.data
    assert memory.empty((LENGTH,)).ctypes.data != address


def test_a_cycle_of_garbage_lets_go_when_it_is_collected(memory: SharedMemory) -> None:
    cycle: list[Any] = [memory.empty((LENGTH,))]
    cycle.append(cycle)
    assert memory.stats().blocks_in_use == 1
    del cycle
    gc.collect()
    assert memory.stats().blocks_in_use == 0


def test_memory_may_be_asked_for_where_garbage_is_collected(memory: SharedMemory) -> None:
    """A finalizer runs at any moment, also within an allocation of ours."""
    made: list[int] = []

    class Late:
        def __init__(self) -> None:
            self.own = self
            self.array = memory.empty((LENGTH,))

        def __del__(self) -> None:
            made.append(pack(memory, memory.empty((LENGTH,))).load().shape[0])

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(200):
            Late()
            pack(memory, [np.zeros(LENGTH), memory.empty((LENGTH,))]).load()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert made == [LENGTH] * 200
    assert memory.stats().blocks_in_use == 0


def test_the_end_of_a_lease_leaves_an_exception_alone(memory: SharedMemory) -> None:
    memory.ledger.limit(0)

    def fail() -> None:
        array = memory.empty((LENGTH,))
        raise ValueError(float(array.size))

    with pytest.raises(ValueError, match=str(float(LENGTH))):
        fail()
    gc.collect()
    assert memory.stats().segments == 0


def test_threads_share_the_accounts(memory: SharedMemory) -> None:
    wrong: list[float] = []

    def work(stamp: float) -> None:
        kept: list[Any] = []
        for at in range(150):
            array = memory.empty((LENGTH,))
            array[:] = stamp
            back = pack(memory, array[5:]).load()
            kept.append(back)
            if at % 3 == 0:
                wrong.extend(float(view[0]) for view in kept if view[0] != stamp or view[-1] != stamp)
                kept.clear()

    threads = [threading.Thread(target=work, args=(float(at),)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_SECONDS)
        assert not thread.is_alive()
    assert wrong == []
    stats = memory.stats()
    assert stats.blocks_in_use == 0
    assert stats.pooled_bytes == stats.mapped_bytes


def test_bytes_cannot_be_filled_in_beyond_a_lease(memory: SharedMemory) -> None:
    lease = memory.take(1000)
    with pytest.raises(ValueError, match="do not fit"):
        lease.fill(bytes(900), 101)
    with pytest.raises(ValueError, match="do not fit"):
        lease.fill(bytes(10), sys.maxsize)
    lease.fill(b"x" * 900, 100)
    assert bytes(memoryview(lease)[99:101]) == b"\0x"


def test_a_lease_beyond_its_block_is_refused(memory: SharedMemory) -> None:
    lease = memory.take(5000)
    with pytest.raises(ValueError, match="not within"):
        memory.ledger.lease(lease.block, 4000, 1 << 40)
    with pytest.raises(KeyError, match="no shared block"):
        memory.ledger.lease(12345 << Ledger.INDEX_BITS, 0, 10)
    assert memory.ledger.claims(lease.block) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_child_of_a_fork_does_not_touch_its_parents_accounts(tmp_path: Path) -> None:
    code, lines, errors = run_program(
        tmp_path,
        """
        import os
        from execution_dataflow.shared_memory import empty, process_memory

        array = empty((50_000,))
        array[:] = 1.0
        here = process_memory()
        child = os.fork()
        if child == 0:
            del array
            assert here.stats().blocks_in_use == 1
            own = empty((50_000,))
            own[:] = 2.0
            assert process_memory() is not here
            assert process_memory().stats().blocks_in_use == 1
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), array.sum(), here.stats().blocks_in_use)
        """,
    )
    assert (code, lines) == (0, ["7 50000.0 1"]), errors


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells")
def test_nothing_is_left_of_processes_that_are_killed(tmp_path: Path) -> None:
    """Nothing has a name: not in /dev/shm, not in the folder for temporary files."""
    from programs import Program

    before = set(os.listdir("/dev/shm"))
    program = Program(
        tmp_path,
        f"""
        import os, sys, time
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        import memory_tasks
        from memory_peer import Peer
        from execution_dataflow.shared_memory import empty, process_memory
        os.environ["TMPDIR"] = {str(tmp_path)!r}
        peer = Peer(process_memory())
        array = peer.call(memory_tasks.shared, 50_000, 1.0)
        peer.call(memory_tasks.keep, empty((50_000,)))
        print(peer.process.pid)
        print("ready", flush=True)
        time.sleep(60)
        """,
    )
    program.wait_for("ready")
    assert set(os.listdir("/dev/shm")) == before
    program.process.kill()
    program.finish()
    assert set(os.listdir("/dev/shm")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["program.py"]
    worker = Path(f"/proc/{program.lines[0]}/status")
    from patience import eventually

    # It reads the end of its connection and ends, or waits as a zombie for whoever adopted it.
    assert eventually(lambda: not worker.exists() or "Z (zombie)" in worker.read_text())
