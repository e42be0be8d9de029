"""What opens stores on Redis by their address."""

from __future__ import annotations

from execution_dataflow.stores.artifacts import ArtifactStore
from execution_dataflow.stores.journal import Journal
from execution_dataflow.stores.redis.artifacts import RedisArtifacts
from execution_dataflow.stores.redis.journal import RedisJournal

__all__ = ["open_artifacts_beside", "open_journal"]


def open_journal(address: str) -> Journal:
    """Open the journal of an address such as ``redis://host:6379/0?prefix=team``.

    Parameters
    ----------
    address : str
        Where it is.
    """
    return RedisJournal(address)


def open_artifacts_beside(journal: Journal) -> ArtifactStore:
    """Open the store of artifacts on the server of a journal.

    Parameters
    ----------
    journal : Journal
        What `open_journal` returned.
    """
    if not isinstance(journal, RedisJournal):
        raise TypeError(f"artifacts beside a journal on Redis need one, not {type(journal).__name__}")
    return RedisArtifacts(journal.server.again())
