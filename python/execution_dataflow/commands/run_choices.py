"""How a graph is to be run and shown, and the note of it that lets ``runs resume`` run it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from execution_dataflow.checkpoints.settings import Durability
from execution_dataflow.commands.mistakes import Mistake

__all__ = ["NOTE", "CommandNote", "RunChoices", "resume_command"]

NOTE = "command_line"
"""Under which name a run's metadata have the note."""

_FORMAT = 1


def resume_command(run_id: str, address: str) -> str:
    """Return the line that goes on with a run, for a shell.

    Examples
    --------
    >>> resume_command("2026-11-23", "sqlite:///my runs.db")
    "execution-dataflow runs resume 2026-11-23 --store 'sqlite:///my runs.db'"
    """
    return f"execution-dataflow runs resume {shlex.quote(run_id)} --store {shlex.quote(address)}"


@dataclass(frozen=True)
class RunChoices:
    """How the graph is to be run and shown."""

    workers: int | None = None
    executor: str | None = None
    failure_policy: Literal["fail_fast", "continue"] = "fail_fast"
    retain: Sequence[str] = ()
    targets: Sequence[str] = ()
    deadline: float | None = None
    seed: int | None = None
    run_id: str | None = None
    log_level: str | None = None
    durability: Durability | None = None
    as_json: bool = False
    verbosity: int = 0


# What is of one execution, and not of the run.
_NOT_NOTED = ("run_id", "as_json", "verbosity")


@dataclass(frozen=True)
class CommandNote:
    """What the command line notes of a run that has checkpoints.

    Parameters
    ----------
    target : str
        What was run, as it was written.
    folder : str
        The working directory.
    allowed : sequence of str
        What ``--allow`` said.
    texts : mapping of str to sequence of str
        By the name of a parameter, what was written for it.
    options : mapping of str to object
        Those of `RunChoices` that are of the run, by name.
    """

    target: str
    folder: str
    allowed: Sequence[str] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, target: str, allowed: Sequence[str], texts: Mapping[str, Sequence[str]], choices: RunChoices
    ) -> CommandNote:
        """Note what was written on a command line."""
        options = {name: value for name, value in asdict(choices).items() if name not in _NOT_NOTED}
        return cls(target, str(Path.cwd()), list(allowed), texts, options)

    def to_text(self) -> str:
        """Return the note as JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> CommandNote:
        """Read a note.

        Raises
        ------
        Mistake
            It is damaged, or was written by a later version.
        """
        try:
            document = json.loads(text)
            written_as = document.pop("format")
            if written_as != _FORMAT:
                raise Mistake(
                    f"another version of execution-dataflow has started the run, and its note has format {written_as}; "
                    f"this one reads {_FORMAT}. Resume it with that version, or from Python with its run_id"
                )
            note = cls(**document)
            note.choices()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Mistake(
                f"what the run's metadata say of its command line cannot be read ({error}); resume it from Python: run "
                "its graph with the same run_id and checkpoint="
            ) from None
        return note

    def choices(self, **others: Any) -> RunChoices:
        """Return how the graph is to be run, with what is of this execution; ``None`` leaves what was noted."""
        changes = {name: value for name, value in others.items() if value is not None}
        return RunChoices(**{**self.options, **changes})
