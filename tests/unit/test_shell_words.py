"""Bash takes words apart at ``:`` and ``=``; here they are joined again."""

from __future__ import annotations

import pytest

from execution_dataflow.commands.shell_words import joined_words


@pytest.mark.parametrize(
    ("words", "current", "joined", "kept"),
    [
        (["ed", "run", ""], 2, ["ed", "run", ""], ""),
        (["ed", "run"], 2, ["ed", "run", ""], ""),
        (["ed", "run", "et"], 2, ["ed", "run", "et"], ""),
        (["ed", "run", "etl", ":"], 3, ["ed", "run", "etl:"], "etl:"),
        (["ed", "run", "etl", ":", "bu"], 4, ["ed", "run", "etl:bu"], "etl:"),
        (["ed", "run", "etl", ":", "build", "--"], 5, ["ed", "run", "etl:build", "--"], ""),
        (["ed", "run", "etl", ":", "build", "--m", "=", "f"], 7, ["ed", "run", "etl:build", "--m=f"], "--m="),
        (["ed", "run", "etl", ":", "build", "-p", "m", "=", ""], 8, ["ed", "run", "etl:build", "-p", "m="], "m="),
        (["ed", "run", "etl", ":", "build", "more"], 2, ["ed", "run", "etl"], ""),
    ],
)
def test_words_are_joined_as_the_user_sees_them(words: list[str], current: int, joined: list[str], kept: str) -> None:
    assert joined_words(words, current) == (joined, len(joined) - 1, kept)
