"""What came of looking after a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from execution_dataflow.quantities import bytes_text, counted
from execution_dataflow.stores.journal import RunSummary

__all__ = ["Damage", "Finding", "PruneReport", "VerifyReport"]

Damage: TypeAlias = Literal["damaged", "missing", "untrusted", "unreadable"]
"""What can be wrong: it is not what was written; it is not there; its signature is; its format is not known here."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What was deleted, or what would be.

    Attributes
    ----------
    store : str
        The address of the store.
    dry_run : bool
        Whether nothing was deleted.
    runs : tuple of RunSummary
        The runs that were deleted, as they were before.
    held : tuple of RunSummary
        Those that were chosen and left, since somebody holds them.
    artifacts, freed_bytes : int
        How many artifacts were deleted, and how large they were.
    unreferenced : int
        How many of these belonged to no run that was deleted: what a process left that was killed while it wrote.
    young : int
        How many artifacts nothing refers to, and were left since they are too new: a run may be about to commit them.
    notes : tuple of str
        Why something was left that one would expect to be deleted.
    """

    store: str
    dry_run: bool
    runs: tuple[RunSummary, ...]
    held: tuple[RunSummary, ...]
    artifacts: int
    freed_bytes: int
    unreferenced: int
    young: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        verb = "would delete" if self.dry_run else "deleted"
        parts = [f"{verb} {counted(len(self.runs), 'run')} and {counted(self.artifacts, 'artifact')}"]
        parts[0] += f" ({bytes_text(self.freed_bytes)})"
        if self.held:
            parts.append(f"left {counted(len(self.held), 'run')} that somebody runs now")
        if self.young:
            parts.append(f"left {counted(self.young, 'artifact')} that nothing refers to yet, written just now")
        return "; ".join([*parts, *self.notes])


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a store.

    Attributes
    ----------
    kind : str
        ``"damaged"``, ``"missing"``, ``"untrusted"`` or ``"unreadable"``.
    run_id : str or None
        The run that it is of; ``None`` for a cached result or a value of state.
    name : str
        Which operation's outputs, cached result, or value of state.
    message : str
        What is wrong with it.
    """

    kind: Damage
    run_id: str | None
    name: str
    message: str

    def __str__(self) -> str:
        where = "" if self.run_id is None else f"run {self.run_id}, "
        return f"{where}{self.name}: {self.message}"


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was read, and what was wrong with it.

    Attributes
    ----------
    store : str
        The address of the store.
    runs, records : int
        How many runs were looked at, and how many records (commits, cached results, values of state).
    artifacts, artifact_bytes : int
        How many artifacts those refer to, and how large the artifacts are that are there.
    unreferenced : int or None
        How many artifacts nothing refers to, which `prune_runs` deletes; ``None`` where one run was looked at.
    findings : tuple of Finding
        What is wrong. A run that is resumed computes anew what it cannot read.
    """

    store: str
    runs: int
    records: int
    artifacts: int
    artifact_bytes: int
    unreferenced: int | None
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it was written."""
        return not self.findings

    def __str__(self) -> str:
        read = f"read {counted(self.records, 'record')} of {counted(self.runs, 'run')} and "
        read += f"{counted(self.artifacts, 'artifact')} ({bytes_text(self.artifact_bytes)})"
        return f"{read}: {counted(len(self.findings), 'fault') if self.findings else 'all is as it was written'}"
