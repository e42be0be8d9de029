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


def command_lines() -> list[tuple[str, str]]:
    found = []
    for session in SESSIONS.findall(PAGE.read_text(encoding="utf-8")):
        for part in session.split("$ ")[1:]:
            line, _, output = part.partition("\n")
            found.append((line, output))
    return found


@pytest.mark.parametrize(("line", "expected"), command_lines())
def test_a_command_line_prints_what_the_page_shows(command: CommandLine, line: str, expected: str) -> None:
    for name, text in FILES.findall(PAGE.read_text(encoding="utf-8")):
        command.write(name, text)
    program, *arguments = shlex.split(line)
    assert program == "execution-dataflow"
    ended = command(*arguments)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, ended.out + ended.err, flags), ended.out + ended.err
    assert ended.code == (2 if expected.startswith("error") else 0)


def test_the_page_has_command_lines_and_files() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(command_lines()) > 8
    assert len(FILES.findall(text)) == 1
