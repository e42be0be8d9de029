"""Where segments come from: memory without a name, or files, and what happens when there is no room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import Program

from execution_dataflow import SharedMemoryFull
from execution_dataflow.shared_memory import SharedMemory, pack, room
from execution_dataflow.shared_memory.named_files import NamedFiles, reclaim

MB = 1 << 20
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="anonymous files are Linux's")


def named(root: Path) -> SharedMemory:
    return SharedMemory(backing=NamedFiles.for_this_process(root))


@linux_only
def test_no_room_in_memory_means_a_file_on_disk_without_a_name(tmp_path: Path) -> None:
    from execution_dataflow.shared_memory.anonymous_files import AnonymousFiles

    if room.is_memory_backed(str(tmp_path)):
        pytest.skip("files here lie in memory too")
    memory = SharedMemory(backing=AnonymousFiles(available=lambda: 10 * MB, folder=str(tmp_path)))
    array = memory.empty((MB,))
    array[:] = 3.0
    assert pack(memory, array).load().sum() == 3.0 * MB
    assert list(tmp_path.iterdir()) == []


@linux_only
def test_no_room_anywhere_is_an_error_that_says_what_to_do() -> None:
    from execution_dataflow.shared_memory.anonymous_files import AnonymousFiles

    memory = SharedMemory(backing=AnonymousFiles(available=lambda: 10 * MB, folder="/dev/shm"))
    with pytest.raises(SharedMemoryFull, match="lies in memory too; let values go earlier") as caught:
        memory.empty((4 * MB,))
    assert isinstance(caught.value, MemoryError)
    assert (caught.value.requested, caught.value.available) == (32 * MB, 10 * MB)
    with pytest.raises(SharedMemoryFull):
        pack(memory, np.zeros(4 * MB))
    assert memory.stats().blocks_in_use == 0


@linux_only
def test_more_than_the_machine_has_is_refused_and_nobody_is_killed() -> None:
    with pytest.raises(SharedMemoryFull):
        SharedMemory().empty((1 << 45,))


@linux_only
def test_blocks_that_nobody_uses_make_room() -> None:
    from execution_dataflow.shared_memory.anonymous_files import AnonymousFiles

    memory: Any = None

    def available() -> int:
        return 300 * MB - int(memory.stats().mapped_bytes)

    memory = SharedMemory(backing=AnonymousFiles(available=available, folder="/dev/shm"))
    del_me = [memory.empty((20 * MB,))]
    del_me.clear()
    assert memory.stats().pooled_bytes == 160 * MB
    assert memory.empty((28 * MB,)).nbytes == 224 * MB
    assert memory.stats().mapped_bytes == 224 * MB


@linux_only
def test_pages_go_back_to_the_system_although_another_process_has_them_mapped(tmp_path: Path) -> None:
    memory = SharedMemory(limit=0)
    array = memory.empty((MB,))
    segment = pack(memory, array).blocks()[0] >> memory.ledger.INDEX_BITS
    mapped, length, _ = memory.ledger.segment(segment) or pytest.fail("it is not there")
    elsewhere = os.dup(mapped.mapped.fileno())
    try:
        assert os.fstat(elsewhere).st_blocks * 512 == length
        del array
        assert memory.stats().segments == 0
        assert os.fstat(elsewhere).st_blocks == 0
    finally:
        os.close(elsewhere)


def test_named_files_are_gone_when_nobody_uses_them(tmp_path: Path) -> None:
    memory = named(tmp_path)
    assert isinstance(memory.backing, NamedFiles)
    array = memory.empty((MB,))
    array[:] = 1.0
    assert len(list(memory.backing.folder.iterdir())) == 1
    assert pack(memory, array).load().sum() == MB
    del array
    memory.tidy(0.0)
    assert list(memory.backing.folder.iterdir()) == []
    memory.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    memory = named(tmp_path)
    check = "import sys, pathlib; from execution_dataflow.shared_memory.named_files import reclaim; "
    out = subprocess.run(
        [sys.executable, "-c", check + "print(reclaim(pathlib.Path(sys.argv[1])))", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert out.stdout.strip() == "[]"
    assert memory.empty((MB,)).nbytes == 8 * MB
    memory.close()


def test_the_next_start_reclaims_what_a_killed_process_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTION_DATAFLOW_SHARED_FOLDER", str(tmp_path / "segments"))
    program = Program(
        tmp_path,
        """
        import time
        from execution_dataflow.shared_memory import empty
        array = empty((1 << 20,))
        array[:] = 1.0
        print("made", flush=True)
        time.sleep(60)
        """,
    )
    program.wait_for("made")
    program.process.kill()
    program.finish()
    left = list((tmp_path / "segments").glob("*/*"))
    assert len(left) == 1
    assert len(reclaim(tmp_path / "segments")) == 1
    assert list((tmp_path / "segments").iterdir()) == []


def test_a_program_that_ends_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXECUTION_DATAFLOW_SHARED_FOLDER", str(tmp_path / "segments"))
    program = Program(
        tmp_path,
        """
        from execution_dataflow.shared_memory import empty
        kept = empty((1 << 20,))
        """,
    )
    assert program.finish()[0] == 0
    assert list((tmp_path / "segments").iterdir()) == []


def test_a_full_disk_is_an_error_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = named(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(SharedMemoryFull, match="no more in"):
        memory.empty((MB,))
    assert isinstance(memory.backing, NamedFiles)
    assert list(memory.backing.folder.iterdir()) == []
    monkeypatch.undo()
    assert memory.empty((MB,)).nbytes == 8 * MB
    memory.close()


def test_without_a_way_to_reserve_blocks_zeros_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = named(tmp_path)
    monkeypatch.delattr(os, "posix_fallocate")
    array = memory.empty((MB,))
    array[:] = 2.0
    assert isinstance(memory.backing, NamedFiles)
    (file,) = memory.backing.folder.iterdir()
    assert file.stat().st_size == 8 * MB
    assert array.sum() == 2.0 * MB
    del array
    memory.close()


@linux_only
def test_room_is_what_the_system_says() -> None:
    available, total = room.available_memory(), room.total_memory()
    assert available is not None
    assert total is not None
    assert 0 < available <= total * 2


@linux_only
def test_folders_in_memory_are_known_as_such() -> None:
    assert room.is_memory_backed("/dev/shm")
    assert room.is_memory_backed("/dev/shm/deeper")
    assert not room.is_memory_backed("/dev/shmother") or room.is_memory_backed("/dev")
