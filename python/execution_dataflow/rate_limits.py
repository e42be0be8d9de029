"""How often something may start."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

__all__ = ["RateLimit"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: so many starts in so much time, and how many of them may come at once.

    The bucket holds `burst` tokens at most and is full at first; every start takes one, and they come back evenly.

    Parameters
    ----------
    count : float
        How many may start in `per_seconds`, in the long run.
    per_seconds : float
        That time, in seconds.
    burst : int, optional
        How many may start at once after a pause; 1 by default, so that starts are evenly spaced.

    Raises
    ------
    TypeError, ValueError
        A parameter is no number, or out of its range.

    Examples
    --------
    >>> RateLimit(10, per_seconds=60).interval_seconds
    6.0
    """

    count: float
    per_seconds: float = 1.0
    burst: int = 1

    def __post_init__(self) -> None:
        for name in ("count", "per_seconds"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"RateLimit({name}=) must be a number, not {value!r}")
            if not isfinite(value) or value <= 0:
                raise ValueError(f"RateLimit({name}=) must be more than 0, not {value!r}")
        if isinstance(self.burst, bool) or not isinstance(self.burst, int):
            raise TypeError(f"RateLimit(burst=) must be an int, not {self.burst!r}")
        if self.burst < 1:
            raise ValueError(f"RateLimit(burst=) must be 1 or more, not {self.burst}: nothing could ever start")

    @property
    def interval_seconds(self) -> float:
        """The time in which one token comes back, in seconds."""
        return self.per_seconds / self.count
