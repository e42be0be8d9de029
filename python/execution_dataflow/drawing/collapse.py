"""Which operations share a box, so that a picture of any graph has no more boxes than a person can look at.

Nested graphs come together first, from the innermost. Where that is not enough, so do operations of one kind that lie
on one level, then the rarer kinds of a level, and in very deep graphs whole bands of levels. What shares a level waits
for nothing on it, so boxes of levels form no cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from execution_dataflow.drawing.picture import Shape
from execution_dataflow.operations import Operation
from execution_dataflow.wiring import Wiring, levels_of

__all__ = ["Group", "Grouping", "checked_depth", "checked_limit", "group_operations", "kind_label", "summed_kinds"]

# Of a graph with more levels than there may be boxes, so many bands of levels are shown.
_MOST_BANDS = 50


@dataclass(slots=True)
class Group:
    """The operations of one box.

    Parameters
    ----------
    title : str
        The name of its one operation or nested graph, or what its operations have in common.
    members : list of int
        The operations.
    path : tuple of str
        The nested graphs that it lies in, of those that are shown as frames.
    shape : str
        ``"operation"`` for one, ``"nested"`` for a nested graph, ``"group"`` for others.
    """

    title: str
    members: list[int]
    path: tuple[str, ...] = ()
    shape: Shape = "operation"


@dataclass(slots=True)
class Grouping:
    """All groups, and where each operation is.

    Parameters
    ----------
    groups : list of Group
        The groups, in the order of their first operations.
    group_of : list of int
        The group of each operation.
    """

    groups: list[Group]
    group_of: list[int]


def kind_label(operation: Operation) -> str:
    """Return what operations of one kind are called: their class, or their function.

    Parameters
    ----------
    operation : Operation
        An operation.

    Returns
    -------
    str
        Its own name plays no part in it.
    """
    return operation._implicit_name()


def checked_limit(limit: object) -> int:
    """Return a number of boxes, or raise an error that says what it may be."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit is the largest number of boxes, an int, not {limit!r}")
    if limit < 1:
        raise ValueError(f"limit={limit} is not possible: a picture has 1 box or more")
    return limit


def checked_depth(depth: object) -> int | None:
    """Return a depth, or raise an error that says what it may be."""
    if depth is None:
        return None
    if isinstance(depth, bool) or not isinstance(depth, int):
        raise TypeError(f"depth says how deep nested graphs are opened, an int, not {depth!r}")
    if depth < 0:
        raise ValueError(f"depth={depth} is not possible: 0 shows every nested graph as one box")
    return depth


def group_operations(wiring: Wiring, depth: int | None, limit: int) -> Grouping:
    """Put the operations of a graph into groups.

    Parameters
    ----------
    wiring : Wiring
        The graph.
    depth : int or None
        How deep nested graphs are opened; as deep as the limit allows by default.
    limit : int
        The largest number of groups.

    Returns
    -------
    Grouping
        Every operation is in one group.
    """
    grouping = _nested(wiring, depth, limit)
    if len(grouping.groups) <= limit:
        return grouping
    kinds = [_kind(wiring, group) for group in grouping.groups]
    levels = _levels(wiring, grouping)
    merged = _merge(grouping, list(zip((group.path for group in grouping.groups), levels, kinds, strict=True)))
    if len(merged.groups) <= limit:
        return merged
    return _banded(grouping, levels, kinds, limit)


def _nested(wiring: Wiring, depth: int | None, limit: int) -> Grouping:
    names = wiring.names
    if not any("/" in name for name in names):
        return Grouping([Group(name, [node]) for node, name in enumerate(names)], list(range(len(names))))
    deepest = max(name.count("/") for name in names)
    if depth is None:
        depth = deepest
        while depth > 0 and len({_opened(name, depth) for name in names}) > limit:
            depth -= 1
    groups: list[Group] = []
    places: dict[tuple[str, bool], int] = {}
    group_of = []
    for node, name in enumerate(names):
        title, is_nested = key = _opened(name, depth)
        # Names that come twice are a fault that a drawing shows: they stay two boxes.
        place = places.get(key) if is_nested else None
        if place is None:
            place = places[key] = len(groups)
            path = tuple(title.split("/")[:-1])
            groups.append(Group(title, [], path, "nested" if is_nested else "operation"))
        groups[place].members.append(node)
        group_of.append(place)
    return Grouping(groups, group_of)


def _opened(name: str, depth: int) -> tuple[str, bool]:
    """Return what a name is at a depth, and whether it is that of a nested graph."""
    parts = name.split("/", depth + 1)
    return (name, False) if len(parts) <= depth + 1 else ("/".join(parts[: depth + 1]), True)


def _kind(wiring: Wiring, group: Group) -> str:
    if group.shape != "nested":
        return kind_label(wiring.operations[group.members[0]])
    # Nested graphs of one name and number, clean and clean_2, are taken to be alike.
    base, _, number = group.title.rpartition("/")[2].rpartition("_")
    return f"{base if base and number.isdigit() else group.title.rpartition('/')[2]}/"


def _levels(wiring: Wiring, grouping: Grouping) -> list[int]:
    if len(grouping.groups) == len(wiring):
        return wiring.levels()
    bundles = wiring.quotient(grouping.group_of)
    return levels_of(len(grouping.groups), [(bundle.source, bundle.target) for bundle in bundles])


def _merge(grouping: Grouping, keys: Sequence[tuple[tuple[str, ...], int, str]]) -> Grouping:
    """Put groups with the same path, level and kind together."""
    groups: list[Group] = []
    places: dict[tuple[tuple[str, ...], int, str], int] = {}
    place_of = []
    for group, key in zip(grouping.groups, keys, strict=True):
        place = places.setdefault(key, len(groups))
        if place == len(groups):
            groups.append(Group(group.title, list(group.members), key[0], group.shape))
        else:
            merged = groups[place]
            merged.title = key[2].removesuffix("/")
            merged.shape = "group"
            merged.members += group.members
        place_of.append(place)
    return Grouping(groups, [place_of[place] for place in grouping.group_of])


def _banded(grouping: Grouping, levels: Sequence[int], kinds: Sequence[str], limit: int) -> Grouping:
    depth = max(levels) + 1
    bands = depth if depth <= max(limit // 2, 1) else min(_MOST_BANDS, max(limit // 2, 1))
    band_of = [level * bands // depth for level in levels]
    most = 1 if bands < depth else max(limit // bands, 1)
    by_band: list[Counter[str]] = [Counter() for _ in range(bands)]
    for band, kind, group in zip(band_of, kinds, grouping.groups, strict=True):
        by_band[band][kind] += len(group.members)
    keys, titles = [], {}
    for band, counts in enumerate(by_band):
        # The commonest kinds keep a box of their own.
        own = {kind for kind, _ in counts.most_common(most if len(counts) <= most else most - 1)}
        first, last = -(-band * depth // bands), -(-(band + 1) * depth // bands) - 1
        titles[band] = (own, f"levels {first:,}–{last:,}" if last > first else f"level {first:,}")
    for band, kind in zip(band_of, kinds, strict=True):
        keys.append(((), band, kind if kind in titles[band][0] and bands == depth else ""))
    merged = _merge(grouping, keys)
    for group, (_, band, kind) in zip(merged.groups, dict.fromkeys(keys), strict=True):
        if not kind and len(group.members) > 1:
            group.title = titles[band][1]
    return merged


def summed_kinds(wiring: Wiring, members: Iterable[int], most: int = 3) -> list[str]:
    """Return the commonest kinds among some operations, with how many there are of each.

    Parameters
    ----------
    wiring : Wiring
        The graph.
    members : iterable of int
        The operations.
    most : int
        How many kinds are named.

    Returns
    -------
    list of str
        One line for each of them, and one for the others.
    """
    counts = Counter(kind_label(wiring.operations[node]) for node in members)
    lines = [f"{count:,} × {kind}" for kind, count in counts.most_common(most)]
    rest = len(counts) - most
    if rest > 0:
        lines.append(f"and {rest:,} other kind{'s' if rest > 1 else ''}")
    return lines
