"""What a run has taken over from earlier ones of the same id, and why it ran the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["ResumeReport"]

# A report of a large graph says how it is in general, and names some.
_MOST_NAMED = 20


@dataclass(frozen=True)
class ResumeReport:
    """What `ExecutionResult.explain_resume` returns; printed, it is a text for a person.

    Attributes
    ----------
    run_id : str
        The run.
    store : str
        Where its checkpoint is.
    is_resumed : bool
        Whether there was anything to take over.
    restored : tuple of str
        The operations whose outputs came from the checkpoint.
    reasons : mapping of str to str
        For each operation that was not restored, why: it had not committed, its code has changed, it depends on one
        that runs again, its artifact is damaged...
    not_kept : mapping of str to str
        The operations that this run has not kept, and why: a later run will run them again.
    """

    run_id: str
    store: str
    is_resumed: bool
    restored: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    not_kept: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.is_resumed:
            yield f"Run {self.run_id!r} began anew: {self.store} has nothing of it."
        else:
            total = len(self.restored) + len(self.reasons)
            yield f"Run {self.run_id!r} took {len(self.restored)} of {total} operations from {self.store}."
            for reason, names in _grouped(self.reasons):
                yield f"{len(names)} ran because {reason}: {_listed(names)}"
        for reason, names in _grouped(self.not_kept):
            yield f"{len(names)} not kept, since {reason}: {_listed(names)}"


def _grouped(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason, []).append(name)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
