"""What earlier runs have committed, and which of it an operation that runs again makes worthless."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock

from execution_dataflow.stores.journal import Commit

__all__ = ["Leftovers"]


class Leftovers:
    """The keys of commits, by what they are inside of.

    Inside of an operation are the items of a map, the iterations of a loop, and what runs in the place of it, with all
    that is inside of these.

    Parameters
    ----------
    commits : mapping of str to Commit
        What has committed, by its key.
    is_own : callable
        Whether a name is that of an operation of the plan, which is inside of nothing.
    """

    def __init__(self, commits: Mapping[str, Commit], is_own: Callable[[str], bool]) -> None:
        # Copied as a dict is, which costs a resumed run least; what was reverted counts already as not committed.
        self._valid = dict.fromkeys(commits)
        for key in [key for key, commit in commits.items() if not commit.fingerprint]:
            del self._valid[key]
        inside = [key for key in self._valid if ("[" in key or "/" in key) and not is_own(key)]
        self._inside: Sequence[str] = sorted(inside)
        self._lock = Lock()

    def inside(self, name: str) -> list[str]:
        """Return the keys of what is inside of an operation."""
        return [] if not self._inside else [*self._between(f"{name}/", f"{name}0"), *self.items_of(name)]

    def items_of(self, name: str) -> Sequence[str]:
        """Return the keys of the items of a map, or of what is in the iterations of a loop."""
        return self._between(f"{name}[", f"{name}\\")

    def after_iteration(self, name: str, iteration: int) -> list[str]:
        """Return the keys of what is in the iterations of a loop that follow one."""
        start = len(name) + 1
        numbers = ((key, key[start:].partition("]")[0]) for key in self.items_of(name))
        return [key for key, number in numbers if number.isdecimal() and int(number) > iteration]

    def write_off(self, keys: Iterable[str]) -> list[str]:
        """Return those of some keys that still count. From now on they do not."""
        with self._lock:
            found = [key for key in dict.fromkeys(keys) if key in self._valid]
            for key in found:
                del self._valid[key]
        return found

    def _between(self, first: str, end: str) -> Sequence[str]:
        # "0" follows "/", and "\\" follows "[".
        keys = self._inside
        low = bisect_left(keys, first)
        return keys[low : bisect_left(keys, end, low)]
