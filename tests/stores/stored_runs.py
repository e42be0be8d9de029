"""Runs for tests of journals, and damage."""

from __future__ import annotations

from pathlib import Path

from execution_dataflow.stores.journal import Commit, Journal, Lease
from execution_dataflow.stores.owners import new_owner


def made_commits(count: int, prefix: str = "node", size: int = 100) -> list[Commit]:
    return [
        Commit(
            f"{prefix}[{number}]",
            number.to_bytes(48, "big"),
            1,
            1.7e9 + number,
            1.7e9 + number + 0.5,
            filled(number, size),
        )
        for number in range(count)
    ]


def filled(number: int, size: int) -> bytes:
    """Bytes that tell of which record they are."""
    return (b"<outputs of %d>" % number).ljust(size, b".")


def begin(journal: Journal, run_id: str = "run", seconds: float = 60.0) -> Lease:
    return journal.acquire(run_id, "graph", new_owner(), seconds, {})


def keys_of(journal: Journal, run_id: str = "run") -> set[str]:
    return {commit.key for commit in journal.commits(run_id)}


def pages_with(path: Path, content: bytes, page_size: int = 4096) -> list[int]:
    """The numbers of the pages of a file in which some bytes stand, from 0."""
    data = path.read_bytes()
    return [at // page_size for at in range(0, len(data), page_size) if content in data[at : at + page_size]]


def overwrite(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)
