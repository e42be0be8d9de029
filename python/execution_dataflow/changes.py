"""What a comparison of two graphs found: changes, and the page that tells them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from execution_dataflow.drawing.labels import printable

__all__ = ["NOTHING", "Change", "GraphDifference", "OperationChange", "Renaming"]

NOTHING = "nothing"
"""What a change shows where there was or is nothing."""

_SHOWN = 50


class Change(NamedTuple):
    """One thing about an operation that changed.

    Parameters
    ----------
    aspect : str
        What it is, such as ``"constant path"`` or ``"retry_policy"``.
    before, after : str
        What it was and what it is now.
    """

    aspect: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.aspect}: {self.before} -> {self.after}"


class Renaming(NamedTuple):
    """An operation that has another name.

    Parameters
    ----------
    before, after : str
        What it was called and what it is called now.
    """

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class OperationChange:
    """An operation that both graphs have, and what changed about it.

    Parameters
    ----------
    operation : str
        Its name.
    changes : tuple of Change
        At least one.
    """

    operation: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class GraphDifference:
    """What distinguishes two graphs; false if nothing does.

    Parameters
    ----------
    before, after : str
        The names of the graphs.
    added, removed : tuple of str
        The operations that only the second graph has, and those that only the first has.
    changed : tuple of OperationChange
        The operations of both that are not alike.
    interface : tuple of Change
        Parameters and outputs of the graphs that are not alike.
    renamed : tuple of Renaming
        The operations that only their names distinguish: they are neither among the added nor the removed ones.
    """

    before: str
    after: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[OperationChange, ...] = ()
    interface: tuple[Change, ...] = ()
    renamed: tuple[Renaming, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.interface or self.renamed)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in the types of JSON."""
        facts = asdict(self)
        facts["added"], facts["removed"] = list(self.added), list(self.removed)
        facts["changed"] = [
            {"operation": change.operation, "changes": [part._asdict() for part in change.changes]}
            for change in self.changed
        ]
        facts["interface"] = [part._asdict() for part in self.interface]
        facts["renamed"] = [part._asdict() for part in self.renamed]
        return facts

    def __str__(self) -> str:
        if not self:
            return "no difference"
        lines = [str(part) for part in self.interface]
        lines += [f"added: {_shown_name(name)}" for name in self.added[:_SHOWN]]
        lines += [f"and {len(self.added) - _SHOWN:,} more added"] if len(self.added) > _SHOWN else []
        lines += [f"removed: {_shown_name(name)}" for name in self.removed[:_SHOWN]]
        lines += [f"and {len(self.removed) - _SHOWN:,} more removed"] if len(self.removed) > _SHOWN else []
        lines += [f"renamed: {_shown_name(own)} -> {_shown_name(now)}" for own, now in self.renamed[:_SHOWN]]
        lines += [f"and {len(self.renamed) - _SHOWN:,} more renamed"] if len(self.renamed) > _SHOWN else []
        for change in self.changed[:_SHOWN]:
            lines.append(f"changed: {_shown_name(change.operation)}")
            lines += [f"    {part}" for part in change.changes]
        lines += [f"and {len(self.changed) - _SHOWN:,} more changed"] if len(self.changed) > _SHOWN else []
        return "\n".join(lines)


def _shown_name(name: str) -> str:
    return printable(name).replace("\n", "\\n")
