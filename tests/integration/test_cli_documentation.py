"""Every command line in the documentation prints what the page shows."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from command_lines import CommandLine

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
FILES = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)
SESSIONS = re.compile(r"```console\n(.*?)```", re.DOTALL)


def sessions() -> list[list[tuple[str, str]]]:
    """The command lines that follow each other, each with what it prints."""
    found = []
    for session in SESSIONS.findall(PAGE.read_text(encoding="utf-8")):
        parts = [part.partition("\n") for part in session.split("$ ")[1:]]
        found.append([(line, output) for line, _, output in parts])
    return found


@pytest.mark.parametrize("session", sessions(), ids=lambda session: session[0][0])
def test_command_lines_print_what_the_page_shows(command: CommandLine, session: list[tuple[str, str]]) -> None:
    for name, text in FILES.findall(PAGE.read_text(encoding="utf-8")):
        command.write(name, text)
    for line, expected in session:
        program, *arguments = shlex.split(line)
        if program == "mkdir":
            command.folder.joinpath(*arguments).mkdir()
            continue
        assert program == "execution-dataflow"
        ended = command(*arguments)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(expected, ended.out + ended.err, flags), ended.out + ended.err
        assert ended.code in ((1, 2) if expected.startswith("error") else (0,))


def test_the_page_has_command_lines_and_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sum(map(len, sessions())) > 8
    assert len(FILES.findall(text)) == 2
