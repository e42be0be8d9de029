"""Words as bash counts them when it completes: it ends one at ``:`` and ``=``, which belong to a graph's name here."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Iterator, Sequence

__all__ = ["completing_in_bash", "joined_words"]

_COMPLETE = "_EXECUTION_DATAFLOW_COMPLETE"
# What COMP_WORDBREAKS has of this program's own signs.
_BREAKS = (":", "=")


def joined_words(words: Sequence[str], current: int) -> tuple[list[str], int, str]:
    """Join what bash has taken apart.

    Parameters
    ----------
    words : sequence of str
        Its words, the program's name first.
    current : int
        Which of them is being completed.

    Returns
    -------
    words : list of str
        The words as the user sees them, up to the current one.
    current : int
        The index of the current one.
    kept : str
        What the current one begins with that bash keeps on the line by itself.

    Examples
    --------
    >>> joined_words(["ed", "run", "etl", ":", "bu"], 4)
    (['ed', 'run', 'etl:bu'], 2, 'etl:')
    >>> joined_words(["ed", "run", "etl", ":", "build", "--mode", "=", "fa"], 7)
    (['ed', 'run', 'etl:build', '--mode=fa'], 3, '--mode=')
    """
    parts = [*words[: current + 1]]
    # At the beginning of a new word bash has none yet.
    if current >= len(words):
        parts.append("")
    joined: list[str] = []
    own = len(parts) - 1
    kept = ""
    glue = False
    for index, part in enumerate(parts):
        is_break = part != "" and all(sign in _BREAKS for sign in part)
        if (glue or is_break) and index > 1 and joined:
            if index == own:
                # A break that is the current word is replaced by the completion, together with nothing before it.
                kept = joined[-1] + (part if is_break else "")
            joined[-1] += part
        else:
            joined.append(part)
        glue = is_break
    return joined, len(joined) - 1, kept


@contextlib.contextmanager
def completing_in_bash() -> Iterator[None]:
    """Let Typer see joined words while bash asks for completions, and bash only its own part of what Typer answers."""
    if os.environ.get(_COMPLETE) != "complete_bash":
        yield
        return
    try:
        words = shlex.split(os.environ["COMP_WORDS"])
        current = int(os.environ["COMP_CWORD"])
    except (KeyError, ValueError):
        yield
        return
    joined, place, kept = joined_words(words, current)
    os.environ["COMP_WORDS"] = shlex.join(joined)
    os.environ["COMP_CWORD"] = str(place)
    answer = io.StringIO()
    try:
        with contextlib.redirect_stdout(answer):
            yield
    finally:
        for line in answer.getvalue().splitlines():
            sys.stdout.write(f"{line.removeprefix(kept)}\n")
