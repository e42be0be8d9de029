"""What goes wrong when something is to be told from others by its content."""

from __future__ import annotations

from execution_dataflow.errors import DataflowError

__all__ = ["UnfingerprintableError"]


class UnfingerprintableError(DataflowError, TypeError):
    """There is something of which nobody can tell whether it is the same in another process.

    Parameters
    ----------
    place : str
        Where it is, such as ``"attribute 'client' of Load"``; empty if it is the value itself.
    reason : str
        Why.

    Attributes
    ----------
    place, reason : str
        As given.
    """

    def __init__(self, place: str = "", reason: str = "") -> None:
        super().__init__(f"{place}: {reason}" if place else reason)
        self.place = place
        self.reason = reason
