"""Disks that fail: small ones that fill up, and ones that turn read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["Disk", "small_disk"]


class Disk:
    """A file system in memory of its own, mounted at a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))

    def grow(self, size: str) -> None:
        """Give it another size."""
        _mount("-o", f"remount,size={size}", str(self.folder))

    def protect(self, wanted: bool) -> None:
        """Let nobody write, or let everybody write again; files that are open for writing have to be closed first."""
        _mount("-o", "remount,ro" if wanted else "remount,rw", str(self.folder))

    def fill(self) -> Path:
        """Leave no room: a file takes what there is; return it."""
        path = self.folder / "filler"
        with open(path, "wb", buffering=0) as file:
            size = 1 << 16
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2
        return path

    def unmount(self) -> None:
        """Give it up."""
        subprocess.run(["umount", "-l", str(self.folder)], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Disk]:
    """Mount a disk, or skip the test where that is not allowed."""
    if not (sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount")):
        pytest.skip("only root may mount a file system")
    folder.mkdir()
    try:
        disk = Disk(folder, size)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a file system cannot be mounted here: {error.stderr.decode(errors='replace').strip()}")
    try:
        yield disk
    finally:
        disk.unmount()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
