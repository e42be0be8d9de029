"""Rules of the house that a tool can check: small files, and names that say what is inside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("python", "rust", "tests", "benches", "examples", "scripts", "docs")
CODE = {".py", ".pyi", ".rs", ".sh"}
BUILT = {"__pycache__", "_build", "target"}
MAX_LINES = 500
NAMES_THAT_SAY_NOTHING = {"util", "utils", "utilities", "common", "helper", "helpers", "misc", "shared_code"}


def code_files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in CODE and not BUILT & set(path.relative_to(ROOT).parts):
                yield path


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("folder", ["python", "rust", "tests"])
def test_the_rules_look_at_real_files(folder: str) -> None:
    assert any(path.is_relative_to(ROOT / folder) for path in code_files())


def test_no_code_file_is_longer_than_one_idea() -> None:
    long = {str(path.relative_to(ROOT)): count for path in code_files() if (count := line_count(path)) > MAX_LINES}
    assert not long, f"over {MAX_LINES} lines, so probably two ideas: {long}"


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    vague = [
        str(path.relative_to(ROOT))
        for path in code_files()
        if NAMES_THAT_SAY_NOTHING & {Path(part).stem.strip("_").lower() for part in path.relative_to(ROOT).parts}
    ]
    assert not vague, f"name these after what they hold: {vague}"
