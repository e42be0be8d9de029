"""How many blocks of which sizes a worker is likely to need, so that it has them before it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

__all__ = ["Demand"]

# After so many messages in a row that needed fewer, one less is wanted.
_PATIENCE = 8


class Demand:
    """What messages needed lately.

    Examples
    --------
    >>> demand = Demand()
    >>> demand.learn({4096: 2})
    >>> demand.wanted
    {4096: 2}
    >>> for _ in range(16):
    ...     demand.learn({})
    >>> demand.wanted
    {}
    """

    __slots__ = ("_below", "wanted")

    def __init__(self) -> None:
        self.wanted: dict[int, int] = {}
        self._below: Counter[int] = Counter()

    def learn(self, used: Mapping[int, int]) -> None:
        """Take note of how many blocks of each size one message brought that the worker had filled."""
        for size, blocks in used.items():
            if blocks >= self.wanted.get(size, 0):
                self.wanted[size] = blocks
                self._below[size] = 0
        for size in [size for size, wanted in self.wanted.items() if used.get(size, 0) < wanted]:
            self._below[size] += 1
            if self._below[size] == _PATIENCE:
                self._below[size] = 0
                self.wanted[size] -= 1
                if self.wanted[size] == 0:
                    del self.wanted[size]

    def clear(self) -> None:
        """Forget all."""
        self.wanted.clear()
        self._below.clear()
