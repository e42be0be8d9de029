"""Addresses of stores, such as ``sqlite:///runs.db``, and what opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from execution_dataflow.nearest import nearest_name
from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Journal

__all__ = ["Store", "open_store"]

# The module that has `open_journal(address)` and, if it keeps artifacts too, `open_artifacts_beside(journal)`.
_JOURNALS = {
    "sqlite": "execution_dataflow.stores.sql.opening",
    "postgresql": "execution_dataflow.stores.sql.opening",
    "redis": "execution_dataflow.stores.redis.opening",
    "rediss": "execution_dataflow.stores.redis.opening",
}
# The module that has `open_artifacts(address)`.
_ARTIFACTS = {
    "file": "execution_dataflow.stores.directory",
    "s3": "execution_dataflow.stores.objects",
    "gs": "execution_dataflow.stores.objects",
    "az": "execution_dataflow.stores.objects",
}


@dataclass(frozen=True)
class Store:
    """A journal, and the artifacts that it refers to.

    Parameters
    ----------
    journal : Journal
        Small records: commits, state, the index of caches.
    artifacts : ArtifactStore
        What is large.
    key : bytes, optional
        Signs what is written and has to have signed what is read. Whoever has it can have pickles read, which run code.
    trust_pickles : bool
        Whether pickles of a store that is no part of this machine are read although no key has signed them.
    """

    journal: Journal
    artifacts: ArtifactStore
    key: bytes | None = None
    trust_pickles: bool = False

    def __post_init__(self) -> None:
        _check("journal=", self.journal, "a Journal", Journal)
        _check("artifacts=", self.artifacts, "an ArtifactStore", ArtifactStore)
        if self.key is not None and not isinstance(self.key, bytes):
            raise TypeError(f"key= is bytes, not {type(self.key).__name__}")

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        return self.journal.address

    def close(self) -> None:
        """Close both."""
        self.artifacts.close()
        self.journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.journal.address}, artifacts in {self.artifacts.address}>"


def _check(argument: str, given: object, kind: str, protocol: type) -> None:
    """Raise an error unless something has what a protocol asks for; isinstance() would not see its __getattr__."""
    missing = [name for name in vars(protocol) if not name.startswith("_") and not hasattr(given, name)]
    if missing:
        raise TypeError(f"{argument} is {kind}, not {type(given).__name__}, which has no {', '.join(missing[:3])}")


def open_store(
    address: str | Path,
    *,
    artifacts: str | Path | ArtifactStore | None = None,
    key: bytes | None = None,
    trust_pickles: bool = False,
) -> Store:
    """Open a store, and create what is missing of it.

    Parameters
    ----------
    address : str or Path
        Of the journal: ``sqlite:///runs.db`` (or a path), ``postgresql://user@host/database`` or ``redis://host/0``.
    artifacts : str, Path or ArtifactStore, optional
        Where large values go: a directory (a path or ``file:///...``), or a bucket, ``s3://bucket/prefix``, ``gs://``
        or ``az://``. The default is the directory ``runs.db.artifacts`` for SQLite, and the database itself for others.
    key : bytes, optional
        A secret that signs every record and artifact; what it has not signed is not read.
    trust_pickles : bool
        Whether to read unsigned pickles from a store that other machines write to. They run code: whoever may write
        there may do here what you may.

    Returns
    -------
    Store
        To be given to ``checkpoint=``; close it, or use it in a ``with`` block.

    Raises
    ------
    ValueError
        It is no address of a store.
    MissingExtraError
        The library that it needs is not installed.
    StoreError
        It cannot be opened.
    """
    text = f"sqlite:///{address}" if isinstance(address, Path) else address
    if not isinstance(text, str):
        raise TypeError(f"the address of a store is a str or a Path, not {type(address).__name__}")
    opener = _opener(text, _JOURNALS, "store")
    journal = opener.open_journal(text)
    try:
        return Store(journal, _artifacts_of(artifacts, journal, opener.open_artifacts_beside), key, trust_pickles)
    except BaseException:
        journal.close()
        raise


def _artifacts_of(
    artifacts: str | Path | ArtifactStore | None, journal: Journal, beside: Callable[[Journal], ArtifactStore]
) -> ArtifactStore:
    if artifacts is None:
        return beside(journal)
    if isinstance(artifacts, Path) or (isinstance(artifacts, str) and "://" not in artifacts):
        artifacts = Path(artifacts).absolute().as_uri()
    if isinstance(artifacts, str):
        opened: ArtifactStore = _opener(artifacts, _ARTIFACTS, "store of artifacts").open_artifacts(artifacts)
        return opened
    return artifacts


def _opener(address: str, known: dict[str, str], kind: str) -> Any:
    scheme, separator, _ = address.partition("://")
    scheme = scheme.partition("+")[0].lower()
    if not separator:
        # One that was meant for a server may hold a password.
        shown = "what was given" if "@" in address else repr(address)
        raise ValueError(f"{shown} is no address of a {kind}: it begins with one of {', '.join(known)} and ://")
    if scheme not in known:
        guess = nearest_name(scheme, known)
        hint = f"; did you mean {guess}://?" if guess else ""
        raise ValueError(f"there is no {kind} for {scheme}://: known are {', '.join(known)}{hint}")
    return import_module(known[scheme])
