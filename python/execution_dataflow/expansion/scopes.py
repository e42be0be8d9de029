"""The operations of a run by number: those of its own plan, and beyond those what was expanded while it went on.

Events, errors, random streams and logs know an operation by one number. An expansion gets the next free numbers for the
operations of its plan, so that each has a place in the run, and a name: that of what was expanded, then its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Protocol

__all__ = ["MOST_LEVELS", "PlanOfScope", "Scopes"]

MOST_LEVELS = 1000
"""How deep expansions may lie within each other."""

_INDICES = re.compile(r"(?:\[\d+\])+$")


class PlanOfScope(Protocol):
    """What is read of a plan."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its operations."""

    def position_of(self, name: str) -> int | None:
        """Return the index of an operation by its name."""

    def is_given(self, index: int) -> bool:
        """Return whether an operation only stands for what an iteration is given."""

    def __len__(self) -> int: ...


class _Scope:
    """One expansion of a dynamic operation, or iterations of a loop that follow each other without others between."""

    __slots__ = ("base", "contained", "count", "first", "items", "level", "parent", "plan", "size")

    def __init__(
        self,
        base: int,
        plan: Any,
        parent: int,
        items: tuple[int, ...],
        first: int | None,
        level: int,
        contained: bool,
    ) -> None:
        self.base = base
        self.plan = plan
        self.size = len(plan)
        self.parent = parent
        self.items = items
        self.first = first
        self.level = level
        self.contained = contained
        self.count = 1


class Scopes:
    """The expansions of one run.

    Parameters
    ----------
    plan : Plan
        The run's own plan.

    Attributes
    ----------
    dimensions : dict
        For each operation that was expanded its attempt, and the named dimensions of its inputs.
    """

    __slots__ = ("_bases", "_by_parent", "_lock", "_next", "_root", "_scopes", "dimensions")

    def __init__(self, plan: PlanOfScope) -> None:
        self._root = plan
        self._next = len(plan)
        self._bases: list[int] = []
        self._scopes: list[_Scope] = []
        self._by_parent: dict[tuple[int, tuple[int, ...]], list[_Scope]] = {}
        self._lock = Lock()
        self.dimensions: dict[tuple[int, tuple[int, ...]], tuple[int, dict[str, Any]]] = {}

    def add(
        self,
        plan: PlanOfScope,
        parent: int,
        items: tuple[int, ...],
        iteration: int | None = None,
        contained: bool = False,
    ) -> int:
        """Note that a plan runs in the place of an operation.

        Parameters
        ----------
        plan : Plan
            The plan.
        parent : int
            The number of the operation.
        items : tuple of int
            Which item of a map it is.
        iteration : int, optional
            Which iteration of a loop this is, from 0.
        contained : bool
            Whether a failure in it may come to nothing.

        Returns
        -------
        int
            The number of the first operation of the plan.
        """
        with self._lock:
            base, self._next = self._next, self._next + len(plan)
            known = self._by_parent.setdefault((parent, items), [])
            last = known[-1] if known else None
            if (
                last is not None
                and last.first is not None
                and last.plan is plan
                and iteration == last.first + last.count
                and base == last.base + last.count * last.size
            ):
                last.count += 1
                return base
            level = 1 if parent < len(self._root) else self._of(parent).level + 1
            scope = _Scope(base, plan, parent, items, iteration, level, contained)
            known.append(scope)
            if len(plan):
                # First the scope: who finds the base looks for it.
                self._scopes.append(scope)
                self._bases.append(base)
            return base

    def _of(self, node: int) -> _Scope:
        return self._scopes[bisect_right(self._bases, node) - 1]

    def place(self, node: int) -> tuple[Any, int]:
        """Return the plan of an operation, and its index there."""
        if node < len(self._root):
            return self._root, node
        scope = self._of(node)
        return scope.plan, (node - scope.base) % scope.size

    def origin(self, node: int) -> tuple[Any, int, int, tuple[int, ...], int | None]:
        """Return where an expanded operation comes from: plan, index, what was expanded, its item, the iteration."""
        scope = self._of(node)
        inner = node - scope.base
        iteration = None if scope.first is None else scope.first + inner // scope.size
        return scope.plan, inner % scope.size, scope.parent, scope.items, iteration

    def root_of(self, node: int) -> int:
        """Return the operation of the run's own plan that an operation is, or is in the place of."""
        while node >= len(self._root):
            node = self._of(node).parent
        return node

    def level(self, node: int) -> int:
        """Return how many expansions an operation lies in."""
        return 0 if node < len(self._root) else self._of(node).level

    def is_contained(self, node: int) -> bool:
        """Return whether the failure of an operation may come to nothing, since what it is in is attempted again."""
        return node >= len(self._root) and self._of(node).contained

    def iteration_at(self, base: int) -> int:
        """Return which iteration of its loop begins with a number."""
        scope = self._of(base)
        return (scope.first or 0) + (base - scope.base) // max(scope.size, 1)

    def label(self, node: int) -> str:
        """Return the stable identity of an operation (rule G6), such as ``"train/fit"`` or ``"solve[3]/step"``."""
        text = ""
        while node >= len(self._root):
            scope = self._of(node)
            inner = node - scope.base
            text = "/" + scope.plan.names[inner % scope.size] + text
            if scope.first is not None:
                text = f"[{scope.first + inner // scope.size}]" + text
            text = "".join(f"[{index}]" for index in scope.items) + text
            node = scope.parent
        return self._root.names[node] + text

    def operation_name(self, node: int) -> str:
        """Return what an operation is called in every item and every iteration: ``"solve/step"``."""
        text = ""
        while node >= len(self._root):
            scope = self._of(node)
            text = "/" + scope.plan.names[(node - scope.base) % scope.size] + text
            node = scope.parent
        return self._root.names[node] + text

    def iterations(self, node: int, items: tuple[int, ...] = ()) -> int | None:
        """Return how many iterations the last attempt of a loop has begun; ``None`` for what is no loop."""
        known = self._by_parent.get((node, items))
        last = known[-1] if known else None
        return None if last is None or last.first is None else last.first + last.count

    def loops(self) -> list[tuple[int, int]]:
        """Return the loops that have begun, but for items of maps: each with how many iterations it has begun."""
        with self._lock:
            known = [(node, scopes[-1]) for (node, items), scopes in self._by_parent.items() if scopes and not items]
        return [(node, last.first + last.count) for node, last in known if last.first is not None]

    def find(self, name: str) -> int | None:
        """Return the number of an operation by its stable identity; of several attempts, in the last."""
        waiting: list[tuple[Any, int, str]] = [(self._root, 0, name)]
        while waiting:
            plan, base, rest = waiting.pop()
            local = plan.position_of(rest)
            if local is not None:
                return base + int(local)
            at = rest.find("/")
            while at > 0:
                for inner, number in self._expanded(plan, base, rest[:at]):
                    waiting.append((inner, number, rest[at + 1 :]))
                at = rest.find("/", at + 1)
        return None

    def find_expanded(self, name: str) -> tuple[int, tuple[int, ...]] | None:
        """Return what has expanded, by its identity: its number, and which item of a map it is."""
        node = self.find(name)
        if node is not None:
            return (node, ()) if (node, ()) in self._by_parent else None
        found = _INDICES.search(name)
        if found is not None:
            node, items = self.find(name[: found.start()]), _numbers(found.group())
            if node is not None and (node, items) in self._by_parent:
                return node, items
        return None

    def _expanded(self, plan: Any, base: int, head: str) -> Iterator[tuple[Any, int]]:
        indices: tuple[int, ...] = ()
        local = plan.position_of(head)
        found = _INDICES.search(head)
        if local is None and found is not None:
            local, indices = plan.position_of(head[: found.start()]), _numbers(found.group())
        if local is None:
            return
        node = base + int(local)
        known = self._by_parent.get((node, indices))
        if known and known[-1].first is None:
            yield known[-1].plan, known[-1].base
        if indices:
            iteration = indices[-1]
            # Backwards: what was attempted again counts as it was the last time.
            for scope in reversed(self._by_parent.get((node, indices[:-1]), ())):
                if scope.first is not None and scope.first <= iteration < scope.first + scope.count:
                    yield scope.plan, scope.base + (iteration - scope.first) * scope.size
                    return
                if scope.first == 0:
                    return  # the iterations before it are of an earlier attempt

    def inside(self, node: int, items: tuple[int, ...] = ()) -> Iterator[tuple[str, int]]:
        """Return the names and numbers of the operations in the last expansion of one, without its own name."""
        known = self._by_parent.get((node, items), [])
        blocks: list[_Scope] = []
        for scope in reversed(known):
            blocks.append(scope)
            if not scope.first:
                break
        for scope in reversed(blocks):
            for turn in range(scope.count):
                prefix = "" if scope.first is None else f"[{scope.first + turn}]"
                for index, name in enumerate(scope.plan.names):
                    if not scope.plan.is_given(index):
                        yield f"{prefix}/{name}", scope.base + turn * scope.size + index

    def earlier(self, node: int, items: tuple[int, ...], numbers: Sequence[int]) -> list[int]:
        """Return those of some operations that are in the place of another one."""
        return [number for number in numbers if self._is_inside(number, node, items)]

    def _is_inside(self, number: int, node: int, items: tuple[int, ...]) -> bool:
        while number >= len(self._root):
            scope = self._of(number)
            if scope.parent == node and scope.items == items:
                return True
            number = scope.parent
        return False


def _numbers(indices: str) -> tuple[int, ...]:
    return tuple(map(int, indices[1:-1].split("][")))
