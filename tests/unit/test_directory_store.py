"""Artifacts in a directory are there whole or not at all, and what goes wrong is said clearly."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError
from execution_dataflow.stores import directory, file_names, file_reading, file_writing
from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.directory import DirectoryArtifacts, open_artifacts
from execution_dataflow.stores.file_names import file_of, name_of

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryArtifacts:
    return DirectoryArtifacts(tmp_path / "artifacts")


def files_in(store: DirectoryArtifacts) -> list[str]:
    return [path.name for path in store.path.rglob("*") if path.is_file()]


def names_in(store: DirectoryArtifacts, prefix: str = "") -> list[str]:
    return sorted(found.name for found in store.list(prefix))


def test_it_is_a_store_of_artifacts(store: DirectoryArtifacts) -> None:
    assert isinstance(store, ArtifactStore)
    assert store.is_local


@pytest.mark.parametrize("size", [0, 1, 1000, file_reading._SMALLEST_MAPPED, 3_000_000])
def test_what_is_written_is_read(store: DirectoryArtifacts, size: int) -> None:
    content = os.urandom(size)
    store.write("runs/1/a", [content[:10], b"", memoryview(content)[10:]])
    view = store.read("runs/1/a")
    assert view == content
    assert view.readonly
    assert isinstance(view.obj, mmap.mmap) == (size >= file_reading._SMALLEST_MAPPED)


def test_what_was_read_stays_when_the_artifact_is_replaced_or_deleted(store: DirectoryArtifacts) -> None:
    if sys.platform == "win32":
        pytest.skip("a file that is mapped stays there")
    store.write("a", [b"x" * 1_000_000])
    first = store.read("a")
    store.write("a", [b"y" * 1_000_000])
    second = store.read("a")
    store.delete("a")
    store.close()
    assert first == b"x" * 1_000_000
    assert second == b"y" * 1_000_000


def test_writing_to_a_private_mapping_does_not_reach_the_file(store: DirectoryArtifacts) -> None:
    store.write("a", [b"x" * 1_000_000])
    owner: Any = store.read("a").obj
    memoryview(owner)[:1] = b"y"
    assert store.read("a")[0] == ord("x")


def test_more_files_are_mapped_than_a_process_may_have_open(
    store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Python 3.13, a mapping keeps a descriptor."""
    monkeypatch.setattr(file_reading, "_MOST_MAPPED", len(file_reading._mapped) + 2)
    store.write("a", [b"x" * 300_000])
    views = [store.read("a") for _ in range(4)]
    assert sum(isinstance(view.obj, mmap.mmap) for view in views) == 2
    assert all(view == b"x" * 300_000 for view in views)
    del views
    assert isinstance(store.read("a").obj, mmap.mmap)


def test_what_is_not_there_is_an_error_of_its_own(store: DirectoryArtifacts) -> None:
    store.write("runs/1", [b"x"])
    for name in ("gone", "runs", "runs/1/x"):
        with pytest.raises(ArtifactNotFoundError) as caught:
            store.read(name)
        assert caught.value.name == name
        store.delete(name)
    assert names_in(store) == ["runs/1"]


def test_listing_gives_names_sizes_and_times_by_prefix(store: DirectoryArtifacts) -> None:
    assert names_in(store) == []
    before = time.time() - 5
    for name in ("runs/1/a", "runs/1/b.npy", "runs/11/a", "runs/1", "other"):
        store.write(name, [name.encode()])
    assert names_in(store) == ["other", "runs/1", "runs/1/a", "runs/1/b.npy", "runs/11/a"]
    assert names_in(store, "runs/1") == ["runs/1", "runs/1/a", "runs/1/b.npy", "runs/11/a"]
    assert names_in(store, "runs/1/") == ["runs/1/a", "runs/1/b.npy"]
    assert names_in(store, "runs/1/b") == ["runs/1/b.npy"]
    assert names_in(store, "nothing/") == []
    assert names_in(store, "../") == names_in(store, "/") == names_in(store, "C:/") == []
    (found,) = store.list("oth")
    assert found.size == 5
    assert before < found.written_at < time.time() + 5


def test_folders_that_become_empty_are_removed(store: DirectoryArtifacts) -> None:
    store.write("runs/1/a", [b"x"])
    store.write("runs/2/a", [b"x"])
    store.delete("runs/1/a")
    assert [path.name for path in (store.path / "runs").iterdir()] == ["2"]
    store.delete("runs/2/a")
    assert list(store.path.iterdir()) == []
    store.write("runs/1/a", [b"y"])
    assert store.read("runs/1/a") == b"y"


BAD_NAMES = [
    "",
    "/",
    "/etc/passwd",
    "a//b",
    "a/",
    "../a",
    "a/../b",
    "a/./b",
    ".",
    "a\\b",
    "C:a",
    "é",
    "a b",
    "a\n",
    "~a",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_are_none_are_refused(store: DirectoryArtifacts, name: str) -> None:
    for call in (store.read, store.delete, lambda name: store.write(name, [b"x"])):
        with pytest.raises(StoreError, match="is no name of an artifact"):
            call(name)
    assert list(store.path.iterdir()) == []


NAMES = st.lists(
    st.text("aAbZ09_.-", min_size=1, max_size=6).filter(lambda part: part not in (".", ".."))
    | st.sampled_from(["CON", "nul.txt", "Com1", "a.", "..a"]),
    min_size=1,
    max_size=3,
).map("/".join)


@given(NAMES, NAMES)
def test_every_name_has_a_file_of_its_own_that_windows_takes_too(one: str, other: str) -> None:
    file = file_of(one)
    assert name_of(file) == one
    assert (str(file).lower() == str(file_of(other)).lower()) == (one == other)
    for part in file.parts:
        assert not part.endswith((".", " "))
        assert part.partition(".")[0].upper() not in {"CON", "NUL", "COM1"}
        assert file_names.TEMPORARY not in part
    # No file lies where another name needs a folder.
    assert file not in file_of(other).parents


def test_files_of_others_in_the_directory_are_no_artifacts(store: DirectoryArtifacts) -> None:
    store.write("a", [b"x"])
    (store.path / "notes.txt").write_text("mine")
    (store.path / "+a" / "Not A Name").write_text("mine")
    assert names_in(store) == ["a"]


def test_what_killed_writers_left_is_removed_when_it_is_old(store: DirectoryArtifacts) -> None:
    store.write("a", [b"x"])
    old, young = (file_names.temporary_beside(store.path / "+a" / "a") for _ in range(2))
    for file in (old, young):
        file.write_bytes(b"half of")
    os.utime(old, (time.time() - 2 * directory._ABANDONED_SECONDS,) * 2)
    assert names_in(store) == ["a"]
    assert not old.exists()
    assert young.exists()


KILLED = """
import os, sys
from execution_dataflow.stores import directory
store = directory.DirectoryArtifacts(sys.argv[1])
store.write("safe", [b"first"])
os.replace = lambda *_: os._exit(9)
store.write("safe", [b"second"])
"""


def test_a_writer_that_dies_leaves_the_artifact_as_it_was(store: DirectoryArtifacts) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(store.path)], timeout=60, check=False)
    assert ended.returncode == 9
    assert store.read("safe") == b"first"
    assert names_in(store) == ["safe"]
    assert len(files_in(store)) == 2


def test_readers_see_an_artifact_that_is_replaced_whole(store: DirectoryArtifacts) -> None:
    if sys.platform == "win32":
        pytest.skip("a file that is open cannot be replaced")
    contents = [bytes([number]) * 50_000 for number in range(2)]
    store.write("a", [contents[0]])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            store.write("a", [contents[number % 2]])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert store.read("a") in contents
    writer.join()


def test_the_file_is_on_the_disk_before_its_name_and_the_name_before_write_returns(
    store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("looks at the descriptors of Linux")
    done: list[str] = []
    real_replace = os.replace

    def fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append("folder" if path.is_dir() else "file")

    def replace(*paths: Any) -> None:
        done.append("rename")
        real_replace(*paths)

    store.write("a", [b"x"])
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    store.write("a", [b"x"])
    assert done == ["file", "rename", "folder"]
    done.clear()
    store.write("new/folder/a", [b"x"])
    assert done == ["folder"] * 3 + ["file", "rename", "folder"]


def test_a_folder_that_vanishes_while_a_file_is_written_is_made_again(
    store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_new_file, calls = file_writing.write_new_file, []

    def vanish_once(path: Path, parts: Any) -> None:
        calls.append(path)
        if len(calls) == 1:
            path.parent.rmdir()
        write_new_file(path, parts)

    monkeypatch.setattr(directory, "write_new_file", vanish_once)
    store.write("a", [b"x"])
    assert len(calls) == 2
    assert store.read("a") == b"x"


def test_short_writes_are_gone_on_with(store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, view: write(descriptor, view[:7]))
    store.write("a", [b"twenty characters or more", b"and a second part"])
    monkeypatch.undo()
    assert store.read("a") == b"twenty characters or moreand a second part"


LIMITED = """
import resource, sys
from execution_dataflow.stores.directory import DirectoryArtifacts
from execution_dataflow.store_errors import StoreError
store = DirectoryArtifacts(sys.argv[1])
store.write("small", [b"x" * 1000])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.write("large", [b"x" * 50_000, b"y" * 90_000])
except StoreError as error:
    print(error)
"""


@needs_posix
def test_a_file_that_may_not_grow_leaves_nothing_and_says_why(store: DirectoryArtifacts) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(store.path)], timeout=60, check=True, capture_output=True, text=True
    )
    assert "artifact large was not written" in ended.stdout
    assert "larger than the system lets it be" in ended.stdout
    assert names_in(store) == ["small"]
    assert len(files_in(store)) == 1


@pytest.fixture
def full_disk(tmp_path: Path) -> Any:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting needs root on Linux")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_what_was_there_and_says_what_to_do(full_disk: Path) -> None:
    store = DirectoryArtifacts(full_disk)
    store.write("first", [b"x" * 100_000])
    with pytest.raises(
        StoreError, match=r"artifact second was not written in .*disk is full: free some room"
    ) as caught:
        store.write("second", [b"y" * 100_000, b"z" * 200_000])
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert names_in(store) == ["first"]
    assert len(files_in(store)) == 1
    store.delete("first")
    store.write("second", [b"y" * 200_000])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC, "quota|full"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "error"),
    ],
)
def test_what_the_system_says_is_explained(
    store: DirectoryArtifacts, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    store.write("a", [b"old"])
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=text):
        store.write("a", [b"new"])
    monkeypatch.undo()
    assert store.read("a") == b"old"
    assert len(files_in(store)) == 1


@needs_posix
def test_a_directory_that_may_not_be_written_to_says_so(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Root may write everywhere but to a file system that is read-only."""
    is_root = os.geteuid() == 0
    store = DirectoryArtifacts(request.getfixturevalue("full_disk") if is_root else tmp_path / "artifacts")
    store.write("a", [b"x"])
    if is_root:
        subprocess.run(["mount", "-o", "remount,ro", str(store.path)], check=True)
    else:
        (store.path / "+a").chmod(0o555)
        store.path.chmod(0o555)
    calls: list[Callable[[], object]] = [
        lambda: store.write("a", [b"y"]),
        lambda: store.write("b", [b"y"]),
        lambda: store.delete("a"),
        lambda: DirectoryArtifacts(store.path / "new"),
    ]
    try:
        for call in calls:
            with pytest.raises(StoreError, match=r"the file system is read-only|there is no permission for it"):
                call()
        assert store.read("a") == b"x"
        assert names_in(store) == ["a"]
    finally:
        if not is_root:
            store.path.chmod(0o755)
            (store.path / "+a").chmod(0o755)


def test_a_file_in_the_place_of_the_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(StoreError, match="the directory cannot be made"):
            DirectoryArtifacts(path)


def test_an_address_opens_the_directory_again(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "with space and ü")
    store.write("a", [b"x"])
    again = open_artifacts(store.address)
    assert again.path == store.path
    assert again.read("a") == b"x"
    assert repr(again) == f"DirectoryArtifacts({str(store.path)!r})"


@pytest.mark.parametrize("address", ["file://server/share", "file://", "s3://bucket", "file:///a?b=c", "/tmp"])
def test_an_address_that_is_no_directory_of_this_machine_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"is no address of a directory on this machine, such as file:///"):
        open_artifacts(address)
