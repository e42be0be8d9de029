"""What a user says of the checkpoints of an engine, or of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from execution_dataflow.checkpoints.stores_of_engine import StoreAddress, checked_address

__all__ = ["Checkpoint", "Durability", "checked_checkpoint"]

Durability: TypeAlias = Literal["batched", "each"]
"""When a success counts as committed: within 50 ms, or before anything that depends on it starts."""


@dataclass(frozen=True)
class Checkpoint:
    """Where and how a run keeps what it has done.

    Parameters
    ----------
    store : str, Path or Store
        Where: ``"sqlite:///runs.db"``, a path of such a file, or whatever `open_store` takes or returns.
    durability : {"batched", "each"}
        ``"batched"``: commits are written every 50 ms; a process that is killed loses at most what succeeded in the
        last of these moments, and runs it again. ``"each"``: what an operation has put out is durable before anything
        gets it.
    lease_seconds : float
        How long a run that is resumed elsewhere waits for a process of another machine that says nothing any more. On
        one machine nobody waits: that a process has ended is seen at once.
    metadata : mapping of str to str
        Kept with the run, for people and tools.

    Raises
    ------
    TypeError, ValueError
        When one of them is not possible.

    Examples
    --------
    >>> Checkpoint("sqlite:///runs.db", durability="each")
    Checkpoint(store='sqlite:///runs.db', durability='each', lease_seconds=30.0, metadata={})
    """

    store: StoreAddress
    durability: Durability = "batched"
    lease_seconds: float = 30.0
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if checked_address(self.store, "checkpoint") is None:
            raise TypeError("a Checkpoint needs a store, such as 'sqlite:///runs.db'")
        checked_durability(self.durability)
        seconds = self.lease_seconds
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"lease_seconds is a number of seconds, not {type(seconds).__name__}")
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"lease_seconds={seconds!r} is not possible: it is more than 0")
        if not all(isinstance(text, str) for item in self.metadata.items() for text in item):
            raise TypeError("the metadata of a Checkpoint are texts by names that are texts")


def checked_durability(value: object) -> None:
    """Raise an error unless this says when something is committed."""
    if not isinstance(value, str) or value not in ("batched", "each"):
        raise ValueError(f"durability={value!r} is not possible: 'batched' or 'each'")


def checked_checkpoint(value: object, durability: Durability | None) -> Checkpoint | None:
    """Return what an engine or a run was given as ``checkpoint=``, or raise an error that says what it may be."""
    if durability is not None:
        checked_durability(durability)
    if value is None or value is False:
        return None
    if isinstance(value, Checkpoint):
        return value if durability is None else replace(value, durability=durability)
    address = checked_address(value, "checkpoint")
    assert address is not None
    return Checkpoint(address, durability or "batched")
